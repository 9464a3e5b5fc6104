//! A limit by how times change: [`Gradient2`].

use super::bounds::{Bounds, used, whole};
use super::window::{Seen, Window};
use super::{Algorithm, Limit, LimitAlgorithm, Sample};

/// Shrinks the limit as far as calls take longer now than they did for a while.
///
/// The rule of the limit of this name in Netflix's concurrency-limits: with
/// `gradient = clamp(tolerance * long / short, 0.5, 1)`, where `short` is the mean of a window and
/// `long` an average over many of them, the limit moves by a fifth of the way to
/// `gradient * limit + 4`. Timeouts and overload answers, which it does not know, count as the
/// steepest gradient. What is slow for good becomes the usual: under a load that never ends, the
/// limit creeps up with it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Gradient2 {
    smoothing: f64,
    queue_size: u32,
    tolerance: f64,
    long_window: u32,
    warm_up: u32,
    window: u32,
}

impl Gradient2 {
    /// The numbers of the source, and windows of 10 calls.
    pub const fn new() -> Self {
        Self {
            smoothing: 0.2,
            queue_size: 4,
            tolerance: 1.5,
            long_window: 600,
            warm_up: 10,
            window: 10,
        }
    }

    /// How far the limit goes of the way to where it should be, 0.01..=1; default 0.2.
    ///
    /// # Panics
    /// When `share` lies outside 0.01..=1.
    pub const fn smoothing(mut self, share: f64) -> Self {
        assert!(share >= 0.01 && share <= 1.0, "the smoothing of a limit is 0.01..=1");
        self.smoothing = share;
        self
    }

    /// How many calls may queue at the callee, 0..=10,000; default 4. The limit grows by them.
    ///
    /// # Panics
    /// When `calls` is above 10,000.
    pub const fn queue_size(mut self, calls: u32) -> Self {
        assert!(calls <= 10_000, "at most 10,000 calls queue at the callee");
        self.queue_size = calls;
        self
    }

    /// How many times as long as usual calls may take before the limit shrinks, 1..=10; default 1.5.
    ///
    /// # Panics
    /// When `times` lies outside 1..=10.
    pub const fn tolerance(mut self, times: f64) -> Self {
        assert!(times >= 1.0 && times <= 10.0, "the tolerance of a limit is 1..=10");
        self.tolerance = times;
        self
    }

    /// Over how many windows usual times are averaged, 1..=1,000,000; default 600.
    ///
    /// # Panics
    /// When `windows` lies outside 1..=1,000,000.
    pub const fn long_window(mut self, windows: u32) -> Self {
        assert!(windows >= 1 && windows <= 1_000_000, "the long window is 1..=1,000,000");
        self.long_window = windows;
        self
    }

    /// How many windows at the start have the same weight, 0..=1,000,000; default 10.
    ///
    /// # Panics
    /// When `windows` is above 1,000,000.
    pub const fn warm_up(mut self, windows: u32) -> Self {
        assert!(windows <= 1_000_000, "the warm-up is 1,000,000 windows at most");
        self.warm_up = windows;
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

    /// The limit that goes by it: 20 calls at the start, 1 to 200 later.
    pub const fn into_limit(self) -> Limit {
        Limit::of(Algorithm::Gradient2(self), 20, 1)
    }
}

/// [`Gradient2::new`].
impl Default for Gradient2 {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
pub(super) struct State {
    config: Gradient2,
    bounds: Bounds,
    limit: f64,
    window: Window,
    long: Average,
}

impl State {
    pub(super) fn new(config: Gradient2, bounds: Bounds) -> Self {
        let long = Average::new(config.long_window, config.warm_up);
        let window = Window::new(config.window);
        Self { config, bounds, limit: bounds.first(), window, long }
    }

    fn gradient(&mut self, seen: &Seen) -> Option<f64> {
        let usual = seen.mean.map(|short| {
            let long = self.long.add(short);
            // After a long time of trouble the average is far above what is usual again.
            if long > 2.0 * short {
                self.long.value *= 0.95;
            }
            (self.config.tolerance * self.long.value / short).clamp(STEEPEST, 1.0)
        });
        if seen.hard > 0 {
            return None;
        }
        usual
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
        let Self { limit, config, .. } = *self;
        let aim = match self.gradient(&seen) {
            // A cut must be one for small limits, too: nothing is added.
            None => STEEPEST * limit,
            Some(gradient) if used(seen.peak, limit) => {
                gradient.mul_add(limit, f64::from(config.queue_size))
            }
            Some(_) => return,
        };
        self.limit = self.bounds.keep(config.smoothing.mul_add(aim - limit, limit));
        self.window.restart(sample.ended);
    }
}

/// The least of a gradient.
const STEEPEST: f64 = 0.5;

/// An average in which each value has the same weight at first, and older ones lose theirs later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Average {
    window: u32,
    warm_up: u32,
    values: u32,
    pub(super) value: f64,
}

impl Average {
    pub(super) const fn new(window: u32, warm_up: u32) -> Self {
        Self { window, warm_up, values: 0, value: 0.0 }
    }

    pub(super) fn add(&mut self, value: f64) -> f64 {
        let alike = self.values < self.warm_up.max(1);
        self.values = self.values.saturating_add(1);
        let weight =
            if alike { 1.0 / f64::from(self.values) } else { 2.0 / (f64::from(self.window) + 1.0) };
        self.value = weight.mul_add(value - self.value, self.value);
        self.value
    }
}
