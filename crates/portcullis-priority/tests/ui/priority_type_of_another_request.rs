//! A type that says how important a request is, and was made for another kind of request.
//~ `Tenant` does not know how important the request `http::Request<String>` is
//~ `|request: &Request<Body>| -> Option<Priority>` goes to `.priority_fn(..)`

use std::convert::Infallible;
use std::future::{Ready, ready};

use http::{Request, Response};
use portcullis_priority::breaker_core::Prioritize;
use portcullis_priority::{Priority, PriorityQueueLayer, QueueConfig};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<Request<String>>) {}

fn answer(request: Request<String>) -> Ready<Result<Response<String>, Infallible>> {
    ready(Ok(Response::new(request.into_body())))
}

#[derive(Clone)]
struct Tenant;

impl Prioritize<Request<Vec<u8>>> for Tenant {
    fn priority(&self, _: &Request<Vec<u8>>) -> Option<Priority> {
        Some(Priority::LOW)
    }
}

fn main() {
    let layer = PriorityQueueLayer::new(QueueConfig::new()).priority(Tenant);
    use_it(layer.layer(service_fn(answer)));
}
