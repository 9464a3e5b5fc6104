//! Behaviour facts as data, and the interpreter that holds the circuit to them.
//!
//! `tests/conformance/README.md` describes the format. Nothing in here knows a case by its id: a
//! fact that is wrong is named in `DISPUTED.md`, not worked around.

mod accrual;
mod adaptive;
mod answer;
mod bucket;
mod case;
mod circuit;
mod circuits;
mod codel;
mod component;
mod config;
mod decide;
mod fields;
mod force;
mod generator;
mod limit;
mod limits;
mod outcome;
mod quota;
mod recovery;
mod slot_plan;
mod slots;
mod suite;
mod throttle;
mod verdict;
mod window;

pub use suite::{Report, home, judge, run};
pub use verdict::Verdict;
