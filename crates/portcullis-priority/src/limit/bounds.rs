//! What all limits share: [`Bounds`], [`RoundTrip`].

use breaker_core::Tick;

use super::Sample;

/// Where a limit starts, and between what it stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Bounds {
    pub(super) start: u32,
    pub(super) min: u32,
    pub(super) max: u32,
}

impl Bounds {
    /// The limit at the start.
    pub(super) fn first(&self) -> f64 {
        self.keep(f64::from(self.start))
    }

    /// The limit, within the bounds whatever it is.
    pub(super) fn keep(&self, limit: f64) -> f64 {
        // Not `clamp`: that one panics where the bounds are the wrong way round, and keeps NaN.
        limit.max(f64::from(self.min)).min(f64::from(self.max))
    }
}

/// The limit in whole calls. What is a hair below a number is that number.
pub(super) fn whole(limit: f64) -> u32 {
    ((limit + 1e-9) as u32).max(1)
}

/// Whether so many calls at a time use the limit: half of it.
pub(super) fn used(in_flight: u32, limit: f64) -> bool {
    2.0 * f64::from(in_flight) >= limit
}

/// When the limit last moved. Calls that began earlier ran under another limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTrip {
    since: Tick,
}

impl RoundTrip {
    /// Whether the call began after the last move.
    pub(super) fn holds(&mut self, sample: &Sample) -> bool {
        // A clock that stepped back must not leave the move in the future, where no call began
        // after it.
        self.since = self.since.min(sample.ended);
        sample.started >= self.since
    }

    /// The limit moved now.
    pub(super) const fn begin(&mut self, now: Tick) {
        self.since = now;
    }
}
