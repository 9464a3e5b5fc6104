//! The breaker around clients: hyper-util's and reqwest's, on real sockets.

use std::net::SocketAddr;

use axum::Router;
use http::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use portcullis::{
    BoxErrors, CircuitBreakerConfig, CircuitBreakerLayer, FailureKind, Outcome, Reason, Rejected,
};
use portcullis_tests::heard::Heard;
use portcullis_tests::loopback::{self, Hits};
use tower::{Service as _, ServiceBuilder, ServiceExt as _};

const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new();

// ===== hyper-util =====

// S-CORE-08, S-CORE-09
#[tokio::test]
async fn refused_connections_open_the_circuit_of_a_hyper_client() {
    let (_held, nobody) = loopback::nobody().expect("a port");
    let client = Client::builder(TokioExecutor::new()).build_http::<String>();
    let heard = Heard::default();
    let cfg = CONFIG;
    let mut client = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(cfg).observe(heard.clone()))
        .layer(BoxErrors)
        .service(client);
    for number in 1..=10 {
        let request = Request::get(format!("http://{nobody}/")).body(String::new());
        let request = request.expect("a request");
        let error = client.ready().await.expect("ready").call(request).await;
        let error = error.expect_err("nobody listens");
        let reason = Rejected::find(&*error).map(Rejected::reason);
        assert_eq!(reason, (number > 5).then_some(Reason::Open), "call {number}: {error:?}");
    }
    assert_eq!(heard.outcomes(), [Outcome::Failure(FailureKind::Connection); 5]);
}

#[tokio::test]
async fn a_hyper_client_is_protected_by_one_line() {
    let (hits, cfg) = (Hits::default(), CONFIG);
    let server = sick_server(&hits).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<String>();
    let mut client =
        ServiceBuilder::new().layer(CircuitBreakerLayer::new(cfg)).layer(BoxErrors).service(client);
    for number in 1..=60 {
        let request = Request::get(format!("http://{server}/")).body(String::new());
        let request = request.expect("a request");
        match client.ready().await.expect("ready").call(request).await {
            Ok(response) => assert_eq!((response.status().as_u16(), number <= 5), (500, true)),
            Err(error) => {
                let rejected = Rejected::find(&*error).expect("no other error");
                assert!(number > 5 && rejected.retry_after().is_some());
            }
        }
    }
    assert_eq!(hits.count(), 5);
}

// ===== reqwest =====

#[tokio::test]
async fn a_reqwest_client_is_protected_by_one_line() {
    let (hits, cfg) = (Hits::default(), CONFIG);
    let server = sick_server(&hits).await;
    let client = reqwest_client();
    let mut client =
        ServiceBuilder::new().layer(CircuitBreakerLayer::new(cfg)).layer(BoxErrors).service(client);
    for number in 1..=60 {
        match client.ready().await.expect("ready").call(reqwest_request(server)).await {
            Ok(response) => assert_eq!((response.status().as_u16(), number <= 5), (500, true)),
            Err(error) => {
                let rejected = Rejected::find(&*error).expect("no other error");
                assert!(number > 5 && rejected.retry_after().is_some());
            }
        }
    }
    assert_eq!(hits.count(), 5);
}

// S-CORE-09: without boxing, a refusal is a response, and the client's error type stays.
#[tokio::test]
async fn a_reqwest_client_that_keeps_its_error_gets_responses() {
    let (_held, nobody) = loopback::nobody().expect("a port");
    let heard = Heard::default();
    let layer = CircuitBreakerLayer::new(CONFIG).observe(heard.clone());
    let mut client = ServiceBuilder::new().layer(layer).service(reqwest_client());
    for _ in 0..5 {
        let answer = client.ready().await.expect("ready").call(reqwest_request(nobody)).await;
        assert!(answer.expect_err("nobody listens").is_connect());
    }
    let answer = client.ready().await.expect("ready").call(reqwest_request(nobody)).await;
    let answer = answer.expect("a response");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(heard.outcomes(), [Outcome::Failure(FailureKind::Connection); 5]);
}

fn reqwest_client() -> reqwest::Client {
    // No proxy that the environment names leads to this machine.
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

fn reqwest_request(server: SocketAddr) -> reqwest::Request {
    let url = format!("http://{server}/").parse().expect("a URL");
    reqwest::Request::new(reqwest::Method::GET, url)
}

// ===== helpers =====

/// Answers 500, whatever is asked, and counts.
async fn sick_server(hits: &Hits) -> SocketAddr {
    let hits = hits.clone();
    let app = Router::new().fallback(async move || {
        hits.hit();
        StatusCode::INTERNAL_SERVER_ERROR
    });
    let (listener, server) = loopback::listen().await.expect("a port");
    tokio::spawn(axum::serve(listener, app).into_future());
    server
}
