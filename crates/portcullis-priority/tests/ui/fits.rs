//! The control: what fits compiles, also with closures, and held to either end.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::Duration;

use http::{Request, Response};
use portcullis_priority::breaker_core::Outcome;
use portcullis_priority::{
    ConcurrencyLayer, ConcurrencyLimit, Priority, PriorityQueueLayer, QueueConfig,
};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<Request<String>>) {}

fn answer(request: Request<String>) -> Ready<Result<Response<String>, Infallible>> {
    ready(Ok(Response::new(request.into_body())))
}

fn main() {
    let layer = PriorityQueueLayer::new(QueueConfig::new());
    use_it(layer.layer(service_fn(answer)));
    let layer = layer
        .priority_fn(|request: &Request<String>| Priority::checked(request.body().len() as u8))
        .fair_by_fn(|request: &Request<String>| request.uri().host().map(str::to_owned))
        .remaining_fn(|_: &Request<String>| Some(Duration::from_secs(1)))
        .classify_fn(|_: Result<&Response<String>, &Infallible>| Outcome::Success)
        .refuse_fn(|_: &Request<String>, _| Ok::<_, Infallible>(Response::new(String::new())));
    use_it(layer.clone().layer(service_fn(answer)));
    use_it(layer.hold_to_head().layer(service_fn(answer)));
    let bulkhead = ConcurrencyLayer::new(ConcurrencyLimit::new(20));
    use_it(bulkhead.layer(service_fn(answer)));
    use_it(bulkhead.hold_to_head().layer(service_fn(answer)));
}
