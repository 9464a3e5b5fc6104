//! A name is not yet a key.
//~ `&str` picks no key from the request
//~ one of `portcullis_http::key`: `header(..)`, `extension(..)`

use portcullis_ratelimit::{RateLimit, RateLimitLayer};

fn main() {
    let layer = RateLimitLayer::new(RateLimit::new());
    let _ = layer.keyed("x-tenant");
}
