//! How the shop calls an upstream when nothing protects it.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::timeout::TimeoutLayer;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder};

/// How long the shop waits for one answer of an upstream; the same in both shops.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(500);

/// A client of one upstream, bare or protected.
pub(crate) type UpstreamClient = BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;

/// Connections that a client keeps for later. What a crowd has opened beyond that it closes again,
/// so that a run gets by with the thousand open files that most systems grant a process.
const IDLE: usize = 16;

/// An HTTP client with a pool of its own.
pub(crate) fn http() -> Client<HttpConnector, Body> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(IDLE).build(connector)
}

/// The client of the bare shop: a time limit, and nothing else.
pub(crate) fn bare() -> UpstreamClient {
    let client = ServiceBuilder::new().layer(TimeoutLayer::new(TIMEOUT)).service(http());
    BoxCloneSyncService::new(client)
}
