//! A response body that cannot be made for a refusal: the layer that changes it belongs outside.
//~ `Auto` has no answer for a refused call of this service
//~ response `Response<Traced>`
//~ put the layer that changes the body outside, in a `.layer(..)` call of its own

use std::convert::Infallible;
use std::future::{Ready, ready};

use http::{Request, Response};
use portcullis_priority::{PriorityQueueLayer, QueueConfig};
use tower::{Layer, Service, service_fn};

struct Traced(String);

fn use_it(_: impl Service<Request<String>>) {}

fn answer(request: Request<String>) -> Ready<Result<Response<Traced>, Infallible>> {
    ready(Ok(Response::new(Traced(request.into_body()))))
}

fn main() {
    let layer = PriorityQueueLayer::new(QueueConfig::new());
    use_it(layer.layer(service_fn(answer)));
}
