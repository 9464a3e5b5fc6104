//! What a limit grants, and what is left of it: [`Quota`].

use std::time::Duration;

/// What a limit grants its caller, and what is left of it.
///
/// It stands in the [`Rejected`](crate::Rejected) of a limit and in the headers of its answers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    limit: u32,
    remaining: u32,
    window: u64,
    reset: u64,
}

impl Quota {
    /// `limit` calls in each `window`, of which `remaining` are left; all of them are back after
    /// `reset`, if nobody calls meanwhile.
    #[must_use]
    pub const fn new(limit: u32, window: Duration, remaining: u32, reset: Duration) -> Self {
        Self { limit, remaining, window: nanos(window), reset: nanos(reset) }
    }

    /// How many calls there are in a window.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How long the window is.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_nanos(self.window)
    }

    /// How many calls would be admitted just now, each at the cost of one.
    #[must_use]
    pub const fn remaining(&self) -> u32 {
        self.remaining
    }

    /// After what time all calls are back, if nobody calls meanwhile.
    #[must_use]
    pub const fn reset(&self) -> Duration {
        Duration::from_nanos(self.reset)
    }
}

/// 584 years at most.
const fn nanos(time: Duration) -> u64 {
    let nanos = time.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}
