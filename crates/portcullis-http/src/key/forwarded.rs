//! The address of a caller behind proxies: [`TrustedProxy`].

use std::net::IpAddr;
use std::sync::Arc;

use breaker_core::Key;
use http::header::FORWARDED;
use http::{Extensions, HeaderMap, HeaderName, Request};

use super::network::{InvalidNetworks, Network};
use super::node;
use super::peer::PeerIp;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Which proxies are believed when they name the address that they had a request from.
///
/// Each proxy on the way appends that address to `X-Forwarded-For`. What stands left of the first
/// entry that a proxy of yours wrote is whatever the caller has sent. So there is one rule:
///
/// 1. The address is that of the connection.
/// 2. If there are networks, and the address is in none of them, it is the caller's: stop.
/// 3. Take the next entry from the right, of all lines of the header, the last line first. If
///    there is none, or it is no address: stop.
/// 4. The address is that entry. Go on with 2, at most as often as there are hops.
///
/// So a broken or missing entry leads to the address of the proxy that should have written it, and
/// never to one that the caller has made up. With hops alone the number must be right: one too
/// many believes the caller. And the service must not be reachable past its proxies.
///
/// An entry may have a port and, in IPv6, brackets and a zone; neither is part of the address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustedProxy {
    /// Empty where the number of hops is all that is known.
    networks: Arc<[Network]>,
    hops: u8,
    header: Header,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Header {
    XForwardedFor,
    Forwarded,
}

impl TrustedProxy {
    /// So many proxies, 1..=32, stand between every caller and this service, whatever their
    /// addresses.
    ///
    /// # Panics
    /// When the number is outside that range.
    #[must_use]
    pub fn hops(hops: u8) -> Self {
        Self { networks: Arc::new([]), hops: Self::MAX_HOPS, header: Header::XForwardedFor }
            .at_most(hops)
    }

    /// The proxies with an address in one of these networks, such as `"10.0.0.0/8"` or
    /// `"fd00::/8"`; at most 32 of them in a row.
    ///
    /// ```
    /// # use portcullis_http::key::{self, TrustedProxy};
    /// let proxies = TrustedProxy::cidrs(["10.0.0.0/8", "fd00::/8"])?;
    /// let key = key::peer().behind(proxies);
    /// # Ok::<_, key::InvalidNetworks>(())
    /// ```
    ///
    /// # Errors
    /// All texts that are no network, and an empty list, by which nobody would be trusted.
    pub fn cidrs<I>(networks: I) -> Result<Self, InvalidNetworks>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let networks = Network::all(networks)?;
        let header = Header::XForwardedFor;
        Ok(Self { networks: networks.into(), hops: Self::MAX_HOPS, header })
    }

    /// So many proxies in a row at most, 1..=32; by default 32.
    ///
    /// # Panics
    /// When the number is outside that range.
    #[must_use]
    pub const fn at_most(mut self, hops: u8) -> Self {
        assert!(1 <= hops && hops <= Self::MAX_HOPS, "there are 1..=32 hops");
        self.hops = hops;
        self
    }

    /// Reads `for` in the header `Forwarded` (RFC 7239), and not `X-Forwarded-For`.
    ///
    /// `unknown` and names that begin with `_` are no addresses.
    #[must_use]
    pub const fn header_forwarded(mut self) -> Self {
        self.header = Header::Forwarded;
        self
    }

    const MAX_HOPS: u8 = 32;

    /// The rule of this type; `address` is in the one form in which addresses are compared.
    fn caller(&self, mut address: IpAddr, headers: &HeaderMap) -> IpAddr {
        let (name, read): (_, fn(&[u8]) -> _) = match self.header {
            Header::XForwardedFor => (X_FORWARDED_FOR, node::address),
            Header::Forwarded => (FORWARDED, node::forwarded_for),
        };
        let lines = headers.get_all(name).into_iter().rev();
        let mut entries = lines.flat_map(|line| node::from_right(line.as_bytes()));
        for _ in 0..self.hops {
            if !self.trusts(address) {
                break;
            }
            let Some(entry) = entries.next().and_then(read) else { break };
            address = entry.to_canonical();
        }
        address
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(address))
    }
}

/// The key made by [`PeerIp::behind`]: the address of the caller behind the proxies.
///
/// It is cut as [`PeerIp`] cuts it. A request whose connection has no address has no key.
#[derive(Clone, Debug)]
pub struct ForwardedIp<T> {
    peer: PeerIp<T>,
    proxy: TrustedProxy,
}

impl<T> ForwardedIp<T> {
    pub(super) const fn new(peer: PeerIp<T>, proxy: TrustedProxy) -> Self {
        Self { peer, proxy }
    }
}

impl<T: Send + Sync + 'static> ForwardedIp<T> {
    /// The whole address, in the one form in which addresses are compared.
    pub(super) fn address(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        Some(self.proxy.caller(self.peer.address(extensions)?, headers))
    }
}

impl<B, T: Send + Sync + 'static> Key<Request<B>> for ForwardedIp<T> {
    type Key = IpAddr;

    fn key(&self, request: &Request<B>) -> Option<IpAddr> {
        Some(self.peer.key_of(self.address(request.extensions(), request.headers())?))
    }
}
