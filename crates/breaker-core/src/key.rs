//! Which circuit, limit or budget is this request about? [`Key`].

use std::fmt::Display;
use std::hash::Hash;

/// Picks the key of a request, where there is one circuit or limit per key.
///
/// Closures `Fn(&Req) -> Option<K>` are keys; the layers take them in `.keyed_fn(..)`. Requests without a key share one circuit, which is
/// called `unmatched`. Keys that come from outside are safe: the map behind them is bounded and
/// hashed with a random seed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` picks no key from the request `{Req}`",
    note = "a closure `|request: &Request<Body>| -> Option<K>` goes to `.keyed_fn(..)`; \
            `.keyed(..)` takes one of `portcullis_http::key`: `header(..)`, `extension(..)`",
    note = "a key of your own reads requests with any body: `impl<B> Key<Request<B>>`"
)]
pub trait Key<Req> {
    /// The type of the key; its `Display` form labels events.
    type Key: Clone + Display + Eq + Hash + Send + Sync + 'static;

    /// The key of this request, if it has one.
    fn key(&self, request: &Req) -> Option<Self::Key>;
}

#[diagnostic::do_not_recommend]
impl<F, Req, K> Key<Req> for F
where
    F: Fn(&Req) -> Option<K>,
    K: Clone + Display + Eq + Hash + Send + Sync + 'static,
{
    type Key = K;

    fn key(&self, request: &Req) -> Option<K> {
        self(request)
    }
}
