//! What the compiler promises: these compile, or nothing does.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use portcullis_breaker::breaker_core::{Outcome, Rejected};
use portcullis_breaker::portcullis_http::key;
use portcullis_breaker::{BoxError, BoxErrors, CircuitBreakerConfig, CircuitBreakerLayer};
use tower_layer::Layer;
use tower_service::Service;

use super::support::CONFIG;

type Web = Request<Full<Bytes>>;
type Page = Response<Full<Bytes>>;

/// A service whose future is as plain as can be.
#[derive(Clone, Debug)]
struct Plain;

impl Service<Web> for Plain {
    type Response = Page;
    type Error = Infallible;
    type Future = Ready<Result<Page, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Web) -> Self::Future {
        ready(Ok(Page::default()))
    }
}

fn shareable<T: Clone + Debug + Send + Sync + 'static>(value: T) -> T {
    value
}

/// A layer that a router takes: all its parts are `Clone + Send + Sync`, and the service's types
/// are what they were.
fn fits<L>(layer: L)
where
    L: Layer<Plain> + Clone + Debug + Send + Sync + 'static,
    L::Service: Service<Web, Response = Page, Error = Infallible>,
    L::Service: Clone + Debug + Send + Sync + 'static,
    <L::Service as Service<Web>>::Future: Debug + Send + Sync + 'static,
{
    let mut service = shareable(shareable(layer).layer(Plain));
    let future = service.call(Web::default());
    assert!(format!("{service:?} {future:?}").contains("CircuitBreakerService"));
}

#[test]
fn layers_services_and_futures_are_clone_send_and_sync() {
    let layer = || CircuitBreakerLayer::new(CONFIG);
    fits(layer());
    fits(layer().http());
    fits(layer().grpc());
    fits(layer().keyed(key::header("x-tenant")));
    fits(layer().keyed(key::host()));
    fits(layer().keyed(key::extension(String::as_str)));
}

#[test]
fn so_they_are_with_closures() {
    let held = "a string that is moved in".to_owned();
    let layer = || CircuitBreakerLayer::new(CONFIG);
    let text = held.clone();
    fits(layer().classify_fn(
        move |_| {
            if text.is_empty() { Outcome::Ignored } else { Outcome::Success }
        },
    ));
    let text = held.clone();
    fits(layer().refuse_fn(move |_: &Web, _| {
        let body = Full::from(text.clone());
        Ok(Response::new(body))
    }));
    fits(layer().keyed_fn(move |_: &Web| Some(held.clone())));
}

#[test]
fn judging_at_the_end_of_the_body_changes_the_body_and_nothing_else() {
    fn is_service<S, B>(service: S) -> S
    where
        S: Service<Web, Response = Response<B>, Error = Infallible>,
        S: Clone + Debug + Send + Sync + 'static,
        S::Future: Debug + Send + Sync + 'static,
        B: http_body::Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static,
    {
        service
    }
    let layer = shareable(CircuitBreakerLayer::new(CONFIG).judge_at_end_of_body());
    let mut service = is_service(layer.layer(Plain));
    let future = service.call(Web::default());
    assert!(format!("{layer:?} {service:?} {future:?}").contains("BodyEndLayer"));
}

#[test]
fn a_service_that_is_not_http_keeps_its_types() {
    fn calls<S: Service<u8, Response = Rc<str>, Error = BoxError>>(_: S) {}
    // Neither request, response nor future need to be anything in particular.
    let inner = tower::service_fn(|_: u8| ready(Ok::<Rc<str>, BoxError>(Rc::from("text"))));
    calls(CircuitBreakerLayer::generic(CONFIG).layer(inner));
}

#[test]
fn errors_of_clients_are_boxed_beneath() {
    fn calls<S: Service<Web, Response = Page, Error = BoxError>>(_: S) {}
    let client = tower::service_fn(|_: Web| ready(Err::<Page, _>(std::fmt::Error)));
    let stack = tower::ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(CircuitBreakerConfig::http_client()))
        .layer(BoxErrors);
    calls(stack.service(client));
}

#[test]
fn nothing_is_asked_of_requests_that_are_refused_in_a_closure() {
    struct Bare;
    let inner = tower::service_fn(|_: Bare| ready(Ok::<Bare, Bare>(Bare)));
    let layer = CircuitBreakerLayer::new(CONFIG)
        .classify_fn(|_: Result<&Bare, &Bare>| Outcome::Ignored)
        .refuse_fn(|_: &Bare, _: Rejected| Err(Bare));
    fn calls<S: Service<Bare, Response = Bare, Error = Bare>>(_: S) {}
    calls(layer.layer(inner));
}
