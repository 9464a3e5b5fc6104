//! What the compiler promises: these compile, or nothing does.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::ready;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use portcullis_priority::breaker_core::{CircuitBreaker, CircuitBreakerConfig, Outcome};
use portcullis_priority::portcullis_http::{Held, JudgedBody, deadline, key, priority};
use portcullis_priority::{
    BoxError, BoxErrors, Call, ConcurrencyLayer, ConcurrencyLimit, Priority, PriorityQueue,
    PriorityQueueLayer, QueueConfig, Slot, Wait,
};
use tower_layer::Layer;
use tower_service::Service;

use super::support::{Act, CONFIG, Inner};

type Web = Request<()>;
type Page = Response<String>;
type HeldPage = Response<JudgedBody<String, Held<Slot>>>;

fn shareable<T: Clone + Debug + Send + Sync + 'static>(value: T) -> T {
    value
}

/// A layer that a router takes: all its parts are `Clone + Send + Sync`, and the service has this
/// response.
fn fits_with<L, Res>(layer: L)
where
    L: Layer<Inner> + Clone + Debug + Send + Sync + 'static,
    L::Service: Service<Web, Response = Res, Error = Infallible>,
    L::Service: Clone + Debug + Send + Sync + 'static,
    <L::Service as Service<Web>>::Future: Debug + Send + 'static,
{
    let mut service = shareable(shareable(layer).layer(Inner::new(Act::Answer(200))));
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let future = service.call(Web::new(()));
    assert!(format!("{service:?}").contains("PriorityQueue"));
    assert!(format!("{future:?}").contains("ResponseFuture"));
}

/// One that leaves all types as they are.
fn fits<L>(layer: L)
where
    L: Layer<Inner> + Clone + Debug + Send + Sync + 'static,
    L::Service: Service<Web, Response = Page, Error = Infallible>,
    L::Service: Clone + Debug + Send + Sync + 'static,
    <L::Service as Service<Web>>::Future: Debug + Send + 'static,
{
    fits_with::<L, Page>(layer);
}

#[test]
fn layers_services_and_futures_are_clone_send_and_sync() {
    let layer = || PriorityQueueLayer::new(CONFIG);
    fits_with::<_, HeldPage>(layer());
    fits_with::<_, HeldPage>(layer().hold_to_head().hold_to_end_of_body());
    fits(layer().hold_to_head());
    fits(layer().http().hold_to_head());
    fits(layer().grpc().hold_to_head());
    let ours = priority::from_request().trusted_peers(key::peer(), ["10.0.0.0/8"]);
    fits(layer().priority(ours.expect("a network")).hold_to_head());
    fits(layer().fair_by(key::header("x-user")).hold_to_head());
    fits(layer().watch(&CircuitBreaker::new(CircuitBreakerConfig::new())).hold_to_head());
    let bulkhead = || ConcurrencyLayer::new(ConcurrencyLimit::new(3));
    fits_with::<_, HeldPage>(bulkhead());
    fits(bulkhead().hold_to_head());
    fits(bulkhead().http().hold_to_head());
    fits(bulkhead().hold_to_head().grpc());
}

#[test]
fn so_they_are_with_closures() {
    let held = "a string that is moved in".to_owned();
    let text = held.clone();
    fits(
        PriorityQueueLayer::new(CONFIG)
            .priority_fn(move |_: &Web| Priority::checked(held.len() as u8))
            .fair_by_fn(move |_: &Web| Some(text.clone()))
            .remaining_fn(|_: &Web| Some(Duration::from_secs(1)))
            .classify_fn(|_: Result<&Page, &Infallible>| Outcome::Ignored)
            .refuse_fn(|_: &Web, _| Ok(Page::default()))
            .hold_to_head(),
    );
    fits(PriorityQueueLayer::new(CONFIG).remaining_fn(deadline::grpc_timeout::<()>).hold_to_head());
}

#[test]
fn a_service_that_is_not_http_keeps_its_types() {
    fn calls<S: Service<u8, Response = Rc<str>, Error = BoxError>>(_: S) {}
    // Neither request, response nor future need to be anything in particular.
    let inner = tower::service_fn(|_: u8| ready(Ok::<Rc<str>, BoxError>(Rc::from("text"))));
    calls(PriorityQueueLayer::generic(CONFIG, |_: &u8| None).layer(inner));
    calls(ConcurrencyLayer::generic(ConcurrencyLimit::new(3)).layer(inner));
}

#[test]
fn errors_of_clients_are_boxed_beneath() {
    fn calls<S: Service<Web, Response = HeldPage, Error = BoxError>>(_: S) {}
    let client = tower::service_fn(|_: Web| ready(Err::<Page, _>(std::fmt::Error)));
    let stack =
        tower::ServiceBuilder::new().layer(PriorityQueueLayer::new(CONFIG)).layer(BoxErrors);
    calls(stack.service(client));
}

#[test]
fn handles_go_into_app_state_and_configs_into_constants() {
    const QUEUE: QueueConfig = QueueConfig::slots(90).min_priority(Priority::LOW).named("search");
    const BULKHEAD: ConcurrencyLimit = ConcurrencyLimit::new(5).named("database");
    let _ = (shareable(QUEUE), shareable(BULKHEAD), shareable(Call::new(Priority::LOW)));
    let queue = shareable(PriorityQueue::new(QUEUE));
    fn sent<T: Send + Debug + 'static>(_: T) {}
    fn shared<T: Send + Sync + Debug + Unpin>(_: &T) {}
    let slot: Slot = queue.try_acquire(Priority::LOW).expect("it is free");
    shared(&slot);
    let wait: Wait = queue.acquire(Priority::LOW);
    sent(wait);
    sent(queue.try_acquire(Priority::LOW).map(Slot::give_back));
}
