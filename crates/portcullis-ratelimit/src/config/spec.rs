//! Reads a configuration from a [`Value`] and names all that is wrong with it.

use std::time::Duration;

use breaker_core::{ConfigErrors, ConfigReader, Value};

use super::RateLimit;
use crate::adjust::Adjust;
use crate::limiter::Algorithm;
use crate::rate::Rate;
use crate::throttle::Throttle;

impl RateLimit {
    /// Reads a configuration as it was written; fields that are absent keep their defaults, which
    /// are those of [`RateLimit::new`].
    ///
    /// The fields are `name`, `algorithm` (`token_bucket`, `leaky_bucket`, `fixed_window`,
    /// `sliding_log`, `sliding_counter`, `adaptive`, and with the feature `governor` `gcra`), `rate`
    /// (calls per second), `burst`, `window`, `adjust` (`true` or `false`; without it the adaptive
    /// algorithm adjusts and the others do not), `min_rate`, `max_rate`, `scale`, `cooldown`,
    /// `error_high`, `error_low`, `min_samples`, `usage_limit` (of the worst of
    /// processor and memory),
    /// `max_wait`, `max_waiters`, `max_keys`, `log_max`. Durations are texts with a unit
    /// (`"250ms"`), shares are fractions in 0..=1.
    ///
    /// ```toml
    /// name = "per-client"
    /// algorithm = "token_bucket"
    /// rate = 50
    /// burst = 20
    /// ```
    ///
    /// # Errors
    /// All problems at once: unknown fields and names, values outside their range, and those that
    /// [`check`](Self::check) finds.
    pub fn from_value(value: &Value) -> Result<Self, ConfigErrors> {
        let mut reader = ConfigReader::new(value);
        let r = &mut reader;
        let mut config = Self::new();
        if let Some(name) = r.name("name") {
            config.name = name;
        }
        config.algorithm = r.choice("algorithm", Algorithm::WORDS).unwrap_or(config.algorithm);
        config.rate = rate(r, "rate").unwrap_or(config.rate);
        let most = Self::MAX_BURST;
        config.burst = r.number("burst", 1, most).unwrap_or(config.burst);
        let window = r.duration("window", Self::MIN_WINDOW, Self::MAX_WINDOW);
        config.window = window.unwrap_or(config.window);
        config.adjust = adjust(r, matches!(config.algorithm, Algorithm::Adaptive));
        let usage = r.share_within("usage_limit", 1, 9_999);
        config.throttle = usage.map(|share| Throttle::new().usage_limit(share));
        let wait = r.duration("max_wait", Duration::ZERO, Self::MAX_WAIT);
        config.max_wait = wait.unwrap_or(config.max_wait);
        config.max_waiters = r.number("max_waiters", 1, 10_000).unwrap_or(config.max_waiters);
        config.max_keys = r.number("max_keys", 1, 100_000_000).unwrap_or(config.max_keys);
        config.log_max = r.number("log_max", 1, 1_000_000).unwrap_or(config.log_max);
        if let Err(errors) = config.check() {
            r.extend(&errors);
        }
        reader.finish(config)
    }
}

fn rate(r: &mut ConfigReader<'_>, field: &'static str) -> Option<Rate> {
    r.factor(field, Rate::MIN, Rate::MAX).and_then(Rate::from_per_second)
}

fn adjust(r: &mut ConfigReader<'_>, by_default: bool) -> Option<Adjust> {
    let wanted = r.flag("adjust").unwrap_or(by_default);
    let mut adjust = Adjust::new();
    adjust.min_rate = rate(r, "min_rate");
    adjust.max_rate = rate(r, "max_rate");
    if let Some(scale) = r.factor("scale", Adjust::MIN_SCALE, Adjust::MAX_SCALE) {
        adjust = adjust.scale(scale);
    }
    const LONGEST: Duration = Duration::from_secs(366 * 86_400);
    let cooldown = r.duration("cooldown", Duration::from_nanos(1), LONGEST);
    adjust.cooldown = cooldown.unwrap_or(adjust.cooldown);
    adjust.error_high = r.share_within("error_high", 1, 10_000).unwrap_or(adjust.error_high);
    adjust.error_low = r.share_within("error_low", 0, 9_999).unwrap_or(adjust.error_low);
    adjust.min_samples = r.number("min_samples", 1, u32::MAX).unwrap_or(adjust.min_samples);
    wanted.then_some(adjust)
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for RateLimit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).map_err(serde::de::Error::custom)
    }
}
