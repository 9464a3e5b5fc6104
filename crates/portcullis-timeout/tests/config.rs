//! What a configuration allows, and how it is read.

use std::time::Duration;

use portcullis_timeout::breaker_core::{ConfigErrors, Value};
use portcullis_timeout::{AdaptiveTimeout, TimeoutConfig, TimeoutStrategy};
use proptest::prelude::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn table<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Table(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn paths(result: Result<TimeoutConfig, ConfigErrors>) -> Vec<String> {
    let errors = result.expect_err("it is wrong");
    errors.iter().map(|error| error.path.clone()).collect()
}

// S-TIMEOUT-01
#[test]
fn a_configuration_that_says_nothing_is_the_default() {
    let read = TimeoutConfig::from_value(&table([]));
    assert_eq!(read, Ok(TimeoutConfig::new()));
    assert_eq!(TimeoutConfig::default(), TimeoutConfig::new());
    assert!(TimeoutConfig::new().check().is_ok());
    assert_eq!(AdaptiveTimeout::new(TimeoutConfig::new()).timeout(), ms(1_000));
}

#[test]
fn every_field_is_read() {
    let read = TimeoutConfig::from_value(&table([
        ("name", text("search")),
        ("min", text("20ms")),
        ("max", text("5s")),
        ("initial", text("2s")),
        ("strategy", text("adaptive")),
        ("window", Value::Int(500)),
        ("half_life", text("1m")),
        ("percentile", Value::Float(99.9)),
        ("factor", Value::Int(2)),
        ("max_change", Value::Float(0.25)),
        ("adjust_every", Value::Int(10)),
        ("history", Value::Int(0)),
        ("max_keys", Value::Int(7)),
    ]));
    let expected = TimeoutConfig::new()
        .named("search")
        .bounds(ms(20), ms(5_000))
        .initial(ms(2_000))
        .strategy(TimeoutStrategy::Adaptive)
        .window(500)
        .half_life(ms(60_000))
        .percentile(99.9)
        .factor(2.0)
        .max_change(0.25)
        .adjust_every(10)
        .history(0)
        .max_keys(7);
    assert_eq!(read, Ok(expected));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let read = TimeoutConfig::from_value(&table([
        ("min", text("0ms")),
        ("strategy", text("guess")),
        ("window", Value::Int(9)),
        ("percentile", Value::Int(100)),
        ("factor", Value::Float(f64::NAN)),
        ("max_change", Value::Int(0)),
        ("adjust_every", Value::Int(0)),
        ("colour", text("red")),
    ]));
    let mut wrong = paths(read);
    wrong.sort();
    let expected = [
        "adjust_every",
        "colour",
        "factor",
        "max_change",
        "min",
        "percentile",
        "strategy",
        "window",
    ];
    assert_eq!(wrong, expected);
    let read = table([("min", text("2s")), ("max", text("1s")), ("initial", text("3s"))]);
    assert_eq!(paths(TimeoutConfig::from_value(&read)), ["min", "initial"]);
    let read = table([("min", text("2s"))]);
    assert_eq!(paths(TimeoutConfig::from_value(&read)), ["initial"]);
}

/// As the docs of the setters have them, and another value for each.
const FIELDS: [(&str, &str, &str); 13] = [
    ("name", "timeout", "other"),
    ("min", "100ms", "1ms"),
    ("max", "30s", "1h"),
    ("initial", "1s", "30s"),
    ("strategy", "hybrid", "fixed"),
    ("window", "100", "10"),
    ("half_life", "30s", "24h"),
    ("percentile", "95", "0.01"),
    ("factor", "1.5", "10"),
    ("max_change", "0.5", "0.001"),
    ("adjust_every", "1", "1000"),
    ("history", "100", "0"),
    ("max_keys", "1000", "1"),
];

fn value_of(written: &str) -> Value {
    match (written.parse(), written.parse()) {
        (Ok(number), _) => Value::Int(number),
        (_, Ok(number)) => Value::Float(number),
        _ => text(written),
    }
}

// S-TIMEOUT-01 S-TIMEOUT-03 S-TIMEOUT-05
#[test]
fn the_documented_defaults_are_the_defaults() {
    let defaults = FIELDS.map(|(field, default, _)| (field, value_of(default)));
    assert_eq!(TimeoutConfig::from_value(&table(defaults)), Ok(TimeoutConfig::new()));
    for (field, _, other) in FIELDS {
        let read = TimeoutConfig::from_value(&table([(field, value_of(other))])).expect(field);
        assert_ne!(read, TimeoutConfig::new(), "{field}");
    }
}

#[test]
fn presets_fit_and_say_what_they_are_named_for() {
    assert!(TimeoutConfig::fixed(ms(1)).check().is_ok());
    assert!(TimeoutConfig::fixed(Duration::from_secs(3_600)).check().is_ok());
    for rate in [0.0001, 0.001, 0.01, 0.05, 0.5] {
        let config = TimeoutConfig::false_timeouts(rate);
        assert!(config.check().is_ok(), "{rate}");
    }
    let expected =
        TimeoutConfig::new().strategy(TimeoutStrategy::Percentile).percentile(99.9).window(10_000);
    assert_eq!(TimeoutConfig::false_timeouts(0.001), expected);
}

#[test]
#[should_panic(expected = "raise initial or lower min")]
fn what_does_not_fit_together_makes_no_timeout() {
    let _ = AdaptiveTimeout::new(TimeoutConfig::new().initial(ms(1)));
}

proptest! {
    #[test]
    fn numbers_of_any_size_are_read_or_refused(int in any::<i128>(), float in any::<f64>()) {
        const FIELDS: [&str; 6] =
            ["window", "percentile", "factor", "max_change", "adjust_every", "max_keys"];
        for field in FIELDS {
            for value in [Value::Int(int), Value::Float(float)] {
                if let Ok(config) = TimeoutConfig::from_value(&table([(field, value)])) {
                    prop_assert!(config.check().is_ok());
                }
            }
        }
    }
}

#[cfg(feature = "serde")]
#[test]
fn toml_and_json_are_read() {
    let toml = "name = \"search\"\nmin = \"20ms\"\npercentile = 99.9\nwindow = 10000";
    let expected = TimeoutConfig::new()
        .named("search")
        .bounds(ms(20), ms(30_000))
        .percentile(99.9)
        .window(10_000);
    assert_eq!(toml::from_str::<TimeoutConfig>(toml).expect("it fits"), expected);
    let json = r#"{ "min": "20ms", "colour": "red" }"#;
    let error = serde_json::from_str::<TimeoutConfig>(json).expect_err("unknown");
    assert!(error.to_string().contains("colour"), "{error}");
}
