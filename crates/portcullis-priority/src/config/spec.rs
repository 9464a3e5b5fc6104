//! Reads a configuration from a [`Value`] and names all that is wrong with it.

use std::time::Duration;

use breaker_core::{ConfigError, ConfigErrors, ConfigReader, Priority, Value};

use super::{Discipline, Displace, QueueConfig};
use crate::codel::Codel;
use crate::limit::Limit;
use crate::throttle::Throttle;

/// By class, in the order of `Class::ALL`.
const RESERVED: [&str; 5] =
    ["reserved_bulk", "reserved_low", "reserved_normal", "reserved_high", "reserved_critical"];
const MAX_WAIT: [&str; 5] =
    ["max_wait_bulk", "max_wait_low", "max_wait_normal", "max_wait_high", "max_wait_critical"];

impl QueueConfig {
    /// Reads a configuration as it was written; fields that are absent keep their defaults, which
    /// are those of [`QueueConfig::new`].
    ///
    /// The fields are `name`, `reserved_critical`, `reserved_high`, `reserved_normal`,
    /// `reserved_low`, `reserved_bulk`, `shared`, `max_wait_critical`, `max_wait_high`,
    /// `max_wait_normal`, `max_wait_low`, `max_wait_bulk`, `custom_wait`, `capacity`, `displace`
    /// (`oldest`, `newest`), `discipline` (`strict`, `weighted`), `newest_first_after` (a duration
    /// in 1 ms..=10 min, or `off`), `ageing` (`true`, `false`), `min_priority` (a number in
    /// 0..=100, or a name such as `low`), `critical_open_limit`.
    ///
    /// `limit` (`off`, `deadline`, `gradient2`, `vegas`, `aimd`, `service_time`) has the number of
    /// slots follow the callee, with `limit_timeout` (of a call, in 1 ms..=1 h; by deadline and aimd,
    /// default 1 s), `limit_start`, `limit_min` and `limit_max`; `codel` (`true`, `false`) drops what
    /// waits in a queue that stands, with `codel_target` and `codel_interval`; `throttle` (`off`, or
    /// the K of [`Throttle::sre`] in 1..=100) refuses here what the callee would, with
    /// `throttle_window` (1 s..=1 h) and `throttle_max_share` (a fraction).
    ///
    /// Durations are texts with a unit (`"250ms"`).
    ///
    /// ```toml
    /// name = "search"
    /// reserved_critical = 4
    /// shared = 60
    /// max_wait_normal = "200ms"
    /// min_priority = "low"
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
        for (slots, field) in config.reserved.iter_mut().zip(RESERVED).rev() {
            *slots = r.number(field, 0, Self::MAX_SLOTS).unwrap_or(*slots);
        }
        config.shared = r.number("shared", 0, Self::MAX_SLOTS).unwrap_or(config.shared);
        for (longest, field) in config.max_wait.iter_mut().zip(MAX_WAIT).rev() {
            *longest = wait(r, field).unwrap_or(*longest);
        }
        config.custom_wait = wait(r, "custom_wait").unwrap_or(config.custom_wait);
        config.capacity = r.number("capacity", 0, Self::MAX_SLOTS).unwrap_or(config.capacity);
        let displace = [("oldest", Displace::Oldest), ("newest", Displace::Newest)];
        config.displace = r.choice("displace", &displace).unwrap_or(config.displace);
        let discipline = [("strict", Discipline::Strict), ("weighted", Discipline::Weighted)];
        config.discipline = r.choice("discipline", &discipline).unwrap_or(config.discipline);
        config.newest_first_after = newest_first_after(r, value);
        config.ageing = r.flag("ageing").unwrap_or(config.ageing);
        config.min_priority = min_priority(r, value).unwrap_or(config.min_priority);
        let critical = r.number("critical_open_limit", 0, Self::MAX_SLOTS);
        config.critical_open_limit = critical.unwrap_or(config.critical_open_limit);
        config.limit = limit(r, value);
        config.codel = codel(r);
        config.throttle = throttle(r, value);
        if let Err(errors) = config.check() {
            r.extend(&errors);
        }
        reader.finish(config)
    }
}

/// Zero is a wait, too: none.
fn wait(r: &mut ConfigReader<'_>, field: &'static str) -> Option<Duration> {
    r.duration(field, Duration::ZERO, QueueConfig::MAX_WAIT)
}

fn newest_first_after(r: &mut ConfigReader<'_>, value: &Value) -> Option<Duration> {
    const FIELD: &str = "newest_first_after";
    match find(value, FIELD) {
        Some(Value::Text(text)) if text == "off" => {
            // Nothing is to be read, but the field is known.
            let _ = r.is_set(FIELD);
            None
        }
        _ => r.duration(FIELD, Duration::from_millis(1), QueueConfig::MAX_WAIT),
    }
}

/// What only some limits have is known to all, so that one word changes the algorithm.
fn limit(r: &mut ConfigReader<'_>, value: &Value) -> Option<Limit> {
    type Make = fn(Duration) -> Limit;
    const WORDS: [(&str, Option<Make>); 6] = [
        ("off", None),
        ("deadline", Some(Limit::deadline)),
        ("gradient2", Some(|_| Limit::gradient2())),
        ("vegas", Some(|_| Limit::vegas())),
        ("aimd", Some(Limit::aimd)),
        ("service_time", Some(|_| Limit::service_time())),
    ];
    let make = r.choice("limit", &WORDS).flatten();
    let (shortest, longest) = (Duration::from_millis(1), Duration::from_secs(3_600));
    let timeout = r.duration("limit_timeout", shortest, longest);
    let start = r.number("limit_start", 1, Limit::MAX);
    let min = r.number("limit_min", 0, Limit::MAX);
    let max = r.number("limit_max", 1, Limit::MAX);
    if make.is_none() && find(value, "limit").is_none() {
        for field in ["limit_timeout", "limit_start", "limit_min", "limit_max"] {
            only_beside(r, value, field, "limit", "name an algorithm: limit = \"deadline\"");
        }
    }
    let mut limit = make?(timeout.unwrap_or(Duration::from_secs(1)));
    limit = min.map_or(limit, |min| limit.min(min));
    limit = max.map_or(limit, |max| limit.max(max));
    // Last, since bounds move a start: one that was written is not moved, but named.
    Some(start.map_or(limit, |start| limit.start(start)))
}

fn codel(r: &mut ConfigReader<'_>) -> Option<Codel> {
    let wanted = r.flag("codel").unwrap_or(false);
    let mut codel = Codel::new();
    let shortest = Duration::from_nanos(1);
    codel.target = r.duration("codel_target", shortest, Codel::MAX).unwrap_or(codel.target);
    codel.interval = r.duration("codel_interval", shortest, Codel::MAX).unwrap_or(codel.interval);
    wanted.then_some(codel)
}

fn throttle(r: &mut ConfigReader<'_>, value: &Value) -> Option<Throttle> {
    const FIELD: &str = "throttle";
    let off = matches!(find(value, FIELD), Some(Value::Text(text)) if text == "off");
    let _ = r.is_set(FIELD);
    let multiplier = if off { None } else { r.factor(FIELD, 1.0, 100.0) };
    let window = r.duration("throttle_window", Duration::from_secs(1), Duration::from_secs(3_600));
    let share = r.share_within("throttle_max_share", 1, 10_000);
    let throttle = Throttle::sre(multiplier?);
    let throttle = window.map_or(throttle, |window| throttle.window(window));
    Some(share.map_or(throttle, |share| throttle.max_share(share)))
}

/// A field that says nothing without another.
fn only_beside(
    r: &mut ConfigReader<'_>,
    value: &Value,
    field: &'static str,
    other: &str,
    fix: &str,
) {
    if find(value, field).is_some() {
        r.contradiction(field, &[], &format!("only beside {other}"), fix);
    }
}

fn min_priority(r: &mut ConfigReader<'_>, value: &Value) -> Option<Priority> {
    const FIELD: &str = "min_priority";
    let _ = r.is_set(FIELD);
    let written = find(value, FIELD)?;
    let priority = match written {
        Value::Int(level) => u8::try_from(*level).ok().and_then(Priority::checked),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    if priority.is_none() {
        let allowed = "a number in 0..=100, or one of critical, high, normal, low, bulk";
        let fix = "write a number in that range, or pick a known name";
        let [path, allowed, fix] = [FIELD, allowed, fix].map(str::to_owned);
        let wrong = ConfigError { path, value: written.to_string(), allowed, fix };
        if let Err(errors) = ConfigErrors::check(vec![wrong]) {
            r.extend(&errors);
        }
    }
    priority
}

/// The field as it was written.
fn find<'v>(value: &'v Value, field: &str) -> Option<&'v Value> {
    let Value::Table(fields) = value else { return None };
    fields.iter().find(|(name, _)| name == field).map(|(_, value)| value)
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for QueueConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).map_err(serde::de::Error::custom)
    }
}
