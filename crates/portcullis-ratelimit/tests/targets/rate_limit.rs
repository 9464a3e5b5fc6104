//! Any bytes as the configuration of a limit, in TOML and in JSON: refused with reasons, or usable.

use std::time::Duration;

use breaker_core::{FailureKind, ManualClock, Outcome, Value};
use portcullis_ratelimit::{RateLimit, RateLimiter, RateLimiters, Usage};

/// Whether anything could be read in them.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let values = [toml::from_str::<Value>(text).ok(), serde_json::from_str::<Value>(text).ok()];
    let read = values.iter().flatten();
    read.map(judge).count() > 0
}

fn judge(value: &Value) {
    match RateLimit::from_value(value) {
        Ok(config) => {
            assert_eq!(config.check(), Ok(()), "what was read is refused later");
            used(config);
            used_by_key(config);
        }
        Err(errors) => {
            assert!(errors.iter().count() > 0, "refused without a reason");
            for error in &errors {
                let told = [&error.value, &error.allowed, &error.fix];
                assert!(told.iter().all(|part| !part.is_empty()), "half a reason: {error:?}");
            }
        }
    }
}

/// Calls of all sizes, over long and short times, with another configuration in between.
fn used(config: RateLimit) {
    let clock = ManualClock::new();
    let limit = RateLimiter::with_probe(config, clock.clone(), Usage::new);
    limit.try_acquire().expect("it begins full").record(Outcome::Success);
    for (round, wait) in
        [0, 1, 1_000_000, 1_000_000_000, 86_400_000_000_000].into_iter().enumerate()
    {
        clock.advance(Duration::from_nanos(wait));
        for cost in [0, 1, 2, 1_000, u32::MAX] {
            match limit.try_acquire_n(cost) {
                Ok(grant) if cost == 2 => grant.give_back(),
                Ok(grant) => grant.record(Outcome::Failure(FailureKind::Timeout)),
                Err(rejected) => assert!(!rejected.to_string().is_empty()),
            }
        }
        let other = if round % 2 == 0 { RateLimit::new() } else { config };
        limit.reconfigure(other).expect("both were checked");
        assert!(!limit.explain().is_empty());
    }
}

fn used_by_key(config: RateLimit) {
    let clock = ManualClock::new();
    let limits = RateLimiters::with_probe(config, clock.clone(), Usage::new);
    for key in 0..100_u8 {
        if let Ok(grant) = limits.try_acquire(&key) {
            grant.give_back();
        }
        clock.advance(Duration::from_millis(1));
    }
    limits.override_for(&1, RateLimit::per_second(1)).expect("a limit");
    assert!(limits.quota(&1).remaining() <= 1 && !limits.explain().is_empty());
}
