//! A limit by how many calls queue at the callee: [`Vegas`].

use breaker_core::Chance;

use super::bounds::{Bounds, used, whole};
use super::window::{Seen, Window};
use super::{Algorithm, Limit, LimitAlgorithm, Sample};

/// Keeps a short queue at the callee, which it reckons from how much longer calls take than the
/// quickest ones.
///
/// TCP Vegas (Brakmo and Peterson 1995) with the steps of Netflix's concurrency-limits: of `limit`
/// calls, `limit * (1 - least / now)` queue, rounded up. With `g = log10(limit)`, a queue of up to
/// `g` adds `6 g`, one below `3 g` adds `g`, and one above `6 g`, a timeout or an overload answer
/// takes `g` away.
///
/// The least time is measured anew every `30 * limit` calls, jittered. The source takes the time of
/// any call for it, also where a queue stands, and so lets the limit climb; here, the limit is halved
/// for one window, which empties the queue.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Vegas {
    few: u32,
    many: u32,
    fixed: bool,
    smoothing: f64,
    probe_every: u32,
    window: u32,
    seed: u64,
}

impl Vegas {
    /// The numbers of the source, and windows of 10 calls.
    pub const fn new() -> Self {
        Self {
            few: 3,
            many: 6,
            fixed: false,
            smoothing: 1.0,
            probe_every: 30,
            window: 10,
            seed: 0x7665_6761,
        }
    }

    /// Below how many calls in the queue the limit grows, and above how many it shrinks, 0..=10,000
    /// each, times the logarithm of the limit to the base of ten (at least one); default 3 and 6.
    /// These are the alpha and the beta of the source.
    ///
    /// # Panics
    /// When `few` or `many` is above 10,000.
    pub const fn queue(mut self, few: u32, many: u32) -> Self {
        assert!(few <= 10_000 && many <= 10_000, "at most 10,000 calls queue at the callee");
        self.few = few;
        self.many = many;
        self.fixed = false;
        self
    }

    /// The same as [`queue`](Self::queue), but not times anything.
    ///
    /// # Panics
    /// When `few` or `many` is above 10,000.
    pub const fn fixed_queue(self, few: u32, many: u32) -> Self {
        let mut this = self.queue(few, many);
        this.fixed = true;
        this
    }

    /// How far the limit goes of the way to where it should be, 0.01..=1; default 1.
    ///
    /// # Panics
    /// When `share` lies outside 0.01..=1.
    pub const fn smoothing(mut self, share: f64) -> Self {
        assert!(share >= 0.01 && share <= 1.0, "the smoothing of a limit is 0.01..=1");
        self.smoothing = share;
        self
    }

    /// After how many calls the least time is measured anew, times the limit, 1..=1,000,000; default
    /// 30. It is spread between half of that and all of it.
    ///
    /// # Panics
    /// When `times` lies outside 1..=1,000,000.
    pub const fn probe_every(mut self, times: u32) -> Self {
        assert!(times >= 1 && times <= 1_000_000, "a probe comes after 1..=1,000,000 times");
        self.probe_every = times;
        self
    }

    /// How many calls of one round trip are judged together, 1..=10,000; default 10. With one, each
    /// call moves the limit by itself, and one queue cuts it many times.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=10,000.
    pub const fn window(mut self, calls: u32) -> Self {
        assert!(calls >= 1 && calls <= 10_000, "a window is 1..=10,000 calls");
        self.window = calls;
        self
    }

    /// What the probes are spread by; default always the same.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The limit that goes by it: 20 calls at the start, 1 to 200 later.
    pub const fn into_limit(self) -> Limit {
        Limit::of(Algorithm::Vegas(self), 20, 1)
    }

    pub(super) fn check(&self, wrong: &mut impl FnMut(&str, String, &str, &str)) {
        if self.few > self.many {
            let allowed = format!("at most the queue at which the limit shrinks, {}", self.many);
            wrong("limit_queue", self.few.to_string(), &allowed, "swap the two");
        }
    }
}

/// [`Vegas::new`].
impl Default for Vegas {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
pub(super) struct State {
    config: Vegas,
    bounds: Bounds,
    limit: f64,
    window: Window,
    /// The least time of a window, in seconds.
    least: Option<f64>,
    /// The limit from before the probe that runs.
    before_probe: Option<f64>,
    /// Calls until the next probe.
    left: f64,
    chance: Chance,
}

impl State {
    pub(super) fn new(config: Vegas, bounds: Bounds) -> Self {
        let mut this = Self {
            config,
            bounds,
            limit: bounds.first(),
            window: Window::new(config.window),
            least: None,
            before_probe: None,
            left: 0.0,
            chance: Chance::seeded(config.seed),
        };
        this.plan_probe();
        this
    }

    fn plan_probe(&mut self) {
        let jitter = 0.5 + self.chance.below(1 << 20) as f64 / f64::from(1 << 21);
        self.left = jitter * f64::from(self.config.probe_every) * self.limit;
    }

    /// Whether the window was about the least time, and not about the limit.
    fn measures(&mut self, seen: &Seen) -> bool {
        let Some(mean) = seen.mean else { return false };
        if let Some(before) = self.before_probe.take() {
            self.least = Some(mean);
            self.limit = before;
            self.plan_probe();
            return true;
        }
        self.left -= f64::from(seen.calls);
        if self.left <= 0.0 && self.config.window > 1 {
            self.before_probe = Some(self.limit);
            self.limit = self.bounds.keep(self.limit / 2.0);
            return true;
        }
        // With windows of one call there is no calm moment: the time of this one is taken.
        let anew = self.left <= 0.0;
        if anew {
            self.plan_probe();
        }
        if anew || self.least.is_none_or(|least| mean < least) {
            self.least = Some(mean);
            return true;
        }
        false
    }

    fn step(&self, seen: &Seen) -> f64 {
        let g = self.limit.log10().max(1.0);
        let scale = if self.config.fixed { 1.0 } else { g };
        let few = f64::from(self.config.few) * scale;
        let many = f64::from(self.config.many) * scale;
        let (Some(least), Some(mean)) = (self.least, seen.mean) else { return 0.0 };
        let queue = (self.limit * (1.0 - least / mean)).ceil();
        if queue <= g {
            many
        } else if queue < few {
            g
        } else if queue > many {
            -g
        } else {
            0.0
        }
    }

    fn settle(&mut self, seen: &Seen) {
        let step = if seen.hard > 0 {
            if let Some(before) = self.before_probe.take() {
                self.limit = before;
                self.plan_probe();
            }
            -self.limit.log10().max(1.0)
        } else if self.measures(seen) || !used(seen.peak, self.limit) {
            return;
        } else {
            self.step(seen)
        };
        self.limit = self.bounds.keep(self.config.smoothing.mul_add(step, self.limit));
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
        let Some(seen) = self.window.take(sample) else { return };
        self.settle(&seen);
        self.window.restart(sample.ended);
    }
}
