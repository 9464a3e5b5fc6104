//! What went wrong once, and must not again.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use breaker_core::{FailureKind, ManualClock, Outcome, Reason};
use portcullis_ratelimit::{
    Adjust, Algorithm, Rate, RateLimit, RateLimiter, RateLimiters, Throttle, Usage,
};

const SECOND: Duration = Duration::from_secs(1);

fn limiter(config: RateLimit) -> (RateLimiter, ManualClock) {
    let clock = ManualClock::new();
    (RateLimiter::with_clock(config, clock.clone()), clock)
}

fn admitted(limit: &RateLimiter, calls: u32) -> u32 {
    (0..calls).filter(|_| limit.try_acquire().is_ok()).count() as u32
}

// S-RATE-01: the meter began anew with a whole burst each time, and came to its end.
#[test]
fn a_hundred_thousand_changes_use_nothing_up() {
    let (limit, clock) = limiter(RateLimit::per_second(1).burst(30_000_000));
    for number in 0..100_000 {
        limit.change_rate(Rate::per_second(1 + number % 2)).expect("a good rate");
    }
    clock.advance(3_600 * SECOND);
    assert!(limit.try_acquire().is_ok());
}

// S-RATE-06: a harmless change threw away what had been learnt of errors.
#[test]
fn what_was_learnt_of_errors_outlives_a_change_of_something_else() {
    let (limit, clock) = limiter(RateLimit::new());
    let failed = Outcome::Failure(FailureKind::Internal);
    (0..12).for_each(|_| limit.try_acquire().expect("there is room").record(failed));
    clock.advance(60 * SECOND);
    assert_eq!(limit.rate().to_string(), "66.667/s");
    limit.reconfigure(limit.config().max_waiters(5)).expect("a good number");
    assert_eq!(limit.rate().to_string(), "66.667/s");
    limit.change_rate(Rate::per_second(80)).expect("a good rate");
    assert_eq!(limit.rate(), Rate::per_second(80));
}

// S-ADV-02: what had been refilled long ago was given back all the same.
#[test]
fn what_is_given_back_after_the_bucket_was_full_again_mints_nothing() {
    for algorithm in [Algorithm::TokenBucket, Algorithm::LeakyBucket, Algorithm::Adaptive] {
        let (limit, clock) = limiter(RateLimit::per_second(10).algorithm(algorithm));
        let mut old = Vec::new();
        for _ in 0..10 {
            old.extend((0..10).filter_map(|_| limit.try_acquire().ok()));
            clock.advance(10 * SECOND);
        }
        let mut through = admitted(&limit, 100);
        for grant in old {
            grant.give_back();
            through += admitted(&limit, 100);
        }
        assert_eq!(through, 10, "{algorithm:?}");
    }
}

// S-RATE-05: another algorithm forgot all but the burst.
#[test]
fn another_algorithm_admits_no_more_than_the_one_before() {
    let (limit, clock) = limiter(RateLimit::new().steady());
    assert_eq!(admitted(&limit, 200), 50);
    clock.advance(SECOND / 2);
    assert_eq!(admitted(&limit, 200), 50);
    let window = limit.config().algorithm(Algorithm::FixedWindow);
    limit.reconfigure(window).expect("a good algorithm");
    assert_eq!(admitted(&limit, 200), 0);
}

// S-RATE-12: a window that errors have made small refused a larger call for ever.
#[test]
fn a_call_that_the_configured_rate_admits_is_told_to_come_back() {
    let adjust = Adjust::new().min_samples(1);
    let (limit, clock) = limiter(RateLimit::fixed_window(10, SECOND).adjust(adjust));
    limit.try_acquire().expect("there is room").record(Outcome::Failure(FailureKind::Internal));
    clock.advance(60 * SECOND);
    let large = limit.try_acquire_n(10).expect_err("the window is smaller by now");
    assert_eq!(large.reason(), Reason::RateLimited);
    let never = limit.try_acquire_n(11).expect_err("no window is so large");
    assert_eq!(never.reason(), Reason::CostTooHigh);
}

// S-RATE-01: two changes at a time, of which one was lost.
#[test]
fn a_change_of_the_rate_loses_no_other_change() {
    let (limit, _) = limiter(RateLimit::per_second(100));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                limit.change_rate(Rate::per_second(100 + number % 2)).expect("a good rate");
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let kept = (0..10_000).all(|number| {
            let config = RateLimit::per_second(100).max_keys(1 + number);
            limit.reconfigure(config).expect("a good number");
            limit.config().rate(Rate::per_second(1)) == config.rate(Rate::per_second(1))
        });
        done.store(true, Ordering::Relaxed);
        assert!(kept, "a change was lost");
    });
}

static CLONES: AtomicBool = AtomicBool::new(true);

#[derive(Debug, Eq, Hash, PartialEq)]
struct Fragile(u32);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(CLONES.load(Ordering::SeqCst), "as told");
        Self(self.0)
    }
}

// S-RATE-10, T13: a key whose code panicked took a place with it.
#[test]
fn a_key_that_panics_costs_the_map_no_place() {
    let clock = ManualClock::new();
    let config = RateLimit::per_second(1).max_keys(64);
    let limits = RateLimiters::with_clock(config, clock.clone());
    (0..5_000).for_each(|key| drop(limits.try_acquire(&Fragile(key))));
    assert_eq!(limits.len(), 64);
    clock.advance(100 * SECOND);
    CLONES.store(false, Ordering::SeqCst);
    for key in 10_000..11_000 {
        let asked = AssertUnwindSafe(|| drop(limits.try_acquire(&Fragile(key))));
        assert!(catch_unwind(asked).is_err());
    }
    CLONES.store(true, Ordering::SeqCst);
    for key in 20_000..30_000 {
        drop(limits.try_acquire(&Fragile(key)));
        clock.advance(2 * SECOND);
    }
    assert_eq!(limits.len(), 64);
}

// S-RATE-04: a log kept the room of its busiest time.
#[test]
fn a_log_gives_back_the_room_of_a_busy_time() {
    let (limit, clock) = limiter(RateLimit::sliding_log(10_000, SECOND));
    for _ in 0..10_000 {
        clock.advance(Duration::from_nanos(10));
        drop(limit.try_acquire());
    }
    let quiet = allocation_counter::measure(|| {
        for _ in 0..20 {
            clock.advance(2 * SECOND);
            drop(limit.try_acquire());
        }
    });
    assert!(quiet.bytes_current < -200_000, "{} B", quiet.bytes_current);
}

// S-RATE-01: limits that no number holds.
#[test]
fn windows_and_bursts_that_cannot_be_counted_are_refused() {
    let day = Duration::from_secs(86_400);
    let fast = RateLimit::per_second(1_000_000_000).algorithm(Algorithm::FixedWindow);
    let errors = fast.window(day).check().expect_err("more than can be counted").to_string();
    assert!(errors.contains("window = 86400s: must be so short that"), "{errors}");
    let large = RateLimit::fixed_window(u32::MAX, day).algorithm(Algorithm::TokenBucket);
    assert!(large.check().is_err());
}

#[cfg(feature = "tokio")]
mod waiting {
    use std::pin::Pin;
    use std::sync::{Mutex, mpsc};
    use std::task::{Context, Wake, Waker};

    use breaker_core::{Clock, Percent, TokioClock};
    use portcullis_ratelimit::Acquire;
    use tokio::time::advance;

    use super::*;

    const TEN: RateLimit = RateLimit::per_second(10).burst(1).max_wait(Duration::from_millis(500));

    fn empty(config: RateLimit) -> RateLimiter {
        let limit = RateLimiter::with_clock(config, TokioClock::new());
        let _ = limit.try_acquire().expect("it begins full");
        limit
    }

    // S-RATE-11: a first one that nobody polled held up all behind it.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_not_polled_holds_nobody_up() {
        let clock = TokioClock::new();
        let limit = empty(TEN);
        let start = clock.now();
        let held = limit.acquire(1);
        let behind = tokio::spawn(limit.acquire(1));
        assert!(behind.await.expect("no panic").is_ok());
        assert!(clock.now().since(start) <= Duration::from_millis(500));
        advance(Duration::from_secs(1)).await;
        assert!(limit.try_acquire().is_ok(), "nor those who come later");
        // It was served meanwhile, and finds that out when it asks.
        assert!(held.await.is_ok());
        assert_eq!(limit.snapshot().waiters, 0);
    }

    // S-RATE-11: what was decided for one who never asked is given back.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_never_asks_costs_nothing() {
        let limit = empty(TEN.rate(Rate::new(1, Duration::from_secs(10))).max_wait(60 * SECOND));
        let held = limit.acquire(1);
        advance(11 * SECOND).await;
        let refused = limit.try_acquire().expect_err("it was served first");
        assert!(refused.retry_after() > Some(Duration::ZERO));
        drop(held);
        assert!(limit.try_acquire().is_ok());
        assert_eq!(limit.snapshot().waiters, 0);
    }

    // S-RATE-11: all who were polled late went at once.
    #[tokio::test(start_paused = true)]
    async fn those_who_are_polled_late_go_one_after_the_other() {
        for algorithm in [Algorithm::TokenBucket, Algorithm::FixedWindow, Algorithm::SlidingLog] {
            let config = TEN.window(SECOND / 10).algorithm(algorithm).max_wait(10 * SECOND);
            let limit = empty(config);
            let mut line: Vec<_> = (0..50).map(|_| limit.acquire(1)).collect();
            advance(5 * SECOND).await;
            let now = line.iter_mut().map(polled).filter(|ready| *ready).count();
            // Two, where a border lies in what a timer may be late.
            assert!(now <= 2, "{algorithm:?}: {now} at once");
        }
    }

    fn polled(turn: &mut Acquire) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        Pin::new(turn).poll(cx).is_ready()
    }

    // S-RATE-08, S-RATE-11: a rate that rose by itself woke nobody.
    #[tokio::test(start_paused = true)]
    async fn a_rate_that_rises_by_itself_shortens_the_wait() {
        let busy = Arc::new(AtomicU32::new(100));
        let probe = {
            let busy = busy.clone();
            move || Usage::new().cpu(Percent::new(busy.load(Ordering::Relaxed) as u8))
        };
        let clock = TokioClock::new();
        let config = TEN.max_wait(60 * SECOND).throttle(Throttle::new());
        let limit = RateLimiter::with_probe(config, clock, probe);
        assert_eq!(limit.rate(), Rate::new(1, 10 * SECOND));
        let _ = limit.try_acquire().expect("it begins full");
        let start = clock.now();
        let turn = tokio::spawn(limit.acquire(1));
        tokio::time::sleep(2 * SECOND).await;
        busy.store(1, Ordering::Relaxed);
        assert_eq!(limit.rate(), Rate::per_second(10));
        let next = limit.try_acquire().expect_err("one waits");
        assert!(next.retry_after() <= Some(SECOND / 5), "{:?}", next.retry_after());
        assert!(turn.await.expect("no panic").is_ok());
        assert!(clock.now().since(start) < 3 * SECOND);
    }

    // S-RATE-11: who may wait for a short time waited behind one who may wait for long.
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_he_may_behind_one_who_may_wait_longer() {
        let clock = TokioClock::new();
        let limit = empty(RateLimit::per_second(1).burst(1).max_wait(60 * SECOND));
        let _long = tokio::spawn(limit.acquire(1));
        tokio::task::yield_now().await;
        let short = limit.config().max_wait(Duration::from_millis(2_500));
        limit.reconfigure(short).expect("a good time");
        let start = clock.now();
        let turn = tokio::spawn(limit.acquire(1));
        tokio::task::yield_now().await;
        limit.change_rate(Rate::new(1, 100 * SECOND)).expect("a good rate");
        assert!(turn.await.expect("no panic").is_err());
        assert_eq!(clock.now().since(start), Duration::from_millis(2_500));
    }

    struct Holds(#[allow(dead_code, reason = "to be dropped")] Mutex<Option<Acquire>>);

    impl Wake for Holds {
        fn wake(self: Arc<Self>) {}
    }

    // S-RATE-11, T14: a waker was dropped under the lock, and with it a call of the same limit.
    #[test]
    fn a_waker_that_holds_a_call_of_the_same_limit_is_dropped_outside_of_the_lock() {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let config = RateLimit::per_second(1).burst(1).max_wait(100 * SECOND);
            let (limit, _) = limiter(config);
            let _ = limit.try_acquire().expect("it begins full");
            let (first, mut second, third) = (limit.acquire(1), limit.acquire(1), limit.acquire(1));
            let waker = Waker::from(Arc::new(Holds(Mutex::new(Some(third)))));
            // Outside of a runtime there are no timers: what is in the line is there all the same.
            let poll = AssertUnwindSafe(|| {
                let _ = Pin::new(&mut second).poll(&mut Context::from_waker(&waker));
            });
            let _ = catch_unwind(poll);
            drop(waker);
            drop(second);
            drop(first);
            let _ = tell.send(limit.snapshot().waiters);
        });
        assert_eq!(told.recv_timeout(60 * SECOND), Ok(0));
    }
}
