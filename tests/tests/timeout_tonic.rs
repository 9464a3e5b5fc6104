//! Timeouts in tonic: generated code, real servers and channels.

use std::future::pending;
use std::time::Duration;

use portcullis::portcullis_http::CarryDeadlineLayer;
use portcullis::{Clock as _, MonotonicClock};
use portcullis_tests::loopback;
use portcullis_tests::loopback::Hits;
use portcullis_timeout::{AdaptiveTimeoutLayer, Deadline, TimeoutConfig};
use tonic::codegen::BoxStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_greeter::proto::greeter_client::GreeterClient;
use tonic_greeter::proto::greeter_server::{Greeter, GreeterServer};
use tonic_greeter::proto::{HelloReply, HelloRequest};
use tower::ServiceBuilder;

/// Longer than any test takes.
const LONG: TimeoutConfig = TimeoutConfig::fixed(Duration::from_secs(3_600)).named("greetings");
const SHORT: TimeoutConfig = TimeoutConfig::fixed(Duration::from_millis(50)).named("greetings");

// S-TIMEOUT-06
#[tokio::test]
async fn a_host_who_never_answers_is_given_up() {
    let layer = AdaptiveTimeoutLayer::new(SHORT);
    let timeout = layer.handle();
    let (endpoint, hits) = serve(layer, Host::Hangs).await;
    for calls in 1..=2 {
        let status = greet(&endpoint, &[("grpc-timeout", "60S")]).await.expect_err("a status");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert_eq!((timeout.snapshot().timed_out, hits.count()), (calls, calls as usize));
    }
}

// Tonic has a timer of its own for `grpc-timeout`, on both sides, which begins a little sooner. What
// is over from the beginning only the layer can answer.
#[tokio::test]
async fn a_caller_who_waits_less_than_the_timeout_is_answered_then() {
    let (endpoint, hits) = serve(AdaptiveTimeoutLayer::new(LONG), Host::Hangs).await;
    let headers = [("grpc-timeout", "60S"), ("x-timeout-ms", "40")];
    let status = greet(&endpoint, &headers).await.expect_err("a status");
    assert_eq!((status.code(), hits.count()), (Code::DeadlineExceeded, 1), "{status:?}");
    let headers = [("grpc-timeout", "60S"), ("x-timeout-ms", "0")];
    let status = greet(&endpoint, &headers).await.expect_err("a status");
    assert_eq!((status.code(), hits.count()), (Code::DeadlineExceeded, 1), "not called");
}

// S-TIMEOUT-01: rule 8, over two servers.
#[tokio::test]
async fn the_host_behind_has_less_time_than_the_one_in_front() {
    let (behind, _) = serve(AdaptiveTimeoutLayer::new(LONG), Host::Tells).await;
    let front = Host::Asks(behind.connect_lazy());
    let (endpoint, _) = serve(AdaptiveTimeoutLayer::new(LONG), front).await;
    let text = greet(&endpoint, &[("grpc-timeout", "60S")]).await.expect("an answer");
    let told: Vec<u64> = text.split(' ').filter_map(|micros| micros.parse().ok()).collect();
    let [here, there] = told[..] else { panic!("{text}") };
    assert!(there > 0 && there < here && here < 60_000_000, "{text}");
    assert_eq!(greet(&endpoint, &[]).await.expect("an answer"), "none none");
}

// ===== helpers =====

#[derive(Clone)]
enum Host {
    Hangs,
    /// How many microseconds are left.
    Tells,
    /// And what the host behind says.
    Asks(Channel),
}

struct Counted(Host, Hits);

#[tonic::async_trait]
impl Greeter for Counted {
    type SayHellosStream = BoxStream<HelloReply>;

    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        self.1.hit();
        let left = Deadline::current().map(|at| at.left(MonotonicClock::new().now()));
        let left = left.map_or("none".to_owned(), |left| left.as_micros().to_string());
        let text = match &self.0 {
            Host::Hangs => pending().await,
            Host::Tells => left,
            Host::Asks(channel) => {
                let channel = channel.clone();
                let carries = ServiceBuilder::new().layer(CarryDeadlineLayer::new());
                let mut client = GreeterClient::new(carries.service(channel));
                let answer = client.say_hello(HelloRequest::default()).await?;
                format!("{left} {}", answer.get_ref().text)
            }
        };
        Ok(Response::new(HelloReply { text }))
    }

    async fn say_hellos(
        &self,
        _: Request<HelloRequest>,
    ) -> Result<Response<Self::SayHellosStream>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}

async fn serve(layer: AdaptiveTimeoutLayer, host: Host) -> (Endpoint, Hits) {
    let (listener, address) = loopback::listen().await.expect("a port");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let hits = Hits::default();
    let service = GreeterServer::new(Counted(host, hits.clone()));
    let server = Server::builder().layer(layer).add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (endpoint, hits)
}

/// Asks on a connection of its own.
async fn greet(endpoint: &Endpoint, headers: &[(&'static str, &str)]) -> Result<String, Status> {
    let mut client = GreeterClient::new(endpoint.connect_lazy());
    let mut request = Request::new(HelloRequest::default());
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().expect("metadata"));
    }
    client.say_hello(request).await.map(|answer| answer.into_inner().text)
}
