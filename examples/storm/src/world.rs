//! A world: three upstreams, the shop that needs them, its till and its depot. There are two, bare and
//! protected.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::http::Uri;
use tokio::net::TcpListener;

use crate::client;
use crate::depot::Depot;
use crate::door::Door;
use crate::protect::Protection;
use crate::shop::{self, Outlet, Slots};
use crate::till::Till;
use crate::upstream::{Health, Upstream, UpstreamService};

/// Which of the two worlds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Bare,
    Protected,
}

/// Three upstreams, a shop, its till and its depot, running.
///
/// Each shop has upstreams of its own, so that the storm of one cannot reach the other.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Where the shop listens.
    pub(crate) shop: SocketAddr,
    /// The door of the shop.
    pub(crate) door: Door,
    /// The slots of the shop.
    pub(crate) slots: Slots,
    /// The till, which needs none of the others.
    pub(crate) till: Till,
    /// The depot, which needs none of the others, and its client.
    pub(crate) depot: Depot,
    /// The protection of the shop, in the protected world.
    pub(crate) protection: Option<Protection>,
    upstreams: [UpstreamService; 3],
}

impl Side {
    /// Both, in the order of every table.
    pub(crate) const BOTH: [Self; 2] = [Self::Bare, Self::Protected];

    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Protected => "protected",
        }
    }
}

impl World {
    /// Starts a world on free ports of the loopback device.
    pub(crate) async fn start(side: Side, seed: u64) -> io::Result<Self> {
        let protection = (side == Side::Protected).then(Protection::new);
        let (a, outlet_a) = upstream(Upstream::A, protection.as_ref()).await?;
        let (b, outlet_b) = upstream(Upstream::B, protection.as_ref()).await?;
        let (c, outlet_c) = upstream(Upstream::C, protection.as_ref()).await?;
        let slots = Slots::new();
        let router = shop::router(&[outlet_a, outlet_b, outlet_c], slots.clone());
        let door = Door::default();
        let router = door.before(router, |shop| match &protection {
            Some(protection) => protection.guard(shop),
            None => shop,
        });
        let till = Till::start(protection.as_ref()).await?;
        let depot = Depot::start(protection.as_ref(), seed).await?;
        let shop = serve(router).await?;
        Ok(Self { shop, door, slots, till, depot, protection, upstreams: [a, b, c] })
    }

    /// Makes an upstream ill or well.
    pub(crate) fn set(&self, upstream: Upstream, health: Health) {
        self.upstreams[upstream.index()].set(health);
    }

    /// How many calls have reached an upstream so far.
    pub(crate) fn reached(&self, upstream: Upstream) -> u64 {
        self.upstreams[upstream.index()].reached()
    }

    /// How many calls to upstreams were refused so far.
    pub(crate) fn spared(&self) -> u64 {
        self.protection.as_ref().map_or(0, Protection::spared)
    }
}

async fn upstream(
    which: Upstream,
    protection: Option<&Protection>,
) -> io::Result<(UpstreamService, Outlet)> {
    let (service, address) = UpstreamService::start().await?;
    let client = protection.map_or_else(client::bare, |protection| protection.client(which));
    Ok((service, Outlet { uri: uri(address, "/"), client }))
}

/// Serves a router on a free port of the loopback device, for as long as the process lives.
pub(crate) async fn serve(router: Router) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // Who the sender is, for those who ask.
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Ok(address)
}

/// The address of a path on a server of ours.
pub(crate) fn uri(address: SocketAddr, path: &'static str) -> Uri {
    Uri::builder()
        .scheme("http")
        .authority(address.to_string())
        .path_and_query(path)
        .build()
        // Made of a socket address and a constant path, so the fallback is never taken.
        .unwrap_or_default()
}
