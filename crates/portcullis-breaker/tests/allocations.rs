//! What a call costs the allocator: nothing, and nothing where it is refused.

use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use allocation_counter::{AllocationInfo, measure};
use http::{Request, Response};
use portcullis_breaker::breaker_core::{
    Cusum, FailureKind, Percent, Reason, Recovery, Rejected, State, Trials, Trip, Window,
};
use portcullis_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer};
use tower_layer::Layer as _;
use tower_service::Service;

const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new().named("payments");

/// An error without a box.
#[derive(Clone, Copy, Debug)]
enum Plain {
    Refused(Reason),
}

impl From<Rejected> for Plain {
    fn from(rejected: Rejected) -> Self {
        Self::Refused(rejected.reason())
    }
}

/// A service that answers at once or at the second poll, and allocates nothing.
#[derive(Clone, Copy)]
struct Inner {
    waits: bool,
}

impl<B> Service<Request<B>> for Inner {
    type Response = Response<()>;
    type Error = Plain;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Plain>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Answer {
        Answer { waits: self.waits, answer: ready(Ok(Response::new(()))) }
    }
}

struct Answer {
    waits: bool,
    answer: Ready<Result<Response<()>, Plain>>,
}

impl Future for Answer {
    type Output = Result<Response<()>, Plain>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.waits) {
            return Poll::Pending;
        }
        std::pin::Pin::new(&mut self.answer).poll(cx)
    }
}

fn call<S: Service<Request<()>>>(service: &mut S) -> Result<S::Response, S::Error> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let mut future = pin!(service.call(Request::new(())));
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(cx) {
            return answer;
        }
    }
}

/// The allocations of a thousand calls that all end like this.
fn allocations<S>(service: &mut S, good: bool) -> u64
where
    S: Service<Request<()>>,
{
    let AllocationInfo { count_total, .. } = measure(|| {
        for _ in 0..1_000 {
            assert_eq!(call(service).is_ok(), good);
        }
    });
    count_total
}

/// One test at a time: a circuit may live where another thread still notes for an earlier one, and
/// a second thread that notes takes memory, once.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_counter_counts() {
    let _alone = alone();
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(1)))).count_total, 1);
}

/// S-ADV-08: no allocation for a success.
#[test]
fn a_success_allocates_nothing_whatever_the_evidence() {
    let _alone = alone();
    let rate = Percent::new(50);
    let trips = [
        Trip::consecutive(5),
        Trip::failure_rate(rate, Window::last(100)),
        Trip::failure_rate(rate, Window::over(std::time::Duration::from_secs(10))),
        Trip::slow_rate(rate, Window::last(100)),
        Trip::success_average(rate, 100),
        Trip::cusum(Cusum::hard()),
        Trip::consecutive(5).or(Trip::failure_rate(rate, Window::last(100))),
    ];
    for trip in trips {
        for waits in [false, true] {
            for totals in [false, true] {
                let config = CONFIG.trip(trip).totals(totals);
                let mut service = CircuitBreakerLayer::generic(config).layer(Inner { waits });
                let count = allocations(&mut service, true);
                assert_eq!(count, 0, "{trip:?}, waits {waits}, totals {totals}");
            }
        }
    }
}

/// S-ADV-08: no allocation for a clone per call.
#[test]
fn a_clone_per_call_allocates_nothing() {
    let _alone = alone();
    // As axum does it.
    let rate = Percent::new(50);
    let seconds = Window::in_buckets(std::time::Duration::from_secs(10), 10);
    let trips = [
        Trip::consecutive(5),
        Trip::failure_rate(rate, Window::last(100)),
        Trip::failure_rate(rate, seconds),
    ];
    for trip in trips {
        let service = CircuitBreakerLayer::generic(CONFIG.trip(trip)).layer(Inner { waits: true });
        let info = measure(|| {
            for _ in 0..1_000 {
                assert!(call(&mut service.clone()).is_ok());
            }
        });
        assert_eq!(info.count_total, 0, "{trip:?}");
    }
}

/// S-ADV-08: none for the usual share of failures.
#[test]
fn one_failure_in_a_hundred_allocates_nothing() {
    let _alone = alone();
    let rate = Percent::new(50);
    let seconds = Window::in_buckets(std::time::Duration::from_secs(10), 10);
    for window in [Window::last(100), seconds] {
        let breaker = CircuitBreaker::new(CONFIG.trip(Trip::failure_rate(rate, window)));
        // The first time, the thread begins its notes.
        breaker.try_acquire().unwrap().success();
        let info = measure(|| {
            for number in 1..=10_000 {
                let permit = breaker.try_acquire().unwrap();
                if number % 100 == 0 {
                    permit.failure(FailureKind::Internal);
                } else {
                    permit.success();
                }
            }
        });
        assert_eq!(info.count_total, 0, "{window:?}");
        assert_eq!(breaker.state(), State::Closed);
    }
}

/// S-ADV-08: none for a trial.
#[test]
fn a_trial_allocates_nothing() {
    let _alone = alone();
    let trials = Recovery::Trials(Trials::new(10_000));
    let layer = CircuitBreakerLayer::generic(CONFIG.recovery(trials));
    let breaker = layer.handle();
    breaker.trip().unwrap();
    breaker.attempt_reset().unwrap();
    assert_eq!(allocations(&mut layer.layer(Inner { waits: true }), true), 0);
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// S-ADV-08: none for a call by key.
#[test]
fn a_success_per_key_allocates_nothing() {
    let _alone = alone();
    let layer = CircuitBreakerLayer::generic(CONFIG).keyed_fn(|_: &Request<()>| Some("a"));
    let others = layer.circuits().clone();
    let mut service = layer.layer(Inner { waits: true });
    assert!(call(&mut service).is_ok(), "the circuit of the key is made");
    assert_eq!(allocations(&mut service, true), 0);
    // Nor does it matter how many other keys there are.
    let names: Vec<String> = (0..5_000).map(|number| number.to_string()).collect();
    for name in names.leak() {
        let _ = others.get(&name.as_str());
    }
    assert_eq!(allocations(&mut service, true), 0);
}

/// S-ADV-08: none for a refused call.
#[test]
fn a_refused_call_allocates_nothing() {
    let _alone = alone();
    let layer = CircuitBreakerLayer::generic(CONFIG);
    layer.handle().trip().unwrap();
    let mut service = layer.layer(Inner { waits: false });
    assert_eq!(allocations(&mut service, false), 0);
    assert!(matches!(call(&mut service), Err(Plain::Refused(Reason::Open))));
    let totals = layer.handle().snapshot().totals;
    assert_eq!(totals.refused, 1_001);
}

/// S-ADV-08: none for a refusal, whatever its reason.
#[test]
fn a_refusal_by_the_breaker_allocates_nothing() {
    let _alone = alone();
    let breaker = CircuitBreaker::new(CONFIG);
    let refusals = |reason| {
        let info = measure(|| {
            for _ in 0..1_000 {
                assert_eq!(breaker.try_acquire().map(drop).unwrap_err().reason(), reason);
            }
        });
        assert_eq!(info.count_total, 0, "{reason:?}");
    };
    breaker.trip().unwrap();
    // The first time, the thread begins its notes about the circuit.
    assert!(breaker.try_acquire().is_err());
    refusals(Reason::Open);
    breaker.attempt_reset().unwrap();
    let trials: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    refusals(Reason::NoTrialFree);
    drop(trials);
    breaker.force_open("maintenance");
    refusals(Reason::ForcedOpen);
}

/// S-ADV-08: none for failures and cancelled calls.
#[test]
fn failures_and_cancelled_calls_allocate_nothing_until_the_state_changes() {
    let _alone = alone();
    let breaker = CircuitBreaker::new(CONFIG);
    // The first time, the thread begins its notes.
    breaker.try_acquire().unwrap().failure(FailureKind::Internal);
    breaker.try_acquire().unwrap().success();
    let info = measure(|| {
        for _ in 0..1_000 {
            breaker.try_acquire().unwrap().failure(FailureKind::Internal);
            drop(breaker.try_acquire().unwrap());
            breaker.try_acquire().unwrap().success();
        }
    });
    assert_eq!(info.count_total, 0);
}
