//! Reads a configuration from a [`Value`] and names all that is wrong with it.

use std::time::Duration;

use breaker_core::{ConfigErrors, ConfigReader, Value};

use super::{TimeoutConfig, TimeoutStrategy};

impl TimeoutConfig {
    /// Reads a configuration as it was written; fields that are absent keep their defaults, which
    /// are those of [`TimeoutConfig::new`].
    ///
    /// The fields are `name`, `min`, `max` and `initial` (durations in 1 ms..=1 h), `strategy`
    /// (`percentile`, `adaptive`, `hybrid`, `fixed`), `window` (calls), `half_life` (a duration),
    /// `percentile` (0.01..=99.99), `factor` (1..=10), `max_change` (0.001..=10), `adjust_every`
    /// (calls), `history` (adjustments), `max_keys`.
    ///
    /// Durations are texts with a unit (`"250ms"`).
    ///
    /// ```toml
    /// name = "search"
    /// min = "20ms"
    /// max = "5s"
    /// percentile = 99.9
    /// window = 10000
    /// ```
    ///
    /// # Errors
    /// All problems at once: unknown fields and names, values outside their range, and those that
    /// [`check`](Self::check) finds.
    pub fn from_value(value: &Value) -> Result<Self, ConfigErrors> {
        let mut reader = ConfigReader::new(value);
        let r = &mut reader;
        let mut config = Self::new();
        config.name = r.name("name").unwrap_or(config.name);
        config.min = timeout(r, "min").unwrap_or(config.min);
        config.max = timeout(r, "max").unwrap_or(config.max);
        config.initial = timeout(r, "initial").unwrap_or(config.initial);
        let strategies = [
            ("percentile", TimeoutStrategy::Percentile),
            ("adaptive", TimeoutStrategy::Adaptive),
            ("hybrid", TimeoutStrategy::Hybrid),
            ("fixed", TimeoutStrategy::Fixed),
        ];
        config.strategy = r.choice("strategy", &strategies).unwrap_or(config.strategy);
        config.window = r.number("window", 10, Self::MAX_WINDOW).unwrap_or(config.window);
        let half_life = r.duration("half_life", Self::SHORTEST, Self::MAX_HALF_LIFE);
        config.half_life = half_life.unwrap_or(config.half_life);
        let percentile = r.factor("percentile", 0.01, 99.99);
        config = percentile.map_or(config, |percentile| config.percentile(percentile));
        let factor = r.factor("factor", 1.0, 10.0);
        config = factor.map_or(config, |factor| config.factor(factor));
        let change = r.factor("max_change", 0.001, 10.0);
        config = change.map_or(config, |change| config.max_change(change));
        let every = r.number("adjust_every", 1, 1_000);
        config.adjust_every = every.unwrap_or(config.adjust_every);
        config.history = r.number("history", 0, Self::MAX_HISTORY).unwrap_or(config.history);
        config.max_keys = r.number("max_keys", 1, Self::MAX_KEYS).unwrap_or(config.max_keys);
        if let Err(errors) = config.check() {
            r.extend(&errors);
        }
        reader.finish(config)
    }
}

fn timeout(r: &mut ConfigReader<'_>, field: &'static str) -> Option<Duration> {
    r.duration(field, TimeoutConfig::SHORTEST, TimeoutConfig::LONGEST)
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for TimeoutConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).map_err(serde::de::Error::custom)
    }
}
