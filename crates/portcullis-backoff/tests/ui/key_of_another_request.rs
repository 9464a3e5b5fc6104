//! A key that is made for another kind of request.
//~ expected closure signature `for<'a> fn(&'a http::Request<String>) -> _`

use std::convert::Infallible;
use std::future::ready;

use http::{Request, Response};
use portcullis_backoff::{BackoffConfig, BackoffLayer};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<Request<String>>) {}

fn main() {
    let client = service_fn(|_: Request<String>| ready(Ok::<_, Infallible>(Response::new(()))));
    let layer = BackoffLayer::new(BackoffConfig::new()).keyed_fn(|_: &Request<()>| Some(1));
    use_it(layer.layer(client));
}
