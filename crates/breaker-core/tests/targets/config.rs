//! Any bytes as a configuration, in TOML and in JSON: refused with reasons, or usable.

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, FailureKind, ManualClock, Outcome, Value,
};
use std::time::Duration;

/// Whether anything could be read in them.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let toml = toml::from_str::<Value>(text).ok();
    if let Some(value) = &toml {
        let told = toml::from_str::<CircuitBreakerConfig>(text).map_err(|error| error.to_string());
        judge(value, told);
    }
    let json = serde_json::from_str::<Value>(text).ok();
    if let Some(value) = &json {
        let told =
            serde_json::from_str::<CircuitBreakerConfig>(text).map_err(|error| error.to_string());
        judge(value, told);
    }
    toml.is_some() || json.is_some()
}

/// `told` is what came of it by way of serde.
fn judge(value: &Value, told: Result<CircuitBreakerConfig, String>) {
    match (CircuitBreakerConfig::from_value(value), told) {
        (Ok(config), Ok(same)) => {
            assert_eq!(config, same, "two ways to read it differ");
            used(&config);
        }
        (Err(errors), Err(text)) => {
            assert!(errors.iter().count() > 0, "refused without a reason");
            for error in &errors {
                let told = [&error.value, &error.allowed, &error.fix];
                assert!(told.iter().all(|part| !part.is_empty()), "half a reason: {error:?}");
                assert!(text.contains(&error.to_string()), "{error} is not in: {text}");
            }
            let again = CircuitBreakerConfig::from_value(value);
            assert_eq!(again, Err(errors), "the second time it is something else");
        }
        (ours, told) => panic!("{ours:?} is {told:?} by way of serde"),
    }
}

/// A circuit of this configuration goes through all states.
fn used(config: &CircuitBreakerConfig) {
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::with_clock_and_seed(*config, clock.clone(), 1);
    for round in 0..4 {
        for outcome in [Outcome::Failure(FailureKind::Timeout), Outcome::Success] {
            if let Ok(permit) = breaker.try_acquire() {
                permit.record(outcome);
            }
        }
        let _ = if round % 2 == 0 { breaker.trip() } else { breaker.attempt_reset() };
        assert!(!breaker.explain().is_empty());
        clock.advance(Duration::from_secs(1));
    }
}
