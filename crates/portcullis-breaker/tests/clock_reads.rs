//! How often a call reads the clock: a read costs more than all the rest of a healthy call.

use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use portcullis_breaker::breaker_core::{
    AsError, Clock, ErrorsAreFailures, FailureKind, ManualClock, Percent, Rejected, Tick, Trip,
    Window,
};
use portcullis_breaker::{CircuitBreakerConfig, CircuitBreakerLayer};
use tower_layer::Layer as _;
use tower_service::Service;

const CALLS: u64 = 1_000;
const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new();
const HALF: Percent = Percent::new(50);

/// A manual clock that counts how often it is asked.
#[derive(Clone, Default)]
struct CountingClock {
    clock: ManualClock,
    reads: Arc<AtomicU64>,
}

impl Clock for CountingClock {
    fn now(&self) -> Tick {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.clock.now()
    }
}

/// Fails if the request says so. The answer is ready at once, or at the second poll.
#[derive(Clone, Copy)]
struct Inner {
    waits: bool,
}

struct Answer {
    waits: bool,
    answer: Ready<Result<(), Failed>>,
}

#[derive(Debug)]
enum Failed {
    Refused,
    Inner,
}

impl From<Rejected> for Failed {
    fn from(_: Rejected) -> Self {
        Self::Refused
    }
}

impl Service<bool> for Inner {
    type Response = ();
    type Error = Failed;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, fail: bool) -> Answer {
        let answer = ready(if fail { Err(Failed::Inner) } else { Ok(()) });
        Answer { waits: self.waits, answer }
    }
}

impl Future for Answer {
    type Output = Result<(), Failed>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.waits) {
            return Poll::Pending;
        }
        std::pin::Pin::new(&mut self.answer).poll(cx)
    }
}

fn layer(trip: Trip, clock: &CountingClock) -> CircuitBreakerLayer<ErrorsAreFailures, AsError> {
    CircuitBreakerLayer::with_clock(CONFIG.trip(trip), clock.clone())
        .classify(ErrorsAreFailures)
        .refuse(AsError)
}

fn call<S: Service<bool>>(service: &mut S, fail: bool) -> Result<S::Response, S::Error> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let mut future = pin!(service.call(fail));
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(cx) {
            return answer;
        }
    }
}

/// The reads of a thousand calls, of which every `failing`th fails.
fn reads(trip: Trip, waits: bool, failing: u64) -> u64 {
    let clock = CountingClock::default();
    let mut service = layer(trip, &clock).layer(Inner { waits });
    let before = clock.reads.load(Ordering::Relaxed);
    for number in 1..=CALLS {
        let fail = number % failing == 0;
        assert_eq!(call(&mut service, fail).is_ok(), !fail, "never refused");
    }
    clock.reads.load(Ordering::Relaxed) - before
}

const NEVER: u64 = u64::MAX;

/// S-ADV-08: no clock read where time is no evidence.
#[test]
fn a_call_that_is_ready_at_once_reads_no_clock_for_evidence_without_time() {
    for trip in [
        Trip::consecutive(5),
        Trip::failure_rate(HALF, Window::last(100)),
        Trip::success_average(HALF, 100),
        Trip::consecutive(5).or(Trip::failure_rate(HALF, Window::last(100))),
    ] {
        assert_eq!(reads(trip, false, NEVER), 0, "{trip:?}");
    }
}

/// S-ADV-08: one clock read for a window of time.
#[test]
fn a_time_window_reads_the_clock_at_most_once_per_call() {
    let trip = Trip::failure_rate(HALF, Window::in_buckets(Duration::from_secs(10), 10));
    assert!(reads(trip, false, NEVER) <= CALLS);
    assert!(reads(trip, false, 100) <= CALLS + CALLS / 100, "and once more for a failure");
}

/// S-ADV-08: two clock reads for slow calls.
#[test]
fn slow_call_detection_reads_the_clock_at_most_twice_per_call() {
    let last_calls = Trip::slow_rate(HALF, Window::last(100));
    let last_seconds = Trip::slow_rate(HALF, Window::over(Duration::from_secs(10)));
    for trip in [last_calls, last_seconds] {
        for waits in [false, true] {
            assert!(reads(trip, waits, NEVER) <= 2 * CALLS, "{trip:?}, waits {waits}");
        }
    }
}

/// S-ADV-08: one clock read more for a failure.
#[test]
fn a_failure_costs_at_most_one_read_more() {
    let trip = Trip::failure_rate(HALF, Window::last(100));
    assert!(reads(trip, false, 100) <= CALLS / 100);
}

/// S-ADV-08: one clock read for a refusal.
#[test]
fn a_refusal_reads_the_clock_at_most_once() {
    let clock = CountingClock::default();
    let layer = layer(Trip::consecutive(1), &clock);
    let breaker = layer.handle();
    breaker.try_acquire().unwrap().failure(FailureKind::Internal);
    let mut service = layer.layer(Inner { waits: false });
    let before = clock.reads.load(Ordering::Relaxed);
    for _ in 0..CALLS {
        assert!(matches!(call(&mut service, false), Err(Failed::Refused)));
    }
    assert!(clock.reads.load(Ordering::Relaxed) - before <= CALLS);
    let before = clock.reads.load(Ordering::Relaxed);
    for _ in 0..CALLS {
        assert!(breaker.try_acquire().is_err());
    }
    assert!(clock.reads.load(Ordering::Relaxed) - before <= CALLS);
}

#[test]
fn the_counting_clock_counts() {
    let clock = CountingClock::default();
    let breaker = layer(Trip::consecutive(1), &clock).handle();
    let before = clock.reads.load(Ordering::Relaxed);
    let _ = breaker.snapshot();
    assert!(clock.reads.load(Ordering::Relaxed) > before);
}
