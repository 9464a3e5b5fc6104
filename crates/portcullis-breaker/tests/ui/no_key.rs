//! A name is not yet a key.
//~ `&str` picks no key from the request
//~ one of `portcullis_http::key`: `header(..)`, `extension(..)`

use portcullis_breaker::{CircuitBreakerConfig, CircuitBreakerLayer};

fn main() {
    let layer = CircuitBreakerLayer::new(CircuitBreakerConfig::new());
    let _ = layer.keyed("x-tenant");
}
