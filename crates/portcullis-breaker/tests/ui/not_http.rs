//! A service that is not HTTP: `.generic(config)`.
//~ `HttpOrGrpc` cannot classify the results of this service
//~ for a service that is not HTTP: make the layer by its `generic(config)`
//~ for a rule of your own: `.classify_fn(|result| ..)`

use std::convert::Infallible;
use std::future::{Ready, ready};

use portcullis_breaker::{CircuitBreakerConfig, CircuitBreakerLayer};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<u8, Response = u8>) {}

fn answer(request: u8) -> Ready<Result<u8, Infallible>> {
    ready(Ok(request))
}

fn main() {
    let layer = CircuitBreakerLayer::new(CircuitBreakerConfig::new());
    use_it(layer.layer(service_fn(answer)));
}
