//! The address of whoever sent the request: [`PeerIp`].

use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use breaker_core::Key;
use http::{Extensions, Request};

use super::forwarded::{ForwardedIp, TrustedProxy};

/// The address of the connection that the request came by, which nobody can forge.
///
/// Servers leave what they know of a connection in the request's extensions, and `address` takes
/// the address out of it. A request without one has no key, and shares a bucket with all others
/// that have none: make sure that the server leaves it there.
///
/// | server | key |
/// |---|---|
/// | axum, with `into_make_service_with_connect_info::<SocketAddr>()` | <code>peer_ip(\|info: &ConnectInfo&lt;SocketAddr&gt;\| Some(info.0))</code> |
/// | tonic | <code>peer_ip(TcpConnectInfo::remote_addr)</code> |
/// | one of your own that leaves a `SocketAddr` | [`peer()`] |
///
/// Behind a proxy this is the proxy's address: see [`PeerIp::behind`].
///
/// ```
/// # use std::net::SocketAddr;
/// # use breaker_core::Key;
/// # use http::Request;
/// # use portcullis_http::key::peer_ip;
/// #[derive(Clone)]
/// struct ConnectInfo<T>(T); // axum::extract::ConnectInfo looks like this
///
/// let key = peer_ip(|info: &ConnectInfo<SocketAddr>| Some(info.0));
/// let mut request = Request::new(());
/// assert_eq!(key.key(&request), None);
/// request.extensions_mut().insert(ConnectInfo("192.0.2.7:4711".parse::<SocketAddr>().unwrap()));
/// assert_eq!(key.key(&request), "192.0.2.7".parse().ok());
/// ```
#[must_use]
pub const fn peer_ip<T>(address: fn(&T) -> Option<SocketAddr>) -> PeerIp<T> {
    PeerIp { address, prefix: 64 }
}

/// [`peer_ip`], for a server that leaves a plain `SocketAddr` in the extensions.
#[must_use]
pub const fn peer() -> PeerIp {
    peer_ip(|address| Some(*address))
}

/// The key made by [`peer_ip`]: an IPv4 address, or the network of an IPv6 address.
///
/// An IPv4 address that was mapped into IPv6 is the IPv4 address. Of an IPv6 address, the first 64
/// bits count, without a zone: whoever has one address of such a network usually has all of them,
/// and could be a new caller with each call.
pub struct PeerIp<T = SocketAddr> {
    address: fn(&T) -> Option<SocketAddr>,
    prefix: u8,
}

impl<T> PeerIp<T> {
    /// How many bits of an IPv6 address count, 1..=128; by default 64. Providers that give whole
    /// sites to strangers are met with 56 or 48.
    ///
    /// # Panics
    /// When it is outside that range; in a constant this is a compile error.
    #[must_use]
    pub const fn ipv6_prefix(mut self, bits: u8) -> Self {
        assert!(1 <= bits && bits <= 128, "an IPv6 prefix has 1..=128 bits");
        self.prefix = bits;
        self
    }

    /// The address of the caller behind proxies that are trusted to name it.
    #[must_use]
    pub const fn behind(self, proxy: TrustedProxy) -> ForwardedIp<T> {
        ForwardedIp::new(self, proxy)
    }
}

impl<T: Send + Sync + 'static> PeerIp<T> {
    /// The whole address, in the one form in which addresses are compared.
    pub(super) fn address(&self, extensions: &Extensions) -> Option<IpAddr> {
        Some((self.address)(extensions.get()?)?.ip().to_canonical())
    }

    /// What of an address is the key.
    pub(super) const fn key_of(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << (128 - self.prefix));
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        }
    }
}

impl<B, T: Send + Sync + 'static> Key<Request<B>> for PeerIp<T> {
    type Key = IpAddr;

    fn key(&self, request: &Request<B>) -> Option<IpAddr> {
        Some(self.key_of(self.address(request.extensions())?))
    }
}

impl<T> Clone for PeerIp<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for PeerIp<T> {}

impl<T> fmt::Debug for PeerIp<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerIp")
            .field("address", &PhantomData::<T>)
            .field("prefix", &self.prefix)
            .finish()
    }
}
