//! The operation `decide`: the trip rule alone.

use breaker_core::Value;
use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, FailureKind, ManualClock, Outcome, State,
};

use super::config::{entry, text, whole};
use super::fields::Fields;
use super::verdict::Mismatch;

/// Whether a circuit opens that sees so many calls, of which so many fail.
///
/// A share of the calls need not be a whole number of them: the rule is asked about ten, a
/// hundred or a thousand times as many, which it must answer alike.
pub(crate) fn decide(fields: &mut Fields<'_>) -> Result<bool, Mismatch> {
    let throughput = fields.small_count("throughput");
    let throughput = u64::from(fields.needed("throughput", throughput)?);
    let rate = fields.number("failure_rate");
    let rate = fields.needed("failure_rate", rate)?;
    let threshold = fields.number("threshold");
    let threshold = fields.needed("threshold", threshold)?;
    let min_calls = u64::from(fields.small_count("min_calls")?.unwrap_or(1));
    let is_whole = |times: &u64| {
        let failures = rate * (throughput * times) as f64;
        (failures - failures.round()).abs() < 1e-6
    };
    let times = [1, 10, 100, 1_000, 10_000].into_iter().find(is_whole);
    let wrong = || Mismatch::new("a rate of at most four decimals", rate.to_string());
    let times = times.filter(|_| (0.0..=1.0).contains(&rate)).ok_or_else(wrong)?;
    let failures = (rate * (throughput * times) as f64).round() as u64;
    let breaker = breaker(threshold, min_calls * times)?;
    // Failures last: the rate only grows, so that it has opened if and only if it does at the end.
    for _ in failures..throughput * times {
        breaker.record(Outcome::Success);
    }
    for _ in 0..failures {
        breaker.record(Outcome::Failure(FailureKind::Internal));
    }
    Ok(breaker.state() == State::Open)
}

fn breaker(threshold: f64, min_calls: u64) -> Result<CircuitBreaker, Mismatch> {
    let entries = vec![
        entry("consecutive_failures", text("off")),
        entry("failure_rate", Value::Float(threshold)),
        entry("window", text("1h")),
        entry("min_calls", whole(min_calls)),
    ];
    let config = CircuitBreakerConfig::from_value(&Value::Table(entries))
        .map_err(|errors| Mismatch::new("a rule", errors.to_string()))?;
    Ok(CircuitBreaker::with_clock_and_seed(config, ManualClock::new(), 0))
}
