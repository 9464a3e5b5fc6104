//! Reads a configuration from a [`Value`] and names all that is wrong with it.

use std::time::Duration;

use breaker_core::{Budget, Class, ConfigErrors, ConfigReader, Percent, Value, Verb};

use super::{BackoffConfig, KINDS};
use crate::delays::Delays;

/// By verb, in the order of `Verb::ALL`.
const METHODS: [&str; Verb::ALL.len()] = [
    "attempts_get",
    "attempts_head",
    "attempts_options",
    "attempts_put",
    "attempts_delete",
    "attempts_post",
    "attempts_patch",
];
/// By class, in the order of `Class::ALL`.
const PRIORITIES: [&str; Class::ALL.len()] =
    ["attempts_bulk", "attempts_low", "attempts_normal", "attempts_high", "attempts_critical"];
/// In the order of `KINDS`.
const RETRY_ON: [&str; KINDS.len()] = [
    "retry_timeout",
    "retry_connection",
    "retry_overload",
    "retry_rate_limited",
    "retry_resource_exhausted",
    "retry_invalid_request",
    "retry_internal",
    "retry_unknown",
];

impl BackoffConfig {
    /// Reads a configuration as it was written; fields that are absent keep their defaults, which
    /// are those of [`BackoffConfig::new`].
    ///
    /// The fields are `name`; `max_attempts`, `attempts_get` and so on for each method,
    /// `attempts_critical` and so on for each class (numbers in 1..=100); `retry_timeout` and so on
    /// for each kind of failure, and `retry_refusals` (`true`, `false`); those of
    /// [`Delays::from_value`](crate::Delays::from_value); `hint_cap`, `max_elapsed`, `least_time`
    /// and `history` (durations up to a day); `rate_limited_backoff` and `exhausted_redirect`
    /// (numbers in 1..=256); `budget` (`adaptive`, `ratio`, `tokens`, `grpc`, `aws_sdk`,
    /// `unlimited`, `none`), of a ratio `budget_ratio` (a fraction) and `budget_floor` (retries per
    /// second); and `max_keys`.
    ///
    /// Durations are texts with a unit (`"250ms"`).
    ///
    /// ```toml
    /// name = "search"
    /// max_attempts = 4
    /// initial_delay = "50ms"
    /// max_delay = "2s"
    /// budget = "ratio"
    /// budget_ratio = 0.1
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
        let attempts = r.number("max_attempts", 1, Self::MAX_ATTEMPTS);
        config.max_attempts = attempts.unwrap_or(config.max_attempts);
        let methods = config.methods.iter_mut().zip(METHODS);
        for (most, field) in methods.chain(config.priorities.iter_mut().zip(PRIORITIES)) {
            *most = r.number(field, 1, Self::MAX_ATTEMPTS).map_or(*most, |own| own as u8);
        }
        for (yes, field) in config.retry_on.iter_mut().zip(RETRY_ON) {
            *yes = r.flag(field).unwrap_or(*yes);
        }
        config.retry_refusals = r.flag("retry_refusals").unwrap_or(config.retry_refusals);
        config.delays = Delays::read(r, config.delays);
        let least = Duration::from_millis(1);
        config.hint_cap = r.duration("hint_cap", least, Self::MAX_WAIT).unwrap_or(config.hint_cap);
        config.max_elapsed = r.duration("max_elapsed", least, Self::MAX_WAIT);
        let left = r.duration("least_time", Duration::ZERO, Self::MAX_WAIT);
        config.least_time = left.unwrap_or(config.least_time);
        config.history = r.duration("history", least, Self::MAX_WAIT).unwrap_or(config.history);
        let limits = r.number("rate_limited_backoff", 1, 256);
        config.rate_limited_backoff = limits.unwrap_or(config.rate_limited_backoff);
        let exhausted = r.number("exhausted_redirect", 1, 256);
        config.exhausted_redirect = exhausted.unwrap_or(config.exhausted_redirect);
        config.budget = budget(r).unwrap_or(config.budget);
        config.max_keys = r.number("max_keys", 1, 1_000_000).unwrap_or(config.max_keys);
        if let Err(errors) = config.check() {
            r.extend(&errors);
        }
        reader.finish(config)
    }
}

fn budget(r: &mut ConfigReader<'_>) -> Option<Budget> {
    #[derive(Clone, Copy)]
    enum Word {
        Ratio,
        Whole(fn() -> Budget),
    }
    let whole = [
        ("ratio", Word::Ratio),
        ("adaptive", Word::Whole(Budget::adaptive)),
        ("tokens", Word::Whole(|| Budget::tokens(10, 100, 1, 1))),
        ("grpc", Word::Whole(|| Budget::grpc(10, 100))),
        ("aws_sdk", Word::Whole(Budget::aws_sdk)),
        ("unlimited", Word::Whole(Budget::unlimited)),
        ("none", Word::Whole(Budget::none)),
    ];
    let word = r.choice("budget", &whole);
    let ratio = r.share("budget_ratio");
    let floor = r.number("budget_floor", 0, 1_000_000);
    let by_ratio = matches!(word, Some(Word::Ratio));
    for (field, given) in [("budget_ratio", ratio.is_some()), ("budget_floor", floor.is_some())] {
        if given && !by_ratio {
            let fix = "say budget = \"ratio\", or leave it out";
            r.contradiction(field, &["budget"], "beside budget = \"ratio\" only", fix);
        }
    }
    Some(match word? {
        Word::Whole(make) => make(),
        Word::Ratio => Budget::ratio(ratio.unwrap_or(Percent::new(20)), floor.unwrap_or(10)),
    })
}

#[cfg(feature = "serde")]
mod by_serde {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer};

    use super::*;

    impl<'de> Deserialize<'de> for BackoffConfig {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Self::from_value(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }
}
