//! What the others get wrong, done right.

use std::convert::Infallible;
use std::future::ready;

use http::{Request, Response};
use portcullis_backoff::{BackoffConfig, BackoffLayer};
use tower::{Layer, Service, service_fn};

const CONFIG: BackoffConfig = BackoffConfig::new().max_attempts(4);

struct Streamed;

fn use_it<R>(_: impl Service<R>) {}

fn main() {
    let client = service_fn(|_: Request<Streamed>| ready(Ok::<_, Infallible>(Response::new(()))));
    let empty = |request: &Request<Streamed>| Request::get(request.uri()).body(Streamed).ok();
    let layer = BackoffLayer::new(CONFIG).clone_request_fn(empty);
    use_it(layer.keyed_fn(|_: &Request<Streamed>| Some(1)).layer(client));
    let inner = service_fn(|number: u8| ready(Ok::<_, Infallible>(number)));
    use_it(BackoffLayer::generic(CONFIG).layer(inner));
}
