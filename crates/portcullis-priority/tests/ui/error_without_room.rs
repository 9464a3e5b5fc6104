//! A client whose error has no room for a refusal: `BoxErrors` beneath, or `.refuse_fn`.
//~ `Auto` has no answer for a refused call of this service
//~ error `TransportError`
//~ add the layer `BoxErrors` beneath
//~ or say what to answer with `.refuse_fn(|request, rejected| ..)`

use std::future::{Ready, ready};

use http::{Request, Response};
use portcullis_priority::{PriorityQueueLayer, QueueConfig};
use tower::{Layer, Service, service_fn};

struct TransportError;

fn use_it(_: impl Service<Request<String>>) {}

fn send(_: Request<String>) -> Ready<Result<Response<String>, TransportError>> {
    ready(Err(TransportError))
}

fn main() {
    let layer = PriorityQueueLayer::new(QueueConfig::new());
    use_it(layer.layer(service_fn(send)));
}
