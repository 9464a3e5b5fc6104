//! Retries around a client whose body is no `Clone`.
//~ `Clones` cannot send a request `http::Request<Streamed>` again
//~ `.replay(replay::bodies(Body::new))`

use std::convert::Infallible;
use std::future::ready;

use http::{Request, Response};
use portcullis_backoff::{BackoffConfig, BackoffLayer};
use tower::{Layer, Service, service_fn};

struct Streamed;

fn use_it(_: impl Service<Request<Streamed>>) {}

fn main() {
    let client = service_fn(|_: Request<Streamed>| ready(Ok::<_, Infallible>(Response::new(()))));
    use_it(BackoffLayer::new(BackoffConfig::new()).layer(client));
}
