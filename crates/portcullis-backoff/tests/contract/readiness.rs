//! Readiness is that of the service inside.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use portcullis_backoff::BoxError;
use tower::ServiceExt as _;
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{
    Act, Again, CONFIG, Callee, Page, Web, call, get, layer, layer_of, ms, of, paid, poll, status,
};

// S-RETRY-05
#[tokio::test(start_paused = true)]
async fn the_instance_that_was_made_ready_is_called_and_readies_itself_for_what_follows() {
    // `Callee` panics where it is called without having been made ready.
    let callee = Callee::first(&[Act::Answer(503); 2], Act::Answer(200));
    let mut service = layer().layer(callee.clone());
    for _ in 0..3 {
        assert_eq!(status(&mut service, get()).await, 200);
        service = service.clone();
    }
    assert_eq!(callee.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_repeated_leaves_the_instance_where_it_is() {
    let callee = Callee::new(Act::Answer(503));
    let never = layer().clone_request_fn(|_: &Web| None);
    let mut service = never.layer(callee.clone());
    assert_eq!(status(&mut service, get()).await, 503);
    assert_eq!(callee.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_service_of_the_caller_is_ready_or_not_whatever_a_retry_waits_for() {
    let callee = Callee::new(Act::Answer(503)).again(Again::Pending);
    let mut service = layer().layer(callee.clone());
    let cx = &mut Context::from_waker(Waker::noop());
    let first = tokio::spawn(service.ready().await.expect("ready").call(get()));
    tokio::time::sleep(ms(500)).await;
    assert_eq!((callee.calls(), first.is_finished()), (1, false));
    assert!(service.poll_ready(cx).is_ready(), "a clone of it stayed");
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_in_poll_ready() {
    let config = CONFIG.budget(portcullis_backoff::Budget::none());
    let layer = layer_of(config);
    let service = layer.layer(Callee::new(Act::Answer(503)));
    let cx = &mut Context::from_waker(Waker::noop());
    for _ in 0..10 {
        assert!(service.clone().poll_ready(cx).is_ready());
    }
    assert_eq!(paid(&layer.handle()), (0, 0));
}

// What was readied for an attempt fails: that is the callee's error, and the end of the call.
#[tokio::test(start_paused = true)]
async fn a_callee_that_is_not_ready_any_more_says_so_itself() {
    let callee = Callee::new(Act::Answer(503)).again(Again::Fails);
    let layer = layer();
    let error = call(&mut layer.layer(callee.clone()), get()).await.expect_err("not ready");
    assert_eq!(error.to_string(), "not ready any more");
    assert_eq!((callee.calls(), paid(&layer.handle())), (1, (1, 1)));
}

/// Is never ready, or fails to be.
#[derive(Clone, Debug)]
struct Sick(Poll<Result<(), &'static str>>);

impl Service<Web> for Sick {
    type Response = Page;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Page, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.map(|ready| ready.map_err(Into::into))
    }

    fn call(&mut self, _: Web) -> Self::Future {
        unreachable!("it was never ready")
    }
}

#[test]
fn pending_and_errors_of_the_service_inside_are_passed_on_and_no_error_is_added() {
    let layer = layer();
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(layer.layer(Sick(Poll::Pending)).poll_ready(cx).is_pending());
    let failed = layer.layer(Sick(Poll::Ready(Err("dead")))).poll_ready(cx);
    assert!(matches!(failed, Poll::Ready(Err(error)) if error.to_string() == "dead"));
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.failed, snapshot.retried), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_and_an_empty_budget_are_no_error_of_poll_ready() {
    use portcullis_backoff::breaker_core::{CircuitBreaker, CircuitBreakerConfig};
    let circuit = CircuitBreaker::new(CircuitBreakerConfig::new());
    let layer = layer_of(CONFIG.budget(portcullis_backoff::Budget::none())).watch(&circuit);
    circuit.trip().expect("it is closed");
    let mut service = layer.layer(Callee::new(Act::Answer(503)));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(cx), Poll::Ready(Ok(()))));
    let mut answer = pin!(service.call(of(http::Method::GET)));
    assert!(matches!(poll(answer.as_mut()), Poll::Ready(Ok(answer)) if answer.status() == 503));
}
