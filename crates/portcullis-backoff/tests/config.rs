//! The configuration as it is written: each field, each wrong value, all problems at once.

use std::panic::catch_unwind;
use std::time::Duration;

use portcullis_backoff::breaker_core::{Class, FailureKind, Percent, Value, Verb};
use portcullis_backoff::{BackoffConfig, Budget, Delays};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const DAY: Duration = Duration::from_secs(86_400);

fn read(fields: &[(&str, Value)]) -> Result<BackoffConfig, Vec<String>> {
    let fields = fields.iter().map(|(field, value)| ((*field).to_owned(), value.clone()));
    BackoffConfig::from_value(&Value::Table(fields.collect()))
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

// S-BACKOFF-10
#[test]
fn each_field_is_what_its_setter_sets() {
    let new = BackoffConfig::new;
    let cases: Vec<(&str, Value, BackoffConfig)> = vec![
        ("name", text("search"), new().named("search")),
        ("max_attempts", Value::Int(7), new().max_attempts(7)),
        ("attempts_get", Value::Int(7), new().method(Verb::Get, 7)),
        ("attempts_head", Value::Int(7), new().method(Verb::Head, 7)),
        ("attempts_options", Value::Int(7), new().method(Verb::Options, 7)),
        ("attempts_put", Value::Int(7), new().method(Verb::Put, 7)),
        ("attempts_delete", Value::Int(7), new().method(Verb::Delete, 7)),
        ("attempts_post", Value::Int(7), new().method(Verb::Post, 7)),
        ("attempts_patch", Value::Int(7), new().method(Verb::Patch, 7)),
        ("attempts_bulk", Value::Int(7), new().priority(Class::Bulk, 7)),
        ("attempts_low", Value::Int(7), new().priority(Class::Low, 7)),
        ("attempts_normal", Value::Int(7), new().priority(Class::Normal, 7)),
        ("attempts_high", Value::Int(7), new().priority(Class::High, 7)),
        ("attempts_critical", Value::Int(100), new().priority(Class::Critical, 100)),
        ("retry_timeout", Value::Bool(false), new().retry_on(FailureKind::Timeout, false)),
        ("retry_connection", Value::Bool(false), new().retry_on(FailureKind::Connection, false)),
        (
            "retry_overload",
            Value::Bool(false),
            new().retry_on(FailureKind::Overload { retry_after: None }, false),
        ),
        ("retry_rate_limited", Value::Bool(false), new().retry_on(FailureKind::RateLimited, false)),
        (
            "retry_resource_exhausted",
            Value::Bool(false),
            new().retry_on(FailureKind::ResourceExhausted, false),
        ),
        (
            "retry_invalid_request",
            Value::Bool(true),
            new().retry_on(FailureKind::InvalidRequest, true),
        ),
        ("retry_internal", Value::Bool(true), new().retry_on(FailureKind::Internal, true)),
        ("retry_unknown", Value::Bool(true), new().retry_on(FailureKind::Unknown, true)),
        ("retry_refusals", Value::Bool(true), new().retry_refusals(true)),
        ("hint_cap", text("2s"), new().hint_cap(ms(2_000))),
        ("max_elapsed", text("1d"), new().max_elapsed(DAY)),
        ("least_time", text("0s"), new().least_time(ms(0))),
        ("history", text("1ms"), new().history(ms(1))),
        ("rate_limited_backoff", Value::Int(256), new().rate_limited_backoff(256)),
        ("exhausted_redirect", Value::Int(1), new().exhausted_redirect(1)),
        ("budget", text("none"), new().budget(Budget::none())),
        ("budget", text("unlimited"), new().budget(Budget::unlimited())),
        ("budget", text("adaptive"), new()),
        ("budget", text("aws_sdk"), new().budget(Budget::aws_sdk())),
        ("budget", text("grpc"), new().budget(Budget::grpc(10, 100))),
        ("budget", text("tokens"), new().budget(Budget::tokens(10, 100, 1, 1))),
        ("budget", text("ratio"), new().budget(Budget::ratio(Percent::new(20), 10))),
        ("max_keys", Value::Int(1_000_000), new().max_keys(1_000_000)),
        (
            "strategy",
            text("fixed"),
            new().delays(Delays::fixed(ms(100)).cap(Duration::from_secs(5))),
        ),
        (
            "initial_delay",
            text("50ms"),
            new().delays(Delays::equal_jitter(ms(50)).cap(Duration::from_secs(5))),
        ),
        ("max_delay", text("1s"), new().delays(Delays::equal_jitter(ms(100)).cap(ms(1_000)))),
    ];
    for (field, value, expected) in cases {
        assert_eq!(read(&[(field, value.clone())]), Ok(expected), "{field} = {value:?}");
    }
    let share = [
        ("budget", text("ratio")),
        ("budget_ratio", Value::Float(0.1)),
        ("budget_floor", Value::Int(0)),
    ];
    let expected = new().budget(Budget::ratio(Percent::new(10), 0));
    assert_eq!(read(&share), Ok(expected));
}

// S-RETRY-03, S-RETRY-04: what the docs of the setters say.
#[test]
fn the_defaults_are_those_that_are_written_down() {
    assert_eq!(read(&[]), Ok(BackoffConfig::new()));
    assert_eq!(BackoffConfig::default(), BackoffConfig::new());
    let written = BackoffConfig::new()
        .named("backoff")
        .max_attempts(3)
        .method(Verb::Get, 5)
        .method(Verb::Post, 2)
        .method(Verb::Put, 2)
        .method(Verb::Delete, 1)
        .priority(Class::Critical, 5)
        .priority(Class::High, 5)
        .priority(Class::Normal, 3)
        .priority(Class::Low, 1)
        .priority(Class::Bulk, 1)
        .delays(Delays::equal_jitter(ms(100)).cap(Duration::from_secs(5)))
        .retry_on(FailureKind::Timeout, true)
        .retry_on(FailureKind::Connection, true)
        .retry_on(FailureKind::Overload { retry_after: None }, true)
        .retry_on(FailureKind::RateLimited, true)
        .retry_on(FailureKind::ResourceExhausted, true)
        .retry_on(FailureKind::InvalidRequest, false)
        .retry_on(FailureKind::Internal, false)
        .retry_on(FailureKind::Unknown, false)
        .retry_refusals(false)
        .hint_cap(Duration::from_secs(300))
        .least_time(ms(20))
        .history(Duration::from_secs(300))
        .rate_limited_backoff(3)
        .exhausted_redirect(2)
        .budget(Budget::adaptive())
        .max_keys(10_000);
    assert_eq!(BackoffConfig::new(), written);
    // Methods without a number of their own follow the common one.
    let same = BackoffConfig::new().same_for_all_methods();
    assert_ne!(same, BackoffConfig::new());
    assert_ne!(same, same.method(Verb::Head, 3));
}

// S-BACKOFF-01: three profiles by their figures.
#[test]
fn profiles_are_what_they_say() {
    let profile = |attempts, initial, cap, factor| {
        let delays = Delays::equal_jitter(ms(initial)).factor(factor).cap(ms(cap));
        BackoffConfig::new().same_for_all_methods().max_attempts(attempts).delays(delays)
    };
    assert_eq!(BackoffConfig::standard(), profile(3, 100, 10_000, 2.0));
    assert_eq!(BackoffConfig::aggressive(), profile(5, 50, 5_000, 1.5));
    assert_eq!(BackoffConfig::conservative(), profile(2, 500, 15_000, 2.0));
}

#[test]
fn each_wrong_value_is_named_with_its_range() {
    let long = "x".repeat(64);
    for (field, value, allowed) in [
        ("max_attempts", Value::Int(0), "1..=100"),
        ("max_attempts", Value::Int(101), "1..=100"),
        ("max_attempts", Value::Int(-1), "1..=100"),
        ("max_attempts", Value::Int(i128::MAX), "1..=100"),
        ("attempts_get", Value::Int(0), "1..=100"),
        ("attempts_get", Value::Int(256), "1..=100"),
        ("attempts_low", Value::Int(0), "1..=100"),
        ("retry_timeout", text("yes"), "true"),
        ("retry_refusals", Value::Int(1), "true"),
        ("hint_cap", text("0s"), "1ms"),
        ("hint_cap", text("25h"), "86400s"),
        ("max_elapsed", text("0s"), "1ms"),
        ("max_elapsed", text("999999999999d"), "86400s"),
        ("least_time", text("2d"), "86400s"),
        ("history", text("0s"), "1ms"),
        ("history", Value::Int(5), "duration"),
        ("rate_limited_backoff", Value::Int(0), "1..=256"),
        ("rate_limited_backoff", Value::Int(257), "1..=256"),
        ("exhausted_redirect", Value::Int(0), "1..=256"),
        ("budget", text("some"), "adaptive"),
        ("max_keys", Value::Int(0), "1..=1000000"),
        ("max_keys", Value::Int(1_000_001), "1..=1000000"),
        ("name", text(""), "63"),
        ("name", text(&long), "63"),
        ("strategy", text("none"), "auto"),
        ("initial_delay", text("0s"), "1ns"),
        ("initial_delay", text("2d"), "86400s"),
        ("max_delay", text("50ms"), "100ms"),
        ("multiplier", Value::Float(0.99), "1.0..=10.0"),
        ("multiplier", Value::Float(f64::NAN), "1.0..=10.0"),
        ("multiplier", Value::Float(f64::INFINITY), "1.0..=10.0"),
        ("jitter", Value::Float(f64::NAN), "0..=1"),
        ("jitter", Value::Float(1.1), "0..=1"),
        ("jitter", Value::Float(-0.1), "0..=1"),
        ("explore", Value::Float(0.6), "0.5"),
        ("resource_threshold", Value::Float(1.0), "0..1"),
        ("pattern_window", text("0s"), "1ns"),
        ("retries", Value::Int(3), "known field"),
        ("budget_ratio", Value::Float(0.1), "ratio"),
        ("budget_floor", Value::Int(1), "ratio"),
    ] {
        let said = read(&[(field, value.clone())]).expect_err(field);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(field) && said[0].contains(allowed), "{said:?}");
    }
    let ratio = |share| read(&[("budget", text("ratio")), ("budget_ratio", Value::Float(share))]);
    for share in [-0.1, 1.1, f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(ratio(share).expect_err("a wrong share").len(), 1, "{share}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let said = read(&[
        ("name", text("")),
        ("max_attempts", Value::Int(0)),
        ("attempts_put", Value::Int(0)),
        ("jitter", Value::Float(f64::NAN)),
        ("multiplier", Value::Float(0.5)),
        ("initial_delay", text("2s")),
        ("max_delay", text("1s")),
        ("budget", text("many")),
        ("budget_floor", Value::Int(-1)),
        ("max_atempts", Value::Int(3)),
    ]);
    let said = said.expect_err("all of it is wrong");
    for field in [
        "name",
        "max_attempts",
        "attempts_put",
        "jitter",
        "multiplier",
        "max_delay",
        "budget",
        "budget_floor",
        "max_atempts",
    ] {
        let of_it = said.iter().filter(|line| line.starts_with(&format!("{field} =")));
        assert_eq!(of_it.count(), 1, "{field}: {said:#?}");
    }
    assert_eq!(said.len(), 9, "{said:#?}");
    assert!(said.iter().any(|line| line.contains("did you mean `max_attempts`?")));
}

#[test]
fn a_longest_time_below_the_first_delay_does_not_fit() {
    let said = read(&[("max_elapsed", text("10ms"))]).expect_err("it does not fit");
    assert_eq!(
        said,
        ["max_elapsed = 10ms: must be at least the first delay, 100ms; raise it, or lower \
          `initial_delay`"]
    );
    let config = BackoffConfig::new().max_elapsed(ms(10));
    assert!(config.check().is_err());
    assert!(config.same_for_all_methods().max_attempts(1).check().is_ok(), "nothing is repeated");
    assert!(BackoffConfig::new().max_elapsed(ms(100)).check().is_ok());
    let refused = catch_unwind(|| portcullis_backoff::BackoffLayer::new(config));
    assert!(refused.is_err(), "a layer is not made of it");
}

#[test]
fn setters_refuse_what_is_wrong() {
    let wrong: [fn() -> BackoffConfig; 14] = [
        || BackoffConfig::new().named(""),
        || BackoffConfig::new().max_attempts(0),
        || BackoffConfig::new().max_attempts(101),
        || BackoffConfig::new().method(Verb::Get, 0),
        || BackoffConfig::new().method(Verb::Get, 256),
        || BackoffConfig::new().priority(Class::Low, 0),
        || BackoffConfig::new().hint_cap(Duration::ZERO),
        || BackoffConfig::new().hint_cap(DAY + Duration::from_nanos(1)),
        || BackoffConfig::new().max_elapsed(Duration::MAX),
        || BackoffConfig::new().least_time(DAY + Duration::from_nanos(1)),
        || BackoffConfig::new().history(Duration::from_micros(999)),
        || BackoffConfig::new().rate_limited_backoff(0),
        || BackoffConfig::new().exhausted_redirect(257),
        || BackoffConfig::new().max_keys(0),
    ];
    for (number, wrong) in wrong.into_iter().enumerate() {
        assert!(catch_unwind(wrong).is_err(), "{number}");
    }
    let wrong: [fn() -> Delays; 7] = [
        || Delays::fixed(Duration::ZERO),
        || Delays::fixed(Duration::MAX),
        || Delays::fixed(ms(2)).cap(ms(1)),
        || Delays::fixed(ms(2)).factor(0.9),
        || Delays::fixed(ms(2)).factor(f64::NAN),
        || Delays::fixed(ms(2)).explore(Percent::new(51)),
        || Delays::fixed(ms(2)).pattern_window(Duration::ZERO),
    ];
    for (number, wrong) in wrong.into_iter().enumerate() {
        assert!(catch_unwind(wrong).is_err(), "{number}");
    }
}
