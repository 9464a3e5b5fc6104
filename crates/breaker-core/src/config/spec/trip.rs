//! Reads when a circuit opens.

use super::SECOND;
use super::reader::ConfigReader;
use crate::config::{Cusum, Span, Trip, TripOn, Window, WindowRule};

const TRIP_FIELDS: [&str; 6] = [
    "consecutive_failures",
    "failure_count",
    "failure_rate",
    "slow_call_rate",
    "success_average",
    "cusum",
];

/// When the circuit opens.
pub(super) fn trip(r: &mut ConfigReader<'_>, default: &Trip) -> Trip {
    let streak = default.conditions().find_map(|condition| match condition {
        TripOn::Consecutive(failures) => Some(*failures),
        _ => None,
    });
    let streak = r.threshold("consecutive_failures", 1, Trip::MAX_CONSECUTIVE, streak);
    let windowed = windowed(r, default.first_rule().copied());
    let average = average(r);
    let score = cusum(r).map(TripOn::Score);
    let joined = [streak.map(TripOn::Consecutive), windowed.map(TripOn::Window), average, score];
    Trip::from_conditions(joined).unwrap_or_else(|| {
        r.contradiction(
            "consecutive_failures",
            &TRIP_FIELDS,
            "on, or another trip condition set: the circuit could never open",
            "set consecutive_failures, failure_rate, failure_count, slow_call_rate, \
             success_average or cusum",
        );
        *default
    })
}

fn windowed(r: &mut ConfigReader<'_>, default: Option<WindowRule>) -> Option<WindowRule> {
    let window = window(r, default.map(|rule| rule.window));
    let calls = match window.span {
        Span::Calls(size) => size,
        Span::Time { .. } => u32::MAX,
    };
    let count = default.and_then(|rule| rule.failure_count);
    let count = r.threshold("failure_count", 1, u32::MAX, count);
    if count.is_some_and(|count| count > calls) {
        r.contradiction(
            "failure_count",
            &["window"],
            &format!("at most the calls of `window` ({calls})"),
            "lower failure_count or enlarge window",
        );
    }
    let rule = WindowRule {
        window,
        failure_count: count.map(|count| count.min(calls)),
        failure_rate: r.rate("failure_rate", default.and_then(|rule| rule.failure_rate)),
        slow_rate: r.rate("slow_call_rate", None),
    };
    if rule.failure_count.is_some() || rule.failure_rate.is_some() || rule.slow_rate.is_some() {
        return Some(rule);
    }
    for field in ["window", "buckets", "min_calls"] {
        if r.is_set(field) {
            r.contradiction(
                field,
                &["failure_count", "failure_rate", "slow_call_rate"],
                "absent without a windowed condition",
                "set failure_rate, failure_count or slow_call_rate, or remove it",
            );
        }
    }
    None
}

fn average(r: &mut ConfigReader<'_>) -> Option<TripOn> {
    let average = r.rate("success_average", None);
    let calls = r.number("success_average_calls", 1, Trip::MAX_CONSECUTIVE).unwrap_or(100);
    if average.is_none() && r.is_set("success_average_calls") {
        r.contradiction(
            "success_average_calls",
            &["success_average"],
            "absent without success_average",
            "set success_average, or remove it",
        );
    }
    average.map(|threshold| TripOn::Average { threshold, calls })
}

fn cusum(r: &mut ConfigReader<'_>) -> Option<Cusum> {
    const PRESETS: [(&str, Option<Cusum>); 4] = [
        ("off", None),
        ("hard", Some(Cusum::hard())),
        ("classic", Some(Cusum::classic())),
        ("early_warning", Some(Cusum::early_warning())),
    ];
    let preset = r.choice("cusum", &PRESETS).flatten();
    let healthy = r.share_within("cusum_healthy_rate", 1, 9_999);
    let failing = r.share_within("cusum_failing_rate", 1, 9_999);
    let threshold = r.factor("cusum_threshold", Cusum::MIN_THRESHOLD, Cusum::MAX_THRESHOLD);
    let Some(preset) = preset else {
        for field in ["cusum_healthy_rate", "cusum_failing_rate", "cusum_threshold"] {
            if r.is_set(field) {
                let fix = "set cusum to a preset that it changes, or remove it";
                r.contradiction(field, &["cusum"], "absent without cusum", fix);
            }
        }
        return None;
    };
    let healthy = healthy.unwrap_or(preset.healthy);
    let failing = failing.unwrap_or(preset.failing);
    if healthy >= failing {
        let [low, high] = ["cusum_healthy_rate", "cusum_failing_rate"];
        let field = if r.is_set(low) { low } else { high };
        r.contradiction(
            field,
            &[low, high],
            &format!("cusum_healthy_rate ({healthy}) below cusum_failing_rate ({failing})"),
            "lower cusum_healthy_rate or raise cusum_failing_rate",
        );
        return Some(preset);
    }
    let cusum = Cusum::between(healthy, failing);
    Some(threshold.map_or(cusum, |threshold| cusum.threshold(threshold)))
}

fn window(r: &mut ConfigReader<'_>, default: Option<Window>) -> Window {
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
        Span::Calls(size) => usual.min_calls.min(size),
        Span::Time { .. } => usual.min_calls,
    };
    if let Some(min) = min_calls {
        match window.span {
            Span::Calls(size) if min > size => r.contradiction(
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
