//! S-CORE-07: a panic reaches the caller as it is, and is held against whom it belongs to.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis_breaker::CircuitBreakerLayer;
use portcullis_breaker::breaker_core::{AsError, Outcome, Rejected, State};
use tower_http::catch_panic::CatchPanicLayer;
use tower_layer::Layer as _;

use super::script::{Inner, Script, Scripted, Step, scripted_panic};
use super::support::{
    CONFIG, Oops, assert_sound, call, circuit, ended, finish, half_open, layer_of, panics, poll,
    poll_ready, request, start, totals,
};

/// A classifier that panics when it is asked for the first time.
fn panics_once<Res>() -> impl Fn(Result<&Res, &Oops>) -> Outcome + Clone {
    let shy = Arc::new(AtomicBool::new(true));
    move |_| if shy.swap(false, Ordering::Relaxed) { scripted_panic() } else { Outcome::Success }
}

#[test]
fn a_panic_of_the_inner_call_or_its_future_is_a_failure() {
    for script in [Script::call_panics(), Script::future_panics()] {
        let (breaker, _) = circuit();
        half_open(&breaker);
        let inner = Inner::new(script);
        let remote = inner.remote();
        let mut service = layer_of(&breaker).layer(inner);
        let panic = catch_unwind(AssertUnwindSafe(|| call(&mut service, request())));
        let panic = panic.expect_err("it reaches the caller");
        assert_eq!(panic.downcast_ref(), Some(&Scripted), "unchanged");
        assert_eq!((breaker.state(), totals(&breaker).failures), (State::Open, 1));
        remote.script(Script::answers(200));
        assert_sound(&breaker, service);
    }
}

#[test]
fn a_panic_that_is_caught_around_a_poll_counts_once() {
    let (breaker, _) = circuit();
    let mut service = layer_of(&breaker).layer(Inner::new(Script::future_panics()));
    let mut future = Box::pin(start(&mut service, request()));
    assert!(poll(future.as_mut()).is_pending());
    assert!(panics(|| poll(future.as_mut())));
    assert_eq!(totals(&breaker).failures, 1);
    // Whoever polls on gets what the inner future gives, and it no longer counts.
    assert!(matches!(poll(future.as_mut()), Poll::Ready(Ok(_))));
    drop(future);
    assert_eq!((totals(&breaker).failures, ended(&breaker)), (1, 1));
}

#[test]
fn a_panic_of_the_classifier_is_not_the_callees_fault() {
    let (breaker, _) = circuit();
    half_open(&breaker);
    let layer = layer_of(&breaker).classify_fn(panics_once());
    let mut service = layer.layer(Inner::new(Script::answers(200)));
    assert!(panics(|| call(&mut service, request())));
    assert_eq!((breaker.state(), totals(&breaker).ignored), (State::HalfOpen, 1));
    assert_sound(&breaker, service);
}

#[test]
fn a_panic_of_the_classifier_at_the_head_of_a_body_is_ignored_too() {
    let (breaker, _) = circuit();
    half_open(&breaker);
    let layer = layer_of(&breaker).classify_fn(panics_once()).judge_at_end_of_body();
    let mut service = layer.layer(Inner::new(Script::answers(500)));
    assert!(panics(|| call(&mut service, request())));
    assert_eq!((breaker.state(), totals(&breaker).ignored), (State::HalfOpen, 1));
    assert_eq!((breaker.snapshot().trials_in_flight, ended(&breaker)), (0, 1));
}

#[test]
fn a_panic_of_the_classifier_on_a_readiness_error_passes() {
    let (breaker, _) = circuit();
    let layer = layer_of(&breaker).classify_fn(panics_once());
    let script = Script { ready: vec![Step::Fail], ..Script::answers(200) };
    let mut service = layer.layer(Inner::new(script));
    assert!(panics(|| poll_ready(&mut service)));
    assert_eq!(ended(&breaker), 0);
    assert_sound(&breaker, service);
}

#[test]
fn a_panic_in_the_refusal_passes_and_leaves_nothing_behind() {
    let (breaker, _) = circuit();
    breaker.trip().unwrap();
    let layer = layer_of(&breaker)
        .refuse_fn(|_: &Request<()>, _: Rejected| -> Result<_, Oops> { scripted_panic() });
    let inner = Inner::new(Script::answers(200));
    let remote = inner.remote();
    let mut service = layer.layer(inner);
    assert!(panics(|| call(&mut service, request())));
    assert_eq!((totals(&breaker).refused, ended(&breaker), remote.calls()), (1, 0, 0));
    half_open(&breaker);
    assert_sound(&breaker, service);
}

#[test]
fn a_panic_in_the_key_passes_and_leaves_nothing_behind() {
    let shy = Arc::new(AtomicBool::new(true));
    let layer = CircuitBreakerLayer::new(CONFIG).refuse(AsError).keyed_fn({
        let shy = shy.clone();
        move |_: &Request<()>| {
            if shy.swap(false, Ordering::Relaxed) { scripted_panic() } else { Some("a") }
        }
    });
    let inner = Inner::new(Script::answers(200));
    let remote = inner.remote();
    let mut service = layer.layer(inner);
    let breaker = layer.circuits().get(&"a");
    half_open(&breaker);
    assert!(panics(|| call(&mut service, request())));
    assert_eq!((ended(&breaker), remote.calls()), (0, 0));
    assert_sound(&breaker, service);
}

#[test]
fn beneath_a_layer_that_catches_panics_they_count_all_the_same() {
    type Web = Request<Full<Bytes>>;
    let layer = CircuitBreakerLayer::new(CONFIG);
    let breaker = layer.handle();
    let sick = tower::service_fn(|_: Web| async {
        if true {
            scripted_panic();
        }
        Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let mut service = CatchPanicLayer::new().layer(layer.layer(sick));
    for calls in 1..=4 {
        let answer = call(&mut service, Web::default()).expect("panics are caught");
        let refused = calls > 3;
        let expected = if refused { 503 } else { 500 };
        assert_eq!(answer.status(), StatusCode::from_u16(expected).unwrap(), "call {calls}");
    }
    assert_eq!((breaker.state(), totals(&breaker).failures), (State::Open, 3));
}

#[test]
fn above_a_layer_that_catches_panics_they_are_failures_by_their_status() {
    type Web = Request<Full<Bytes>>;
    let layer = CircuitBreakerLayer::new(CONFIG);
    let breaker = layer.handle();
    let sick = tower::service_fn(|_: Web| async {
        if true {
            scripted_panic();
        }
        Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let mut service = layer.layer(CatchPanicLayer::new().layer(sick));
    for _ in 0..3 {
        let answer = call(&mut service, Web::default()).expect("panics are caught");
        assert_eq!(answer.status(), 500);
    }
    assert_eq!((breaker.state(), totals(&breaker).failures), (State::Open, 3));
}

/// Does something while it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_call_within_somebody_elses_panic_is_judged_by_its_own_result() {
    let (breaker, _) = circuit();
    let service = layer_of(&breaker).layer(Inner::new(Script::answers(200)));
    for good in 1..=5 {
        let mut service = service.clone();
        let future = start(&mut service, request());
        let mut future = Some(future);
        assert!(panics(|| {
            let _late = OnDrop(|| {
                let answer = finish(future.take().expect("dropped once"));
                assert_eq!(answer.expect("an answer").status(), 200);
            });
            scripted_panic()
        }));
        let totals = totals(&breaker);
        assert_eq!((totals.successes, totals.failures), (good, 0));
    }
}

#[test]
fn a_call_dropped_within_somebody_elses_panic_is_cancelled() {
    let (breaker, _) = circuit();
    let mut service = layer_of(&breaker).layer(Inner::new(Script::hangs()));
    for cancelled in 1..=5 {
        assert!(panics(|| {
            let mut future = Box::pin(start(&mut service, request()));
            assert!(poll(future.as_mut()).is_pending());
            scripted_panic()
        }));
        let totals = totals(&breaker);
        assert_eq!((totals.cancelled, totals.failures), (cancelled, 0));
    }
    assert_eq!(breaker.state(), State::Closed);
}
