//! Rate limits in tonic: generated code, real servers and channels, on a clock moved by hand.

use std::time::Duration;

use portcullis::{
    BoxErrors, CircuitBreakerConfig, CircuitBreakerLayer, ManualClock, RateLimit, RateLimitHeaders,
    RateLimitLayer, Reason, Rejected, key,
};
use portcullis_tests::loopback;
use tonic::service::LayerExt as _;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Status};
use tonic_greeter::Host;
use tonic_greeter::proto::HelloRequest;
use tonic_greeter::proto::greeter_client::GreeterClient;
use tonic_greeter::proto::greeter_server::GreeterServer;
use tonic_types::StatusExt as _;
use tower::ServiceBuilder;

/// Five calls, and one more each second.
const FIVE: RateLimit = RateLimit::per_second(1).burst(5).named("greetings");

// S-RATE-09: a status that any gRPC client understands, across connections.
#[tokio::test]
async fn a_server_is_limited_by_one_line() {
    let (host, clock) = (Host::default(), ManualClock::new());
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder()
        .layer(RateLimitLayer::with_clock(FIVE, clock.clone()))
        .add_service(GreeterServer::new(host.clone()));
    tokio::spawn(server.serve_with_incoming(incoming));
    for number in 1..=20 {
        match greet(&endpoint).await {
            Ok(()) => assert!(number <= 5, "call {number}"),
            Err(status) => {
                assert!(number > 5, "call {number}");
                assert_is_refusal(&status, Duration::from_secs(1));
            }
        }
    }
    clock.advance(Duration::from_millis(700));
    let status = greet(&endpoint).await.expect_err("a refusal");
    assert_is_refusal(&status, Duration::from_millis(300));
    clock.advance(Duration::from_millis(300));
    assert!(greet(&endpoint).await.is_ok());
    assert_eq!(host.asked(), 6);
}

fn assert_is_refusal(status: &Status, wait: Duration) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(status.message(), "the quota is used up; try again in 1 s");
    let info = status.get_details_retry_info().expect("a RetryInfo in the details");
    assert_eq!(info.retry_delay, Some(wait));
    let failure = status.get_details_quota_failure().expect("a QuotaFailure in the details");
    assert_eq!(failure.violations.len(), 1, "{failure:?}");
    assert_eq!(failure.violations[0].subject, "greetings");
    assert_eq!(failure.violations[0].description, "the quota is used up");
    let info = status.get_details_error_info().expect("an ErrorInfo in the details");
    assert_eq!(info.reason, "RATE_LIMITED");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").expect("a push-back");
    assert_eq!(pushback, wait.as_millis().to_string().as_str());
}

// S-RATE-10: the connection is the caller's; another port is not another caller.
#[tokio::test]
async fn each_peer_has_a_limit_of_his_own() {
    let by_peer = key::peer_ip(|info: &TcpConnectInfo| info.remote_addr());
    let layer = RateLimitLayer::with_clock(FIVE, ManualClock::new()).keyed(by_peer);
    let limits = layer.handle().clone();
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder().layer(layer).add_service(GreeterServer::new(Host::default()));
    tokio::spawn(server.serve_with_incoming(incoming));
    for number in 1..=10 {
        assert_eq!(greet(&endpoint).await.is_ok(), number <= 5, "call {number}");
    }
    assert_eq!(limits.len(), 1);
    assert_eq!(limits.quota(&[127, 0, 0, 1].into()).remaining(), 0);
    // Nobody is without a peer.
    assert_eq!(limits.snapshot().quota.remaining(), 5);
}

// S-RATE-10. Only there all of 127.0.0.0/8 are the machine's own.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_calls_of_one_peer_cost_another_nothing() {
    let by_peer = key::peer_ip(TcpConnectInfo::remote_addr);
    let layer = RateLimitLayer::with_clock(FIVE, ManualClock::new()).keyed(by_peer);
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder().layer(layer).add_service(GreeterServer::new(Host::default()));
    tokio::spawn(server.serve_with_incoming(incoming));
    let other = endpoint.clone().local_address(Some([127, 0, 0, 2].into()));
    for number in 1..=10 {
        for endpoint in [&endpoint, &other] {
            assert_eq!(greet(endpoint).await.is_ok(), number <= 5, "call {number}");
        }
    }
}

// S-ADV-02
#[tokio::test]
async fn what_an_open_circuit_refuses_further_in_costs_nothing() {
    let limit = RateLimitLayer::with_clock(FIVE, ManualClock::new());
    let breaker = CircuitBreakerLayer::new(CircuitBreakerConfig::new());
    let (quota, circuit) = (limit.handle(), breaker.handle());
    circuit.force_open("maintenance");
    let (incoming, endpoint) = loopback().await;
    let greeter = breaker.named_layer(GreeterServer::new(Host::default()));
    let server = Server::builder().layer(limit).add_service(greeter);
    tokio::spawn(server.serve_with_incoming(incoming));
    for _ in 0..20 {
        let status = greet(&endpoint).await.expect_err("a refusal");
        assert_eq!(status.code(), Code::Unavailable);
    }
    let figures = quota.snapshot();
    assert_eq!((figures.quota.remaining(), figures.given_back), (5, 20));
}

// S-RATE-09: the fields of HTTP are none of gRPC's.
#[tokio::test]
async fn headers_on_every_answer_are_for_http() {
    let headers = RateLimitHeaders::draft10().and_legacy().on_every_answer();
    let layer = RateLimitLayer::with_clock(FIVE.burst(1), ManualClock::new()).headers(headers);
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder().layer(layer).add_service(GreeterServer::new(Host::default()));
    tokio::spawn(server.serve_with_incoming(incoming));
    let mut client = GreeterClient::new(endpoint.connect_lazy());
    let reply = client.say_hello(HelloRequest::default()).await.expect("a reply");
    let status = client.say_hello(HelloRequest::default()).await.expect_err("a refusal");
    for metadata in [reply.metadata(), status.metadata()] {
        for name in ["ratelimit", "ratelimit-policy", "x-ratelimit-limit"] {
            assert!(!metadata.contains_key(name), "{name}");
        }
    }
}

// S-RATE-09: in a client the refusal is an error, and no call goes out.
#[tokio::test]
async fn a_channel_is_limited_by_one_line() {
    let host = Host::default();
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder().add_service(GreeterServer::new(host.clone()));
    tokio::spawn(server.serve_with_incoming(incoming));
    let channel = ServiceBuilder::new()
        .layer(RateLimitLayer::with_clock(FIVE, ManualClock::new()))
        .layer(BoxErrors)
        .service(endpoint.connect_lazy());
    let mut client = GreeterClient::new(channel);
    for _ in 0..5 {
        client.say_hello(HelloRequest::default()).await.expect("a reply");
    }
    for _ in 0..5 {
        let status = client.say_hello(HelloRequest::default()).await.expect_err("a refusal");
        let rejected = Rejected::find(&status).expect("the refusal is a source of the status");
        assert_eq!(rejected.reason(), Reason::RateLimited);
        assert_eq!(rejected.retry_after(), Some(Duration::from_secs(1)));
    }
    assert_eq!(host.asked(), 5);
}

// ===== helpers =====

/// Asks on a connection of its own.
async fn greet(endpoint: &Endpoint) -> Result<(), Status> {
    let mut client = GreeterClient::new(endpoint.connect_lazy());
    client.say_hello(HelloRequest::default()).await.map(drop)
}

async fn loopback() -> (TcpIncoming, Endpoint) {
    let (listener, address) = loopback::listen().await.expect("a port");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    (TcpIncoming::from(listener), endpoint)
}
