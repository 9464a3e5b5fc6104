//! The configuration of a timeout: plain data whose leaves cannot be wrong.

mod arithmetic;
mod spec;

use std::time::Duration;

use breaker_core::{ConfigError, ConfigErrors, Name};

use crate::histogram::Histogram;

/// Where a timeout begins, how it follows the callee, and how far.
///
/// A config is `Copy` and its setters are `const`; in a constant a wrong value does not compile.
/// Whether the values fit together is asked by [`check`](Self::check), which finds all problems at
/// once; values from outside go through [`from_value`](Self::from_value) (or `serde`).
///
/// ```
/// use portcullis_timeout::TimeoutConfig;
/// use std::time::Duration;
///
/// // At most one call in a thousand is given up that would have been answered.
/// const SEARCH: TimeoutConfig = TimeoutConfig::false_timeouts(0.001)
///     .bounds(Duration::from_millis(20), Duration::from_secs(5))
///     .named("search");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct TimeoutConfig {
    pub(crate) name: Name,
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    pub(crate) initial: Duration,
    pub(crate) strategy: TimeoutStrategy,
    pub(crate) window: u32,
    pub(crate) half_life: Duration,
    /// In hundredths of a percent.
    pub(crate) percentile: u16,
    pub(crate) factor_milli: u16,
    pub(crate) max_change_milli: u16,
    pub(crate) adjust_every: u32,
    pub(crate) history: u32,
    pub(crate) max_keys: u32,
}

/// What a timeout follows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum TimeoutStrategy {
    /// The percentile, times the factor.
    Percentile,
    /// The mean and two standard deviations; up to twice as much where calls time out, a little less
    /// where none do, and never less than the percentile.
    Adaptive,
    /// Both, weighted by the share of the calls that do not time out: the more do, the less the
    /// percentile is known. The default.
    #[default]
    Hybrid,
    /// Nothing: it stays where it begins.
    Fixed,
}

impl TimeoutConfig {
    /// The shortest timeout.
    pub const SHORTEST: Duration = Duration::from_millis(1);
    /// The longest timeout.
    pub const LONGEST: Duration = Duration::from_secs(3_600);
    /// The largest window, in calls.
    pub const MAX_WINDOW: u32 = Histogram::MAX_WINDOW;
    /// The longest half-life.
    pub const MAX_HALF_LIFE: Duration = Duration::from_secs(86_400);
    /// The longest history, in adjustments.
    pub const MAX_HISTORY: u32 = 10_000;
    /// The most keys.
    pub const MAX_KEYS: u32 = 100_000;

    /// Begins at 1 s, and follows one and a half times the 95th percentile of the newest 100 calls
    /// between 100 ms and 30 s, by half of its value at a time at most.
    pub const fn new() -> Self {
        Self {
            name: Name::new("timeout"),
            min: Duration::from_millis(100),
            max: Duration::from_secs(30),
            initial: Duration::from_secs(1),
            strategy: TimeoutStrategy::Hybrid,
            window: 100,
            half_life: Duration::from_secs(30),
            percentile: 9_500,
            factor_milli: 1_500,
            max_change_milli: 500,
            adjust_every: 1,
            history: 100,
            max_keys: 1_000,
        }
    }

    /// A timeout that does not move.
    ///
    /// # Panics
    /// When `timeout` lies outside 1 ms..=1 h.
    pub const fn fixed(timeout: Duration) -> Self {
        let config = Self::new().bounds(timeout, timeout).initial(timeout);
        config.strategy(TimeoutStrategy::Fixed)
    }

    /// Gives up at most this share of the calls that would have been answered: follows the percentile
    /// that is left, in a window of ten times as many calls as hold one such, 100 at least. It stays
    /// where it begins until there are enough: see [`percentile`](Self::percentile).
    ///
    /// # Panics
    /// When `rate` lies outside 0.0001..=0.5.
    pub const fn false_timeouts(rate: f64) -> Self {
        assert!(rate >= 0.0001 && rate <= 0.5, "a rate of false timeouts lies in 0.0001..=0.5");
        let points = (rate * 10_000.0 + 0.5) as u32;
        let calls = 100_000 / points;
        let config = Self::new().strategy(TimeoutStrategy::Percentile);
        let window = if calls < 100 { 100 } else { calls };
        Self { percentile: (10_000 - points) as u16, window, ..config }
    }

    /// What answers and events call it, 1 to 63 bytes; default `timeout`.
    ///
    /// # Panics
    /// When `name` is empty or longer than 63 bytes.
    pub const fn named(mut self, name: &str) -> Self {
        self.name = Name::new(name);
        self
    }

    /// The shortest and the longest timeout; default 100 ms and 30 s. An initial timeout outside is
    /// moved to the bound.
    ///
    /// # Panics
    /// When one lies outside 1 ms..=1 h, or `min` is longer than `max`.
    pub const fn bounds(mut self, min: Duration, max: Duration) -> Self {
        assert!(Self::fits(min) && Self::fits(max), "the bounds of a timeout lie in 1 ms..=1 h");
        assert!(min.as_nanos() <= max.as_nanos(), "the shortest timeout is not above the longest");
        self.min = min;
        self.max = max;
        if self.initial.as_nanos() < min.as_nanos() {
            self.initial = min;
        }
        if self.initial.as_nanos() > max.as_nanos() {
            self.initial = max;
        }
        self
    }

    /// The timeout until enough calls were seen, within the bounds; default 1 s.
    ///
    /// # Panics
    /// When it lies outside 1 ms..=1 h.
    pub const fn initial(mut self, timeout: Duration) -> Self {
        assert!(Self::fits(timeout), "a timeout lies in 1 ms..=1 h");
        self.initial = timeout;
        self
    }

    const fn fits(timeout: Duration) -> bool {
        let nanos = timeout.as_nanos();
        nanos >= Self::SHORTEST.as_nanos() && nanos <= Self::LONGEST.as_nanos()
    }

    /// What it follows; default [`TimeoutStrategy::Hybrid`].
    pub const fn strategy(mut self, strategy: TimeoutStrategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How many of the newest calls it goes by, 10..=100,000; default 100. Between half of them and
    /// all are kept, in about 9 kB however many they are.
    ///
    /// # Panics
    /// When `calls` lies outside 10..=100,000.
    pub const fn window(mut self, calls: u32) -> Self {
        assert!(calls >= 10 && calls <= Self::MAX_WINDOW, "a window has 10..=100,000 calls");
        self.window = calls;
        self
    }

    /// Calls that are older than two half-lives are forgotten, once there are enough others for the
    /// percentile; default 30 s.
    ///
    /// # Panics
    /// When it lies outside 1 ms..=1 day.
    pub const fn half_life(mut self, half_life: Duration) -> Self {
        let nanos = half_life.as_nanos();
        let fits = nanos >= Self::SHORTEST.as_nanos() && nanos <= Self::MAX_HALF_LIFE.as_nanos();
        assert!(fits, "a half-life lies in 1 ms..=1 day");
        self.half_life = half_life;
        self
    }

    /// The percentile that it follows, in percent with two digits; default 95.
    ///
    /// From 99 on it takes two calls beyond the percentile to know it: 200 for 99, 2,000 for 99.9,
    /// but never more than half a window. Until then the initial timeout holds, unless a fifth of the
    /// calls exceeds it. A lower percentile is followed from the first call on.
    ///
    /// # Panics
    /// When it lies outside 0.01..=99.99.
    pub const fn percentile(mut self, percent: f64) -> Self {
        assert!(percent >= 0.01 && percent <= 99.99, "a percentile lies in 0.01..=99.99");
        self.percentile = (percent * 100.0 + 0.5) as u16;
        self
    }

    /// By how much the timeout exceeds the percentile, in thousandths; default 1.5.
    ///
    /// # Panics
    /// When it lies outside 1.0..=10.0.
    pub const fn factor(mut self, factor: f64) -> Self {
        assert!(factor >= 1.0 && factor <= 10.0, "the factor of a timeout lies in 1.0..=10.0");
        self.factor_milli = (factor * 1_000.0 + 0.5) as u16;
        self
    }

    /// By what part of its value the timeout moves at most at a time, in thousandths; default 0.5.
    ///
    /// # Panics
    /// When it lies outside 0.001..=10.0.
    pub const fn max_change(mut self, part: f64) -> Self {
        assert!(part >= 0.001 && part <= 10.0, "a change of a timeout lies in 0.001..=10.0");
        self.max_change_milli = (part * 1_000.0 + 0.5) as u16;
        self
    }

    /// After how many calls it moves at the earliest, 1..=1,000; default 1.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=1,000.
    pub const fn adjust_every(mut self, calls: u32) -> Self {
        assert!(calls >= 1 && calls <= 1_000, "a timeout moves every 1..=1,000 calls");
        self.adjust_every = calls;
        self
    }

    /// How many adjustments are kept, 0..=10,000; default 100.
    ///
    /// # Panics
    /// When `adjustments` is above 10,000.
    pub const fn history(mut self, adjustments: u32) -> Self {
        assert!(adjustments <= Self::MAX_HISTORY, "a history has at most 10,000 adjustments");
        self.history = adjustments;
        self
    }

    /// How many keys have a timeout of their own, where there is one per key, 1..=100,000; default
    /// 1,000, which takes 10 MB at most.
    ///
    /// # Panics
    /// When `keys` lies outside 1..=100,000.
    pub const fn max_keys(mut self, keys: u32) -> Self {
        assert!(keys >= 1 && keys <= Self::MAX_KEYS, "1..=100,000 keys have a timeout");
        self.max_keys = keys;
        self
    }

    /// Whether the values fit together.
    ///
    /// # Errors
    /// All that do not, each with the field, its value, what is allowed and what to do.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        if self.min > self.max {
            let fix = "lower min or raise max";
            errors.push(wrong("min", self.min, format!("at most max, {:?}", self.max), fix));
        }
        if self.initial < self.min {
            let allowed = format!("at least min, {:?}", self.min);
            errors.push(wrong("initial", self.initial, allowed, "raise initial or lower min"));
        }
        if self.initial > self.max {
            let allowed = format!("at most max, {:?}", self.max);
            errors.push(wrong("initial", self.initial, allowed, "lower initial or raise max"));
        }
        ConfigErrors::check(errors)
    }
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self::new()
    }
}

fn wrong(path: &str, value: Duration, allowed: String, fix: &str) -> ConfigError {
    let (path, fix) = (path.to_owned(), fix.to_owned());
    ConfigError { path, value: format!("{value:?}"), allowed, fix }
}
