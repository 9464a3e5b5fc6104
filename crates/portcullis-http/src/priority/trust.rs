//! Whose headers are believed: [`Trust`].

use std::sync::Arc;

use http::Request;

use crate::key::{InvalidNetworks, Network, SenderIp};

/// Is the sender of this request believed when it says how important the request is?
///
/// Closures `Fn(&Req) -> bool` answer it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know whether to trust the sender of the request `{Req}`",
    note = "write the type of the request out: `.trusted_fn(|request: &Request<Body>| ..)`"
)]
pub trait Trust<Req> {
    /// Whether it is.
    fn trusts(&self, request: &Req) -> bool;
}

#[diagnostic::do_not_recommend]
impl<F, Req> Trust<Req> for F
where
    F: Fn(&Req) -> bool,
{
    fn trusts(&self, request: &Req) -> bool {
        self(request)
    }
}

/// No sender is trusted: the default.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Nobody;

impl<Req> Trust<Req> for Nobody {
    fn trusts(&self, _: &Req) -> bool {
        false
    }
}

/// Whoever sends from an address in some networks; see
/// [`trusted_peers`](super::RequestPriority::trusted_peers).
#[derive(Clone, Debug)]
pub struct Peers<S> {
    sender: S,
    networks: Arc<[Network]>,
}

impl<S> Peers<S> {
    pub(super) fn new<I>(sender: S, networks: I) -> Result<Self, InvalidNetworks>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Ok(Self { sender, networks: Network::all(networks)?.into() })
    }
}

/// A sender without an address is a stranger.
impl<B, S: SenderIp> Trust<Request<B>> for Peers<S> {
    fn trusts(&self, request: &Request<B>) -> bool {
        let inside = |address| self.networks.iter().any(|network| network.contains(address));
        self.sender.sender(request).is_some_and(inside)
    }
}
