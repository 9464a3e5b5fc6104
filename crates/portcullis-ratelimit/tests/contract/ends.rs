//! Every admission ends once: kept, given back, or recorded.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use http::Response;
use portcullis_ratelimit::breaker_core::{FailureKind, Outcome};
use portcullis_ratelimit::{Adjust, RateLimitLayer};
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{Act, CONFIG, Inner, call, layer, layer_of, panics, request};

// S-ADV-02
#[test]
fn a_refusal_from_further_in_gives_the_token_back() {
    let (layer, _) = layer();
    let mut service = layer.layer(Inner::new(Act::Refuse));
    for _ in 0..100 {
        assert_eq!(call(&mut service, request()).status(), 200);
    }
    assert_eq!(layer.handle().quota().remaining(), 3);
    assert_eq!(layer.handle().snapshot().given_back, 100);
}

// S-ADV-02: two limits, one inside the other; the outer one pays for nothing that the inner refuses.
#[test]
fn a_limit_outside_of_a_limit_pays_for_what_both_admit() {
    let (outer, _) = layer_of(CONFIG.burst(10));
    let (inner, _) = layer();
    let mut stack = outer.layer(inner.layer(Inner::new(Act::Answer(200))));
    let admitted = (0..20).filter(|_| call(&mut stack, request()).status() == 200).count();
    assert_eq!((admitted, outer.handle().quota().remaining()), (3, 7));
}

// S-ADV-02: also with a classifier of one's own.
#[test]
fn a_closure_that_classifies_leaves_refusals_to_the_classifier_before_it() {
    let (layer, _) = layer();
    let judge = |_: Result<&Response<String>, &Infallible>| Outcome::Ignored;
    let mut service = layer.clone().classify_fn(judge).layer(Inner::new(Act::Refuse));
    let _ = call(&mut service, request());
    assert_eq!(layer.handle().quota().remaining(), 3);
}

#[test]
fn a_call_that_is_dropped_stays_paid_for() {
    let (layer, _) = layer();
    let mut service = layer.layer(Inner::new(Act::Never));
    let cx = &mut Context::from_waker(Waker::noop());
    for _ in 0..2 {
        assert!(Service::<http::Request<()>>::poll_ready(&mut service, cx).is_ready());
        let answer = service.call(request());
        assert!(pin!(answer).poll(cx).is_pending());
    }
    assert_eq!(layer.handle().quota().remaining(), 1);
}

// S-RATE-06: a panic is a failure, wherever in the call it strikes, and goes on unchanged.
#[test]
fn a_panic_is_a_sample_of_failure_and_goes_on() {
    for act in [Act::PanicInCall, Act::PanicInFuture] {
        let (layer, _) = layer_of(CONFIG.adjust(Adjust::new()));
        let mut service = layer.layer(Inner::new(act));
        panics(&mut service);
        let snapshot = layer.handle().snapshot();
        assert_eq!((snapshot.samples, snapshot.quota.remaining()), (1, 2), "{act:?}");
        assert!(layer.handle().try_acquire().is_ok(), "and the limit works on");
    }
}

// S-RATE-06
#[test]
fn answers_move_the_rate_and_refusals_do_not() {
    for (act, samples) in [
        (Act::Answer(200), 1),
        (Act::Answer(500), 1),
        (Act::Answer(404), 1),
        (Act::Answer(429), 0),
        (Act::Refuse, 0),
    ] {
        let (layer, _) = layer_of(CONFIG.adjust(Adjust::new()));
        let _ = call(&mut layer.layer(Inner::new(act)), request());
        assert_eq!(layer.handle().snapshot().samples, samples, "{act:?}");
    }
}

// S-RATE-06: a classifier that panics is not the callee's fault.
#[test]
fn a_classifier_that_panics_moves_nothing() {
    let (layer, _) = layer_of(CONFIG.adjust(Adjust::new()));
    let judge = |_: Result<&Response<String>, &Infallible>| -> Outcome { panic!("judge") };
    let inner = Inner::new(Act::Answer(200));
    let calls = inner.calls();
    panics(&mut layer.clone().classify_fn(judge).layer(inner));
    assert_eq!((calls.load(Ordering::Relaxed), layer.handle().snapshot().samples), (1, 0));
}

#[test]
fn an_error_of_any_service_is_a_failure_and_a_refusal_an_error() {
    #[derive(Debug, PartialEq)]
    enum Oops {
        Broken,
        Refused,
    }
    impl From<portcullis_ratelimit::breaker_core::Rejected> for Oops {
        fn from(_: portcullis_ratelimit::breaker_core::Rejected) -> Self {
            Self::Refused
        }
    }
    let layer = RateLimitLayer::generic(CONFIG.burst(1).adjust(Adjust::new()));
    let inner = tower::service_fn(|_: u8| std::future::ready(Err::<u8, _>(Oops::Broken)));
    let mut service = layer.layer(inner);
    let cx = &mut Context::from_waker(Waker::noop());
    for expected in [Oops::Broken, Oops::Refused] {
        assert!(service.poll_ready(cx).is_ready());
        let answer = pin!(service.call(7)).poll(cx);
        assert_eq!(answer, std::task::Poll::Ready(Err(expected)));
    }
    let grant = layer.handle().try_acquire();
    assert!(grant.is_err());
    assert_eq!(layer.handle().snapshot().samples, 1);
    let _ = Outcome::Failure(FailureKind::Unknown);
}
