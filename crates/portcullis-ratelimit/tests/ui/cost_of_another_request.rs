//! A cost that was made for another kind of request.
//~ fn(&'a http::Request<String>)
//~ fn(&http::Request<Vec<u8>>)

use std::convert::Infallible;
use std::future::{Ready, ready};

use http::{Request, Response};
use portcullis_ratelimit::{RateLimit, RateLimitLayer};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<Request<String>>) {}

fn answer(request: Request<String>) -> Ready<Result<Response<String>, Infallible>> {
    ready(Ok(Response::new(request.into_body())))
}

fn main() {
    let layer = RateLimitLayer::new(RateLimit::new())
        .cost_fn(|request: &Request<Vec<u8>>| request.body().len() as u32);
    use_it(layer.layer(service_fn(answer)));
}
