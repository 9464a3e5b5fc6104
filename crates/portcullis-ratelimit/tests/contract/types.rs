//! What the compiler promises: these compile, or nothing does.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::ready;
use std::rc::Rc;

use http::{Request, Response};
use portcullis_ratelimit::breaker_core::Outcome;
use portcullis_ratelimit::portcullis_http::key;
use portcullis_ratelimit::{
    BoxError, BoxErrors, Grant, RateLimit, RateLimitHeaders, RateLimitLayer, RateLimiter,
    RateLimiters,
};
use tower_layer::Layer;
use tower_service::Service;

use super::support::{Act, CONFIG, Inner};

type Web = Request<()>;
type Page = Response<String>;

fn shareable<T: Clone + Debug + Send + Sync + 'static>(value: T) -> T {
    value
}

/// A layer that a router takes: all its parts are `Clone + Send + Sync`, and the service's types are
/// what they were.
fn fits<L>(layer: L)
where
    L: Layer<Inner> + Clone + Debug + Send + Sync + 'static,
    L::Service: Service<Web, Response = Page, Error = Infallible>,
    L::Service: Clone + Debug + Send + Sync + 'static,
    <L::Service as Service<Web>>::Future: Debug + Send + 'static,
{
    let mut service = shareable(shareable(layer).layer(Inner::new(Act::Answer(200))));
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let future = service.call(Web::new(()));
    assert!(format!("{service:?} {future:?}").contains("RateLimit"));
}

#[test]
fn layers_services_and_futures_are_clone_send_and_sync() {
    let layer = || RateLimitLayer::new(CONFIG);
    fits(layer());
    fits(layer().http());
    fits(layer().grpc());
    fits(layer().headers(RateLimitHeaders::legacy()));
    fits(layer().keyed(key::header("x-client")));
    fits(layer().keyed(key::peer()));
    fits(layer().keyed(key::extension(String::as_str)).headers(RateLimitHeaders::draft10()));
    #[cfg(feature = "tokio")]
    fits(layer().keyed(key::host()).waiting());
}

#[cfg(feature = "redis")]
#[test]
fn so_they_are_where_the_quota_is_shared() {
    use portcullis_ratelimit::{
        OnStoreFailure, Rate, RateLimitWaitLayer, RedisLimit, RedisLimiter,
    };
    const LIMIT: RedisLimit = RedisLimit::new(Rate::per_second(9), 5, OnStoreFailure::FailOpen);
    // Nobody listens there, and nobody is asked.
    let client = redis::Client::open("redis://127.0.0.1:1/").expect("an address");
    let limiter = shareable(RedisLimiter::new(LIMIT, client).expect("a valid limit"));
    let layer = || RateLimitWaitLayer::shared(limiter.clone());
    fits(layer());
    fits(layer().keyed(key::peer()).headers(RateLimitHeaders::legacy()));
    let held = "a string that is moved in".to_owned();
    fits(layer().keyed_fn(move |_: &Web| Some(held.clone())).cost_fn(|_: &Web| 2));
    fits(layer().refuse(|_: &Web, _| Ok(Page::default())));
}

#[test]
fn so_they_are_with_closures() {
    let held = "a string that is moved in".to_owned();
    let text = held.clone();
    fits(
        RateLimitLayer::new(CONFIG)
            .keyed_fn(move |_: &Web| Some(held.clone()))
            .cost_fn(move |_: &Web| text.len() as u32)
            .classify_fn(|_: Result<&Page, &Infallible>| Outcome::Ignored)
            .refuse_fn(|_: &Web, _| Ok(Page::default())),
    );
}

#[test]
fn a_service_that_is_not_http_keeps_its_types() {
    fn calls<S: Service<u8, Response = Rc<str>, Error = BoxError>>(_: S) {}
    // Neither request, response nor future need to be anything in particular, and no `Clone`.
    let text = String::new();
    let inner = tower::service_fn(move |_: u8| ready(Ok::<Rc<str>, BoxError>(Rc::from(&*text))));
    calls(RateLimitLayer::generic(CONFIG).layer(inner));
}

#[test]
fn errors_of_clients_are_boxed_beneath() {
    fn calls<S: Service<Web, Response = Page, Error = BoxError>>(_: S) {}
    let client = tower::service_fn(|_: Web| ready(Err::<Page, _>(std::fmt::Error)));
    let stack = tower::ServiceBuilder::new().layer(RateLimitLayer::new(CONFIG)).layer(BoxErrors);
    calls(stack.service(client));
}

#[test]
fn handles_go_into_app_state_and_configs_into_constants() {
    const LIMIT: RateLimit = RateLimit::per_minute(90).burst(5).named("search");
    let _ = shareable(LIMIT);
    shareable(RateLimiter::new(LIMIT));
    shareable(RateLimiters::<u64>::new(LIMIT));
    fn sent<T: Send + Sync + Debug>(_: T) {}
    sent(RateLimiter::new(LIMIT).try_acquire().map(Grant::give_back));
}
