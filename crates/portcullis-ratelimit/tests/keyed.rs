//! One limit per key, on a clock that is moved by hand.

use std::collections::HashMap;
use std::time::Duration;

use breaker_core::{ManualClock, Reason, Tick};
use portcullis_ratelimit::limiter::Algorithm;
use portcullis_ratelimit::{Grant, Rate, RateLimit, RateLimiters};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

const SECOND: Duration = Duration::from_secs(1);
const FIVE: RateLimit = RateLimit::per_second(5);

fn limits<K: Clone + Eq + std::hash::Hash + Send + Sync + 'static>(
    config: RateLimit,
) -> (RateLimiters<K>, ManualClock) {
    let clock = ManualClock::new();
    (RateLimiters::with_clock(config, clock.clone()), clock)
}

fn admitted<K: Clone + Eq + std::hash::Hash + Send + Sync + 'static>(
    limits: &RateLimiters<K>,
    key: &K,
    calls: u32,
) -> u32 {
    (0..calls).filter(|_| limits.try_acquire(key).is_ok()).count() as u32
}

// S-RATE-10
#[test]
fn each_key_has_its_own_quota() {
    let (limits, clock) = limits(FIVE);
    assert_eq!((admitted(&limits, &"a", 9), admitted(&limits, &"b", 9)), (5, 5));
    clock.advance(SECOND / 5);
    assert_eq!(admitted(&limits, &"a", 9), 1);
    assert_eq!((limits.len(), limits.quota(&"b").remaining()), (2, 1));
    assert_eq!((limits.quota(&"new").remaining(), limits.len()), (5, 2), "asking makes none");
}

// S-RATE-10, T1: a flood of keys resets nobody's limit, and the map stays as large as it may be.
#[test]
fn whoever_is_limited_before_a_flood_is_limited_after_it() {
    for algorithm in [Algorithm::TokenBucket, Algorithm::SlidingLog, Algorithm::Adaptive] {
        let config = FIVE.algorithm(algorithm).burst(5).max_keys(640);
        let (limits, clock) = limits(config);
        assert_eq!(admitted(&limits, &0_u64, 9), 5);
        for key in 1..100_000 {
            let _ = limits.try_acquire(&key);
        }
        assert!(limits.len() <= 640, "{}", limits.len());
        assert_eq!(admitted(&limits, &0, 9), 0, "{algorithm:?}");
        // Within the overflow bucket, too, there are five and no more.
        assert_eq!((100_000..200_000).map(|key| admitted(&limits, &key, 1)).sum::<u32>(), 0);
        clock.advance(60 * SECOND);
        assert_eq!(admitted(&limits, &200_000, 9), 5, "{algorithm:?}: there is room again");
        assert!(limits.snapshot().evicted > 0);
        assert!(limits.len() <= 640);
    }
}

// S-RATE-10: the one that was idle longest goes first, if it is full again.
#[test]
fn who_was_idle_longest_makes_room_and_loses_nothing() {
    let (limits, clock) = limits(FIVE.max_keys(1));
    // One place in each part of the map.
    for key in 0..10_000_u32 {
        let _ = limits.try_acquire(&key);
    }
    let before = limits.len();
    assert_eq!(before, 64);
    clock.advance(SECOND);
    assert_eq!(admitted(&limits, &77_777, 9), 5);
    assert_eq!((limits.len(), limits.snapshot().evicted), (64, 1));
}

// S-RATE-10: those whose quota is used up do not block the place of those who could go.
#[test]
fn eight_debtors_at_the_end_of_the_line_are_no_wall() {
    let config = RateLimit::per_second(1).burst(1_000).max_keys(64 * 32);
    let (limits, clock) = limits(config);
    for key in 0..2_000_u32 {
        let _ = limits.try_acquire_n(&key, 1_000);
    }
    let debtors = limits.len();
    clock.advance(SECOND);
    for key in 2_000..10_000_u32 {
        let _ = limits.try_acquire(&key);
    }
    assert_eq!(limits.len(), 64 * 32, "the rest of the map is full of small ones");
    clock.advance(2 * SECOND);
    let evicted = limits.snapshot().evicted;
    for key in 10_000..40_000_u32 {
        let _ = limits.try_acquire(&key);
    }
    assert!(limits.snapshot().evicted - evicted >= 8, "{debtors} debtors");
    assert_eq!(admitted(&limits, &0, 9), 3, "and no debt was forgotten");
}

// S-RATE-10: idle keys go by themselves.
#[test]
fn keys_that_are_idle_for_a_minute_make_room_by_themselves() {
    let (limits, clock) = limits(FIVE);
    for key in 0..1_000_u32 {
        let _ = limits.try_acquire(&key);
    }
    clock.advance(60 * SECOND);
    for key in 1_000..2_000_u32 {
        let _ = limits.try_acquire(&key);
    }
    assert!(limits.len() < 1_100, "{}", limits.len());
}

// S-RATE-10
#[test]
fn a_key_may_have_a_limit_of_its_own() {
    let (limits, clock) = limits(FIVE);
    assert_eq!(admitted(&limits, &"gold", 3), 3);
    limits.override_for(&"gold", RateLimit::per_second(50)).expect("a good limit");
    assert_eq!(admitted(&limits, &"gold", 90), 47, "what was taken stays taken");
    assert_eq!(admitted(&limits, &"silver", 90), 5);
    clock.advance(SECOND);
    assert_eq!(admitted(&limits, &"gold", 90), 50);
    limits.change_rate(Rate::per_second(1)).expect("a good rate");
    clock.advance(SECOND);
    assert_eq!((admitted(&limits, &"gold", 90), admitted(&limits, &"silver", 90)), (50, 5));
    clock.advance(60 * SECOND);
    (0..1_000).for_each(|_| drop(limits.try_acquire(&"bronze")));
    assert_eq!(limits.quota(&"gold").limit(), 50, "also where it was idle");
    limits.end_override(&"gold");
    assert_eq!(admitted(&limits, &"gold", 90), 5);
    assert!(limits.override_for(&"tin", RateLimit::new().burst(1_000)).is_err());
}

// S-ADV-02
#[test]
fn what_is_given_back_goes_to_the_key_that_took_it_and_to_no_other() {
    let (limits, clock) = limits(FIVE.max_keys(1));
    let grants: Vec<Grant> =
        (0..2_000_u32).filter_map(|key| limits.try_acquire_n(&key, 5).ok()).collect();
    assert_eq!(grants.len(), 65, "64 places and the overflow");
    clock.advance(60 * SECOND);
    for key in 2_000..4_000_u32 {
        let _ = limits.try_acquire_n(&key, 5);
    }
    grants.into_iter().for_each(Grant::give_back);
    let again = (2_000..4_000_u32).filter(|key| limits.try_acquire(key).is_ok()).count();
    assert!(again <= 5, "the places belong to others by now: {again}");
}

#[test]
fn a_change_reaches_every_key_at_once() {
    let (limits, clock) = limits(FIVE);
    for key in 0..100_u32 {
        assert_eq!(admitted(&limits, &key, 9), 5);
    }
    limits.reconfigure(RateLimit::per_second(10).algorithm(Algorithm::FixedWindow)).expect("good");
    assert_eq!((0..100).map(|key| admitted(&limits, &key, 9)).sum::<u32>(), 500);
    clock.advance(SECOND);
    assert_eq!((0..100).map(|key| admitted(&limits, &key, 20)).sum::<u32>(), 1_000);
}

// S-RATE-10: what a request may cost holds for the shared buckets as well.
#[test]
fn a_cost_above_the_burst_is_refused_without_a_time() {
    let (limits, _) = limits::<u8>(FIVE);
    for key in [6, 7] {
        let never = limits.try_acquire_n(&key, 6).expect_err("more than five");
        assert_eq!((never.reason(), never.retry_after()), (Reason::CostTooHigh, None));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Call { key: u8, cost: u32 },
    Wait { millis: u64 },
    GiveBack,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<u8>(), 1_u32..4).prop_map(|(key, cost)| Step::Call { key, cost }),
        2 => (0_u64..400).prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::GiveBack),
    ]
}

/// What a key was admitted, less what it gave back, by time.
type Book = HashMap<u8, Vec<(u64, i64)>>;

/// The most that was admitted in any time, less what the rate gives in it.
fn worst_burst(entries: &[(u64, i64)], per_second: f64) -> f64 {
    let mut worst = 0.0_f64;
    for (first, &(from, _)) in entries.iter().enumerate() {
        let mut sum = 0;
        for &(to, cost) in &entries[first..] {
            sum += cost;
            worst = worst.max(sum as f64 - per_second * (to - from) as f64 / 1e3);
        }
    }
    worst
}

proptest! {
    // S-RATE-10: however keys come and go in a map that is too small for them, none is admitted more
    // than its burst and its rate.
    #[test]
    fn no_key_exceeds_its_quota(
        steps in proptest::collection::vec(step(), 1..400), keys in 1_u32..300,
    ) {
        let (limits, clock) = limits(FIVE.max_keys(keys));
        let (mut book, mut now, mut last) = (Book::new(), 0, None);
        for step in steps {
            match step {
                Step::Wait { millis } => {
                    now += millis;
                    clock.set(Tick::from_millis(now));
                }
                Step::Call { key, cost } => {
                    if let Ok(grant) = limits.try_acquire_n(&key, cost) {
                        book.entry(key).or_default().push((now, cost.into()));
                        last = Some((key, grant));
                    }
                }
                Step::GiveBack => {
                    if let Some((key, grant)) = last.take() {
                        book.entry(key).or_default().push((now, -i64::from(grant.cost())));
                        grant.give_back();
                    }
                }
            }
        }
        for (key, entries) in book {
            // A key may have had its own bucket and then the shared one.
            assert!(worst_burst(&entries, 10.0) <= 10.0, "{key}: {entries:?}");
        }
    }
}
