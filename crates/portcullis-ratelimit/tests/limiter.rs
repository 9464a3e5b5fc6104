//! One limit for all calls, on a clock that is moved by hand.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use breaker_core::{
    Event, EventKind, ManualClock, Observe, Outcome, Percent, Reason, Rejected, Tick,
};
use portcullis_ratelimit::limiter::Algorithm;
use portcullis_ratelimit::{Adjust, Rate, RateLimit, RateLimiter, Throttle, Usage};

const SECOND: Duration = Duration::from_secs(1);

fn limiter(config: RateLimit) -> (RateLimiter, ManualClock) {
    let clock = ManualClock::new();
    (RateLimiter::with_clock(config, clock.clone()), clock)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How many of so many calls are admitted.
fn admitted(limit: &RateLimiter, calls: u32) -> u32 {
    (0..calls).filter(|_| limit.try_acquire().is_ok()).count() as u32
}

fn refused(limit: &RateLimiter, cost: u32) -> Rejected {
    limit.try_acquire_n(cost).expect_err("more than there is")
}

// S-RATE-01, S-RATE-02, S-RATE-09
#[test]
fn five_of_six_are_admitted_and_the_sixth_is_told_to_come_back_in_100_ms() {
    for algorithm in [Algorithm::TokenBucket, Algorithm::LeakyBucket] {
        let (limit, clock) = limiter(RateLimit::per_second(10).burst(5).algorithm(algorithm));
        assert_eq!(admitted(&limit, 5), 5);
        let sixth = refused(&limit, 1);
        assert_eq!((sixth.reason(), sixth.retry_after()), (Reason::RateLimited, Some(ms(100))));
        clock.set(Tick::from_millis(200));
        assert_eq!(admitted(&limit, 5), 2);
    }
}

// S-RATE-03, S-RATE-04
#[test]
fn a_window_of_five_refuses_the_sixth_and_is_free_again_after_a_second() {
    for config in [
        RateLimit::fixed_window(5, SECOND),
        RateLimit::sliding_log(5, SECOND),
        RateLimit::sliding_window(5, SECOND),
    ] {
        let (limit, clock) = limiter(config);
        assert_eq!(admitted(&limit, 6), 5, "{config:?}");
        let wait = refused(&limit, 1).retry_after().expect("a wait");
        clock.advance(wait - Duration::from_nanos(1));
        assert_eq!(admitted(&limit, 1), 0, "{config:?}");
        clock.advance(Duration::from_nanos(1));
        assert_eq!(admitted(&limit, 1), 1, "{config:?}");
    }
}

// S-RATE-05
#[test]
fn the_adaptive_profile_admits_its_burst_and_as_much_again_after_a_second() {
    let (limit, clock) = limiter(RateLimit::new());
    assert_eq!(admitted(&limit, 51), 50);
    clock.advance(SECOND);
    assert_eq!(admitted(&limit, 51), 50);
}

// S-RATE-05: at 100 per second and a burst of 50, 101 at once are too many for every algorithm.
#[test]
fn no_algorithm_admits_101_at_once() {
    for algorithm in [
        Algorithm::TokenBucket,
        Algorithm::LeakyBucket,
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingCounter,
        Algorithm::Adaptive,
        Algorithm::Loosest,
    ] {
        let (limit, _) = limiter(RateLimit::per_second(100).burst(50).algorithm(algorithm));
        assert!(admitted(&limit, 101) < 101, "{algorithm:?}");
    }
}

// S-RATE-06
#[test]
fn the_rate_follows_the_share_of_failures_in_either_direction() {
    for (good, bad, rate, errors) in
        [(10, 2, "66.667/s", 0.167), (100, 0, "150/s", 0.0), (98, 2, "100/s", 0.02)]
    {
        let (limit, clock) = limiter(RateLimit::new());
        let call = |outcome| {
            clock.advance(ms(100));
            limit.try_acquire().expect("there is room").record(outcome);
        };
        (0..good).for_each(|_| call(Outcome::Success));
        let failed = Outcome::Failure(breaker_core::FailureKind::Internal);
        (0..bad).for_each(|_| call(failed));
        clock.set(Tick::from_millis(59_999));
        assert_eq!(limit.rate(), Rate::per_second(100));
        // S-RATE-07: nobody has called since.
        clock.set(Tick::from_millis(60_000));
        assert_eq!(limit.rate().to_string(), rate);
        let known = limit.snapshot().error_rate.expect("a period was judged");
        assert!((known - errors).abs() < 0.001, "{known}");
    }
}

// S-RATE-06
#[test]
fn nine_failures_are_too_few_to_move_the_rate() {
    let (limit, clock) = limiter(RateLimit::new());
    let failed = Outcome::Failure(breaker_core::FailureKind::Internal);
    (0..9).for_each(|_| limit.try_acquire().expect("there is room").record(failed));
    clock.advance(600 * SECOND);
    assert_eq!(limit.rate(), Rate::per_second(100));
    limit.try_acquire().expect("there is room").record(failed);
    assert_eq!(limit.rate().to_string(), "66.667/s");
}

// S-RATE-06: what says nothing about the callee moves nothing.
#[test]
fn outcomes_that_say_nothing_are_no_samples() {
    let (limit, _) = limiter(RateLimit::new());
    for outcome in [Outcome::Ignored, Outcome::Failure(breaker_core::FailureKind::RateLimited)] {
        limit.try_acquire().expect("there is room").record(outcome);
    }
    assert_eq!(limit.snapshot().samples, 0);
}

// S-RATE-08
#[test]
fn a_machine_at_90_percent_halves_the_rate_and_a_rested_one_restores_it() {
    let clock = ManualClock::new();
    let busy = Arc::new(AtomicU32::new(90));
    let probe = {
        let busy = busy.clone();
        move || Usage::new().memory(Percent::new(busy.load(Ordering::Relaxed) as u8))
    };
    let config = RateLimit::per_second(100).throttle(Throttle::new());
    let limit = RateLimiter::with_probe(config, clock.clone(), probe);
    assert_eq!(limit.rate(), Rate::per_second(50));
    busy.store(40, Ordering::Relaxed);
    clock.advance(ms(999));
    assert_eq!(limit.rate(), Rate::per_second(50), "asked once in a second");
    clock.advance(ms(1));
    assert_eq!(limit.rate(), Rate::per_second(100));
    busy.store(100, Ordering::Relaxed);
    clock.advance(SECOND);
    assert_eq!(limit.rate(), Rate::per_second(1), "a hundredth is left");
}

// S-RATE-08: it is enforced, not only shown.
#[test]
fn a_bucket_refills_at_the_rate_that_the_machine_leaves() {
    let clock = ManualClock::new();
    let config = RateLimit::per_second(100).throttle(Throttle::new());
    let probe = || Usage::new().cpu(Percent::new(90));
    let limit = RateLimiter::with_probe(config, clock.clone(), probe);
    assert_eq!(admitted(&limit, 200), 100);
    clock.advance(SECOND);
    assert_eq!(admitted(&limit, 200), 50);
}

// S-RATE-12
#[test]
fn a_cost_of_three_leaves_two_tokens_where_they_are() {
    let (limit, clock) = limiter(RateLimit::per_second(10).burst(5));
    let _ = limit.try_acquire_n(3).expect("there are five");
    let short = refused(&limit, 3);
    assert_eq!(short.retry_after(), Some(ms(100)));
    assert_eq!(limit.quota().remaining(), 2);
    let never = refused(&limit, 6);
    assert_eq!((never.reason(), never.retry_after()), (Reason::CostTooHigh, None));
    assert!(limit.try_acquire_n(0).is_ok(), "what costs nothing is admitted");
    clock.advance(ms(100));
    assert!(limit.try_acquire_n(3).is_ok());
}

#[test]
fn what_costs_nothing_is_admitted_where_more_was_taken_than_the_bucket_holds() {
    let (limit, _) = limiter(RateLimit::per_second(10).burst(5));
    let _ = limit.try_acquire_n(5).expect("there are five");
    limit.reconfigure(RateLimit::per_second(10).burst(2)).expect("a limit");
    assert!(limit.try_acquire_n(0).is_ok());
}

// S-ADV-02
#[test]
fn an_admission_that_is_given_back_never_was() {
    for algorithm in [
        Algorithm::TokenBucket,
        Algorithm::LeakyBucket,
        Algorithm::FixedWindow,
        Algorithm::SlidingLog,
        Algorithm::SlidingCounter,
        Algorithm::Adaptive,
    ] {
        let (limit, clock) = limiter(RateLimit::per_second(10).burst(5).algorithm(algorithm));
        let before = limit.quota();
        let grant = limit.try_acquire_n(4).expect("there is room");
        assert!(limit.quota().remaining() < before.remaining());
        clock.advance(ms(1));
        grant.give_back();
        assert_eq!(limit.quota().remaining(), before.remaining(), "{algorithm:?}");
        assert_eq!(limit.snapshot().given_back, 1);
        // Nothing is minted where the bucket has filled up meanwhile.
        let late = limit.try_acquire().expect("there is room");
        clock.advance(60 * SECOND);
        late.give_back();
        assert_eq!(limit.quota().remaining(), before.remaining(), "{algorithm:?}");
    }
}

// S-RATE-01
#[test]
fn a_hundred_threads_get_exactly_the_burst() {
    for burst in [50, 64 * 8 * 8] {
        let (limit, _) = limiter(RateLimit::per_second(burst));
        let passed = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| passed.fetch_add(admitted(&limit, burst / 10), Ordering::Relaxed));
            }
        });
        assert_eq!(passed.load(Ordering::Relaxed), burst);
        assert_eq!(limit.quota().remaining(), 0);
    }
}

// S-RATE-01: what is lent to threads in advance is part of the burst.
#[test]
fn a_large_bucket_lends_and_never_grants_more_than_its_burst_and_its_rate() {
    let burst = 64 * 8 * 10;
    let (limit, clock) = limiter(RateLimit::per_second(1_000).burst(burst));
    assert_eq!(admitted(&limit, 3), 3);
    clock.advance(60 * SECOND);
    let after_pause = admitted(&limit, 2 * burst);
    assert!(after_pause <= burst, "{after_pause}");
    assert!(after_pause >= burst - burst / 64, "{after_pause}");
    clock.advance(SECOND);
    assert_eq!(admitted(&limit, 2_000), 1_000);
    assert_eq!(limit.quota().remaining(), 0);
    clock.advance(3 * SECOND);
    assert_eq!(admitted(&limit, 1), 1);
    assert_eq!(limit.quota().remaining(), 2_999);
}

#[test]
fn another_rate_is_in_force_at_once_and_nothing_is_refilled_by_it() {
    let (limit, clock) = limiter(RateLimit::per_second(10).burst(10));
    assert_eq!(admitted(&limit, 20), 10);
    clock.advance(ms(200));
    limit.change_rate(Rate::per_second(100)).expect("a good rate");
    assert_eq!(admitted(&limit, 20), 2, "gained at the old rate");
    clock.advance(ms(50));
    assert_eq!(admitted(&limit, 20), 5, "gained at the new one");
    limit.reconfigure(limit.config().burst(100)).expect("a good burst");
    assert_eq!(limit.quota().remaining(), 90, "what was taken stays taken");
    limit.reconfigure(limit.config().algorithm(Algorithm::FixedWindow)).expect("a good algorithm");
    assert_eq!(limit.quota().remaining(), 90);
    assert!(limit.change_rate(Rate::new(1, 1_000 * SECOND)).is_ok());
}

#[test]
fn what_does_not_fit_together_changes_nothing() {
    let (limit, _) = limiter(RateLimit::new());
    let wrong = limit.config().burst(1_000);
    let errors = limit.reconfigure(wrong).expect_err("no window lets 1,000 through");
    assert!(errors.to_string().contains("burst = 1000: must be at most 100"), "{errors}");
    assert_eq!(limit.config(), RateLimit::new());
}

#[test]
#[should_panic(expected = "burst = 1000: must be at most 100")]
fn what_does_not_fit_together_makes_no_limit() {
    let _ = RateLimiter::new(RateLimit::new().burst(1_000));
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<EventKind>>>);

impl Observe for Told {
    fn event(&self, event: &Event<'_>) {
        assert_eq!((event.circuit.as_str(), event.partition), ("per-client", None));
        self.0.lock().expect("no panic").push(event.kind.clone());
    }
}

// S-RATE-06, S-RATE-09
#[test]
fn observers_hear_of_refusals_and_of_the_rate() {
    let config = RateLimit::per_second(100).burst(1).named("per-client");
    let (limit, clock) = limiter(config.adjust(Adjust::new().min_samples(1)));
    let told = Told::default();
    limit.observe(told.clone());
    limit.try_acquire().expect("there is one").record(Outcome::Success);
    let rejected = refused(&limit, 1);
    clock.advance(60 * SECOND);
    let _ = limit.rate();
    let told = told.0.lock().expect("no panic").clone();
    let faster = EventKind::RateChanged { from: 100.0, to: 150.0, error_rate: 0.0 };
    assert_eq!(told, [EventKind::Refused(rejected), faster]);
}

#[test]
fn a_limit_explains_itself() {
    let (limit, clock) = limiter(RateLimit::per_second(50).burst(20).named("per-client"));
    assert_eq!(
        limit.explain(),
        "per-client grants 50/s by token_bucket: 20 of 20 left; 0 calls refused"
    );
    assert_eq!(admitted(&limit, 21), 20);
    clock.advance(ms(100));
    assert_eq!(
        limit.explain(),
        "per-client grants 50/s by token_bucket: 5 of 20 left, all of them in 300.0ms; 1 call refused"
    );
}

// S-RATE-01, T10
#[test]
fn a_clock_that_steps_back_mints_nothing_and_the_end_of_time_is_no_panic() {
    let (limit, clock) = limiter(RateLimit::per_second(10).burst(3));
    clock.set(Tick::from_millis(100));
    assert_eq!(admitted(&limit, 1), 1);
    clock.set(Tick::ZERO);
    assert_eq!(admitted(&limit, 3), 2);
    clock.set(Tick::from_millis(100));
    assert_eq!(admitted(&limit, 1), 0);
    clock.set(Tick::MAX);
    assert!(admitted(&limit, 10) <= 3);
    limit.change_rate(Rate::per_second(20)).expect("a good rate");
    let _ = limit.explain();
}

#[tokio::test]
async fn a_future_is_run_or_not_touched() {
    let (limit, _) = limiter(RateLimit::new().burst(1));
    assert_eq!(limit.run(async { Ok::<_, ()>(7) }).await.ok(), Some(7));
    let untouched = limit.run(async { Err::<(), _>("touched") }).await;
    assert!(untouched.expect_err("refused").refused().is_some());
    assert_eq!(limit.snapshot().samples, 1);
}
