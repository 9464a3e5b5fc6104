//! The whole address of whoever sent a request: [`SenderIp`].

use std::net::IpAddr;

use http::Request;

use super::forwarded::ForwardedIp;
use super::peer::PeerIp;

/// A key that knows the whole address of whoever sent the request: [`PeerIp`] that of the
/// connection, [`ForwardedIp`] that of the caller behind proxies.
///
/// It is the address in the form in which addresses are compared, not cut to a network. Nobody else
/// can be one: who is trusted must not hang on an address that a caller could have written.
pub trait SenderIp: sealed::Sealed {
    /// The address, where the server has left that of the connection.
    fn sender<B>(&self, request: &Request<B>) -> Option<IpAddr>;
}

impl<T: Send + Sync + 'static> SenderIp for PeerIp<T> {
    fn sender<B>(&self, request: &Request<B>) -> Option<IpAddr> {
        self.address(request.extensions())
    }
}

impl<T: Send + Sync + 'static> SenderIp for ForwardedIp<T> {
    fn sender<B>(&self, request: &Request<B>) -> Option<IpAddr> {
        self.address(request.extensions(), request.headers())
    }
}

mod sealed {
    use super::{ForwardedIp, PeerIp};

    pub trait Sealed {}

    impl<T> Sealed for PeerIp<T> {}
    impl<T> Sealed for ForwardedIp<T> {}
}
