//! What a limit weighs, what a call costs the allocator, and how often it reads the clock.

use std::future::Ready;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use portcullis_ratelimit::breaker_core::{Clock, ErrorsAreFailures, ManualClock, Tick};
use portcullis_ratelimit::limiter::Algorithm;
use portcullis_ratelimit::portcullis_http::{AsRefused, key::KeyText};
use portcullis_ratelimit::{RateLimit, RateLimiter, RateLimiters, ResponseFuture};

/// What a response future may weigh beyond the one that it wraps.
const FUTURE: usize = 40;

/// What each of 100,000 keys of a text may hold, its share of the map included.
const KEY: i64 = 300;

const KEYS: u32 = 100_000;

/// One test at a time: memory that one frees may be taken by another.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that counts how often it is read.
#[derive(Clone, Default)]
struct CountingClock {
    hands: ManualClock,
    reads: Arc<AtomicU64>,
}

impl Clock for CountingClock {
    fn now(&self) -> Tick {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.hands.now()
    }
}

fn key(number: u32) -> KeyText {
    KeyText::new(&format!("client-{number}")).expect("it is short")
}

// S-ADV-08
#[test]
fn the_response_future_is_little_larger_than_the_one_inside() {
    type Inner = Ready<Result<[u64; 4], u64>>;
    type Outer = ResponseFuture<Inner, ErrorsAreFailures, AsRefused, [u64; 4], u64>;
    let added = size_of::<Outer>() - size_of::<Inner>();
    println!("response future: {added} B over the inner one");
    assert!(added <= FUTURE, "{added} B");
}

// S-RATE-10, S-ADV-08: bytes per key.
#[test]
fn a_hundred_thousand_keys_stay_small() {
    let _alone = alone();
    let mut limits = None;
    let config = RateLimit::per_second(100).max_keys(2 * KEYS);
    let AllocationInfo { bytes_current, .. } = measure(|| {
        let made = RateLimiters::with_clock(config, ManualClock::new());
        (0..KEYS).for_each(|number| drop(black_box(made.try_acquire(&key(number)))));
        limits = Some(made);
    });
    assert_eq!(limits.map(|limits| limits.len()), Some(KEYS as usize));
    let each = bytes_current / i64::from(KEYS);
    println!("100,000 keys: {each} B each, map included");
    assert!(each <= KEY, "{each} B");
}

// S-RATE-10, T1: constant memory, whatever keys come.
#[test]
fn millions_of_decisions_about_strangers_take_no_more_memory() {
    let _alone = alone();
    let rounds = if std::env::var_os("PORTCULLIS_DEEP").is_some() { 100 } else { 10 };
    for algorithm in [Algorithm::TokenBucket, Algorithm::SlidingLog, Algorithm::Adaptive] {
        let clock = ManualClock::new();
        let config = RateLimit::per_second(2).algorithm(algorithm).max_keys(KEYS).burst(2);
        let limits = RateLimiters::with_clock(config, clock.clone());
        let mut number = 0_u64;
        let mut flood = |limits: &RateLimiters<u64>| {
            for _ in 0..KEYS {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                drop(black_box(limits.try_acquire(&number)));
                clock.advance(Duration::from_micros(10));
            }
        };
        (0..3).for_each(|_| flood(&limits));
        let info = measure(|| (0..rounds).for_each(|_| flood(&limits)));
        println!("{algorithm:?}: {} B more after {rounds} x {KEYS} decisions", info.bytes_current);
        assert!(info.bytes_current <= 64 * 1_024, "{algorithm:?}: {} B", info.bytes_current);
        assert!(limits.len() <= KEYS as usize + 64);
    }
}

/// Allocations and clock reads of a thousand calls.
fn cost(clock: &CountingClock, mut call: impl FnMut()) -> (u64, u64) {
    let _alone = alone();
    call();
    let before = clock.reads.load(Ordering::Relaxed);
    let info = measure(|| (0..1_000).for_each(|_| call()));
    (info.count_total, clock.reads.load(Ordering::Relaxed) - before)
}

// S-ADV-08
#[test]
fn a_call_allocates_nothing_and_reads_the_clock_once_at_most() {
    let clock = CountingClock::default();
    for algorithm in [
        Algorithm::TokenBucket,
        Algorithm::LeakyBucket,
        Algorithm::FixedWindow,
        Algorithm::SlidingCounter,
        Algorithm::Adaptive,
    ] {
        let config = RateLimit::per_second(2_000).burst(2_000).algorithm(algorithm);
        let limit = RateLimiter::with_clock(config, clock.clone());
        assert_eq!(cost(&clock, || drop(limit.try_acquire())), (0, 1_000), "{algorithm:?}");
        let _ = limit.try_acquire_n(limit.quota().remaining());
        assert_eq!(cost(&clock, || drop(limit.try_acquire())), (0, 1_000), "{algorithm:?}");
        let limits = RateLimiters::with_clock(config, clock.clone());
        let keys = [0, 1].map(key);
        let keyed = || drop(limits.try_acquire(&keys[0]));
        assert_eq!(cost(&clock, keyed), (0, 1_000), "{algorithm:?}");
        let _ = limits.try_acquire_n(&keys[1], limits.quota(&keys[1]).remaining());
        let refused = || drop(limits.try_acquire(&keys[1]));
        assert_eq!(cost(&clock, refused), (0, 1_000), "{algorithm:?}");
    }
}

// S-ADV-08: where the bucket is large, calls are lent in advance.
#[test]
fn a_large_bucket_seldom_reads_the_clock() {
    let clock = CountingClock::default();
    let limit = RateLimiter::with_clock(RateLimit::per_second(1_000_000), clock.clone());
    let (allocations, reads) = cost(&clock, || drop(limit.try_acquire()));
    assert_eq!(allocations, 0);
    assert!(reads <= 1, "{reads} reads in 1,000 calls");
}
