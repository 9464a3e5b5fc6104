//! A limit on a server itself: [`ServiceTime`].

use super::bounds::{Bounds, used, whole};
use super::window::{Seen, Window};
use super::{Algorithm, Limit, LimitAlgorithm, Sample};

/// One call more per window while the limit is used, and 0.1 to 0.3 of it less, as far as it takes,
/// where calls take more than 1.7 times as long as they do without a queue.
///
/// For a server that sees how long its own work takes, without the wait for a slot. Each window is 20
/// replies of one round trip; the least mean of a window is what calls take without a queue.
///
/// That least mean grows old: code, data and neighbours change. If it only grew, bit by bit, it would
/// follow a queue that never goes away, and the limit would follow it. So it goes up only with windows
/// that came near it. Where none did for a hundred, the limit is halved for one window, which empties
/// the queue, and the mean of that one is the new least. And where cuts in a row have halved the
/// limit, and calls take as long as before, what they take now is taken for it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct ServiceTime {
    tolerance: f64,
    backoff: f64,
    window: u32,
    probe_after: u32,
}

impl ServiceTime {
    /// Windows of 20 calls, cut by 0.9 above 1.7 times the least mean.
    pub const fn new() -> Self {
        Self { tolerance: 1.7, backoff: 0.9, window: 20, probe_after: 100 }
    }

    /// How many times as long as without a queue calls may take, 1.1..=10; default 1.7.
    ///
    /// # Panics
    /// When `times` lies outside 1.1..=10.
    pub const fn tolerance(mut self, times: f64) -> Self {
        assert!(times >= 1.1 && times <= 10.0, "the tolerance of a limit is 1.1..=10");
        self.tolerance = times;
        self
    }

    /// What a cut multiplies the limit by, 0.1..=0.99; default 0.9. Where calls take far too long, a
    /// cut goes down to 0.7, or to this where it is less.
    ///
    /// # Panics
    /// When `factor` lies outside 0.1..=0.99.
    pub const fn backoff(mut self, factor: f64) -> Self {
        assert!(factor >= 0.1 && factor <= 0.99, "a cut leaves 0.1..=0.99 of the limit");
        self.backoff = factor;
        self
    }

    /// How many calls of one round trip are judged together, 1..=10,000; default 20.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=10,000.
    pub const fn window(mut self, calls: u32) -> Self {
        assert!(calls >= 1 && calls <= 10_000, "a window is 1..=10,000 calls");
        self.window = calls;
        self
    }

    /// After how many windows that did not come near the least mean it is measured anew,
    /// 0..=1,000,000; default 100. Zero: never, it only grows by 0.0005 of itself per window.
    ///
    /// # Panics
    /// When `windows` is above 1,000,000.
    pub const fn probe_after(mut self, windows: u32) -> Self {
        assert!(windows <= 1_000_000, "a probe comes after 1,000,000 windows at most");
        self.probe_after = windows;
        self
    }

    /// The limit that goes by it: 8 calls at the start, 2 to 200 later.
    pub const fn into_limit(self) -> Limit {
        Limit::of(Algorithm::ServiceTime(self), 8, 2)
    }
}

/// [`ServiceTime::new`].
impl Default for ServiceTime {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
pub(super) struct State {
    config: ServiceTime,
    bounds: Bounds,
    limit: f64,
    window: Window,
    /// How long calls take without a queue, in seconds; infinite at first.
    base: f64,
    /// Windows since one came near it.
    stale: u32,
    /// The limit before the first of the cuts in a row, and the longest that calls took since.
    before_cuts: Option<(f64, f64)>,
    /// The limit from before the probe that runs.
    before_probe: Option<f64>,
}

impl State {
    pub(super) fn new(config: ServiceTime, bounds: Bounds) -> Self {
        Self {
            config,
            bounds,
            limit: bounds.first(),
            window: Window::new(config.window),
            base: f64::INFINITY,
            stale: 0,
            before_cuts: None,
            before_probe: None,
        }
    }

    /// Keeps the base true; whether the window was about that, and not about the limit.
    fn rebase(&mut self, mean: f64) -> bool {
        if let Some(before) = self.before_probe.take() {
            (self.base, self.stale) = (mean, 0);
            self.limit = before;
            return true;
        }
        let near = mean <= NEAR * self.base;
        let probes = self.config.probe_after > 0;
        if near || !probes {
            self.base = match self.base {
                base if base.is_infinite() => mean,
                // The least of many means is lower than what is usual: it goes back to that.
                base if probes => mean.min(TOWARDS.mul_add(mean - base, base)),
                base => mean.min(base * DRIFT),
            };
            self.stale = 0;
            return false;
        }
        self.stale += 1;
        if let Some((_, longest)) = self.before_cuts.filter(|before| 2.0 * self.limit <= before.0) {
            self.before_cuts = None;
            // Half as many calls wait half as long, if it is each other that they wait for.
            if mean > IN_VAIN * longest {
                (self.base, self.stale) = (mean, 0);
                return true;
            }
        }
        if self.stale >= self.config.probe_after {
            self.before_probe = Some(self.limit);
            self.limit = self.bounds.keep(self.limit / 2.0);
            return true;
        }
        false
    }

    fn cut(&mut self, mean: Option<f64>) {
        if let Some(mean) = mean {
            // During the first of them the queue may still have grown.
            let (limit, longest) = self.before_cuts.unwrap_or((self.limit, mean));
            self.before_cuts = Some((limit, longest.max(mean)));
        }
        let least = self.config.backoff.min(STEEPEST);
        let fits = mean.map_or(1.0, |mean| self.config.tolerance * self.base / mean);
        let factor = fits.max(least).min(self.config.backoff);
        self.limit = self.bounds.keep(self.limit * factor);
    }

    fn settle(&mut self, seen: &Seen) {
        if seen.hard > 0 && 5 * seen.hard > seen.calls {
            self.limit = self.before_probe.take().unwrap_or(self.limit);
            self.cut(None);
            return;
        }
        let Some(mean) = seen.mean else { return };
        if self.rebase(mean) {
            return;
        }
        if mean > self.config.tolerance * self.base {
            self.cut(Some(mean));
            return;
        }
        self.before_cuts = None;
        if used(seen.peak, self.limit) {
            self.limit = self.bounds.keep(self.limit + 1.0);
        }
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
        if let Some(seen) = self.window.take(sample) {
            let before = self.limit;
            let probed = self.before_probe.is_some();
            self.settle(&seen);
            if self.limit < before || probed {
                self.window.restart(sample.ended);
            }
        }
    }
}

/// A window that took up to so many times the base confirms it.
const NEAR: f64 = 1.2;
/// How far the base goes towards a window that is near it, so that a lucky one is forgotten.
const TOWARDS: f64 = 0.02;
/// How the base grows per window where there are no probes.
const DRIFT: f64 = 1.0005;
/// Of how long calls took before the limit was halved: if they still take more, the halving was in
/// vain.
const IN_VAIN: f64 = 0.75;
/// The most that is left of a limit by a cut.
const STEEPEST: f64 = 0.7;
