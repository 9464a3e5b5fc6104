//! The control: what fits compiles, also with closures, and with callers that wait.

use std::convert::Infallible;
use std::future::{Ready, ready};

use http::{Request, Response};
use portcullis_ratelimit::breaker_core::Outcome;
use portcullis_ratelimit::{RateLimit, RateLimitLayer};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<Request<String>>) {}

fn answer(request: Request<String>) -> Ready<Result<Response<String>, Infallible>> {
    ready(Ok(Response::new(request.into_body())))
}

fn main() {
    let layer = RateLimitLayer::new(RateLimit::new());
    use_it(layer.layer(service_fn(answer)));
    let layer = layer
        .classify_fn(|_: Result<&Response<String>, &Infallible>| Outcome::Success)
        .refuse_fn(|_: &Request<String>, _| Ok::<_, Infallible>(Response::new(String::new())))
        .keyed_fn(|request: &Request<String>| request.uri().host().map(str::to_owned))
        .cost_fn(|request: &Request<String>| request.body().len() as u32);
    use_it(layer.clone().layer(service_fn(answer)));
    use_it(layer.waiting().layer(service_fn(answer)));
}
