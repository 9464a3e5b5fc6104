//! A classifier that was made for another response.
//~ &'a Response<String>
//~ &Response<Vec<u8>>

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
    let layer = CircuitBreakerLayer::new(CircuitBreakerConfig::new())
        .classify_fn(|_: Result<&Response<Vec<u8>>, &Infallible>| Outcome::Success);
    use_it(layer.layer(service_fn(answer)));
}
