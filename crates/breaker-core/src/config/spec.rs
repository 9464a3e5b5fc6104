//! Reads a configuration from a [`Value`] and names all that is wrong with it.

mod reader;

use std::time::Duration;

use self::reader::Reader;
use super::{
    CircuitBreakerConfig, ConfigErrors, OnDrop, OnRelapse, OnStayElapsed, Ramp, RampSpeed,
    Recovery, StrategyKind, Trials, Trip, TripOn, Value, Verdict, Window, WindowRule,
};
use crate::outcome::{CountAs, Counted, FailureKind};
use crate::pace::{Jitter, Pace};
use crate::percent::Percent;

const SECOND: Duration = Duration::from_secs(1);
const EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

impl CircuitBreakerConfig {
    /// Reads a configuration as it was written; fields that are absent keep their defaults.
    ///
    /// The fields are those of the setters: `name`, `strategy`, `consecutive_failures`,
    /// `failure_count`, `failure_rate`, `slow_call_rate`, `success_average`,
    /// `success_average_calls`, `window` (calls, or a duration), `buckets`, `min_calls`,
    /// `slow_call_duration`, `open_period`, `open_period_factor`, `open_period_cap`, `jitter`,
    /// `schedule`, `permitted_calls`, `success_threshold`, `verdict`, `trial_failure_rate`,
    /// `trial_slow_rate`, `max_half_open_stay`, `on_stay_elapsed`, `base_share`, `share_step`,
    /// `recovery_error_rate`, `min_step_time`, `on_relapse`, `ramp_speed`, `on_drop`, `enforce`,
    /// `open_refusal_share`, `count_as`, `totals`. Durations are texts with a unit (`"250ms"`;
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
    /// on_drop = "slow_is_failure"        # neutral, failure
    /// count_as = { rate_limited = "failure", invalid_request = "ignored" }
    /// ```
    ///
    /// # Errors
    /// All problems at once: unknown fields and names, values outside their range, and fields
    /// that contradict each other.
    pub fn from_value(value: &Value) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(value);
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
        reader.finish(config)
    }
}

const TRIP_FIELDS: [&str; 5] =
    ["consecutive_failures", "failure_count", "failure_rate", "slow_call_rate", "success_average"];

fn trip(r: &mut Reader<'_>, default: &Trip) -> Trip {
    let streak = default.conditions().find_map(|condition| match condition {
        TripOn::Consecutive(failures) => Some(*failures),
        _ => None,
    });
    let rule = default.first_rule().copied();
    let streak = r.threshold("consecutive_failures", 1, Trip::MAX_CONSECUTIVE, streak);
    let window = window(r, rule.map(|rule| rule.window));
    let counts = match window.span {
        super::Span::Calls(size) => size,
        super::Span::Time { .. } => u32::MAX,
    };
    let failure_count = rule.and_then(|rule| rule.failure_count);
    let failure_count = r.threshold("failure_count", 1, u32::MAX, failure_count);
    if failure_count.is_some_and(|count| count > counts) {
        r.contradiction(
            "failure_count",
            &["window"],
            &format!("at most the calls of `window` ({counts})"),
            "lower failure_count or enlarge window",
        );
    }
    let rate = r.rate("failure_rate", rule.and_then(|rule| rule.failure_rate));
    let slow = r.rate("slow_call_rate", None);
    let average = r.rate("success_average", None);
    let calls = r.number("success_average_calls", 1, Trip::MAX_CONSECUTIVE).unwrap_or(100);
    let windowed = failure_count.is_some() || rate.is_some() || slow.is_some();
    let joined = [
        streak.map(TripOn::Consecutive),
        windowed.then_some(TripOn::Window(WindowRule {
            window,
            failure_count: failure_count.map(|count| count.min(counts)),
            failure_rate: rate,
            slow_rate: slow,
        })),
        average.map(|threshold| TripOn::Average { threshold, calls }),
    ];
    for field in ["window", "buckets", "min_calls"] {
        if !windowed && r.is_set(field) {
            r.contradiction(
                field,
                &["failure_count", "failure_rate", "slow_call_rate"],
                "absent without a windowed condition",
                "set failure_rate, failure_count or slow_call_rate, or remove it",
            );
        }
    }
    if average.is_none() && r.is_set("success_average_calls") {
        r.contradiction(
            "success_average_calls",
            &["success_average"],
            "absent without success_average",
            "set success_average, or remove it",
        );
    }
    Trip::from_conditions(joined).unwrap_or_else(|| {
        r.contradiction(
            "consecutive_failures",
            &TRIP_FIELDS,
            "on, or another trip condition set: the circuit could never open",
            "set consecutive_failures, failure_rate, failure_count, slow_call_rate or \
             success_average",
        );
        *default
    })
}

fn window(r: &mut Reader<'_>, default: Option<Window>) -> Window {
    let buckets = r.number("buckets", 1, u32::from(Window::MAX_BUCKETS));
    let min_calls = r.number("min_calls", 1, u32::MAX);
    let window = match r.text("window") {
        Some(_) => {
            let buckets = buckets.unwrap_or(10) as u16;
            let length = r.duration("window", SECOND / 10, 3_600 * SECOND).filter(|length| {
                let whole = Window::divides(*length, buckets);
                if !whole {
                    r.contradiction(
                        "window",
                        &["buckets"],
                        &format!("a whole number of milliseconds for each of {buckets} buckets"),
                        "change window or buckets",
                    );
                }
                whole
            });
            length.map(|length| Window::in_buckets(length, buckets))
        }
        None => {
            if buckets.is_some() {
                r.contradiction(
                    "buckets",
                    &["window"],
                    "absent with a count window",
                    "give window as a duration such as \"30s\", or remove buckets",
                );
            }
            r.number("window", 1, Window::MAX_CALLS).map(Window::last)
        }
    };
    let usual = default.unwrap_or(Window::last(10));
    let mut window = window.unwrap_or(usual);
    window.min_calls = match window.span {
        super::Span::Calls(size) => usual.min_calls.min(size),
        super::Span::Time { .. } => usual.min_calls,
    };
    if let Some(min) = min_calls {
        match window.span {
            super::Span::Calls(size) if min > size => r.contradiction(
                "min_calls",
                &["window"],
                &format!("at most the calls of `window` ({size})"),
                "lower min_calls or enlarge window: it could never trip",
            ),
            _ => window.min_calls = min,
        }
    }
    window
}

fn open_period(r: &mut Reader<'_>) -> Pace {
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
    let pace = Pace::exponential(base.unwrap_or(60 * SECOND)).factor(factor.unwrap_or(2.0));
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

const TRIAL_FIELDS: [&str; 4] =
    ["permitted_calls", "verdict", "trial_failure_rate", "trial_slow_rate"];
const RAMP_FIELDS: [&str; 6] = [
    "base_share",
    "share_step",
    "recovery_error_rate",
    "min_step_time",
    "on_relapse",
    "ramp_speed",
];

fn recovery(r: &mut Reader<'_>, default: Recovery, trip: &Trip) -> Recovery {
    const THEN: [(&str, OnStayElapsed); 2] =
        [("reopen", OnStayElapsed::Reopen), ("close", OnStayElapsed::Close)];
    let stay = r.duration("max_half_open_stay", Duration::from_nanos(1), EVER);
    let then = r.choice("on_stay_elapsed", &THEN).unwrap_or_default();
    let (foreign, fix) = match default {
        Recovery::Trials(_) => (&RAMP_FIELDS[..], "set strategy = \"gradual\", or remove it"),
        Recovery::Ramp(_) => (&TRIAL_FIELDS[..], "set strategy = \"basic\", or remove it"),
    };
    let mut recovery = match default {
        Recovery::Trials(_) => Recovery::Trials(trials(r, trip)),
        Recovery::Ramp(default) => Recovery::Ramp(ramp(r, default)),
    };
    match &mut recovery {
        Recovery::Trials(Trials { max_stay, on_stay_elapsed, .. })
        | Recovery::Ramp(Ramp { max_stay, on_stay_elapsed, .. }) => {
            *max_stay = stay.unwrap_or(*max_stay);
            *on_stay_elapsed = then;
        }
    }
    if let Recovery::Ramp(ramp) = &recovery {
        if !ramp.has_time() {
            r.contradiction(
                "min_step_time",
                &["max_half_open_stay"],
                "below `max_half_open_stay`",
                "lower min_step_time or raise max_half_open_stay: it could never close",
            );
        }
    }
    for field in foreign {
        if r.is_set(field) {
            r.contradiction(field, &["strategy"], "absent with this strategy", fix);
        }
    }
    recovery
}

fn trials(r: &mut Reader<'_>, trip: &Trip) -> Trials {
    let permitted = r.number("permitted_calls", 1, 10_000).unwrap_or(3);
    let successes = r.number("success_threshold", 1, 10_000);
    let by_rate = r.choice("verdict", &[("all_succeed", false), ("rate", true)]).unwrap_or(false);
    // Trials are judged as the closed state is, unless they have rates of their own.
    let rule = trip.first_rule();
    let failures = r.rate("trial_failure_rate", rule.and_then(|rule| rule.failure_rate));
    let slow = r.rate("trial_slow_rate", rule.and_then(|rule| rule.slow_rate));
    let trials = Trials::new(permitted);
    if by_rate {
        if successes.is_some() {
            r.contradiction(
                "success_threshold",
                &["verdict"],
                "absent with verdict = \"rate\"",
                "remove it, or set verdict = \"all_succeed\"",
            );
        }
        let failures = failures.unwrap_or(Percent::new(50));
        return Trials { verdict: Verdict::Rate { failures, slow }, ..trials };
    }
    for field in ["trial_failure_rate", "trial_slow_rate"] {
        if r.is_set(field) {
            let fix = "set verdict = \"rate\", or remove it";
            r.contradiction(field, &["verdict"], "absent with verdict = \"all_succeed\"", fix);
        }
    }
    match successes {
        Some(successes) if successes > permitted => {
            r.contradiction(
                "success_threshold",
                &["permitted_calls"],
                &format!("at most `permitted_calls` ({permitted})"),
                "lower success_threshold or raise permitted_calls",
            );
            trials
        }
        Some(successes) => trials.successes(successes),
        None => trials,
    }
}

fn ramp(r: &mut Reader<'_>, default: Ramp) -> Ramp {
    const RELAPSE: [(&str, OnRelapse); 2] =
        [("step_back", OnRelapse::StepBack), ("reopen", OnRelapse::Reopen)];
    const SPEED: [(&str, RampSpeed); 2] =
        [("fixed", RampSpeed::Fixed), ("adaptive", RampSpeed::Adaptive)];
    Ramp {
        base: r.share_within("base_share", 1, 9_999).unwrap_or(default.base),
        step: r.share_within("share_step", 1, 10_000).unwrap_or(default.step),
        error_rate: r.share_within("recovery_error_rate", 0, 9_999).unwrap_or(default.error_rate),
        successes: r.number("success_threshold", 1, 10_000).unwrap_or(default.successes),
        min_step_time: r
            .duration("min_step_time", Duration::ZERO, 600 * SECOND)
            .unwrap_or(default.min_step_time),
        on_relapse: r.choice("on_relapse", &RELAPSE).unwrap_or(default.on_relapse),
        speed: r.choice("ramp_speed", &SPEED).unwrap_or(default.speed),
        ..default
    }
}

fn count_as(r: &mut Reader<'_>) -> CountAs {
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
