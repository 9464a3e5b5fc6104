//! A limit by timeouts alone: [`Aimd`].

use std::time::Duration;

use super::bounds::{Bounds, RoundTrip, used, whole};
use super::{Algorithm, Limit, LimitAlgorithm, Sample, Verdict, is_timeout};

/// One call more per round trip while the limit is used, and a tenth less after a timeout.
///
/// Additive increase, multiplicative decrease (Chiu and Jain 1989), with the rule of Netflix's
/// concurrency-limits that an unused limit does not grow, and one move per round trip. It learns only
/// from calls that have failed already: the slowest calls take about as long as the timeout. Prefer
/// [`DeadlineAimd`](super::DeadlineAimd).
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Aimd {
    timeout: Duration,
    backoff: f64,
}

impl Aimd {
    /// Calls that take longer than this are too slow: 1 ms..=1 h.
    ///
    /// # Panics
    /// When `timeout` lies outside 1 ms..=1 h.
    pub const fn new(timeout: Duration) -> Self {
        assert!(is_timeout(timeout), "the timeout of a limit is 1 ms..=1 h");
        Self { timeout, backoff: 0.9 }
    }

    /// What a cut multiplies the limit by, 0.1..=0.99; default 0.9.
    ///
    /// # Panics
    /// When `factor` lies outside 0.1..=0.99.
    pub const fn backoff(mut self, factor: f64) -> Self {
        assert!(factor >= 0.1 && factor <= 0.99, "a cut leaves 0.1..=0.99 of the limit");
        self.backoff = factor;
        self
    }

    /// The limit that goes by it: 20 calls at the start, 1 to 200 later.
    pub const fn into_limit(self) -> Limit {
        Limit::of(Algorithm::Aimd(self), 20, 1)
    }
}

#[derive(Debug)]
pub(super) struct State {
    config: Aimd,
    bounds: Bounds,
    limit: f64,
    round: RoundTrip,
}

impl State {
    pub(super) fn new(config: Aimd, bounds: Bounds) -> Self {
        Self { config, bounds, limit: bounds.first(), round: RoundTrip::default() }
    }
}

impl LimitAlgorithm for State {
    fn limit(&self) -> u32 {
        whole(self.limit)
    }

    fn bound(&mut self, min: u32, max: u32) {
        self.bounds = Bounds { min, max, ..self.bounds };
        self.limit = self.bounds.keep(self.limit);
    }

    fn sample(&mut self, sample: &Sample) {
        let late = sample.took() > self.config.timeout;
        if (sample.verdict == Verdict::Cancelled && !late) || !self.round.holds(sample) {
            return;
        }
        let cut = late || sample.verdict.is_hard();
        if !cut && !used(sample.in_flight, self.limit) {
            return;
        }
        let moved = if cut { self.limit * self.config.backoff } else { self.limit + 1.0 };
        self.limit = self.bounds.keep(moved);
        self.round.begin(sample.ended);
    }
}
