//! A key, as a type of its own, that was made for another kind of request.
//~ `Tenant` picks no key from the request `http::Request<String>`
//~ a key of your own reads requests with any body: `impl<B> Key<Request<B>>`

use std::convert::Infallible;
use std::future::{Ready, ready};

use http::{Request, Response};
use portcullis_ratelimit::breaker_core::Key;
use portcullis_ratelimit::{RateLimit, RateLimitLayer, RateLimiters};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<Request<String>>) {}

fn answer(request: Request<String>) -> Ready<Result<Response<String>, Infallible>> {
    ready(Ok(Response::new(request.into_body())))
}

#[derive(Clone)]
struct Tenant;

impl Key<Request<Vec<u8>>> for Tenant {
    type Key = String;

    fn key(&self, request: &Request<Vec<u8>>) -> Option<String> {
        Some(request.uri().to_string())
    }
}

fn main() {
    let layer = RateLimitLayer::new(RateLimit::new())
        .keyed_by(Tenant, RateLimiters::<String>::new(RateLimit::new()));
    use_it(layer.layer(service_fn(answer)));
}
