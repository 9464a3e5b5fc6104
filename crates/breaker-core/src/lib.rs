#![doc = include_str!("../README.md")]

mod clock;
mod key;
mod name;
mod outcome;
mod rejected;

#[cfg(feature = "tokio")]
pub use clock::TokioClock;
pub use clock::{Clock, ManualClock, MonotonicClock, Tick};
pub use key::Key;
pub use name::{InvalidName, Name};
pub use outcome::{Classify, CountAs, Counted, ErrorsAreFailures, FailureKind, Outcome};
pub use rejected::{AsError, Cause, Condition, Reason, Refuse, Rejected};
