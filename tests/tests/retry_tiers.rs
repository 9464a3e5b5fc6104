//! Tiers that all could retry: one does. Four processes in one, on real sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use portcullis::{
    AdaptiveTimeoutLayer, BackoffConfig, BackoffLayer, BoxError, BoxErrors, Budget,
    CarryDeadlineLayer, Clock as _, Deadline, Delays, MonotonicClock, Percent, RetryMarksLayer,
    TimeoutConfig, deadline, replay,
};
use portcullis_tests::loopback::{self, Hits};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt as _};

/// Three attempts, one after the other.
const THREE: BackoffConfig = BackoffConfig::new()
    .same_for_all_methods()
    .max_attempts(3)
    .delays(Delays::fixed(Duration::from_millis(1)).jitter(Percent::ZERO))
    .budget(Budget::unlimited());

type Outgoing = BoxCloneSyncService<Request<Body>, Response<hyper::body::Incoming>, BoxError>;

// S-RETRY-01: three tiers with three attempts each are 27 calls of the last one.
#[tokio::test]
async fn without_marks_each_tier_multiplies_the_attempts() {
    assert_eq!(calls_of_the_last(false, 1).await, 27);
}

// S-RETRY-01: one of them retries, next to the failure, and those above do not begin anew.
#[tokio::test]
async fn with_marks_the_last_tier_is_called_three_times() {
    assert_eq!(calls_of_the_last(true, 1).await, 3);
    assert_eq!(calls_of_the_last(true, 5).await, 15);
}

/// How often the last of these is called, which always fails: a client, A, B and C.
async fn calls_of_the_last(marked: bool, requests: u32) -> usize {
    let hits = Hits::default();
    let seen = hits.clone();
    let c = serve(Router::new().fallback(async move || {
        seen.hit();
        StatusCode::SERVICE_UNAVAILABLE
    }))
    .await;
    let b = serve(tier(c, marked)).await;
    let a = serve(tier(b, marked)).await;
    let client = outgoing();
    for _ in 0..requests {
        let answer = client.clone().oneshot(request(a)).await.expect("an answer");
        assert_eq!(answer.status(), 503);
    }
    hits.count()
}

// S-BACKOFF-10: what is left of it is told to each tier, and those that are late do not begin.
#[tokio::test]
async fn the_deadline_travels_and_is_heeded_by_all() {
    let told = Arc::<Mutex<Vec<Option<u64>>>>::default();
    let seen = told.clone();
    let c = serve(Router::new().fallback(async move |request: Request<Body>| {
        seen.lock().expect("no panic").push(left(&request).map(|it| it.as_millis() as u64));
        StatusCode::SERVICE_UNAVAILABLE
    }))
    .await;
    let b = serve(timed(tier(c, true))).await;
    let a = serve(timed(tier(b, true))).await;
    let client = outgoing();
    let mut patient = request(a);
    patient.extensions_mut().insert(Deadline::after(now(), Duration::from_secs(30)));
    let answer = client.clone().oneshot(patient).await.expect("an answer");
    assert_eq!(answer.status(), 503);
    let told_once = std::mem::take(&mut *told.lock().expect("no panic"));
    assert_eq!(told_once.len(), 3);
    let mut last = 30_000;
    for left in told_once {
        let left = left.expect("it is told");
        assert!(left <= last && left > 0, "{left} ms after {last} ms");
        last = left;
    }
    // Whoever needs more than is left makes one attempt.
    let hasty = with(BackoffLayer::new(THREE.least_time(Duration::from_secs(31))));
    let mut request = request(c);
    request.extensions_mut().insert(Deadline::after(now(), Duration::from_secs(30)));
    assert_eq!(hasty.oneshot(request).await.expect("an answer").status(), 503);
    assert_eq!(told.lock().expect("no panic").len(), 1);
}

// ===== helpers =====

fn now() -> portcullis::Tick {
    MonotonicClock::new().now()
}

fn request(server: SocketAddr) -> Request<Body> {
    Request::get(format!("http://{server}/")).body(Body::empty()).expect("a request")
}

fn outgoing() -> Outgoing {
    with(BackoffLayer::new(THREE))
}

fn with(layer: BackoffLayer) -> Outgoing {
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    let client = ServiceBuilder::new()
        .layer(layer.replay(replay::bodies(Body::new)))
        .layer(CarryDeadlineLayer::new())
        .layer(BoxErrors)
        .service(client);
    BoxCloneSyncService::new(client)
}

/// A tier that asks the next one, and answers what that answers.
fn tier(next: SocketAddr, marked: bool) -> Router {
    let client = outgoing();
    let app = Router::new().fallback(async move || match client.oneshot(request(next)).await {
        Ok(answer) => answer.status(),
        Err(_) => StatusCode::BAD_GATEWAY,
    });
    if marked { app.layer(RetryMarksLayer::new()) } else { app }
}

/// A tier that keeps the deadline of who calls it.
fn timed(app: Router) -> Router {
    app.layer(AdaptiveTimeoutLayer::new(TimeoutConfig::fixed(Duration::from_secs(20))))
}

fn left(request: &Request<Body>) -> Option<Duration> {
    let left = request.headers().get(deadline::X_TIMEOUT_MS)?;
    left.to_str().ok()?.parse().ok().map(Duration::from_millis)
}

async fn serve(app: Router) -> SocketAddr {
    let (listener, server) = loopback::listen().await.expect("a port");
    tokio::spawn(axum::serve(listener, app).into_future());
    server
}
