//! The configuration of hedges: plain data whose leaves cannot be wrong.

use std::time::Duration;

use breaker_core::{ConfigError, ConfigErrors, ConfigReader, Name, Percent, Value};

/// When a call is sent a second time, and how many are.
///
/// A config is `Copy` and its setters are `const`; in a constant a wrong value does not compile.
/// Whether the values fit together is asked by [`check`](Self::check), which finds all problems at
/// once; values from outside go through [`from_value`](Self::from_value) (or `serde`).
///
/// ```
/// use breaker_core::Percent;
/// use portcullis_timeout::HedgeConfig;
/// use std::time::Duration;
///
/// // A second attempt for the slowest calls, at most 2 % of all.
/// const SEARCH: HedgeConfig = HedgeConfig::new()
///     .max_share(Percent::new(2))
///     .min_delay(Duration::from_millis(20))
///     .named("search");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct HedgeConfig {
    pub(crate) name: Name,
    pub(crate) percentile: Percent,
    pub(crate) min_delay: Duration,
    pub(crate) max_delay: Duration,
    pub(crate) initial: Option<Duration>,
    pub(crate) max_share: Percent,
}

impl HedgeConfig {
    /// The shortest delay.
    pub const SHORTEST: Duration = Duration::from_millis(1);
    /// The longest delay.
    pub const LONGEST: Duration = Duration::from_secs(600);

    /// After the 95th percentile of what calls took lately, within 10 ms..=1 s, at most 5 % of them;
    /// none before 20 calls were measured.
    pub const fn new() -> Self {
        Self {
            name: Name::new("hedge"),
            percentile: Percent::new(95),
            min_delay: Duration::from_millis(10),
            max_delay: Duration::from_secs(1),
            initial: None,
            max_share: Percent::new(5),
        }
    }

    /// What events call it, 1 to 63 bytes; default `hedge`.
    ///
    /// # Panics
    /// When `name` is empty or longer than 63 bytes.
    pub const fn named(mut self, name: &str) -> Self {
        self.name = Name::new(name);
        self
    }

    /// Which part of the calls is answered before a second attempt is thought of, above 50 % and
    /// below 100 %; default 95 %.
    ///
    /// # Panics
    /// When `percentile` is not in that range.
    pub const fn percentile(mut self, percentile: Percent) -> Self {
        let points = percentile.as_basis_points();
        assert!(points > 5_000 && points < 10_000, "a percentile is above 50 % and below 100 %");
        self.percentile = percentile;
        self
    }

    /// No second attempt comes sooner, 1 ms..=10 min; default 10 ms.
    ///
    /// # Panics
    /// When `delay` is not in that range.
    pub const fn min_delay(mut self, delay: Duration) -> Self {
        self.min_delay = Self::checked(delay);
        self
    }

    /// No second attempt comes later, 1 ms..=10 min; default 1 s. With a
    /// [`min_delay`](Self::min_delay) as long it is a fixed delay.
    ///
    /// # Panics
    /// When `delay` is not in that range.
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = Self::checked(delay);
        self
    }

    /// The delay until 20 calls were measured, 1 ms..=10 min; default none, so that none of those is
    /// sent again: nobody knows yet what is slow.
    ///
    /// # Panics
    /// When `delay` is not in that range.
    pub const fn initial(mut self, delay: Duration) -> Self {
        self.initial = Some(Self::checked(delay));
        self
    }

    /// How many calls are sent again at most, of those that had to wait for their answer, above zero
    /// and up to 50 %; default 5 %.
    ///
    /// # Panics
    /// When `share` is not in that range.
    pub const fn max_share(mut self, share: Percent) -> Self {
        let points = share.as_basis_points();
        assert!(points > 0 && points <= 5_000, "a share of hedges is above 0 and up to 50 %");
        self.max_share = share;
        self
    }

    const fn checked(delay: Duration) -> Duration {
        assert!(
            delay.as_nanos() >= Self::SHORTEST.as_nanos()
                && delay.as_nanos() <= Self::LONGEST.as_nanos(),
            "a delay of a hedge is 1 ms to 10 minutes"
        );
        delay
    }

    /// Whether the values fit together.
    ///
    /// # Errors
    /// All that do not, each with the field, its value, what is allowed and what to do.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        let mut wrong = |path: &str, value: String, allowed: &str, fix: &str| {
            let [path, allowed, fix] = [path, allowed, fix].map(str::to_owned);
            errors.push(ConfigError { path, value, allowed, fix });
        };
        let Self { min_delay, max_delay, initial, max_share, .. } = *self;
        if min_delay > max_delay {
            let allowed = format!("at most max_delay, which is {max_delay:?}");
            wrong("min_delay", format!("{min_delay:?}"), &allowed, "lower it, or raise max_delay");
        }
        if let Some(initial) = initial.filter(|at| *at < min_delay || *at > max_delay) {
            let allowed = "within min_delay..=max_delay";
            wrong("initial", format!("{initial:?}"), allowed, "write a delay between the two");
        }
        if max_share > Percent::new(50) {
            let fix = "lower it: 0.02 to 0.05 do nearly all of the good";
            wrong("max_share", max_share.fraction().to_string(), "a fraction up to 0.5", fix);
        }
        ConfigErrors::check(errors)
    }

    /// Reads a configuration as it was written; fields that are absent keep their defaults, which
    /// are those of [`HedgeConfig::new`].
    ///
    /// The fields are `name`, `percentile` (a number such as 95, in 50.01..=99.99), `min_delay`,
    /// `max_delay`, `initial` (a duration, or `off`) and `max_share` (a fraction up to 0.5).
    /// Durations are texts with a unit (`"250ms"`).
    ///
    /// ```toml
    /// percentile = 95
    /// min_delay = "20ms"
    /// max_share = 0.02
    /// ```
    ///
    /// # Errors
    /// All problems at once: unknown fields, values outside their range, and those that
    /// [`check`](Self::check) finds.
    pub fn from_value(value: &Value) -> Result<Self, ConfigErrors> {
        let mut reader = ConfigReader::new(value);
        let r = &mut reader;
        let mut config = Self::new();
        config.name = r.name("name").unwrap_or(config.name);
        let percentile = r.factor("percentile", 50.01, 99.99);
        let percentile = percentile.and_then(|number| Percent::from_fraction(number / 100.0));
        config.percentile = percentile.unwrap_or(config.percentile);
        config.min_delay = delay(r, "min_delay").unwrap_or(config.min_delay);
        config.max_delay = delay(r, "max_delay").unwrap_or(config.max_delay);
        config.initial = if is_off(value, "initial") {
            // Nothing is to be read, but the field is known.
            let _ = r.is_set("initial");
            None
        } else {
            delay(r, "initial")
        };
        config.max_share = r.share_within("max_share", 1, 10_000).unwrap_or(config.max_share);
        if let Err(errors) = config.check() {
            reader.extend(&errors);
        }
        reader.finish(config)
    }
}

fn delay(r: &mut ConfigReader<'_>, field: &'static str) -> Option<Duration> {
    r.duration(field, HedgeConfig::SHORTEST, HedgeConfig::LONGEST)
}

fn is_off(value: &Value, field: &str) -> bool {
    let Value::Table(fields) = value else { return false };
    fields
        .iter()
        .any(|(name, value)| name == field && matches!(value, Value::Text(text) if text == "off"))
}

/// [`HedgeConfig::new`].
impl Default for HedgeConfig {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for HedgeConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).map_err(serde::de::Error::custom)
    }
}
