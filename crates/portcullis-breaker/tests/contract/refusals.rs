//! S-CORE-08, S-CORE-09: what counts, and what a refused caller gets.

use std::convert::Infallible;
use std::future::{Ready, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis_breaker::breaker_core::{
    FailureKind, Name, Outcome, Reason, Rejected, State, Totals,
};
use portcullis_breaker::portcullis_http::{keep_refusal, refusal_of};
use portcullis_breaker::{BoxError, CircuitBreakerLayer};
use tower_layer::Layer as _;
use tower_service::Service;

use super::script::{Inner, Script};
use super::support::{
    CONFIG, OPEN_PERIOD, Oops, call, circuit, half_open, layer_of, request, start, totals,
};

type Web = Request<Full<Bytes>>;
type Page = Response<Full<Bytes>>;

fn page(status: u16) -> Page {
    Response::builder().status(status).body(Full::default()).expect("a response")
}

/// A service that always answers so.
fn always<T, E, F>(
    answer: F,
) -> impl Service<Web, Response = T, Error = E, Future = Ready<Result<T, E>>> + Clone
where
    F: Fn() -> Result<T, E> + Clone,
{
    tower::service_fn(move |_: Web| ready(answer()))
}

fn infallible(status: u16) -> impl Fn() -> Result<Page, Infallible> + Clone {
    move || Ok(page(status))
}

#[test]
fn five_client_errors_say_nothing_and_failures_open_the_circuit() {
    let layer = CircuitBreakerLayer::new(CONFIG);
    let breaker = layer.handle();
    let mut service = layer.layer(always(infallible(404)));
    for _ in 0..5 {
        assert_eq!(call(&mut service, Web::default()).unwrap().status(), 404);
    }
    assert_eq!(breaker.state(), State::Closed);
    let mut service = layer.layer(always(infallible(500)));
    for _ in 0..3 {
        assert_eq!(call(&mut service, Web::default()).unwrap().status(), 500);
    }
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_service_without_errors_answers_503_with_the_wait() {
    let (breaker, _) = circuit();
    let layer = CircuitBreakerLayer::from_breaker(breaker.clone());
    breaker.trip().unwrap();
    let refused = call(&mut layer.layer(always(infallible(200))), Web::default()).unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "10");
    let rejected = refusal_of(&refused).expect("the typed refusal");
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Open, Some(OPEN_PERIOD)));
    assert_eq!(&**rejected.by(), "payments");
}

#[test]
fn a_grpc_caller_gets_unavailable() {
    let (breaker, _) = circuit();
    let layer = CircuitBreakerLayer::from_breaker(breaker.clone());
    breaker.trip().unwrap();
    let grpc = || {
        let request = Request::builder().header("content-type", "application/grpc+proto");
        request.body(Full::default()).expect("a request")
    };
    for pinned in [false, true] {
        let refused = if pinned {
            call(&mut layer.clone().grpc().layer(always(infallible(200))), Web::default())
        } else {
            call(&mut layer.layer(always(infallible(200))), grpc())
        };
        let refused = refused.unwrap();
        assert_eq!(refused.status(), 200);
        assert_eq!(refused.headers()["grpc-status"], "14");
        assert_eq!(refused.headers()["grpc-retry-pushback-ms"], "10000");
    }
    let pinned = call(&mut layer.http().layer(always(infallible(200))), grpc()).unwrap();
    assert_eq!(pinned.status(), 503);
}

#[test]
fn a_client_gets_the_refusal_in_its_boxed_error() {
    let (breaker, _) = circuit();
    let layer = CircuitBreakerLayer::from_breaker(breaker.clone());
    let broken = || Err::<Page, BoxError>(std::io::Error::other("no route").into());
    let mut service = layer.layer(always(broken));
    for _ in 0..3 {
        let error = call(&mut service, Web::default()).unwrap_err();
        assert_eq!(error.to_string(), "no route", "passed on unchanged");
    }
    let refused = call(&mut service, Web::default()).unwrap_err();
    let rejected = Rejected::find(&*refused).expect("the typed refusal");
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Open, Some(OPEN_PERIOD)));
    assert!(refused.to_string().contains("3 calls in a row failed"), "{refused}");
}

#[test]
fn closures_classify_and_refuse() {
    let layer = CircuitBreakerLayer::new(CONFIG)
        .classify_fn(|result: Result<&Page, &Infallible>| match result {
            Ok(page) if page.status() == 404 => Outcome::Failure(FailureKind::Unknown),
            _ => Outcome::Success,
        })
        .refuse_fn(|request: &Web, rejected: Rejected| {
            let mut page = page(418);
            page.headers_mut().insert("x-wait", rejected.retry_after_secs().unwrap_or(0).into());
            page.headers_mut().insert("x-path", request.uri().path().parse().unwrap());
            Ok(page)
        });
    let mut service = layer.layer(always(infallible(404)));
    for _ in 0..3 {
        assert_eq!(call(&mut service, Web::default()).unwrap().status(), 404);
    }
    let refused = call(&mut service, Web::default()).unwrap();
    assert_eq!(refused.status(), 418);
    assert_eq!(refused.headers()["x-path"], "/");
}

#[test]
fn a_refusal_further_in_is_no_evidence_and_frees_the_trial() {
    let inner = Rejected::new(Name::new("inner"), Reason::Open);
    let by_extension = move || Ok::<_, BoxError>(keep_refusal(inner, page(503)));
    let by_error = move || Err::<Page, BoxError>(inner.into());
    let deep = move || Err::<Page, BoxError>(Box::new(Oops::Refused(inner)));
    refused_within(&always(by_extension));
    refused_within(&always(by_error));
    refused_within(&always(deep));
}

fn refused_within<S>(service: &S)
where
    S: Service<Web, Response = Page, Error = BoxError> + Clone,
{
    let (breaker, _) = circuit();
    let layer = CircuitBreakerLayer::from_breaker(breaker.clone());
    for _ in 0..10 {
        let _ = call(&mut layer.layer(service.clone()), Web::default());
    }
    let Totals { ignored, failures, .. } = totals(&breaker);
    assert_eq!((breaker.state(), ignored, failures), (State::Closed, 10, 0));

    half_open(&breaker);
    for _ in 0..10 {
        let _ = call(&mut layer.layer(service.clone()), Web::default());
        let _ =
            call(&mut layer.clone().judge_at_end_of_body().layer(service.clone()), Web::default());
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.trials_in_flight), (State::HalfOpen, 0));
    assert_eq!((snapshot.totals.ignored, snapshot.totals.refused), (30, 0));
}

#[test]
fn one_breaker_in_another_does_not_open_both() {
    let (near, far) = (circuit().0, circuit().0);
    let stack = |inner| {
        let far = CircuitBreakerLayer::from_breaker(far.clone()).layer(inner);
        CircuitBreakerLayer::from_breaker(near.clone()).layer(far)
    };
    far.trip().unwrap();
    let mut service = stack(always(infallible(200)));
    for _ in 0..10 {
        assert_eq!(call(&mut service, Web::default()).unwrap().status(), 503);
    }
    assert_eq!((near.state(), totals(&near).ignored), (State::Closed, 10));
}

#[test]
fn an_answer_that_comes_too_late_decides_nothing() {
    let (breaker, _) = circuit();
    let mut service = layer_of(&breaker).layer(Inner::new(Script::answers(500)));
    let early = start(&mut service, request());
    half_open(&breaker);
    assert!(super::support::finish(early).is_ok());
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.totals.late), (State::HalfOpen, 1));
}
