//! How many calls the callee bears: [`Limit`], [`LimitAlgorithm`].

use std::fmt::Debug;

use breaker_core::Tick;

/// Finds out how many calls may run at a time, from how calls end.
///
/// It sees each call that says something of the callee's load, one after the other: those that were
/// answered, and those that ended by an overload answer, by a timeout, or by being dropped. Calls
/// that failed for a reason of their own are not shown to it. State of an algorithm is bounded; time
/// is handed in.
pub trait LimitAlgorithm: Debug + Send {
    /// How many calls may run at a time; at least one.
    fn limit(&self) -> u32;

    /// Takes in how a call ended.
    fn sample(&mut self, sample: &Sample);
}

/// How a call ended, for a [`LimitAlgorithm`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Sample {
    /// When it got its slot.
    pub started: Tick,
    /// When it was answered, up to the head, or dropped.
    pub ended: Tick,
    /// How many calls ran then, itself among them.
    pub in_flight: u32,
    /// What it says of the load.
    pub verdict: Verdict,
}

/// What a call says of the load of the callee.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It was answered.
    Answered,
    /// The callee said that it has too much to do.
    Overloaded,
    /// It took too long, and its own timeout ended it.
    TimedOut,
    /// Its caller gave it up: where that was late, it says what a timeout says.
    Cancelled,
}

/// Which algorithm moves the number of slots, and within which bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Limit {
    min: u32,
    max: u32,
}

impl Limit {
    /// By the time that calls take on the server itself.
    pub const fn service_time() -> Self {
        Self { min: 2, max: 200 }
    }

    /// The most calls at a time.
    #[must_use]
    pub const fn most(&self) -> u32 {
        self.max
    }

    /// Tells `wrong` of values that do not fit together: field, value, what is allowed, what to do.
    pub(crate) fn check(&self, wrong: &mut impl FnMut(&str, String, &str, &str)) {
        if self.min > self.max {
            wrong("limit.min", self.min.to_string(), "at most limit.max", "lower it");
        }
    }

    /// The algorithm, at its beginning.
    pub(crate) fn begin(&self) -> Box<dyn LimitAlgorithm> {
        Box::new(Fixed(self.max))
    }
}

#[derive(Debug)]
struct Fixed(u32);

impl LimitAlgorithm for Fixed {
    fn limit(&self) -> u32 {
        self.0
    }

    fn sample(&mut self, _: &Sample) {}
}
