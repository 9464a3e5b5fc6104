//! The breaker in tonic: generated code, real servers and channels.

use std::time::Duration;

use portcullis::{
    BoxErrors, CircuitBreakerConfig, CircuitBreakerLayer, GrpcStatus, Reason, Rejected, State,
};
use portcullis_tests::loopback;
use tonic::codegen::{BoxStream, tokio_stream};
use tonic::service::LayerExt as _;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_greeter::Host;
use tonic_greeter::proto::greeter_client::GreeterClient;
use tonic_greeter::proto::greeter_server::{Greeter, GreeterServer};
use tonic_greeter::proto::{HelloReply, HelloRequest};
use tonic_types::StatusExt as _;
use tower::ServiceBuilder;

const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new();

// ===== servers =====

// S-CORE-09: the refusal is a status that any gRPC client understands, with the wait in the
// details and in the header that retrying clients look at.
#[tokio::test]
async fn a_server_is_protected_by_one_line() {
    let (svc, cfg) = (Host::ill(), CircuitBreakerConfig::new());
    let host = svc.clone();
    let (incoming, endpoint) = loopback().await;
    let server =
        Server::builder().layer(CircuitBreakerLayer::new(cfg)).add_service(GreeterServer::new(svc));
    tokio::spawn(server.serve_with_incoming(incoming));
    for number in 1..=60 {
        // A connection of its own for each call.
        let mut client = GreeterClient::new(endpoint.connect_lazy());
        let status = client.say_hello(HelloRequest::default()).await.expect_err("a sick host");
        if number <= 5 {
            assert_eq!(status.code(), Code::Internal, "call {number}");
        } else {
            assert_is_refusal(&status);
        }
    }
    assert_eq!(host.asked(), 5);
}

fn assert_is_refusal(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let info = status.get_details_retry_info().expect("a RetryInfo in the details");
    let delay = info.retry_delay.expect("a delay");
    assert!(delay > Duration::ZERO && delay <= Duration::from_secs(60), "{delay:?}");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").expect("a push-back");
    let pushback = pushback.to_str().expect("a number").parse().map(Duration::from_millis);
    let pushback = pushback.expect("a number");
    assert!(pushback >= delay && pushback - delay < Duration::from_millis(1), "{pushback:?}");
}

// S-CORE-08: gRPC says in its codes whose fault it was.
#[tokio::test]
async fn codes_of_the_server_open_and_codes_of_the_client_do_not() {
    for code in [Code::Internal, Code::Unavailable, Code::DeadlineExceeded, Code::DataLoss] {
        assert_eq!(state_after_ten(code).await, State::Open, "{code:?}");
    }
    for code in [Code::NotFound, Code::InvalidArgument, Code::PermissionDenied, Code::Cancelled] {
        assert_eq!(state_after_ten(code).await, State::Closed, "{code:?}");
    }
}

async fn state_after_ten(code: Code) -> State {
    let layer = CircuitBreakerLayer::new(CONFIG);
    let breaker = layer.handle();
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder().layer(layer).add_service(GreeterServer::new(Always(code)));
    tokio::spawn(server.serve_with_incoming(incoming));
    let mut client = GreeterClient::new(endpoint.connect_lazy());
    for _ in 0..10 {
        assert!(client.say_hello(HelloRequest::default()).await.is_err());
    }
    breaker.state()
}

/// Answers each call with the same status.
struct Always(Code);

#[tonic::async_trait]
impl Greeter for Always {
    type SayHellosStream = BoxStream<HelloReply>;

    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        Err(Status::new(self.0, "as the test wants it"))
    }

    async fn say_hellos(
        &self,
        _: Request<HelloRequest>,
    ) -> Result<Response<Self::SayHellosStream>, Status> {
        Ok(Response::new(Box::pin(tokio_stream::empty())))
    }
}

// S-CORE-08: the status of a stream is in its trailers.
#[tokio::test]
async fn a_failing_trailer_is_evidence_at_the_end_of_the_body_only() {
    let at_the_head = CircuitBreakerLayer::new(CONFIG);
    let breaker = at_the_head.handle();
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder().layer(at_the_head).add_service(GreeterServer::new(Host::ill()));
    tokio::spawn(server.serve_with_incoming(incoming));
    let codes = ten_streams(&endpoint).await;
    assert_eq!(codes, [Code::Internal; 10]);
    assert_eq!(breaker.state(), State::Closed);

    let layer = CircuitBreakerLayer::new(CONFIG);
    let (breaker, host) = (layer.handle(), Host::ill());
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder()
        .layer(layer.judge_at_end_of_body())
        .add_service(GreeterServer::new(host.clone()));
    tokio::spawn(server.serve_with_incoming(incoming));
    let codes = ten_streams(&endpoint).await;
    assert_eq!(codes, [[Code::Internal; 5], [Code::Unavailable; 5]].concat());
    assert_eq!((breaker.state(), host.asked()), (State::Open, 5));

    // And what ends well closes it again.
    host.fall_ill(false);
    breaker.attempt_reset().expect("it is open");
    assert_eq!(ten_streams(&endpoint).await, [Code::Ok; 10]);
    assert_eq!(breaker.state(), State::Closed);
}

/// The codes that ten streams end with, each read to its end.
async fn ten_streams(endpoint: &Endpoint) -> Vec<Code> {
    let mut client = GreeterClient::new(endpoint.connect_lazy());
    let mut codes = Vec::new();
    for _ in 0..10 {
        let end = match client.say_hellos(HelloRequest::default()).await {
            Ok(stream) => {
                let mut replies = stream.into_inner();
                loop {
                    match replies.message().await {
                        Ok(Some(_)) => {}
                        Ok(None) => break Code::Ok,
                        Err(status) => break status.code(),
                    }
                }
            }
            Err(status) => status.code(),
        };
        codes.push(end);
    }
    codes
}

// S-CORE-08: what an inner circuit refused is nobody's failure.
#[tokio::test]
async fn the_refusal_of_an_inner_circuit_does_not_open_the_one_of_a_server() {
    let outer = CircuitBreakerLayer::new(CONFIG);
    let inner = CircuitBreakerLayer::new(CONFIG);
    let breaker = outer.handle();
    inner.handle().force_open("maintenance");
    let (incoming, endpoint) = loopback().await;
    let greeter = inner.named_layer(GreeterServer::new(Host::default()));
    let server = Server::builder().layer(outer).add_service(greeter);
    tokio::spawn(server.serve_with_incoming(incoming));
    let mut client = GreeterClient::new(endpoint.connect_lazy());
    for _ in 0..10 {
        let status = client.say_hello(HelloRequest::default()).await.expect_err("a refusal");
        assert_eq!(status.code(), Code::Unavailable);
    }
    assert_eq!((breaker.state(), breaker.snapshot().totals.ignored), (State::Closed, 10));
}

#[tokio::test]
async fn one_service_of_a_server_is_protected_by_a_named_layer() {
    let host = Host::ill();
    let (incoming, endpoint) = loopback().await;
    let greeter = CircuitBreakerLayer::new(CONFIG).named_layer(GreeterServer::new(host.clone()));
    tokio::spawn(Server::builder().add_service(greeter).serve_with_incoming(incoming));
    let mut client = GreeterClient::new(endpoint.connect_lazy());
    for _ in 0..10 {
        let status = client.say_hello(HelloRequest::default()).await.expect_err("a sick host");
        assert_ne!(status.code(), Code::Unimplemented, "the service has lost its name");
    }
    assert_eq!(host.asked(), 5);
}

// ===== channels =====

#[tokio::test]
async fn a_channel_is_protected_by_one_line() {
    let (host, cfg) = (Host::ill(), CircuitBreakerConfig::new());
    let client = bare_server(&host).await;
    let channel =
        ServiceBuilder::new().layer(CircuitBreakerLayer::new(cfg)).layer(BoxErrors).service(client);
    let mut client = GreeterClient::new(channel);
    for _ in 0..5 {
        let status = client.say_hello(HelloRequest::default()).await.expect_err("a sick host");
        assert_eq!(status.code(), Code::Internal);
    }
    for _ in 0..55 {
        let status = client.say_hello(HelloRequest::default()).await.expect_err("a refusal");
        let rejected = Rejected::find(&status).expect("the refusal is a source of the status");
        assert_eq!(rejected.reason(), Reason::Open);
    }
    assert_eq!(host.asked(), 5);
}

// S-CORE-09: without boxing, a refusal is a response, and the channel's error type stays.
#[tokio::test]
async fn a_channel_that_keeps_its_error_gets_statuses() {
    let host = Host::ill();
    let client = bare_server(&host).await;
    let channel =
        ServiceBuilder::new().layer(CircuitBreakerLayer::new(CONFIG).grpc()).service(client);
    let mut client = GreeterClient::new(channel);
    for _ in 0..5 {
        assert!(client.say_hello(HelloRequest::default()).await.is_err());
    }
    let status = client.say_hello(HelloRequest::default()).await.expect_err("a refusal");
    assert_is_refusal(&status);
    assert_eq!(host.asked(), 5);
}

// S-CORE-08
#[tokio::test]
async fn a_server_that_cannot_be_reached_opens_the_circuit_of_a_channel() {
    let (_held, address) = loopback::nobody().expect("a port");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let layer = CircuitBreakerLayer::new(CONFIG).refuse(GrpcStatus::new());
    let breaker = layer.handle();
    let channel = ServiceBuilder::new().layer(layer).service(endpoint.connect_lazy());
    let mut client = GreeterClient::new(channel);
    for _ in 0..5 {
        assert_eq!(breaker.state(), State::Closed);
        assert!(client.say_hello(HelloRequest::default()).await.is_err());
    }
    assert_eq!(breaker.state(), State::Open);
    assert_is_refusal(&client.say_hello(HelloRequest::default()).await.expect_err("a refusal"));
}

// ===== helpers =====

async fn loopback() -> (TcpIncoming, Endpoint) {
    let (listener, address) = loopback::listen().await.expect("a port");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    (TcpIncoming::from(listener), endpoint)
}

async fn bare_server(host: &Host) -> Channel {
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder().add_service(GreeterServer::new(host.clone()));
    tokio::spawn(server.serve_with_incoming(incoming));
    endpoint.connect_lazy()
}
