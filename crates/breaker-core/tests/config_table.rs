//! S-CORE-16: every field of a configuration, and what it refuses. Threat T12.

#![cfg(feature = "serde")]

use breaker_core::{CircuitBreakerConfig, ConfigError, ConfigErrors, Value};

fn from_toml(text: &str) -> Result<CircuitBreakerConfig, ConfigErrors> {
    let value: Value = toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    CircuitBreakerConfig::from_value(&value)
}

/// S-CORE-16: every field, one value that is wrong, and what is allowed there.
const WRONG: &[(&str, &str, &str)] = &[
    ("name", "\"\"", "a text of 1..=63 bytes"),
    ("name", "7", "a text of 1..=63 bytes"),
    ("strategy", "\"fancy\"", "one of basic, gradual, dependency, adaptive"),
    ("consecutive_failures", "0", "a whole number in 1..=1000000"),
    ("consecutive_failures", "1000001", "a whole number in 1..=1000000"),
    ("consecutive_failures", "-5", "a whole number in 1..=1000000"),
    ("consecutive_failures", "2.5", "a whole number in 1..=1000000"),
    ("consecutive_failures", "\"on\"", "a whole number in 1..=1000000"),
    ("failure_count", "0", "a whole number in 1..=4294967295"),
    ("failure_count", "9223372036854775807", "a whole number in 1..=4294967295"),
    ("failure_rate", "nan", "a fraction in 0..=1, without 0"),
    ("failure_rate", "0.0", "a fraction in 0..=1, without 0"),
    ("failure_rate", "inf", "a fraction in 0..=1, without 0"),
    ("failure_rate", "-0.1", "a fraction in 0..=1, without 0"),
    ("failure_rate", "50", "a fraction in 0..=1, without 0"),
    ("slow_call_rate", "1.5", "a fraction in 0..=1, without 0"),
    ("success_average", "nan", "a fraction in 0..=1, without 0"),
    ("cusum", "\"soft\"", "one of off, hard, classic, early_warning"),
    ("cusum", "0.5", "one of off, hard, classic, early_warning"),
    ("cusum_healthy_rate", "0", "a fraction in 0..1, without 0 and 1"),
    ("cusum_failing_rate", "1.0", "a fraction in 0..1, without 0 and 1"),
    ("cusum_threshold", "0.09", "a number in 0.1..=100.0"),
    ("cusum_threshold", "nan", "a number in 0.1..=100.0"),
    ("window", "0", "a whole number in 1..=65536"),
    ("window", "65537", "a whole number in 1..=65536"),
    ("window", "true", "a whole number in 1..=65536"),
    ("window", "\"99ms\"", "a duration in 100ms..=3600s"),
    ("window", "\"2h\"", "a duration in 100ms..=3600s"),
    ("window", "\"30\"", "a duration in 100ms..=3600s"),
    ("buckets", "0", "a whole number in 1..=120"),
    ("buckets", "121", "a whole number in 1..=120"),
    ("min_calls", "0", "a whole number in 1..=4294967295"),
    ("slow_call_duration", "\"0s\"", "a duration in 1ns..=3153600000s"),
    ("slow_call_duration", "10", "a duration in 1ns..=3153600000s"),
    ("slow_call_duration", "\"-1s\"", "a duration in 1ns..=3153600000s"),
    ("slow_call_duration", "\"1e9s\"", "a duration in 1ns..=3153600000s"),
    ("slow_call_duration", "\"99999999999999999999d\"", "a duration in 1ns..=3153600000s"),
    ("open_period", "\"0ms\"", "a duration in 1ms..=86400s"),
    ("open_period", "\"2d\"", "a duration in 1ms..=86400s"),
    ("open_period_factor", "0.5", "a number in 1.0..=10.0"),
    ("open_period_factor", "nan", "a number in 1.0..=10.0"),
    ("open_period_factor", "11", "a number in 1.0..=10.0"),
    ("open_period_cap", "\"25h\"", "a duration in 1ms..=86400s"),
    ("jitter", "\"some\"", "one of none, equal, full"),
    ("schedule", "[]", "a list of 1..=64 durations in 1ms..=1 day"),
    ("schedule", "[\"1s\", \"0s\"]", "a list of 1..=64 durations in 1ms..=1 day"),
    ("schedule", "\"1s\"", "a list of 1..=64 durations in 1ms..=1 day"),
    ("permitted_calls", "0", "a whole number in 1..=10000"),
    ("permitted_calls", "10001", "a whole number in 1..=10000"),
    ("success_threshold", "0", "a whole number in 1..=10000"),
    ("verdict", "\"maybe\"", "one of all_succeed, rate"),
    ("max_half_open_stay", "\"0s\"", "a duration in 1ns..=3153600000s"),
    ("on_stay_elapsed", "\"wait\"", "one of reopen, close"),
    ("tuner", "\"on\"", "one of off, suggest, apply"),
    ("tuner", "\"apply\"", "off without failure_rate: it would have nothing to tune"),
    ("outage_history", "2", "a whole number in 3..=256"),
    ("outage_history", "257", "a whole number in 3..=256"),
    ("recovery", "\"hope\"", "one of trials, ramp, trickle"),
    ("on_drop", "1", "one of slow_is_failure, neutral, failure"),
    ("enforce", "1.01", "a fraction in 0..=1"),
    ("enforce", "nan", "a fraction in 0..=1"),
    ("open_refusal_share", "-1", "a fraction in 0..=1"),
    ("count_as", "7", "a table"),
    ("totals", "\"yes\"", "true or false"),
];

/// The same, with the gradual strategy.
const WRONG_RAMP: &[(&str, &str, &str)] = &[
    ("base_share", "0", "a fraction in 0..1, without 0 and 1"),
    ("base_share", "1.0", "a fraction in 0..1, without 0 and 1"),
    ("share_step", "0.0", "a fraction in 0..=1, without 0"),
    ("recovery_error_rate", "1", "a fraction in 0..1, without 1"),
    ("success_threshold", "10001", "a whole number in 1..=10000"),
    ("min_step_time", "\"601s\"", "a duration in 0ns..=600s"),
    ("on_relapse", "\"panic\"", "one of step_back, reopen"),
    ("ramp_speed", "\"fast\"", "one of fixed, adaptive"),
    ("ramp_form", "\"stairs\"", "one of windows, steps, linear, exponential, slow_start"),
    ("ramp_steps", "[]", "a list of 1..=8 rising fractions in 0..=1, without 0"),
    ("ramp_steps", "[0.1, 0.1]", "a list of 1..=8 rising fractions in 0..=1, without 0"),
    ("ramp_steps", "[0, 1]", "a list of 1..=8 rising fractions in 0..=1, without 0"),
    ("ramp_steps", "[0.5, 1.1]", "a list of 1..=8 rising fractions in 0..=1, without 0"),
    ("ramp_steps", "[0.5, \"1\"]", "a list of 1..=8 rising fractions in 0..=1, without 0"),
    ("ramp_steps", "0.5", "a list of 1..=8 rising fractions in 0..=1, without 0"),
    (
        "ramp_steps",
        "[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]",
        "a list of 1..=8 rising fractions in 0..=1, without 0",
    ),
    ("ramp_time", "\"999ms\"", "a duration in 1s..=3600s"),
    ("ramp_time", "\"61m\"", "a duration in 1s..=3600s"),
    ("ramp_time", "30", "a duration in 1s..=3600s"),
    ("ramp_aggression", "0", "a number in 0.1..=10.0"),
    ("ramp_aggression", "nan", "a number in 0.1..=10.0"),
    ("slow_start_limit", "3", "a whole number in 4..=10000"),
    ("slow_start_limit", "10001", "a whole number in 4..=10000"),
];

/// The same, with probes.
const WRONG_PROBES: &[(&str, &str, &str)] = &[
    ("probe_share", "0", "a fraction in 0..=1, without 0"),
    ("probe_share", "10", "a fraction in 0..=1, without 0"),
    ("probe_interval_min", "\"0s\"", "a duration in 1ms..=3600s"),
    ("probe_interval_max", "\"2h\"", "a duration in 1ms..=3600s"),
];

/// S-CORE-16, S-STRAT-07, threat T12: refused with path, value and range, and nothing else is.
#[test]
fn threat_t12_every_wrong_value_is_named_with_what_is_allowed() {
    for (table, strategy) in [
        (WRONG, ""),
        (WRONG_RAMP, "strategy = \"gradual\"\n"),
        (WRONG_PROBES, "recovery = \"trickle\"\n"),
    ] {
        for &(field, value, allowed) in table {
            let windowed = ["window", "buckets", "min_calls"].contains(&field);
            let condition = match field {
                _ if windowed => "failure_rate = 0.5\n",
                _ if field.starts_with("cusum_") => "cusum = \"hard\"\n",
                _ => "",
            };
            let text = format!("{strategy}{condition}{field} = {value}");
            let Err(errors) = from_toml(&text) else { panic!("accepted: {text}") };
            let all: Vec<&ConfigError> = errors.iter().collect();
            let [error] = all[..] else { panic!("{text}: {errors}") };
            assert_eq!((error.path.as_str(), error.allowed.as_str()), (field, allowed), "{text}");
            assert!(!error.value.is_empty() && !error.fix.is_empty(), "{text}");
        }
    }
}
