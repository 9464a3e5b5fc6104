//! Retries in a tonic client: generated code, a real server and channel.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request as Web;
use portcullis::{BackoffConfig, BackoffLayer, BoxErrors, Budget, Delays, Percent, replay};
use portcullis_tests::loopback;
use tonic::body::Body;
use tonic::codegen::BoxStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_greeter::proto::greeter_client::GreeterClient;
use tonic_greeter::proto::greeter_server::{Greeter, GreeterServer};
use tonic_greeter::proto::{HelloReply, HelloRequest};
use tower::ServiceBuilder;

const CONFIG: BackoffConfig = BackoffConfig::new()
    .delays(Delays::fixed(Duration::from_millis(1)).jitter(Percent::ZERO))
    .budget(Budget::unlimited())
    .named("greeter");

/// Who greeted, and the number of the attempt where it has one.
type Seen = (String, Option<String>);

/// Fails so often, each time with this code and push-back, and remembers who greeted.
#[derive(Clone)]
struct Moody {
    left: Arc<Mutex<u32>>,
    code: Code,
    push_back: Option<&'static str>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Moody {
    fn new(failures: u32, code: Code, push_back: Option<&'static str>) -> Self {
        let left = Arc::new(Mutex::new(failures));
        Self { left, code, push_back, seen: Arc::default() }
    }

    fn names(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").iter().map(|(name, _)| name.clone()).collect()
    }

    fn attempts(&self) -> Vec<Option<String>> {
        self.seen.lock().expect("no panic").iter().map(|(_, attempt)| attempt.clone()).collect()
    }
}

#[tonic::async_trait]
impl Greeter for Moody {
    type SayHellosStream = BoxStream<HelloReply>;

    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let attempt = request.metadata().get("x-retry-attempt");
        let attempt = attempt.map(|it| it.to_str().expect("text").to_owned());
        let name = request.into_inner().name;
        self.seen.lock().expect("no panic").push((name.clone(), attempt));
        let mut left = self.left.lock().expect("no panic");
        if *left == 0 {
            return Ok(Response::new(HelloReply { text: format!("Hello {name}!") }));
        }
        *left -= 1;
        let mut status = Status::new(self.code, "not now");
        if let Some(push_back) = self.push_back {
            let push_back = push_back.parse().expect("metadata");
            status.metadata_mut().insert("grpc-retry-pushback-ms", push_back);
        }
        Err(status)
    }

    async fn say_hellos(
        &self,
        _: Request<HelloRequest>,
    ) -> Result<Response<Self::SayHellosStream>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}

// S-RETRY-01, S-RETRY-05: the message is sent again, and the server's wish is heeded.
#[tokio::test]
async fn a_call_that_may_be_made_twice_is_made_again_after_the_push_back() {
    let host = Moody::new(2, Code::Unavailable, Some("25"));
    let layer = BackoffLayer::new(CONFIG);
    let answer = greet(&layer, &host, true).await.expect("it goes well");
    assert_eq!(answer.into_inner().text, "Hello Ada!");
    assert_eq!(host.names(), ["Ada"; 3]);
    assert_eq!(host.attempts(), [None, Some("2".to_owned()), Some("3".to_owned())]);
    assert_eq!(layer.handle().snapshot().delayed, Duration::from_millis(50));
}

// S-RETRY-01
#[tokio::test]
async fn a_negative_push_back_ends_it() {
    let host = Moody::new(2, Code::Unavailable, Some("-1"));
    let layer = BackoffLayer::new(CONFIG);
    let status = greet(&layer, &host, true).await.expect_err("it fails");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "not now"));
    assert_eq!(host.names(), ["Ada"]);
}

// S-RETRY-05: what a method of gRPC does, nobody knows but who made it.
#[tokio::test]
async fn a_call_of_which_nothing_is_said_is_not_made_again() {
    let host = Moody::new(1, Code::Unavailable, None);
    assert!(greet(&BackoffLayer::new(CONFIG), &host, false).await.is_err());
    assert_eq!(host.names(), ["Ada"]);
}

// S-RETRY-02: by the code of the answer.
#[tokio::test]
async fn codes_that_another_attempt_does_not_help_are_left_alone() {
    for (code, calls) in [
        (Code::DeadlineExceeded, 3),
        (Code::Unavailable, 3),
        (Code::InvalidArgument, 1),
        (Code::Internal, 1),
        (Code::Unauthenticated, 1),
    ] {
        let host = Moody::new(9, code, None);
        let status = greet(&BackoffLayer::new(CONFIG), &host, true).await.expect_err("it fails");
        assert_eq!((status.code(), host.names().len()), (code, calls), "{code:?}");
    }
}

// S-RETRY-05: nobody was there, so nothing can have been done.
#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again_whatever_is_asked() {
    let (_held, nobody) = loopback::nobody().expect("a port");
    let endpoint = Endpoint::from_shared(format!("http://{nobody}")).expect("an address");
    let layer = BackoffLayer::new(CONFIG);
    let status = ask(&layer, endpoint.connect_lazy(), false).await.expect_err("nobody listens");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(layer.handle().snapshot().failed, 3);
}

// ===== helpers =====

async fn greet(
    layer: &BackoffLayer,
    host: &Moody,
    twice: bool,
) -> Result<Response<HelloReply>, Status> {
    let (listener, address) = loopback::listen().await.expect("a port");
    let server = Server::builder().add_service(GreeterServer::new(host.clone()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    ask(layer, endpoint.connect_lazy(), twice).await
}

async fn ask(
    layer: &BackoffLayer,
    channel: Channel,
    twice: bool,
) -> Result<Response<HelloReply>, Status> {
    let marked = layer.clone().replay(replay::bodies(Body::new));
    let marked = marked.idempotent_fn(move |_: &Web<Body>| twice);
    let channel = ServiceBuilder::new().layer(marked).layer(BoxErrors).service(channel);
    let request = HelloRequest { name: "Ada".to_owned() };
    GreeterClient::new(channel).say_hello(request).await
}
