//! S-CORE-16: whatever stands in a configuration, it is either refused or usable. Threats T11, T12.

mod common;

use std::time::Duration;

use breaker_core::{CircuitBreaker, CircuitBreakerConfig, ManualClock, State, Value};
use common::secs;
use proptest::prelude::*;

const FIELDS: [&str; 51] = [
    "name",
    "strategy",
    "consecutive_failures",
    "failure_count",
    "failure_rate",
    "slow_call_rate",
    "success_average",
    "success_average_calls",
    "cusum",
    "cusum_healthy_rate",
    "cusum_failing_rate",
    "cusum_threshold",
    "window",
    "buckets",
    "min_calls",
    "slow_call_duration",
    "open_period",
    "open_period_factor",
    "open_period_cap",
    "jitter",
    "schedule",
    "permitted_calls",
    "success_threshold",
    "verdict",
    "trial_failure_rate",
    "trial_slow_rate",
    "max_half_open_stay",
    "on_stay_elapsed",
    "base_share",
    "share_step",
    "recovery_error_rate",
    "min_step_time",
    "on_relapse",
    "ramp_speed",
    "recovery",
    "ramp_form",
    "ramp_steps",
    "ramp_time",
    "ramp_aggression",
    "slow_start_limit",
    "probe_share",
    "probe_interval_min",
    "probe_interval_max",
    "on_drop",
    "enforce",
    "open_refusal_share",
    "count_as",
    "totals",
    "tuner",
    "outage_history",
    "colour",
];

const WORDS: [&str; 33] = [
    "off",
    "hard",
    "basic",
    "gradual",
    "adaptive",
    "trials",
    "ramp",
    "trickle",
    "windows",
    "steps",
    "linear",
    "exponential",
    "slow_start",
    "none",
    "equal",
    "full",
    "rate",
    "all_succeed",
    "close",
    "reopen",
    "step_back",
    "fixed",
    "neutral",
    "suggest",
    "apply",
    "failure",
    "1s",
    "250ms",
    "0.5s",
    "30s",
    "2d",
    "99999999999999999999s",
    "1.2.3s",
];

/// A value that somebody may have meant, or not.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        4 => (0..40_i128).prop_map(Value::Int),
        1 => any::<i128>().prop_map(Value::Int),
        4 => (0.0..=1.0).prop_map(Value::Float),
        1 => any::<f64>().prop_map(Value::Float),
        6 => prop::sample::select(&WORDS[..]).prop_map(|word| Value::Text(word.to_owned())),
        1 => ".{0,80}".prop_map(Value::Text),
        1 => "[0-9.]{1,8}(ns|us|ms|s|m|h|d|x)".prop_map(Value::Text),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::vec(("[a-z_]{0,8}", inner), 0..4).prop_map(Value::Table),
        ]
    })
}

/// One field with a value that often fits.
fn field() -> impl Strategy<Value = (String, Value)> {
    let number = |max| (1..=max).prop_map(Value::Int);
    let share = || (0.01..0.99).prop_map(Value::Float);
    let time = || (100..5_000_u32).prop_map(|millis| Value::Text(format!("{millis}ms")));
    let word = |words: &'static [&'static str]| {
        prop::sample::select(words).prop_map(|word| Value::Text(word.to_owned())).boxed()
    };
    let named = |names: &'static [&'static str], value: BoxedStrategy<Value>| {
        (prop::sample::select(names).prop_map(str::to_owned), value)
    };
    prop_oneof![
        2 => (prop::sample::select(&FIELDS[..]).prop_map(str::to_owned), value()),
        2 => named(&FIELDS[2..4], number(20_i128).boxed()),
        2 => named(&FIELDS[4..7], share().boxed()),
        2 => named(&["window", "min_calls", "permitted_calls"], number(20_i128).boxed()),
        1 => named(&["window", "open_period", "slow_call_duration", "max_half_open_stay"], time().boxed()),
        1 => named(&["enforce", "open_refusal_share"], share().boxed()),
        1 => named(&["probe_share", "ramp_aggression"], share().boxed()),
        1 => named(&["ramp_time", "probe_interval_min", "probe_interval_max"], time().boxed()),
        1 => named(&["recovery"], word(&["ramp", "trickle"])),
        1 => named(&["ramp_form"], word(&["steps", "linear", "exponential", "slow_start"])),
        1 => named(&["slow_start_limit"], number(20_i128).boxed()),
        1 => named(&["ramp_steps"], Just(Value::List(vec![Value::Float(0.2), Value::Int(1)])).boxed()),
        1 => Just(("strategy".to_owned(), Value::Text("gradual".to_owned()))),
        1 => named(&["base_share", "share_step", "recovery_error_rate"], share().boxed()),
    ]
}

/// Runs a circuit of this configuration through an outage and out of it.
fn assert_usable(config: &CircuitBreakerConfig) {
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::with_clock_and_seed(*config, clock.clone(), 1);
    for n in 0..60_u32 {
        if let Ok(permit) = breaker.try_acquire() {
            clock.advance(Duration::from_millis(30));
            if n % 3 == 0 {
                permit.success();
            } else {
                permit.failure(breaker_core::FailureKind::Timeout);
            }
        }
    }
    breaker.reset();
    breaker.trip().expect("closed");
    let wait = breaker.snapshot().remaining.expect("open");
    assert!(wait <= secs(86_400), "open for {wait:?}");
    clock.advance(wait);
    if breaker.state() == State::Open {
        // Probes: the first is due within the longest interval and half as much again.
        clock.advance(secs(5_400));
        let probe = breaker.try_acquire();
        let leaks = breaker.snapshot().trials_in_flight == 0;
        probe.into_iter().for_each(breaker_core::Permit::success);
        assert!(leaks || breaker.state() != State::Open);
    } else {
        assert_eq!(breaker.state(), State::HalfOpen);
    }
    let snapshot = breaker.snapshot();
    assert!(snapshot.share.is_none_or(|share| share.as_basis_points() > 0));
    assert!(!breaker.explain().is_empty());
    breaker.reset();
    assert_eq!(breaker.state(), State::Closed);
}

proptest! {
    /// Threat T12: no tree of values panics; what is wrong is named, and what is accepted works.
    #[test]
    fn threat_t12_any_tree_is_refused_with_reasons_or_usable(
        fields in prop::collection::vec(field(), 0..6),
        whole in prop::option::weighted(0.05, value()),
    ) {
        let value = whole.unwrap_or(Value::Table(fields));
        match CircuitBreakerConfig::from_value(&value) {
            Ok(config) => assert_usable(&config),
            Err(errors) => {
                prop_assert!(errors.iter().count() > 0);
                for error in &errors {
                    let empty = [&error.path, &error.allowed, &error.fix].iter().any(|t| t.is_empty());
                    prop_assert!(!empty || error.path.is_empty(), "{:?}", error);
                }
            }
        }
    }

    /// Threat T11: what is accepted as a duration is one, and what is accepted as a share is one.
    #[test]
    fn threat_t11_any_number_is_refused_or_in_range(number in any::<f64>(), text in "[0-9.]{1,20}") {
        for field in ["enforce", "failure_rate", "open_period_factor", "open_period"] {
            for value in [Value::Float(number), Value::Text(format!("{text}s"))] {
                let table = Value::Table(vec![(field.to_owned(), value)]);
                if let Ok(config) = CircuitBreakerConfig::from_value(&table) {
                    assert_usable(&config);
                }
            }
        }
    }
}
