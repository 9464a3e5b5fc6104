//! Calls that wait for their turn, under tokio's paused time.
#![cfg(feature = "tokio")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use breaker_core::{Clock, Reason, TokioClock};
use portcullis_ratelimit::limiter::Algorithm;
use portcullis_ratelimit::{Acquire, Rate, RateLimit, RateLimiter, RateLimiters};
use tokio::time::advance;

const TEN: RateLimit = RateLimit::per_second(10).burst(1).max_wait(Duration::from_millis(500));

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn empty(config: RateLimit) -> RateLimiter {
    let limit = RateLimiter::with_clock(config, TokioClock::new());
    let _ = limit.try_acquire_n(config_burst(&limit)).expect("it begins full");
    limit
}

fn config_burst(limit: &RateLimiter) -> u32 {
    limit.quota().remaining()
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll(acquire: &mut Acquire, count: &Arc<Count>) -> Poll<bool> {
    let waker = Waker::from(count.clone());
    let polled = Pin::new(acquire).poll(&mut Context::from_waker(&waker));
    polled.map(|decision| decision.is_ok())
}

// S-RATE-11
#[tokio::test(start_paused = true)]
async fn five_wait_a_tenth_of_a_second_each_and_the_sixth_is_refused() {
    let clock = TokioClock::new();
    let limit = empty(TEN);
    let start = clock.now();
    let mut tasks = Vec::new();
    for number in 1..=6 {
        let turn = limit.acquire(1);
        tasks.push(tokio::spawn(async move { (number, turn.await.err(), clock.now()) }));
    }
    for task in tasks {
        let (number, refused, at) = task.await.expect("no panic");
        let waited = at.since(start);
        if number <= 5 {
            assert_eq!((refused, waited), (None, ms(100 * number)), "{number}");
        } else {
            let refused = refused.expect("half a second is the most");
            assert_eq!((refused.reason(), waited), (Reason::RateLimited, Duration::ZERO));
            assert_eq!(refused.retry_after(), Some(ms(600)));
        }
    }
    assert_eq!(limit.snapshot().waiters, 0);
}

// S-RATE-11
#[tokio::test(start_paused = true)]
async fn the_third_moves_up_when_the_second_gives_up() {
    let clock = TokioClock::new();
    let limit = empty(TEN);
    let start = clock.now();
    let (first, second, third) = (limit.acquire(1), limit.acquire(1), limit.acquire(1));
    assert_eq!(limit.snapshot().waiters, 3);
    drop(second);
    assert_eq!(limit.snapshot().waiters, 2);
    assert!(first.await.is_ok());
    assert!(third.await.is_ok());
    assert_eq!(clock.now().since(start), ms(200));
}

// S-RATE-11: whoever would have to wait too long behind the others may wait once one has gone.
#[tokio::test(start_paused = true)]
async fn a_place_that_is_given_up_is_free_for_the_next() {
    let limit = empty(TEN);
    let mut line: Vec<_> = (0..5).map(|_| limit.acquire(1)).collect();
    assert!(limit.acquire(1).await.is_err());
    drop(line.remove(0));
    line.push(limit.acquire(1));
    for turn in line {
        assert!(turn.await.is_ok());
    }
}

// S-RATE-11: FIFO, also against those who do not wait.
#[tokio::test(start_paused = true)]
async fn nobody_overtakes_those_who_wait() {
    let limit = empty(TEN);
    let turn = limit.acquire(1);
    advance(ms(100)).await;
    assert!(limit.try_acquire().is_err(), "the token belongs to the one who waits");
    assert!(turn.await.is_ok());
    advance(ms(100)).await;
    assert!(limit.try_acquire().is_ok());
}

// S-RATE-11: n who wait cost O(n) polls.
#[tokio::test(start_paused = true)]
async fn each_of_a_thousand_is_woken_twice_at_most() {
    const CALLS: u32 = 1_000;
    let config = RateLimit::per_second(100).burst(1).max_wait(Duration::from_secs(60));
    let limit = empty(config);
    let mut line: Vec<_> =
        (0..CALLS).map(|_| (limit.acquire(1), Arc::new(Count::default()), false)).collect();
    for (turn, count, _) in &mut line {
        assert!(poll(turn, count).is_pending());
    }
    let mut polls = CALLS;
    for _ in 0..2 * CALLS {
        advance(ms(10)).await;
        tokio::task::yield_now().await;
        for (turn, count, done) in &mut line {
            // As a runtime does it: whoever is woken is polled.
            while !*done && count.0.swap(0, Ordering::Relaxed) > 0 {
                polls += 1;
                *done = poll(turn, count).is_ready();
            }
        }
    }
    assert!(line.iter().all(|(_, _, done)| *done), "somebody was not woken");
    assert!(polls <= 3 * CALLS, "{polls} polls");
}

// S-RATE-11
#[tokio::test(start_paused = true)]
async fn so_many_may_wait_and_no_more() {
    let limits = RateLimiters::<u32>::with_clock(TEN.max_waiters(2), TokioClock::new());
    for key in 0..3 {
        let _ = limits.try_acquire(&key).expect("it begins full");
    }
    let (one, two) = (limits.acquire(&0, 1), limits.acquire(&1, 1));
    let third = limits.acquire(&2, 1).await.expect_err("two wait already");
    assert_eq!(third.retry_after(), Some(ms(100)));
    drop(one);
    assert!(limits.acquire(&2, 1).await.is_ok());
    assert!(two.await.is_ok());
    assert_eq!(limits.snapshot().waiters, 0);
}

// S-RATE-11: an admission that nobody fetches is given back.
#[tokio::test(start_paused = true)]
async fn a_turn_that_is_dropped_before_it_is_polled_costs_nothing() {
    let limit = RateLimiter::with_clock(TEN, TokioClock::new());
    drop(limit.acquire(1));
    assert_eq!(limit.quota().remaining(), 1);
    assert!(limit.acquire(1).await.is_ok());
}

// S-RATE-11: the first in the line hears of a faster rate, and of what is given back.
#[tokio::test(start_paused = true)]
async fn a_faster_rate_and_a_token_given_back_shorten_the_wait() {
    let clock = TokioClock::new();
    let limit = RateLimiter::with_clock(TEN, clock);
    let grant = limit.try_acquire().expect("it begins full");
    let start = clock.now();
    let turn = tokio::spawn(limit.acquire(1));
    tokio::task::yield_now().await;
    grant.give_back();
    assert!(turn.await.expect("no panic").is_ok());
    assert_eq!(clock.now().since(start), Duration::ZERO);

    let turn = tokio::spawn(limit.acquire(1));
    tokio::task::yield_now().await;
    limit.change_rate(Rate::per_second(100)).expect("a good rate");
    assert!(turn.await.expect("no panic").is_ok());
    assert_eq!(clock.now().since(start), ms(10));
}

// S-RATE-11: whoever has waited as long as he may is refused, also where the rate has fallen.
#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_he_may() {
    let clock = TokioClock::new();
    let limit = empty(TEN);
    let start = clock.now();
    let line: Vec<_> = (0..3).map(|_| tokio::spawn(limit.acquire(1))).collect();
    tokio::task::yield_now().await;
    limit.change_rate(Rate::new(1, Duration::from_secs(60))).expect("a good rate");
    for turn in line {
        assert!(turn.await.expect("no panic").is_err());
    }
    assert_eq!(clock.now().since(start), ms(500));
    assert_eq!(limit.snapshot().waiters, 0);
}

// S-RATE-11, S-RATE-12: the wait is exact for every algorithm.
#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_order_by_every_algorithm() {
    for algorithm in [
        Algorithm::TokenBucket,
        Algorithm::LeakyBucket,
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingCounter,
        Algorithm::Adaptive,
    ] {
        let clock = TokioClock::new();
        let config = RateLimit::per_second(10).burst(5).algorithm(algorithm);
        let limit = empty(config.max_wait(Duration::from_secs(10)));
        let mut line = Vec::new();
        for cost in [2, 1, 3, 1] {
            let turn = limit.acquire(cost);
            line.push(tokio::spawn(async move { (turn.await.is_ok(), clock.now()) }));
        }
        let mut last = clock.now();
        for turn in line {
            let (admitted, at) = turn.await.expect("no panic");
            assert!(admitted && at >= last, "{algorithm:?}");
            last = at;
        }
        assert!(limit.acquire(100).await.is_err(), "more than it ever holds");
    }
}

struct Panics;

impl breaker_core::Observe for Panics {
    fn interest(&self) -> breaker_core::Interest {
        breaker_core::Interest::REFUSALS
    }

    fn event(&self, _: &breaker_core::Event<'_>) {
        panic!("as told");
    }
}

// S-RATE-11: a place that a panic has taken away is not given back twice.
#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_leaves_the_line_as_long_as_it_is() {
    let limit = empty(TEN.max_waiters(1));
    limit.observe(Panics);
    let turn = tokio::spawn(limit.acquire(1));
    tokio::task::yield_now().await;
    limit.change_rate(Rate::new(1, Duration::from_secs(60))).expect("a good rate");
    assert!(turn.await.is_err(), "the panic goes on");
    assert_eq!(limit.snapshot().waiters, 0);
}
