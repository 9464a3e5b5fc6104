//! Calls that are judged together: [`Window`].

use breaker_core::Tick;

use super::bounds::RoundTrip;
use super::{Sample, Verdict};

/// Collects calls until there are enough of them to move the limit.
///
/// A limit that moved with every reply would fall many times for one queue, and the time of one call
/// says little. So a window takes in only calls that began after it was last told to
/// [`restart`](Self::restart). A window of one call takes in each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    size: u32,
    round: RoundTrip,
    calls: u32,
    hard: u32,
    peak: u32,
    timed: u32,
    seconds: f64,
    last_mean: f64,
}

/// What a window has seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Calls that it took in.
    pub(super) calls: u32,
    /// Timeouts and overload answers among them.
    pub(super) hard: u32,
    /// The most calls at a time.
    pub(super) peak: u32,
    /// How long calls took, in seconds, above zero; `None` where all were refused by the callee.
    pub(super) mean: Option<f64>,
}

impl Window {
    pub(super) fn new(size: u32) -> Self {
        Self {
            size,
            round: RoundTrip::default(),
            calls: 0,
            hard: 0,
            peak: 0,
            timed: 0,
            seconds: 0.0,
            last_mean: f64::INFINITY,
        }
    }

    /// Takes in a call; what was seen, if that was the last of the window. The next one begins then.
    pub(super) fn take(&mut self, sample: &Sample) -> Option<Seen> {
        let late = self.round.holds(sample);
        let seconds = sample.took().as_secs_f64();
        // A caller who gave up early says nothing. One who gave up late says that the call would
        // have taken longer yet.
        let told = sample.verdict != Verdict::Cancelled || seconds > self.last_mean;
        if !told || (!late && self.size > 1) {
            return None;
        }
        self.calls += 1;
        self.hard += u32::from(sample.verdict.is_hard());
        self.peak = self.peak.max(sample.in_flight);
        if sample.verdict != Verdict::Overloaded {
            // An overload answer is quick, and would make the callee look so.
            self.timed += 1;
            self.seconds += seconds;
        }
        // Where a fifth of a full window is hard already, the rest need not be waited for.
        let enough = self.calls >= self.size || 5 * self.hard > self.size;
        enough.then(|| self.end())
    }

    fn end(&mut self) -> Seen {
        let mean = (self.timed > 0).then(|| (self.seconds / f64::from(self.timed)).max(1e-9));
        let seen = Seen { calls: self.calls, hard: self.hard, peak: self.peak, mean };
        let last_mean = mean.unwrap_or(self.last_mean);
        *self = Self { last_mean, round: self.round, ..Self::new(self.size) };
        seen
    }

    /// Calls that began before now are not taken in any more: they ran under another limit.
    pub(super) const fn restart(&mut self, now: Tick) {
        self.round.begin(now);
    }
}
