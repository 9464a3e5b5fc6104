//! What a limit makes of a busy machine: [`Throttle`], [`effective_rate`].

use std::time::Duration;

use breaker_core::{Percent, Usage};

use crate::rate::Rate;

/// From when on a busy machine lowers the rate of a limit.
///
/// Up to a usage of 80 % the rate stays as it is. Above, it falls in proportion to what is left of
/// the machine: see [`effective_rate`]. The machine is looked at once in a second at most.
///
/// ```
/// use breaker_core::Percent;
/// use portcullis_ratelimit::Throttle;
/// use std::time::Duration;
///
/// const THROTTLE: Throttle =
///     Throttle::new().usage_limit(Percent::new(90)).interval(Duration::from_millis(500));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Throttle {
    pub(crate) usage_limit: Percent,
    pub(crate) interval: Duration,
}

impl Throttle {
    /// From 80 % usage on, looked at once in a second.
    pub const fn new() -> Self {
        Self { usage_limit: Percent::new(80), interval: Duration::from_secs(1) }
    }

    /// Up to this usage of the worst resource the rate stays as it is; default 80 %.
    ///
    /// # Panics
    /// When `share` is 0 % or 100 %; in a constant this is a compile error.
    pub const fn usage_limit(mut self, share: Percent) -> Self {
        let points = share.as_basis_points();
        assert!(
            points > 0 && points < Percent::FULL.as_basis_points(),
            "a usage limit lies between 0 % and 100 %, both excluded"
        );
        self.usage_limit = share;
        self
    }

    /// The probe is asked once in such a time at most; default 1 s.
    ///
    /// # Panics
    /// When `interval` is zero.
    pub const fn interval(mut self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "the interval of a probe is above zero");
        self.interval = interval;
        self
    }

    /// What is left of `rate` at this usage, by [`effective_rate`].
    pub fn effective_rate(&self, rate: Rate, usage: Usage, min_rate: Rate) -> Rate {
        effective_rate(rate, usage, self.usage_limit, min_rate)
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

/// What a busy machine leaves of a rate.
///
/// With the [worst](Usage::worst) usage u above the limit l it is `rate * (1 - u) / (1 - l)`: all of
/// it at the limit, half of it halfway to a machine that is used up. It is never below `min_rate`,
/// and never above `rate`. Where nothing is known it is `rate`.
///
/// ```
/// use breaker_core::Percent;
/// use portcullis_ratelimit::{effective_rate, Rate, Usage};
///
/// let (rate, least) = (Rate::per_second(100), Rate::per_second(10));
/// let usage = Usage::new().cpu(Percent::new(90));
/// assert_eq!(effective_rate(rate, usage, Percent::new(80), least), Rate::per_second(50));
/// ```
pub fn effective_rate(rate: Rate, usage: Usage, limit: Percent, min_rate: Rate) -> Rate {
    let left =
        |share: Percent| u32::from(Percent::FULL.as_basis_points() - share.as_basis_points());
    match usage.worst() {
        Some(worst) if worst > limit => {
            rate.times(left(worst), left(limit)).max(min_rate).min(rate)
        }
        _ => rate,
    }
}
