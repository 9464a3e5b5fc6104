//! Retries for HTTP around a service that is none.
//~ cannot send a request `u8` again
//~ make the layer by its `generic(config)`

use std::convert::Infallible;
use std::future::ready;

use portcullis_backoff::{BackoffConfig, BackoffLayer};
use tower::{Layer, Service, service_fn};

fn use_it(_: impl Service<u8>) {}

fn main() {
    let inner = service_fn(|number: u8| ready(Ok::<_, Infallible>(number)));
    use_it(BackoffLayer::new(BackoffConfig::new()).layer(inner));
}
