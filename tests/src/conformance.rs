//! Behaviour facts as data, and the interpreter that holds the circuit to them.
//!
//! `tests/conformance/README.md` describes the format. Nothing in here knows a case by its id: a
//! fact that is wrong is named in `DISPUTED.md`, not worked around.

mod accrual;
mod adaptive;
mod answer;
mod backoff;
mod bucket;
mod budget;
mod case;
mod circuit;
mod circuits;
mod codel;
mod component;
mod config;
mod decide;
mod draw;
mod fields;
mod force;
mod generator;
mod hedge;
mod limit;
mod limits;
mod outcome;
mod paused;
mod quota;
mod recovery;
mod retry;
mod slot_plan;
mod slots;
mod suite;
mod throttle;
mod verdict;
mod window;

pub use suite::{Report, home, judge, run};
pub use verdict::Verdict;
