//! The control: what fits compiles, also with closures whose types nobody wrote down.

use std::convert::Infallible;
use std::future::{Ready, ready};

use http::{Request, Response};
use portcullis_breaker::breaker_core::Outcome;
use portcullis_breaker::{CircuitBreakerConfig, CircuitBreakerLayer};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<Request<String>>) {}

fn answer(request: Request<String>) -> Ready<Result<Response<String>, Infallible>> {
    ready(Ok(Response::new(request.into_body())))
}

fn main() {
    let layer = CircuitBreakerLayer::new(CircuitBreakerConfig::new());
    use_it(layer.layer(service_fn(answer)));
    let layer = layer
        .classify_fn(|_| Outcome::Success)
        .refuse_fn(|_, _| Ok(Response::default()))
        .keyed_fn(|request: &Request<String>| request.uri().host().map(str::to_owned));
    use_it(layer.layer(service_fn(answer)));
}
