//! What a call through a circuit, a limit or a queue costs, beside the floor: a bare call, an atomic
//! addition, a clock read.
//!
//! A [`Case`] is one way to make calls. The program in [`program`] runs all cases in turn, round
//! after round, so that they meet the same machine, and prints the table of what was aimed at and
//! what was measured. The member `peers` beside this one adds the cases of other crates.

#![allow(clippy::disallowed_methods, reason = "to measure time one has to read it")]

mod case;
mod floor;
mod json;
mod limits;
mod ours;
pub mod program;
mod queues;
mod retries;
mod rounds;
mod service;
mod table;
mod targets;
mod timeouts;
pub mod waits;
pub mod weights;

pub use case::{
    Case, Live, Once, Style, UntilDone, cloned, failing, handed_over, requested, reused, runtime,
};
pub use floor::floor;
pub use ours::ours;
pub use service::{Failed, Later, Nothing, Web, call, call_later, finish};
