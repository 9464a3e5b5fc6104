//! What the compiler promises: these compile, or nothing does.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::ready;
use std::rc::Rc;

use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use portcullis_backoff::breaker_core::Outcome;
use portcullis_backoff::portcullis_http::key;
use portcullis_backoff::{
    Backoff, BackoffConfig, BackoffLayer, BoxError, BoxErrors, ResponseFuture, replay,
};
use tower_layer::Layer;
use tower_service::Service;

use super::support::{Act, CONFIG, Callee, Page, Web, get};

fn shareable<T: Clone + Debug + Send + Sync + 'static>(value: T) -> T {
    value
}

/// A layer that leaves all types as they are, and that a router takes.
fn fits<L>(layer: L)
where
    L: Layer<Callee> + Clone + Debug + Send + Sync + 'static,
    L::Service: Service<Web, Response = Page, Error = BoxError>,
    L::Service: Clone + Debug + Send + Sync + 'static,
    <L::Service as Service<Web>>::Future: Debug + Send + 'static,
{
    let mut service = shareable(shareable(layer).layer(Callee::new(Act::Answer(200))));
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let future = service.call(get());
    assert!(format!("{service:?}").contains("Backoff"));
    assert!(format!("{future:?}").contains("ResponseFuture"));
}

#[tokio::test]
async fn layers_services_and_futures_are_clone_send_and_sync() {
    let layer = || BackoffLayer::new(CONFIG);
    fits(layer());
    fits(layer().http());
    fits(layer().grpc());
    fits(layer().keyed(key::host()));
    fits(layer().redirect_to(Callee::new(Act::Answer(200))));
    let held = "a string that is moved in".to_owned();
    let text = held.clone();
    fits(
        layer()
            .keyed_fn(move |_: &Web| Some(held.clone()))
            .classify_fn(|_: Result<&Page, &BoxError>| Outcome::Success)
            .idempotent_fn(move |request: &Web| *request.body() == text),
    );
    fits(layer().clone_request_fn(|request: &Web| Some(request.clone())));
}

#[test]
fn a_service_that_is_not_http_keeps_its_types() {
    fn calls<S: Service<u8, Response = Rc<str>, Error = BoxError>>(_: S) {}
    // Neither request, response nor future need to be anything in particular.
    let inner = tower::service_fn(|_: u8| ready(Ok::<Rc<str>, BoxError>(Rc::from("text"))));
    calls(BackoffLayer::generic(CONFIG).layer(inner));
}

// S-RETRY-05: a body that is no `Clone`.
#[test]
fn bodies_that_are_no_clones_are_kept() {
    type Boxed = UnsyncBoxBody<bytes::Bytes, BoxError>;
    fn calls<S: Service<Request<Boxed>, Response = Response<Boxed>, Error = Infallible>>(_: S)
    where
        S::Future: Send,
    {
    }
    let inner = tower::service_fn(|request: Request<Boxed>| {
        ready(Ok::<_, Infallible>(Response::new(request.into_body())))
    });
    calls(BackoffLayer::new(CONFIG).replay(replay::bodies(Boxed::new)).layer(inner));
}

#[test]
fn errors_of_clients_are_boxed_beneath() {
    fn calls<S: Service<Web, Response = Page, Error = BoxError>>(_: S) {}
    let client = tower::service_fn(|_: Web| ready(Err::<Page, _>(std::fmt::Error)));
    let stack = tower::ServiceBuilder::new().layer(BackoffLayer::new(CONFIG)).layer(BoxErrors);
    calls(stack.service(client));
}

#[test]
fn handles_go_into_app_state_and_configs_into_constants() {
    const SEARCH: BackoffConfig = BackoffConfig::new().max_attempts(4).named("search");
    let backoff = shareable(Backoff::new(shareable(SEARCH)));
    assert!(backoff.explain().starts_with("search: no attempt has failed"));
    fn named<S: Service<R>, C, P: portcullis_backoff::breaker_core::Replay<R>, E, R>(
        _: Option<ResponseFuture<S, C, P, E, R>>,
    ) where
        E: portcullis_backoff::Elsewhere<R, S::Response, S::Error>,
    {
    }
    named::<
        Callee,
        portcullis_backoff::portcullis_http::HttpOrGrpc,
        replay::Clones,
        portcullis_backoff::Nowhere,
        Web,
    >(None);
}
