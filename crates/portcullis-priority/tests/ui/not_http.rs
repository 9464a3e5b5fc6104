//! A service that is not HTTP: `.generic(config, ..)`.
//~ `HttpOrGrpc` cannot classify the results of this service
//~ for a service that is not HTTP: make the layer by its `generic(config)`

use std::convert::Infallible;
use std::future::{Ready, ready};

use portcullis_priority::{ConcurrencyLayer, ConcurrencyLimit};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<u8, Response = u8>) {}

fn answer(request: u8) -> Ready<Result<u8, Infallible>> {
    ready(Ok(request))
}

fn main() {
    let layer = ConcurrencyLayer::new(ConcurrencyLimit::new(20)).hold_to_head();
    use_it(layer.layer(service_fn(answer)));
}
