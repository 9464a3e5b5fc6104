//! What a circuit weighs: as a future, alone, by the hundred thousand, and after millions of others.
//!
//! The figures that are asserted can only shrink: who makes them smaller writes the new one down.

use std::future::Ready;
use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};

use allocation_counter::{AllocationInfo, measure};
use portcullis_breaker::breaker_core::{
    CircuitBreakers, ErrorsAreFailures, FailureKind, ManualClock, Percent, Trip, Window,
};
use portcullis_breaker::{CircuitBreaker, CircuitBreakerConfig, ResponseFuture};

/// What a response future may weigh beyond the one that it wraps.
const FUTURE: usize = 40;

/// What one breaker may hold on the heap, its window included.
const BREAKER: i64 = 1_300;

/// What each of 100,000 keys may hold, its share of the map included.
const KEY: i64 = 300;

const CONFIG: CircuitBreakerConfig =
    CircuitBreakerConfig::new().trip(Trip::failure_rate(Percent::new(50), Window::last(128)));

/// One test at a time: memory that one frees may be taken by another.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `make` leaves on the heap, and what it made.
fn live<T>(make: impl FnOnce() -> T) -> (i64, T) {
    let mut made = None;
    let AllocationInfo { bytes_current, .. } = measure(|| made = Some(make()));
    (bytes_current, made.expect("it was made"))
}

/// S-ADV-08: bytes per call.
#[test]
fn the_response_future_is_little_larger_than_the_one_inside() {
    type Inner = Ready<Result<[u64; 4], u64>>;
    type Outer = ResponseFuture<Inner, ErrorsAreFailures, [u64; 4], u64>;
    let added = size_of::<Outer>() - size_of::<Inner>();
    println!("response future: {added} B over the inner one");
    assert!(added <= FUTURE, "{added} B");
}

/// S-ADV-08: bytes per circuit.
#[test]
fn a_breaker_and_its_window_have_a_fixed_size() {
    let _alone = alone();
    let configs = [CircuitBreakerConfig::new(), CONFIG];
    // A thread has a table for its notes, whatever the number of breakers.
    CircuitBreaker::new(CONFIG).try_acquire().expect("closed").success();
    for config in configs {
        // A thousand at once: where memory is taken in pieces, a single one says nothing.
        let (fresh, breakers) = live(|| {
            let made = (0..1_000).map(|_| CircuitBreaker::with_clock(config, ManualClock::new()));
            made.collect::<Vec<_>>()
        });
        let (grown, ()) = live(|| {
            for (breaker, number) in breakers.iter().flat_map(|b| (0..1_000).map(move |n| (b, n))) {
                let permit = breaker.try_acquire().expect("closed");
                if number % 10 == 0 {
                    permit.failure(FailureKind::Internal);
                } else {
                    permit.success();
                }
            }
        });
        println!(
            "one breaker: {} B fresh, {} B after 1,000 calls",
            fresh / 1_000,
            (fresh + grown) / 1_000
        );
        assert!(fresh / 1_000 <= BREAKER, "{} B fresh", fresh / 1_000);
        assert!(grown <= 0, "1,000 calls added {grown} B to 1,000 breakers");
    }
}

/// S-ADV-08: bytes per key.
#[test]
fn a_hundred_thousand_keys_stay_small() {
    let _alone = alone();
    const KEYS: u32 = 100_000;
    let (bytes, circuits) = live(|| {
        let config = CircuitBreakerConfig::new();
        let circuits = CircuitBreakers::with_capacity(config, KEYS as usize * 2);
        (0..KEYS).for_each(|key| drop(black_box(circuits.get(&key))));
        circuits
    });
    assert_eq!(circuits.len(), KEYS as usize);
    let each = bytes / i64::from(KEYS);
    println!("100,000 keyed breakers: {each} B each, map included");
    assert!(each <= KEY, "{each} B");
}

/// S-ADV-08: no bytes for circuits that have ended.
#[test]
fn breakers_that_are_made_and_dropped_leave_nothing_behind() {
    let _alone = alone();
    let rounds = if std::env::var_os("PORTCULLIS_DEEP").is_some() { 10_000_000 } else { 1_000_000 };
    let clock = ManualClock::new();
    let churn = |count: u32| {
        for _ in 0..count {
            drop(black_box(CircuitBreaker::with_clock_and_seed(CONFIG, clock.clone(), 1)));
        }
    };
    // What is kept for the next ones is there after the first few.
    churn(1_000);
    let info = measure(|| churn(rounds));
    println!("{rounds} breakers: {} B more, {} B at the most", info.bytes_current, info.bytes_max);
    assert!(info.bytes_current <= 0, "{} B are left", info.bytes_current);
    assert!(info.bytes_max <= 2 * BREAKER.unsigned_abs(), "{} B at once", info.bytes_max);
}
