//! The configuration of a limit: plain data whose leaves cannot be wrong.

mod spec;

use std::time::Duration;

use breaker_core::{ConfigError, ConfigErrors, Name};

use crate::adjust::Adjust;
use crate::limiter::Algorithm;
use crate::rate::Rate;
use crate::throttle::Throttle;

/// What a limit grants, in numbers: how many calls in how much time, how many at once, and what
/// happens to those beyond.
///
/// A config is `Copy` and its setters are `const`; in a constant a wrong value does not compile.
/// Whether the values fit together is asked by [`check`](Self::check), which finds all problems at
/// once; values from outside go through [`from_value`](Self::from_value) (or `serde`).
///
/// ```
/// use portcullis_ratelimit::RateLimit;
/// use std::time::Duration;
///
/// // 50 calls per second on average, and up to 20 at once.
/// const PER_CLIENT: RateLimit = RateLimit::per_second(50).burst(20).named("per-client");
/// // 1,000 calls in each hour that ends now.
/// const HOURLY: RateLimit = RateLimit::sliding_window(1_000, Duration::from_secs(3_600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct RateLimit {
    pub(crate) name: Name,
    pub(crate) algorithm: Algorithm,
    pub(crate) rate: Rate,
    pub(crate) burst: u32,
    pub(crate) window: Duration,
    pub(crate) adjust: Option<Adjust>,
    pub(crate) throttle: Option<Throttle>,
    pub(crate) max_wait: Duration,
    pub(crate) max_waiters: u32,
    pub(crate) max_keys: u32,
    pub(crate) log_max: u32,
}

impl RateLimit {
    /// The longest window.
    pub const MAX_WINDOW: Duration = Duration::from_secs(86_400);
    /// The shortest window.
    pub const MIN_WINDOW: Duration = Duration::from_millis(1);
    /// The longest wait.
    pub const MAX_WAIT: Duration = Duration::from_secs(3_600);
    /// The largest burst, and the most calls of a window.
    pub const MAX_BURST: u32 = 1_000_000_000;
    /// A bucket that takes longer than this to fill up is none.
    const YEAR: Duration = Duration::from_secs(366 * 86_400);

    /// The adaptive profile: 100 calls per second and 50 at once, by the strictest of a token
    /// bucket, a leaky bucket, a fixed window and a sliding counter; the rate follows the errors of
    /// the calls, from 10 to 1,000 per second.
    pub const fn new() -> Self {
        Self::adaptive()
    }

    /// The same by its name: see [`new`](Self::new).
    pub const fn adaptive() -> Self {
        let adaptive = Self::of(Algorithm::Adaptive, Rate::per_second(100), 50, 1);
        Self { adjust: Some(Adjust::new()), ..adaptive }
    }

    /// So many calls per second, and as many at once; by a token bucket.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=1,000,000,000.
    pub const fn per_second(calls: u32) -> Self {
        Self::of(Algorithm::TokenBucket, Rate::per_second(calls), calls, 1)
    }

    /// So many calls per minute, and as many at once; by a token bucket.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=1,000,000,000.
    pub const fn per_minute(calls: u32) -> Self {
        assert!(calls <= Self::MAX_BURST, "a burst lies in 1..=1,000,000,000");
        Self::of(Algorithm::TokenBucket, Rate::per_minute(calls), calls, 60)
    }

    /// So many calls per hour, and as many at once; by a token bucket.
    ///
    /// # Panics
    /// When `calls` lies outside 4..=1,000,000,000.
    pub const fn per_hour(calls: u32) -> Self {
        assert!(calls <= Self::MAX_BURST, "a burst lies in 1..=1,000,000,000");
        Self::of(Algorithm::TokenBucket, Rate::per_hour(calls), calls, 3_600)
    }

    /// So many calls in each window of the clock; across the border of two, up to twice as many.
    ///
    /// # Panics
    /// When `window` lies outside 1 ms..=1 day, or the rate outside 0.001..=1,000,000,000 calls per
    /// second.
    pub const fn fixed_window(calls: u32, window: Duration) -> Self {
        Self::windowed(Algorithm::FixedWindow, calls, window)
    }

    /// So many calls in any window that ends now, to the call, at the price of one stamp per call;
    /// by a sliding log. From 10,000 calls on take [`sliding_window`](Self::sliding_window).
    ///
    /// # Panics
    /// When `window` lies outside 1 ms..=1 day, or the rate outside 0.001..=1,000,000,000 calls per
    /// second.
    pub const fn sliding_log(calls: u32, window: Duration) -> Self {
        Self::windowed(Algorithm::SlidingLog, calls, window)
    }

    /// So many calls in any window that ends now, estimated from two counts; by a sliding counter.
    ///
    /// # Panics
    /// When `window` lies outside 1 ms..=1 day, or the rate outside 0.001..=1,000,000,000 calls per
    /// second.
    pub const fn sliding_window(calls: u32, window: Duration) -> Self {
        Self::windowed(Algorithm::SlidingCounter, calls, window)
    }

    const fn windowed(algorithm: Algorithm, calls: u32, window: Duration) -> Self {
        Self::of(algorithm, Rate::new(calls, window), calls, 1).window(window)
    }

    const fn of(algorithm: Algorithm, rate: Rate, burst: u32, seconds: u64) -> Self {
        Self {
            name: Name::new("rate-limit"),
            algorithm,
            rate,
            burst,
            window: Duration::from_secs(seconds),
            adjust: None,
            throttle: None,
            max_wait: Duration::ZERO,
            max_waiters: 1_000,
            max_keys: 10_000,
            log_max: 10_000,
        }
    }

    /// The name of the limit, in refusals, headers, events and metrics; default `rate-limit`.
    ///
    /// # Panics
    /// When the name is empty or longer than 63 bytes.
    pub const fn named(mut self, name: &str) -> Self {
        self.name = Name::new(name);
        self
    }

    /// How it decides; see [`Algorithm`].
    pub const fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// How fast it refills. The burst stays as it is.
    pub const fn rate(mut self, rate: Rate) -> Self {
        self.rate = rate;
        self
    }

    /// How many calls at once; the capacity of token and leaky bucket. Windows do not use it.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=1,000,000,000.
    pub const fn burst(mut self, calls: u32) -> Self {
        assert!(calls >= 1 && calls <= Self::MAX_BURST, "a burst lies in 1..=1,000,000,000");
        self.burst = calls;
        self
    }

    /// The window of the algorithms that have one, and the unit in which headers tell the quota;
    /// default one second, or what the constructor names. The rate stays as it is: it decides how
    /// many calls a window holds.
    ///
    /// # Panics
    /// When `window` lies outside 1 ms..=1 day.
    pub const fn window(mut self, window: Duration) -> Self {
        let nanos = window.as_nanos();
        let fits = nanos >= Self::MIN_WINDOW.as_nanos() && nanos <= Self::MAX_WINDOW.as_nanos();
        assert!(fits, "a window lies in 1 ms..=1 day");
        self.window = window;
        self
    }

    /// Has the rate follow the errors of the calls, within bounds; see [`Adjust`].
    pub const fn adjust(mut self, adjust: Adjust) -> Self {
        self.adjust = Some(adjust);
        self
    }

    /// Keeps the rate as it is, whatever the errors of the calls.
    pub const fn steady(mut self) -> Self {
        self.adjust = None;
        self
    }

    /// Lowers the rate where processor or memory run short, down to the `min_rate` of
    /// [`adjust`](Self::adjust), or without that to a hundredth; see [`Throttle`]. Who measures them
    /// is said by [`RateLimiter::with_probe`](crate::RateLimiter::with_probe).
    pub const fn throttle(mut self, throttle: Throttle) -> Self {
        self.throttle = Some(throttle);
        self
    }

    /// How long a call may wait for its turn, where callers wait; default zero.
    ///
    /// # Panics
    /// When `wait` is above an hour.
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        assert!(wait.as_nanos() <= Self::MAX_WAIT.as_nanos(), "max_wait is at most an hour");
        self.max_wait = wait;
        self
    }

    /// How many calls may wait at a time, all keys together; default 1,000. Whoever joins after
    /// another has given up costs a look at all who wait for the same bucket.
    ///
    /// # Panics
    /// When `waiters` lies outside 1..=10,000.
    pub const fn max_waiters(mut self, waiters: u32) -> Self {
        assert!(waiters >= 1 && waiters <= 10_000, "max_waiters lies in 1..=10,000");
        self.max_waiters = waiters;
        self
    }

    /// How many keys have a bucket of their own, where there is one per key; default 10,000, and
    /// rounded up to a multiple of 64.
    ///
    /// # Panics
    /// When `keys` lies outside 1..=100,000,000.
    pub const fn max_keys(mut self, keys: u32) -> Self {
        assert!(keys >= 1 && keys <= 100_000_000, "max_keys lies in 1..=100,000,000");
        self.max_keys = keys;
        self
    }

    /// The most stamps that a sliding log may keep; default 10,000.
    ///
    /// # Panics
    /// When `stamps` lies outside 1..=1,000,000.
    pub const fn log_max(mut self, stamps: u32) -> Self {
        assert!(stamps >= 1 && stamps <= 1_000_000, "log_max lies in 1..=1,000,000");
        self.log_max = stamps;
        self
    }

    /// The name of the limit.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Whether the values fit together.
    ///
    /// # Errors
    /// All problems at once: a bucket that takes more than a year to fill; a log of more stamps
    /// than `log_max`; an adaptive burst that no window lets through; a rate outside of its bounds.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        self.check_burst(&mut errors);
        let stamps = self.fastest().in_window(self.window);
        if matches!(self.algorithm, Algorithm::SlidingLog) && stamps > self.log_max {
            errors.push(problem(
                "rate",
                &format!("{} ({stamps} stamps in {:?})", self.fastest(), self.window),
                &format!("at most log_max = {} calls in a window", self.log_max),
                "take sliding_counter, which needs no stamps, or raise log_max",
            ));
        }
        if let Some(adjust) = &self.adjust {
            errors.extend(adjust.check(self.rate));
        }
        self.check_governor(&mut errors);
        ConfigErrors::check(errors)
    }

    fn check_burst(&self, errors: &mut Vec<ConfigError>) {
        let most = self.slowest().in_window(Self::YEAR);
        if self.algorithm.uses_burst() && self.burst > most {
            errors.push(problem(
                "burst",
                &self.burst.to_string(),
                &format!("at most {most}, which {} refills in a year", self.slowest()),
                "lower the burst or raise the rate",
            ));
        }
        if self.algorithm.uses_burst() && self.burst > Self::MAX_BURST {
            errors.push(problem(
                "burst",
                &self.burst.to_string(),
                "at most 1000000000",
                "lower the burst",
            ));
        }
        let limit = self.rate.in_window(self.window);
        if self.algorithm.uses_window() && self.fastest().in_window(self.window) > Self::MAX_BURST {
            errors.push(problem(
                "window",
                &format!("{:?}", self.window),
                &format!("so short that {} is at most 1000000000 calls in it", self.fastest()),
                "shorten the window or lower the rate",
            ));
        }
        if matches!(self.algorithm, Algorithm::Adaptive) && self.burst > limit {
            errors.push(problem(
                "burst",
                &self.burst.to_string(),
                &format!("at most {limit}, the calls of a window of {:?}", self.window),
                "lower the burst or lengthen the window",
            ));
        }
    }

    #[cfg(feature = "governor")]
    fn check_governor(&self, errors: &mut Vec<ConfigError>) {
        if !matches!(self.algorithm, Algorithm::Gcra) {
            return;
        }
        if self.adjust.is_some() || self.throttle.is_some() {
            errors.push(problem(
                "algorithm",
                "gcra",
                "token_bucket where the rate moves",
                "take token_bucket, which decides the same, or leave adjust and throttle out",
            ));
        }
        if self.rate.calls() > 1 {
            errors.push(problem(
                "rate",
                &self.rate.to_string(),
                "one call in a whole number of nanoseconds, for gcra",
                "take token_bucket, which keeps fractions, or a rate that divides a second",
            ));
        }
    }

    #[cfg(not(feature = "governor"))]
    #[allow(clippy::unused_self, reason = "has something to do with the feature")]
    const fn check_governor(&self, _: &mut Vec<ConfigError>) {}

    /// The most that a call may cost at the rate of the configuration.
    pub(crate) fn most(&self) -> u32 {
        let limit = self.rate.in_window(self.window);
        match self.algorithm {
            Algorithm::Adaptive => self.burst.min(limit),
            Algorithm::Loosest => self.burst.max(limit),
            other if other.uses_burst() => self.burst,
            _ => limit,
        }
    }

    /// The fastest rate that it will ever have by itself.
    pub(crate) fn fastest(&self) -> Rate {
        self.adjust.map_or(self.rate, |adjust| adjust.bounds(self.rate).1.max(self.rate))
    }

    fn slowest(&self) -> Rate {
        self.adjust.map_or(self.rate, |adjust| adjust.bounds(self.rate).0.min(self.rate))
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self::new()
    }
}

fn problem(path: &str, value: &str, allowed: &str, fix: &str) -> ConfigError {
    let own = str::to_owned;
    ConfigError { path: own(path), value: own(value), allowed: own(allowed), fix: own(fix) }
}
