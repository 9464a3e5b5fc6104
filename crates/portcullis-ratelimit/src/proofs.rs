//! What the map of keys owes to each of them: these have bugs put in on purpose, too.

use std::time::Duration;

use breaker_core::ManualClock;

use crate::config::RateLimit;
use crate::keyed::RateLimiters;

/// One call in a second, and one place in each part of the map.
const ONE: RateLimit = RateLimit::per_second(1).max_keys(1);

/// More keys than there are places, many of each part.
const KEYS: u32 = 1_000;

/// How many of all keys are admitted.
fn ask(limits: &RateLimiters<u32>) -> usize {
    (0..KEYS).filter(|key| limits.try_acquire(key).is_ok()).count()
}

// S-RATE-05: under more keys than there are places.
#[test]
fn nobody_is_admitted_again_by_being_pushed_out() {
    let limits = RateLimiters::with_clock(ONE, ManualClock::new());
    // As many as there are places, and one for all the others.
    assert!(ask(&limits) <= limits.len() + 1, "a bucket was reset that is owed something");
    assert_eq!(ask(&limits), 0, "a bucket was reset that is owed something");
}

// S-RATE-03, S-RATE-05
#[test]
fn what_is_given_back_late_is_not_given_to_a_stranger() {
    let clock = ManualClock::new();
    // So large that what comes back may be owed for longer than its bucket takes to fill.
    let limits = RateLimiters::with_clock(ONE.burst(10), clock.clone());
    let grant = limits.try_acquire(&KEYS).expect("it begins full");
    // Its bucket is full again, and gives way to others, who take all that they have.
    clock.advance(Duration::from_secs(1));
    let all = (0..KEYS).filter(|key| limits.try_acquire_n(key, 10).is_ok()).count();
    assert!(all > 0);
    assert!(limits.snapshot().evicted > 0, "nobody took its place");
    assert_eq!(ask(&limits), 0);
    grant.give_back();
    assert_eq!(ask(&limits), 0, "a stranger got what was given back");
}
