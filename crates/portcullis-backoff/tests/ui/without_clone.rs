//! Retries around a service that cannot be cloned.
//~ the trait bound `Counting: Clone` is not satisfied
//~ BackoffService
//~ consider annotating `Counting` with `#[derive(Clone)]`

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{Request, Response};
use portcullis_backoff::{BackoffConfig, BackoffLayer};
use tower::{Layer, Service};

struct Counting(u64);

impl Service<Request<String>> for Counting {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        self.0 += 1;
        ready(Ok(Response::new(request.into_body())))
    }
}

fn use_it(_: impl Service<Request<String>>) {}

fn main() {
    use_it(BackoffLayer::new(BackoffConfig::new()).layer(Counting(0)));
}
