//! Configurations from files, and what is wrong with them.

use std::time::Duration;

use breaker_core::Value;
use portcullis_ratelimit::limiter::Algorithm;
use portcullis_ratelimit::{Adjust, Rate, RateLimit, RateLimiter, Throttle};
use proptest::prelude::{Strategy, any, prop_oneof, proptest};

fn int(number: i128) -> Value {
    Value::Int(number)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn table(fields: &[(&str, Value)]) -> Value {
    Value::Table(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

// S-RATE-01
#[test]
fn a_table_without_fields_is_the_default() {
    assert_eq!(RateLimit::from_value(&Value::Null), Ok(RateLimit::new()));
    assert_eq!(RateLimit::default(), RateLimit::new());
}

// S-RATE-01
#[cfg(feature = "serde")]
#[test]
fn every_field_is_read_from_a_file() {
    let file = r#"
        name = "per-client"
        algorithm = "token_bucket"
        rate = 50
        burst = 20
        window = "10s"
        adjust = true
        min_rate = 5
        max_rate = 500.5
        scale = 2.0
        cooldown = "30s"
        error_high = 0.2
        error_low = 0.05
        min_samples = 7
        usage_limit = 0.9
        max_wait = "250ms"
        max_waiters = 10
        max_keys = 640
        log_max = 77
    "#;
    let adjust = Adjust::new()
        .min_rate(Rate::per_second(5))
        .max_rate(Rate::from_per_second(500.5).expect("a rate"))
        .scale(2.0)
        .cooldown(Duration::from_secs(30))
        .error_high(breaker_core::Percent::new(20))
        .error_low(breaker_core::Percent::new(5))
        .min_samples(7);
    let expected = RateLimit::per_second(50)
        .named("per-client")
        .burst(20)
        .window(Duration::from_secs(10))
        .adjust(adjust)
        .throttle(Throttle::new().usage_limit(breaker_core::Percent::new(90)))
        .max_wait(Duration::from_millis(250))
        .max_waiters(10)
        .max_keys(640)
        .log_max(77);
    assert_eq!(toml::from_str::<RateLimit>(file), Ok(expected));
    let json = serde_json::json!({ "algorithm": "fixed_window", "rate": 0.5, "adjust": false });
    let read = serde_json::from_value::<RateLimit>(json).expect("a good table");
    let slow = Rate::new(1, Duration::from_secs(2));
    let window = RateLimit::new().steady().algorithm(Algorithm::FixedWindow).rate(slow);
    assert_eq!(read, window);
}

// S-RATE-01: zero and absurd values, each with its field, the range and the fix.
#[test]
fn everything_that_is_wrong_is_named() {
    for (field, value, said) in [
        ("rate", int(0), "rate = 0: must be a number in 0.001..=1000000000.0"),
        ("rate", Value::Float(f64::NAN), "rate = NaN: must be a number"),
        ("rate", Value::Float(-1.0), "rate = -1.0: must be"),
        ("rate", Value::Float(1.1e9), "must be a number in"),
        ("burst", int(0), "burst = 0: must be a whole number in 1..=1000000000"),
        ("burst", int(2_000_000_000), "must be a whole number in 1..=1000000000"),
        ("burst", int(1_000), "burst = 1000: must be at most 100, the calls of a window of 1s"),
        ("window", text("0s"), "window = \"0s\": must be a duration in 1ms..=86400s"),
        ("window", text("2d"), "must be a duration in 1ms..=86400s"),
        ("algorithm", text("tocken_bucket"), "must be one of token_bucket, leaky_bucket"),
        ("min_rate", int(200), "rate = 100/s: must be at least min_rate, which is 200/s"),
        ("max_rate", int(50), "rate = 100/s: must be at most max_rate"),
        ("scale", int(1), "scale = 1: must be a number in 1.001..=10.0"),
        ("cooldown", text("0s"), "cooldown = \"0s\": must be a duration"),
        ("error_high", Value::Float(0.005), "error_low = 1 %: must be below error_high"),
        ("error_high", int(50), "did you mean 0.5?"),
        ("min_samples", int(0), "min_samples = 0: must be a whole number"),
        ("usage_limit", int(1), "usage_limit = 1: must be a fraction in 0..1"),
        ("max_wait", text("2h"), "max_wait = \"2h\": must be a duration in 0ns..=3600s"),
        ("max_waiters", int(0), "max_waiters = 0: must be"),
        ("max_keys", int(0), "max_keys = 0: must be"),
        ("log_max", int(0), "log_max = 0: must be"),
        ("bursts", int(5), "bursts = 5: must be a known field; did you mean `burst`?"),
    ] {
        let errors = RateLimit::from_value(&table(&[(field, value)])).expect_err(field).to_string();
        assert!(errors.contains(said), "{errors}\nwithout {said:?}");
    }
}

// S-RATE-04: a log of more stamps than it may keep is refused in favour of the counter.
#[test]
fn a_log_of_too_many_stamps_is_refused() {
    let log = RateLimit::sliding_log(10_000, Duration::from_secs(60));
    assert!(log.check().is_ok());
    let errors = log.log_max(9_999).check().expect_err("a stamp too many").to_string();
    assert!(errors.contains("take sliding_counter, which needs no stamps"), "{errors}");
}

// S-RATE-01
#[test]
fn a_bucket_that_takes_more_than_a_year_to_fill_is_refused() {
    let slow = RateLimit::per_second(1).rate(Rate::new(1, Duration::from_secs(1_000)));
    assert!(slow.burst(31_622).check().is_ok());
    let errors = slow.burst(31_623).check().expect_err("a year and more").to_string();
    assert!(errors.contains("burst = 31623: must be at most 31622"), "{errors}");
}

// S-RATE-01: all problems at once.
#[test]
fn all_problems_are_named_at_once() {
    let wrong = table(&[("rate", int(0)), ("burst", int(0)), ("hello", int(1))]);
    let errors = RateLimit::from_value(&wrong).expect_err("three problems");
    let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["rate", "burst", "hello"]);
}

#[cfg(feature = "governor")]
#[test]
fn a_rate_that_moves_or_has_fractions_is_no_gcra() {
    let gcra = RateLimit::per_second(100).algorithm(Algorithm::Gcra);
    assert!(gcra.check().is_ok());
    for (wrong, field) in [
        (gcra.adjust(Adjust::new()), "algorithm = gcra"),
        (gcra.throttle(Throttle::new()), "algorithm = gcra"),
        (gcra.rate(Rate::per_second(3)), "rate = 3/s"),
    ] {
        let errors = wrong.check().expect_err(field).to_string();
        assert!(errors.contains(field), "{errors}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Int(number.into())),
        (0_i128..2_000).prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        (0.0..1_000.0).prop_map(Value::Float),
        "[0-9]{1,3}(ms|s|m|h|d)|adaptive|fixed_window|sliding_log|token_bucket"
            .prop_map(Value::Text),
    ]
}

proptest! {
    // S-RATE-01: whatever stands in a file, it is refused or it works.
    #[test]
    fn a_configuration_is_refused_or_works(
        fields in proptest::collection::vec((
            proptest::sample::select(vec![
                "algorithm", "rate", "burst", "window", "adjust", "min_rate", "max_rate", "scale",
                "cooldown", "error_high", "error_low", "min_samples", "usage_limit", "max_wait",
                "max_waiters", "max_keys", "log_max",
            ]),
            value(),
        ), 0..6),
    ) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.clone())).collect();
        if let Ok(config) = RateLimit::from_value(&table(&fields)) {
            let limit = RateLimiter::with_clock(config, breaker_core::ManualClock::new());
            assert!(limit.try_acquire().is_ok());
            assert!(limit.quota().remaining() < u32::MAX);
        }
    }
}
