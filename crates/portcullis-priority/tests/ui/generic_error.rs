//! A service that is not HTTP, whose error cannot be made from a refusal.
//~ `AsError` has no answer for a refused call of this service
//~ error `DatabaseError`
//~ the service's error needs `From<Rejected>`

use std::future::{Ready, ready};

use portcullis_priority::{ConcurrencyLayer, ConcurrencyLimit};
use tower::{Layer, Service, service_fn};

struct DatabaseError;

fn use_it(_: impl Service<u8>) {}

fn query(row: u8) -> Ready<Result<u8, DatabaseError>> {
    ready(Ok(row))
}

fn main() {
    let layer = ConcurrencyLayer::generic(ConcurrencyLimit::new(20));
    use_it(layer.layer(service_fn(query)));
}
