//! A closure that was written for another kind of request.
//~ type mismatch in closure arguments
//~ expected closure signature `for<'a> fn(&'a http::Request<String>) -> _`

use std::convert::Infallible;
use std::future::{Ready, ready};

use http::{Request, Response};
use portcullis_priority::{Priority, PriorityQueueLayer, QueueConfig};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<Request<String>>) {}

fn answer(request: Request<String>) -> Ready<Result<Response<String>, Infallible>> {
    ready(Ok(Response::new(request.into_body())))
}

fn main() {
    let layer = PriorityQueueLayer::new(QueueConfig::new())
        .priority_fn(|_: &Request<Vec<u8>>| Some(Priority::LOW));
    use_it(layer.layer(service_fn(answer)));
}
