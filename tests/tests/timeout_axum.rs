//! Timeouts in axum: real servers, and a fresh connection for each request.
//!
//! Handlers that hang do so for ever, so timers are all that passes.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{MethodRouter, get};
use http::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use portcullis::portcullis_http::CarryDeadlineLayer;
use portcullis::{
    CircuitBreakerConfig, CircuitBreakerLayer, Clock as _, MonotonicClock, State, Trip,
};
use portcullis_tests::loopback::{self, Hits};
use portcullis_timeout::{AdaptiveTimeoutLayer, Deadline, TimeoutConfig};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

const SHORT: Duration = Duration::from_millis(50);
/// Longer than any test takes.
const LONG: TimeoutConfig = TimeoutConfig::fixed(Duration::from_secs(3_600)).named("search");

// S-TIMEOUT-01: the state is in the layer, not in what a router makes of it for each connection.
#[tokio::test]
async fn the_calls_of_all_connections_make_one_timeout() {
    let layer = AdaptiveTimeoutLayer::new(TimeoutConfig::new());
    let timeout = layer.handle();
    let soon = get(async || tokio::task::yield_now().await);
    let server = serve(Router::new().route("/find", soon).layer(layer)).await;
    for calls in 1..=6 {
        assert_eq!(ask(server, &[]).await.status(), 200);
        assert_eq!(timeout.snapshot().samples, calls);
    }
    // It has learned from all of them; how long they took is the machine's business.
    let seen = timeout.snapshot();
    assert!(seen.timeout < Duration::from_secs(1) && seen.moved > 1, "{seen:?}");
}

// S-TIMEOUT-06
#[tokio::test]
async fn a_handler_that_hangs_is_dropped_and_its_caller_gets_a_504() {
    let (find, mut came) = hangs();
    let layer = AdaptiveTimeoutLayer::new(TimeoutConfig::fixed(SHORT).named("search"));
    let timeout = layer.handle();
    let server = serve(Router::new().route("/find", find).layer(layer)).await;
    for calls in 1..=3 {
        let answer = ask(server, &[]).await;
        assert_is_timeout(&answer);
        came.recv().await.expect("it came in").closed().await;
        assert_eq!(timeout.snapshot().timed_out, calls);
    }
}

#[tokio::test]
async fn a_caller_who_waits_less_than_the_timeout_is_answered_then() {
    let (find, mut came) = hangs();
    let server = serve(Router::new().route("/find", find).layer(AdaptiveTimeoutLayer::new(LONG)));
    let answer = ask(server.await, &[("x-timeout-ms", "30")]).await;
    assert_is_timeout(&answer);
    came.recv().await.expect("it came in").closed().await;
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_never_reaches_its_handler() {
    let hits = Hits::default();
    let find = {
        let hits = hits.clone();
        get(async move || hits.hit())
    };
    let server = serve(Router::new().route("/find", find).layer(AdaptiveTimeoutLayer::new(LONG)));
    let server = server.await;
    let answer = ask(server, &[("x-timeout-ms", "0")]).await;
    assert_is_timeout(&answer);
    assert_eq!(hits.count(), 0);
    // Two of them contradict each other, and so does nonsense the number that it should be.
    for headers in [&[("x-timeout-ms", "-1")][..], &[("x-timeout-ms", "0"); 2], &[]] {
        assert_eq!(ask(server, headers).await.status(), 200);
    }
    assert_eq!(hits.count(), 3);
}

// S-TIMEOUT-01: rule 8, over two servers.
#[tokio::test]
async fn each_server_on_the_way_has_less_time_than_the_one_before() {
    let behind = Router::new().route("/find", get(async || left()));
    let behind = serve(behind.layer(AdaptiveTimeoutLayer::new(LONG))).await;
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let client = tower::ServiceBuilder::new().layer(CarryDeadlineLayer::new()).service(client);
    let front = get(async move |request: Request<Body>| {
        let here = left();
        let told = request.headers().get("x-timeout-ms").cloned();
        let request = Request::get(format!("http://{behind}/find")).body(Body::empty());
        let answer = client.oneshot(request.expect("a request")).await.expect("an answer");
        let body = axum::body::to_bytes(Body::new(answer.into_body()), 99).await.expect("a body");
        let there = String::from_utf8(body.into()).expect("a text");
        let told = told.map_or("none".to_owned(), |told| format!("{told:?}"));
        format!("{here} {there} {told}")
    });
    let layer = AdaptiveTimeoutLayer::new(LONG);
    let server = serve(Router::new().route("/find", front).layer(layer)).await;
    let answer = ask(server, &[("x-timeout-ms", "60000")]).await;
    let [here, there, told] = answer.body().split(' ').collect::<Vec<_>>()[..] else {
        panic!("{answer:?}")
    };
    let [here, there] = [here, there].map(|micros| micros.parse::<u64>().expect("a number"));
    assert!(there > 0 && there < here && here < 60_000_000, "{answer:?}");
    assert_eq!(told, "\"60000\"", "as it came, since it is less than the timeout");
    let answer = ask(server, &[]).await;
    assert_eq!(answer.body(), "none none none", "nobody is told a deadline that there is not");
}

// S-TIMEOUT-06
#[tokio::test]
async fn a_circuit_outside_sees_one_failure_for_each_call_that_took_too_long() {
    let (find, mut came) = hangs();
    let breaker = CircuitBreakerConfig::new().trip(Trip::consecutive(2));
    let breaker = CircuitBreakerLayer::new(breaker.open_for(Duration::from_secs(3_600)));
    let circuit = breaker.handle();
    let timeout = AdaptiveTimeoutLayer::new(TimeoutConfig::fixed(SHORT).named("search"));
    let server = serve(Router::new().route("/find", find).layer(timeout).layer(breaker)).await;
    for (failures, state) in [(1, State::Closed), (2, State::Open)] {
        assert_is_timeout(&ask(server, &[]).await);
        came.recv().await.expect("it came in");
        assert_eq!((circuit.snapshot().totals.failures, circuit.state()), (failures, state));
    }
    assert_eq!(ask(server, &[]).await.status(), 503);
    assert!(came.try_recv().is_err(), "an open circuit lets nothing through");
}

// ===== helpers =====

/// A handler that never answers. The other end gets a sender for each call, which is closed when
/// the call is dropped.
fn hangs() -> (MethodRouter, mpsc::UnboundedReceiver<mpsc::Sender<()>>) {
    let (come, came) = mpsc::unbounded_channel();
    let find = get(async move || {
        let (sender, _held) = mpsc::channel(1);
        come.send(sender).expect("somebody counts");
        pending::<()>().await;
    });
    (find, came)
}

/// How many microseconds the call has left on which this runs.
fn left() -> String {
    let left = Deadline::current().map(|at| at.left(MonotonicClock::new().now()));
    left.map_or("none".to_owned(), |left| left.as_micros().to_string())
}

#[track_caller]
fn assert_is_timeout(answer: &Response<String>) {
    assert_eq!(answer.status(), 504, "{answer:?}");
    let kind = answer.headers().get("content-type").expect("a type");
    assert_eq!(kind, "application/problem+json");
    let problem: Value = serde_json::from_str(answer.body()).expect("json");
    assert_eq!(problem["status"], json!(504), "{problem}");
}

async fn ask(server: SocketAddr, headers: &[(&str, &str)]) -> Response<String> {
    let request = headers
        .iter()
        .fold(Request::get("/find"), |request, (name, value)| request.header(*name, *value));
    let request = request.body(()).expect("a request");
    loopback::ask(server, &request).await.expect("an answer")
}

async fn serve(app: Router) -> SocketAddr {
    let (listener, server) = loopback::listen().await.expect("a port");
    tokio::spawn(axum::serve(listener, app).into_future());
    server
}
