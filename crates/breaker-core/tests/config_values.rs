//! S-CORE-16: configurations that come from outside. Threat T12.

#![cfg(feature = "serde")]

mod common;

use std::time::Duration;

use breaker_core::{
    CircuitBreakerConfig, ConfigError, ConfigErrors, Counted, Cusum, FailureKind, Jitter, OnDrop,
    OnRelapse, OnStayElapsed, Pace, Percent, Ramp, RampSpeed, Recovery, StrategyKind, Trials,
    Trickle, Trip, Tuner, Value, Window,
};
use common::{millis, secs};

fn from_toml(text: &str) -> Result<CircuitBreakerConfig, ConfigErrors> {
    let value: Value = toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    CircuitBreakerConfig::from_value(&value)
}

fn from_json(text: &str) -> Result<CircuitBreakerConfig, ConfigErrors> {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    CircuitBreakerConfig::from_value(&value)
}

/// The problems as `path = value: allowed`.
fn problems(text: &str) -> Vec<String> {
    let Err(errors) = from_toml(text) else { panic!("accepted: {text}") };
    errors.iter().map(|e| format!("{} = {}: {}", e.path, e.value, e.allowed)).collect()
}

/// S-CORE-16: all problems at once, in the order of the fields.
#[test]
fn all_problems_are_told_at_once() {
    let text = r#"
        name = ""
        consecutive_failures = 0
        failure_rate = nan
        open_period = "0s"
        permitted_calls = 0
        on_drop = "explode"
        colour = "red"
    "#;
    let told = problems(text);
    assert_eq!(
        told,
        [
            "name = \"\": a text of 1..=63 bytes",
            "consecutive_failures = 0: a whole number in 1..=1000000",
            "failure_rate = NaN: a fraction in 0..=1, without 0",
            "open_period = \"0s\": a duration in 1ms..=86400s",
            "permitted_calls = 0: a whole number in 1..=10000",
            "on_drop = \"explode\": one of slow_is_failure, neutral, failure",
            "colour = \"red\": a known field",
        ]
    );
    let shown = from_toml(text).unwrap_err().to_string();
    assert!(
        shown.starts_with("7 problem(s) in the configuration\n  name = \"\": must be a text of")
    );
}

/// S-CORE-16: a field that is not known, with the one that may be meant.
#[test]
fn an_unknown_field_is_refused_with_the_nearest_name() {
    for (field, fix) in [
        ("failurerate", "did you mean `failure_rate`?"),
        ("windows", "did you mean `window`?"),
        ("permitted_cals", "did you mean `permitted_calls`?"),
        ("open_perod", "did you mean `open_period`?"),
        ("something_else_entirely", "remove it"),
    ] {
        let errors = from_toml(&format!("{field} = 1")).unwrap_err();
        let error = errors.iter().next().unwrap();
        assert_eq!((error.path.as_str(), error.fix.as_str()), (field, fix));
    }
    let long = "x".repeat(100_000);
    assert!(from_toml(&format!("{long} = 1")).is_err());
}

/// S-CORE-16: fields that contradict each other, and both are named.
#[test]
fn contradictions_name_both_fields() {
    for (text, path, others) in [
        ("success_threshold = 4\npermitted_calls = 3", "success_threshold", "permitted_calls"),
        ("failure_rate = 0.5\nwindow = 10\nmin_calls = 11", "min_calls", "window"),
        ("failure_count = 11\nwindow = 10", "failure_count", "window"),
        ("open_period = \"10s\"\nopen_period_cap = \"5s\"", "open_period_cap", "open_period"),
        ("failure_rate = 0.5\nwindow = \"1s\"\nbuckets = 7", "window", "buckets"),
        ("failure_rate = 0.5\nwindow = 10\nbuckets = 7", "buckets", "window"),
        ("schedule = [\"1s\"]\nopen_period = \"1s\"", "open_period", "schedule"),
        ("window = 10", "window", "failure_rate"),
        ("success_average_calls = 10", "success_average_calls", "success_average"),
        ("cusum_threshold = 7", "cusum_threshold", "cusum"),
        ("cusum = \"off\"\ncusum_failing_rate = 0.5", "cusum_failing_rate", "cusum"),
        ("cusum = \"hard\"\ncusum_healthy_rate = 0.95", "cusum_healthy_rate", "cusum_failing_rate"),
        ("cusum = \"hard\"\ncusum_failing_rate = 0.2", "cusum_failing_rate", "cusum_healthy_rate"),
        ("consecutive_failures = \"off\"", "consecutive_failures", "failure_rate"),
        ("verdict = \"rate\"\nsuccess_threshold = 1", "success_threshold", "verdict"),
        ("trial_failure_rate = 0.5", "trial_failure_rate", "verdict"),
        ("base_share = 0.2", "base_share", "strategy"),
        ("tuner = \"apply\"", "tuner", "failure_rate"),
        ("tuner = \"suggest\"\nsuccess_average = 0.5", "tuner", "failure_rate"),
        ("strategy = \"gradual\"\npermitted_calls = 3", "permitted_calls", "strategy"),
        ("probe_share = 0.2", "probe_share", "trickle"),
        ("recovery = \"ramp\"\nramp_form = \"linear\"", "ramp_time", "ramp_form"),
        ("recovery = \"ramp\"\nramp_form = \"steps\"", "ramp_steps", "ramp_form"),
        ("recovery = \"ramp\"\nramp_form = \"slow_start\"", "slow_start_limit", "ramp_form"),
        ("recovery = \"ramp\"\nramp_time = \"9s\"", "ramp_time", "ramp_form"),
        (
            "recovery = \"ramp\"\nramp_form = \"exponential\"\nramp_time = \"9s\"\nshare_step = 0.2",
            "share_step",
            "ramp_form",
        ),
        (
            "recovery = \"ramp\"\nramp_form = \"slow_start\"\nslow_start_limit = 9\nbase_share = 0.2",
            "base_share",
            "ramp_form",
        ),
        ("recovery = \"trickle\"\nopen_period = \"9s\"", "open_period", "recovery"),
        ("recovery = \"trickle\"\nschedule = [\"9s\"]", "schedule", "recovery"),
        ("recovery = \"trickle\"\njitter = \"full\"", "jitter", "probes"),
        ("recovery = \"trickle\"\npermitted_calls = 2", "permitted_calls", "recovery"),
        ("recovery = \"trickle\"\nbase_share = 0.2", "base_share", "ramp_form"),
        ("recovery = \"trickle\"\nmax_half_open_stay = \"9s\"", "max_half_open_stay", "ramp_form"),
        (
            "recovery = \"trickle\"\nprobe_interval_min = \"6s\"",
            "probe_interval_min",
            "probe_interval_max",
        ),
        ("strategy = \"gradual\"\nmin_step_time = \"60s\"", "min_step_time", "max_half_open_stay"),
        (
            "strategy = \"adaptive\"\nmin_step_time = \"5s\"\nmax_half_open_stay = \"4s\"",
            "min_step_time",
            "max_half_open_stay",
        ),
    ] {
        let errors = from_toml(text).unwrap_err();
        let all: Vec<&ConfigError> = errors.iter().collect();
        let [error] = all[..] else { panic!("{text}: {errors}") };
        assert_eq!(error.path, path, "{text}");
        assert!(error.to_string().contains(others), "{text}: {error}");
    }
}

/// S-CORE-16: one mistake is one problem, and hides no other behind it.
#[test]
fn a_wrong_value_causes_no_contradictions() {
    for text in [
        "failure_rate = 2.0\nwindow = 20",
        "consecutive_failures = \"off\"\nfailure_rate = 0.0",
        "failure_rate = 0.5\nwindow = 0\nmin_calls = 20",
        "failure_rate = 0.5\nwindow = 0\nfailure_count = 20",
        "permitted_calls = 0\nsuccess_threshold = 4",
        "strategy = \"gradul\"\nbase_share = 0.2",
        "verdict = \"rat\"\ntrial_failure_rate = 0.5",
        "success_average = 2\nsuccess_average_calls = 10",
        "cusum = \"harder\"\ncusum_threshold = 3",
        "cusum = \"hard\"\ncusum_healthy_rate = 2\ncusum_failing_rate = 0.1",
    ] {
        assert_eq!(problems(text).len(), 1, "{text}: {:?}", problems(text));
    }
}

/// S-CORE-16: kinds and words of the table.
#[test]
fn the_table_of_kinds_is_read_and_its_mistakes_are_named() {
    let config = from_toml("count_as = { rate_limited = \"failure\", timeout = \"ignored\" }");
    let expected = CircuitBreakerConfig::new()
        .count_as(FailureKind::RateLimited, Counted::Failure)
        .count_as(FailureKind::Timeout, Counted::Ignored);
    assert_eq!(config.unwrap(), expected);
    assert_eq!(
        problems("count_as = { timeout = \"fatal\", tiemout = \"failure\" }"),
        [
            "count_as.timeout = \"fatal\": one of failure, success, ignored",
            "count_as.tiemout = \"failure\": a known name",
        ]
    );
}

/// S-CORE-16: JSON says the same, and what is no table, or is there twice, is refused.
#[test]
fn json_is_read_as_toml_is() {
    assert_eq!(from_json(r#"{"consecutive_failures": 7}"#), from_toml("consecutive_failures = 7"));
    assert_eq!(from_json("{}").unwrap(), CircuitBreakerConfig::new());
    assert_eq!(from_json("null").unwrap(), CircuitBreakerConfig::new());
    for (text, path) in [
        ("[]", "(root)"),
        ("\"closed\"", "(root)"),
        (r#"{"totals": true, "totals": false}"#, "totals"),
        (r#"{"failure_rate": null}"#, "failure_rate"),
        (
            r#"{"consecutive_failures": 340282366920938463463374607431768211456}"#,
            "consecutive_failures",
        ),
        (r#"{"name": {"a": [1, 2]}}"#, "name"),
    ] {
        assert_eq!(from_json(text).unwrap_err().iter().next().unwrap().path, path, "{text}");
    }
    let direct: Result<CircuitBreakerConfig, _> = serde_json::from_str(r#"{"totals": 1}"#);
    let shown = direct.unwrap_err().to_string();
    assert!(
        shown.contains("totals = 1: must be true or false; write it without quotes"),
        "{shown}"
    );
}

/// S-CORE-16: everything that can be said, said.
#[test]
fn a_full_configuration_is_what_the_setters_make() {
    let read = from_toml(
        r#"
        name = "ledger"
        consecutive_failures = 7
        failure_count = 30
        failure_rate = 0.29
        slow_call_rate = 0.8
        success_average = 0.5
        success_average_calls = 50
        window = "30s"
        buckets = 30
        min_calls = 20
        slow_call_duration = "1.5s"
        open_period = "250ms"
        open_period_factor = 1.5
        open_period_cap = "2m"
        jitter = "full"
        permitted_calls = 10
        verdict = "rate"
        trial_failure_rate = 0.4
        trial_slow_rate = 1
        max_half_open_stay = "5s"
        on_stay_elapsed = "close"
        on_drop = "neutral"
        enforce = 0.5
        open_refusal_share = 0.8
        totals = true
        tuner = "suggest"
        outage_history = 32
        "#,
    );
    let window = Window::in_buckets(secs(30), 30).min_calls(20);
    let trip = Trip::consecutive(7)
        .or(Trip::failure_count(30, window))
        .or(Trip::failure_rate(Percent::new(29), window))
        .or(Trip::slow_rate(Percent::new(80), window))
        .or(Trip::success_average(Percent::new(50), 50));
    let trials = Trials::new(10)
        .by_rate(Percent::new(40))
        .slow_rate(Percent::FULL)
        .max_stay(secs(5))
        .on_stay_elapsed(OnStayElapsed::Close);
    let made = CircuitBreakerConfig::new()
        .named("ledger")
        .trip(trip)
        .slow_call_duration(millis(1_500))
        .open_period(Pace::exponential(millis(250)).factor(1.5).cap(secs(120)).jitter(Jitter::Full))
        .recovery(Recovery::Trials(trials))
        .on_drop(OnDrop::Neutral)
        .enforce(Percent::new(50))
        .open_refusal_share(Percent::new(80))
        .totals(true)
        .tuner(Tuner::Suggest)
        .outage_history(32);
    assert_eq!(read.unwrap(), made);
}

/// S-CORE-16: a cumulative sum, by a preset that is changed.
#[test]
fn a_cusum_is_read_from_its_preset_and_what_differs() {
    let read = from_toml(
        "consecutive_failures = \"off\"\ncusum = \"classic\"\ncusum_healthy_rate = 0.01\n\
         cusum_failing_rate = 0.125\ncusum_threshold = 9.5",
    );
    let cusum = Cusum::between(Percent::new(1), Percent::basis_points(1_250)).threshold(9.5);
    assert_eq!(read.unwrap(), CircuitBreakerConfig::new().trip(Trip::cusum(cusum)));
}

/// S-STRAT-03, S-STRAT-06: every way to recover, and every form of a ramp.
#[test]
fn each_form_of_recovery_is_read() {
    let config = CircuitBreakerConfig::new();
    let ramp = |text: &str| from_toml(&format!("recovery = \"ramp\"\n{text}")).unwrap();
    let climbs = |ramp: Ramp| config.recovery(Recovery::Ramp(ramp));
    let steps = [10, 25, 50, 100].map(Percent::new);
    assert_eq!(ramp(""), climbs(Ramp::new()));
    assert_eq!(
        ramp("ramp_form = \"steps\"\nramp_steps = [0.1, 0.25, 0.5, 1]\nramp_speed = \"adaptive\""),
        climbs(Ramp::steps(&steps).speed(RampSpeed::Adaptive))
    );
    assert_eq!(
        ramp("ramp_form = \"linear\"\nramp_time = \"30s\"\nbase_share = 0.2\nshare_step = 0.2"),
        climbs(Ramp::linear(secs(30)).base_share(Percent::new(20)).share_step(Percent::new(20)))
    );
    assert_eq!(
        ramp("ramp_form = \"linear\"\nramp_time = \"30s\"\nramp_aggression = 1.5"),
        climbs(Ramp::aggressive(secs(30), 1.5))
    );
    assert_eq!(
        ramp("ramp_form = \"exponential\"\nramp_time = \"5s\"\nsuccess_threshold = 9"),
        climbs(Ramp::exponential(secs(5)).successes(9))
    );
    assert_eq!(
        ramp("ramp_form = \"slow_start\"\nslow_start_limit = 32\nmax_half_open_stay = \"5s\""),
        climbs(Ramp::slow_start(32).max_stay(secs(5)))
    );
    let trickle = Trickle::new()
        .probe_share(Percent::new(5))
        .intervals(millis(100), secs(2))
        .without_jitter()
        .then_ramp(Ramp::slow_start(32).on_relapse(OnRelapse::Reopen));
    let read = from_toml(
        "recovery = \"trickle\"\nprobe_share = 0.05\nprobe_interval_min = \"100ms\"\n\
         probe_interval_max = \"2s\"\njitter = \"none\"\nramp_form = \"slow_start\"\n\
         slow_start_limit = 32\non_relapse = \"reopen\"",
    );
    let pace = Pace::exponential(secs(60)).jitter(Jitter::None);
    assert_eq!(read.unwrap(), config.recovery(Recovery::Trickle(trickle)).open_period(pace));
    let capped = from_toml("recovery = \"trickle\"\nopen_period_cap = \"9s\"").unwrap();
    let pace = Pace::exponential(secs(9)).cap(secs(9));
    assert_eq!(capped, config.recovery(Recovery::Trickle(Trickle::new())).open_period(pace));
}

/// S-STRAT-07: the strategies by name, with their own fields, and their defaults where a field
/// is absent.
#[test]
fn a_strategy_is_named_and_keeps_its_defaults() {
    for kind in StrategyKind::ALL {
        let read = from_toml(&format!("strategy = \"{}\"", kind.as_str()));
        assert_eq!(read.unwrap(), CircuitBreakerConfig::new().strategy(kind));
    }
    let read = from_toml(
        "strategy = \"gradual\"\nbase_share = 0.05\nshare_step = 0.2\nsuccess_threshold = 5\n\
         recovery_error_rate = 0\nmin_step_time = \"1s\"\non_relapse = \"reopen\"\n\
         ramp_speed = \"adaptive\"\nschedule = [\"100ms\", \"1s\"]",
    );
    let ramp = Ramp::new()
        .base_share(Percent::new(5))
        .share_step(Percent::new(20))
        .successes(5)
        .recovery_error_rate(Percent::ZERO)
        .min_step_time(secs(1))
        .on_relapse(OnRelapse::Reopen)
        .speed(RampSpeed::Adaptive);
    let gradual = CircuitBreakerConfig::new().strategy(StrategyKind::Gradual);
    let made = gradual
        .recovery(Recovery::Ramp(ramp))
        .open_period(Pace::schedule(&[millis(100), Duration::from_secs(1)]));
    assert_eq!(read.unwrap(), made);
    // The minimum of the gradual profile is 10 calls, also in another window.
    let window = Window::last(40).min_calls(10);
    let wider = Trip::failure_count(5, window).or(Trip::failure_rate(Percent::new(20), window));
    assert_eq!(from_toml("strategy = \"gradual\"\nwindow = 40").unwrap(), gradual.trip(wider));
}
