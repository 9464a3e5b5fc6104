//! Reads a configuration from a [`Value`] and names all that is wrong with it.

mod reader;
mod recovery;
mod trip;

use std::time::Duration;

pub use self::reader::ConfigReader;
use self::recovery::recovery;
use self::trip::trip;
use super::{CircuitBreakerConfig, ConfigErrors, OnDrop, StrategyKind, Tuner, Value};
use crate::outcome::{CountAs, Counted, FailureKind};
use crate::pace::{Jitter, Pace};

const SECOND: Duration = Duration::from_secs(1);
const EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

impl CircuitBreakerConfig {
    /// Reads a configuration as it was written; fields that are absent keep their defaults.
    ///
    /// The fields are those of the setters: `name`, `strategy`, `consecutive_failures`,
    /// `failure_count`, `failure_rate`, `slow_call_rate`, `success_average`,
    /// `success_average_calls`, `cusum` (`hard`, `classic` or `early_warning`),
    /// `cusum_healthy_rate`, `cusum_failing_rate`, `cusum_threshold` (in place of the preset's),
    /// `window` (calls, or a duration), `buckets`, `min_calls`, `slow_call_duration`,
    /// `open_period`, `open_period_factor`, `open_period_cap`, `jitter`, `schedule`,
    /// `permitted_calls`, `success_threshold`, `verdict`, `trial_failure_rate`, `trial_slow_rate`,
    /// `max_half_open_stay`, `on_stay_elapsed`, `recovery` (`trials`, `ramp` or `trickle`; that of
    /// the strategy if absent), `ramp_form` (`windows`, `steps`, `linear`, `exponential`,
    /// `slow_start`; with `trickle` no ramp if absent), `ramp_steps`, `ramp_time`,
    /// `ramp_aggression`, `slow_start_limit`, `base_share`, `share_step`, `recovery_error_rate`,
    /// `min_step_time`, `on_relapse`, `ramp_speed`, `probe_share`, `probe_interval_min`,
    /// `probe_interval_max`, `on_drop`, `enforce`, `open_refusal_share`, `count_as`, `totals`,
    /// `tuner`, `outage_history`. Durations are texts with a unit (`"250ms"`;
    /// ns, us, ms, s, m, h, d), shares are fractions in 0..=1, and a trip condition is switched
    /// off by `"off"`: unlike [`trip`](Self::trip), a condition that is added here stands beside
    /// the default `consecutive_failures = 5`.
    ///
    /// ```toml
    /// name = "payments"
    /// strategy = "basic"                 # gradual, dependency, adaptive
    /// consecutive_failures = "off"
    /// failure_rate = 0.5                 # of the window, from min_calls on
    /// slow_call_rate = 0.8
    /// slow_call_duration = "800ms"
    /// window = "30s"                     # or a number of calls
    /// min_calls = 20
    /// open_period = "5s"
    /// open_period_factor = 2.0
    /// open_period_cap = "5m"
    /// jitter = "equal"                   # none, full
    /// permitted_calls = 5
    /// verdict = "rate"                   # all_succeed
    /// max_half_open_stay = "30s"
    /// on_stay_elapsed = "reopen"         # close
    /// tuner = "off"                      # suggest, apply
    /// on_drop = "slow_is_failure"        # neutral, failure
    /// count_as = { rate_limited = "failure", invalid_request = "ignored" }
    /// ```
    ///
    /// # Errors
    /// All problems at once: unknown fields and names, values outside their range, and fields
    /// that contradict each other.
    pub fn from_value(value: &Value) -> Result<Self, ConfigErrors> {
        let mut reader = ConfigReader::new(value);
        let r = &mut reader;
        let mut config = Self::new();
        if let Some(name) = r.name("name") {
            config.name = name;
        }
        let names = StrategyKind::ALL.map(|kind| (kind.as_str(), kind));
        if let Some(kind) = r.choice("strategy", &names) {
            config = config.strategy(kind);
        }
        config.trip = trip(r, &config.trip);
        config.tuner = tuner(r, &config);
        if let Some(slow) = r.duration("slow_call_duration", Duration::from_nanos(1), EVER) {
            config.slow_call_duration = slow;
        }
        config.open_period = open_period(r);
        config.recovery = recovery(r, config.recovery, &config.trip);
        const ON_DROP: [(&str, OnDrop); 3] = [
            ("slow_is_failure", OnDrop::SlowIsFailure),
            ("neutral", OnDrop::Neutral),
            ("failure", OnDrop::Failure),
        ];
        config.on_drop = r.choice("on_drop", &ON_DROP).unwrap_or_default();
        config.enforce = r.share("enforce").unwrap_or(config.enforce);
        config.open_refusal_share =
            r.share("open_refusal_share").unwrap_or(config.open_refusal_share);
        config.count_as = count_as(r);
        config.totals = r.flag("totals").unwrap_or(config.totals);
        if let Some(outages) = r.number("outage_history", 3, 256) {
            config.outage_history = outages as u16;
        }
        reader.finish(config)
    }
}

fn tuner(r: &mut ConfigReader<'_>, config: &CircuitBreakerConfig) -> Tuner {
    let words = [Tuner::Off, Tuner::Suggest, Tuner::Apply].map(|tuner| (tuner.as_str(), tuner));
    let tuner = r.choice("tuner", &words);
    if tuner.is_some_and(|tuner| tuner != Tuner::Off) && config.trip.first_rate().is_none() {
        r.contradiction(
            "tuner",
            &["failure_rate"],
            "off without failure_rate: it would have nothing to tune",
            "set failure_rate, or remove it",
        );
    }
    tuner.unwrap_or(config.tuner)
}

fn open_period(r: &mut ConfigReader<'_>) -> Pace {
    const JITTERS: [(&str, Jitter); 3] =
        [("none", Jitter::None), ("equal", Jitter::Equal), ("full", Jitter::Full)];
    let base = r.duration("open_period", Pace::MIN_WAIT, Pace::MAX_WAIT);
    let factor = r.factor("open_period_factor", 1.0, 10.0);
    let cap = r.duration("open_period_cap", Pace::MIN_WAIT, Pace::MAX_WAIT);
    let jitter = r.choice("jitter", &JITTERS);
    if let Some(waits) = r.schedule("schedule", Pace::MAX_ENTRIES) {
        for field in ["open_period", "open_period_factor", "open_period_cap"] {
            if r.is_set(field) {
                r.contradiction(
                    field,
                    &["schedule"],
                    "absent with a schedule",
                    "remove it or the schedule",
                );
            }
        }
        return Pace::schedule(&waits).jitter(jitter.unwrap_or(Jitter::None));
    }
    // Probes use the cap only, so it may be below the base.
    let usual = match (r.text("recovery"), cap) {
        (Some("trickle"), Some(cap)) => cap.min(60 * SECOND),
        _ => 60 * SECOND,
    };
    let pace = Pace::exponential(base.unwrap_or(usual)).factor(factor.unwrap_or(2.0));
    let pace = match cap {
        Some(cap) if cap < pace.longest(1) => {
            r.contradiction(
                "open_period_cap",
                &["open_period"],
                "at least `open_period`",
                "raise open_period_cap or lower open_period",
            );
            pace
        }
        Some(cap) => pace.cap(cap),
        None => pace,
    };
    pace.jitter(jitter.unwrap_or(Jitter::Equal))
}

fn count_as(r: &mut ConfigReader<'_>) -> CountAs {
    const WORDS: [(&str, Counted); 3] = [
        ("failure", Counted::Failure),
        ("success", Counted::Success),
        ("ignored", Counted::Ignored),
    ];
    let mut table = CountAs::new();
    for kind in FailureKind::ALL {
        if let Some(counted) = r.entry("count_as", kind.as_str(), &WORDS) {
            table = table.with(kind, counted);
        }
    }
    r.only_entries("count_as", &FailureKind::ALL.map(FailureKind::as_str));
    table
}
