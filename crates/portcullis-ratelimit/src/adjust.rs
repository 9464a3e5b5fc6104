//! Within what bounds, and by how much, a rate follows the errors: [`Adjust`].

use std::time::Duration;

use breaker_core::{ConfigError, Percent};

use crate::rate::Rate;

/// How a rate follows the share of failed calls.
///
/// At most once per cool-down, and only from some outcomes on, the share of failures since the last
/// look is compared with two thresholds. Above the upper one the rate is divided by the scale, below
/// the lower one it is multiplied by it, between them it stays. It is a loop of multiplicative
/// steps in both directions; so it comes back as fast as it went, and does not search for the
/// capacity as additive increase does (Chiu and Jain, "Analysis of the increase and decrease
/// algorithms for congestion avoidance in computer networks", 1989).
///
/// | | default |
/// |---|---|
/// | slowest rate | a tenth of the rate of the configuration |
/// | fastest rate | ten times the rate of the configuration |
/// | scale | 1.5 |
/// | cool-down | 60 s |
/// | slower above | 10 % failures |
/// | faster below | 1 % failures |
/// | outcomes wanted | 10 |
///
/// ```
/// use portcullis_ratelimit::{Adjust, Rate};
/// use std::time::Duration;
///
/// const ADJUST: Adjust = Adjust::new()
///     .min_rate(Rate::per_second(50))
///     .max_rate(Rate::per_second(500))
///     .cooldown(Duration::from_secs(10));
/// assert!(ADJUST.check(Rate::per_second(200)).is_empty());
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Adjust {
    /// A tenth of the rate of the configuration, unless said otherwise.
    pub(crate) min_rate: Option<Rate>,
    /// Ten times the rate of the configuration, unless said otherwise.
    pub(crate) max_rate: Option<Rate>,
    pub(crate) scale_thousandths: u16,
    pub(crate) cooldown: Duration,
    pub(crate) error_high: Percent,
    pub(crate) error_low: Percent,
    pub(crate) min_samples: u32,
}

impl Adjust {
    pub(crate) const MIN_SCALE: f64 = 1.001;
    pub(crate) const MAX_SCALE: f64 = 10.0;

    /// The defaults of the table above.
    pub const fn new() -> Self {
        Self {
            min_rate: None,
            max_rate: None,
            scale_thousandths: 1_500,
            cooldown: Duration::from_secs(60),
            error_high: Percent::new(10),
            error_low: Percent::new(1),
            min_samples: 10,
        }
    }

    /// The rate never becomes slower than this; default a tenth of the rate of the configuration. It
    /// is not above that rate.
    pub const fn min_rate(mut self, rate: Rate) -> Self {
        self.min_rate = Some(rate);
        self
    }

    /// The rate never becomes faster than this; default ten times the rate of the configuration. It
    /// is not below that rate.
    pub const fn max_rate(mut self, rate: Rate) -> Self {
        self.max_rate = Some(rate);
        self
    }

    /// By what the rate is divided or multiplied in one step, in thousandths; default 1.5.
    ///
    /// # Panics
    /// When `scale` lies outside 1.001..=10; in a constant this is a compile error.
    pub const fn scale(mut self, scale: f64) -> Self {
        assert!(
            scale >= Self::MIN_SCALE && scale <= Self::MAX_SCALE,
            "the scale of a rate lies in 1.001..=10"
        );
        self.scale_thousandths = (scale * 1_000.0 + 0.5) as u16;
        self
    }

    /// How much time there is at least between two looks; default 60 s.
    ///
    /// # Panics
    /// When `cooldown` is zero.
    pub const fn cooldown(mut self, cooldown: Duration) -> Self {
        assert!(!cooldown.is_zero(), "a cool-down is above zero");
        self.cooldown = cooldown;
        self
    }

    /// The rate becomes slower where more than this share failed; default 10 %. At 100 % it never
    /// does.
    ///
    /// # Panics
    /// When `share` is zero: it lies above `error_low`.
    pub const fn error_high(mut self, share: Percent) -> Self {
        assert!(share.as_basis_points() > 0, "error_high lies above error_low");
        self.error_high = share;
        self
    }

    /// The rate becomes faster where less than this share failed; default 1 %. At 0 % it never
    /// does.
    ///
    /// # Panics
    /// When `share` is 100 %: it lies below `error_high`.
    pub const fn error_low(mut self, share: Percent) -> Self {
        assert!(
            share.as_basis_points() < Percent::FULL.as_basis_points(),
            "error_low lies below error_high"
        );
        self.error_low = share;
        self
    }

    /// How many outcomes there are at least to a decision; default 10.
    ///
    /// # Panics
    /// When `samples` is zero.
    pub const fn min_samples(mut self, samples: u32) -> Self {
        assert!(samples > 0, "min_samples is above zero");
        self.min_samples = samples;
        self
    }

    /// The slowest and the fastest rate of a limit that begins at `rate`.
    pub(crate) fn bounds(&self, rate: Rate) -> (Rate, Rate) {
        let min = self.min_rate.unwrap_or_else(|| rate.times(1, 10));
        let max = self.max_rate.unwrap_or_else(|| rate.times(10, 1));
        (min, max)
    }

    /// What contradicts itself here, for a limit that begins at `rate`; empty where nothing does.
    #[must_use]
    pub fn check(&self, rate: Rate) -> Vec<ConfigError> {
        let Self { error_low: low, error_high: high, .. } = *self;
        let (min, max) = self.bounds(rate);
        let at_least = format!("at least min_rate, which is {min}");
        let at_most = format!("at most max_rate, which is {max}");
        let below = format!("below error_high, which is {high}");
        let mut errors = Vec::new();
        let mut wrong = |path: &str, value: &dyn ToString, allowed: &String, fix: &str| {
            errors.push(ConfigError {
                path: path.to_owned(),
                value: value.to_string(),
                allowed: allowed.clone(),
                fix: fix.to_owned(),
            });
        };
        // Bounds that are crossed contradict any rate: that is said once.
        if min.is_above(max) {
            wrong("min_rate", &min, &at_most, "lower min_rate, or raise max_rate");
        } else if min.is_above(rate) {
            wrong("rate", &rate, &at_least, "raise rate, or lower min_rate");
        } else if rate.is_above(max) {
            wrong("rate", &rate, &at_most, "lower rate, or raise max_rate");
        }
        if low >= high {
            wrong("error_low", &low, &below, "lower error_low, or raise error_high");
        }
        errors
    }
}

impl Default for Adjust {
    fn default() -> Self {
        Self::new()
    }
}
