//! How the shop calls an upstream when nothing protects it.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Sleep, sleep};
use tower::retry::{Policy, RetryLayer};
use tower::timeout::TimeoutLayer;
use tower::util::{BoxCloneSyncService, MapRequest};
use tower::{BoxError, ServiceBuilder, ServiceExt};

use crate::depot;

/// How long the shop waits for one answer of an upstream; the same in both shops.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(500);

/// A client of one upstream, bare or protected.
pub(crate) type UpstreamClient = BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;

/// A client of somebody whose requests have no body.
pub(crate) type Client = BoxCloneSyncService<Request<()>, Response<Incoming>, BoxError>;

/// Connections that a client keeps for later. What a crowd has opened beyond that it closes again,
/// so that a run gets by with the thousand open files that most systems grant a process.
const IDLE: usize = 16;

/// An HTTP client with a pool of its own.
pub(crate) fn http() -> HttpClient<HttpConnector, Body> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    HttpClient::builder(TokioExecutor::new()).pool_max_idle_per_host(IDLE).build(connector)
}

/// The client of the bare shop: a time limit, and nothing else.
pub(crate) fn bare() -> UpstreamClient {
    let client = ServiceBuilder::new().layer(TimeoutLayer::new(TIMEOUT)).service(http());
    BoxCloneSyncService::new(client)
}

/// The client of a caller: nothing around it.
pub(crate) fn plain() -> Client {
    BoxCloneSyncService::new(bodiless().map_err(BoxError::from))
}

/// The client of the depot in the bare world: up to three attempts, 50 ms apart, each with a time
/// limit, as many a guide has it.
pub(crate) fn insistent() -> Client {
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(ThreeTimes { left: 2 }))
        .layer(TimeoutLayer::new(depot::TIMEOUT))
        .service(bodiless());
    BoxCloneSyncService::new(client)
}

/// The HTTP client for requests without a body, which can be cloned.
pub(crate) fn bodiless() -> MapRequest<HttpClient<HttpConnector, Body>, Embody> {
    http().map_request(|request| request.map(|()| Body::empty()))
}

/// What turns a request without a body into one with an empty body.
pub(crate) type Embody = fn(Request<()>) -> Request<Body>;

/// The plain policy: whatever fails is tried again, and nobody counts.
#[derive(Clone, Debug)]
struct ThreeTimes {
    left: u32,
}

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

impl<B> Policy<Request<()>, Response<B>, BoxError> for ThreeTimes {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut Request<()>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Sleep> {
        let failed = result.as_ref().map_or(true, |answer| answer.status().is_server_error());
        if !failed || self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(sleep(PAUSE))
    }

    fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
        Some(request.clone())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn the_plain_policy_tries_twice_again_whatever_fails_and_nothing_else() {
        let again = |answers: Result<StatusCode, BoxError>| {
            let mut policy = ThreeTimes { left: 2 };
            let mut answer = answers.map(|status| {
                let mut response = Response::new(());
                *response.status_mut() = status;
                response
            });
            let mut request = Request::new(());
            (0..9).take_while(|_| policy.retry(&mut request, &mut answer).is_some()).count()
        };
        assert_eq!(again(Ok(StatusCode::OK)), 0);
        assert_eq!(again(Ok(StatusCode::INTERNAL_SERVER_ERROR)), 2);
        assert_eq!(again(Ok(StatusCode::SERVICE_UNAVAILABLE)), 2);
        assert_eq!(again(Err("the connection broke".into())), 2);
    }
}
