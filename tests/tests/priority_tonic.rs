//! Priority queue and bulkhead in tonic: generated code, real servers and channels, and clocks that
//! are moved by hand.

use std::sync::Arc;
use std::time::Duration;

use portcullis::{
    ConcurrencyLayer, ConcurrencyLimit, Event, EventKind, ManualClock, Observe, Outcome, Priority,
    PriorityQueue, PriorityQueueLayer, QueueConfig, deadline,
};
use portcullis_tests::loopback;
use tokio::sync::{Notify, mpsc};
use tonic::codegen::{BoxStream, tokio_stream::wrappers::ReceiverStream};
use tonic::service::LayerExt as _;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_greeter::Host;
use tonic_greeter::proto::greeter_client::GreeterClient;
use tonic_greeter::proto::greeter_server::{Greeter, GreeterServer};
use tonic_greeter::proto::{HelloReply, HelloRequest};
use tonic_types::StatusExt as _;

/// One call at a time, and nobody waits.
const ONE: QueueConfig = QueueConfig::slots(1).capacity(0).named("greetings");

// S-PRIO-01, S-PRIO-08: a status that any gRPC client understands, across connections.
#[tokio::test]
async fn a_server_refuses_the_unimportant_by_one_line() {
    let layer = PriorityQueueLayer::with_clock(ONE, ManualClock::new());
    layer.handle().min_priority(Priority::LOW).expect("it fits");
    let host = Host::default();
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder().layer(layer).add_service(GreeterServer::new(host.clone()));
    tokio::spawn(server.serve_with_incoming(incoming));
    for (priority, admitted) in
        [("bulk", false), ("24", false), ("low", true), ("critical", true), ("nonsense", true)]
    {
        let answer = greet(&endpoint, priority).await;
        assert_eq!(answer.is_ok(), admitted, "{priority}");
        if let Err(status) = answer {
            assert_is_refusal(&status, priority);
        }
    }
    assert_eq!(host.asked(), 3);
}

fn assert_is_refusal(status: &Status, priority: &str) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let info = status.get_details_retry_info().expect("a RetryInfo in the details");
    assert_eq!(info.retry_delay, Some(Duration::from_secs(1)));
    let info = status.get_details_error_info().expect("an ErrorInfo in the details");
    assert_eq!(info.metadata.get("priority").map(String::as_str), Some(priority));
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").expect("a push-back"), "1000");
}

// S-PRIO-05: the answer of a stream is not there with its head.
#[tokio::test]
async fn a_server_stream_holds_its_slot_to_the_end() {
    let (endpoint, queue, mut streams) = streaming(&ONE).await;
    let mut client = GreeterClient::new(endpoint.connect_lazy());
    for hangs_up in [false, true] {
        let answer = client.say_hellos(HelloRequest::default()).await.expect("a head");
        let mut replies = answer.into_inner();
        let feed = streams.recv().await.expect("the host answers");
        feed.send(Ok(HelloReply::default())).await.expect("it is read");
        assert!(replies.message().await.expect("a message").is_some());
        assert_eq!(queue.snapshot().running, 1);
        let refused = greet(&endpoint, "normal").await.expect_err("a refusal");
        assert_is_refusal(&refused, "normal");
        if hangs_up {
            drop(replies);
            feed.closed().await;
        } else {
            drop(feed);
            assert!(replies.message().await.expect("the trailers").is_none());
        }
        assert_eq!(queue.snapshot().running, 0, "{hangs_up}");
    }
}

// S-PRIO-05
#[tokio::test]
async fn a_stream_that_ends_lets_the_next_call_begin() {
    let (endpoint, queue, mut streams) = streaming(&ONE.capacity(1)).await;
    let queued = Queued::default();
    queue.observe(queued.clone());
    let mut client = GreeterClient::new(endpoint.connect_lazy());
    let first = client.say_hellos(HelloRequest::default()).await.expect("a head");
    let feed = streams.recv().await.expect("the host answers");
    let second = tokio::spawn(async move { greet(&endpoint, "low").await });
    queued.0.notified().await;
    assert_eq!((queue.snapshot().running, queue.snapshot().depth()), (1, 1));
    drop((first, feed));
    second.await.expect("no panic").expect("it is served");
    assert_eq!(queue.snapshot().running, 0);
}

// S-PRIO-02: calls take five seconds here, so nobody who leaves sooner is let wait.
#[tokio::test]
async fn whoever_would_be_gone_before_he_is_served_is_refused_at_once() {
    let clock = ManualClock::new();
    let layer = PriorityQueueLayer::with_clock(ONE.capacity(9), clock.clone());
    let (queue, queued) = (layer.handle(), Queued::default());
    queue.observe(queued.clone());
    let layer = layer.remaining_fn(deadline::grpc_timeout::<tonic::body::Body>);
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder().layer(layer).add_service(GreeterServer::new(Host::default()));
    tokio::spawn(server.serve_with_incoming(incoming));
    let mut slot = queue.try_acquire(Priority::NORMAL).expect("it is free");
    clock.advance(Duration::from_secs(5));
    slot.answered(Outcome::Success);
    // The slot is taken still.
    let mut client = GreeterClient::new(endpoint.connect_lazy());
    let mut hasty = Request::new(HelloRequest::default());
    hasty.set_timeout(Duration::from_secs(4));
    let status = client.say_hello(hasty).await.expect_err("a refusal");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!((queue.snapshot().timed_out, queue.snapshot().depth()), (1, 0));
    let mut patient = Request::new(HelloRequest::default());
    patient.set_timeout(Duration::from_secs(60));
    let waits = tokio::spawn(async move { client.say_hello(patient).await });
    queued.0.notified().await;
    drop(slot);
    assert!(waits.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn a_bulkhead_around_one_service_is_a_named_layer() {
    let limit = ConcurrencyLimit::new(1).named("greeter");
    let bulkhead = ConcurrencyLayer::with_clock(limit, ManualClock::new());
    let slots = bulkhead.handle();
    let (incoming, endpoint) = loopback().await;
    let greeter = bulkhead.named_layer(GreeterServer::new(Host::default()));
    tokio::spawn(Server::builder().add_service(greeter).serve_with_incoming(incoming));
    let slot = slots.try_acquire(Priority::NORMAL).expect("it is free");
    let status = greet(&endpoint, "critical").await.expect_err("a refusal");
    assert_eq!(status.code(), Code::Unavailable);
    drop(slot);
    assert!(greet(&endpoint, "bulk").await.is_ok());
    assert_eq!(slots.snapshot().running, 0);
}

// ===== helpers =====

/// Hears of calls that begin to wait.
#[derive(Clone, Default)]
struct Queued(Arc<Notify>);

impl Observe for Queued {
    fn event(&self, event: &Event<'_>) {
        if matches!(event.kind, EventKind::Queued { .. }) {
            self.0.notify_one();
        }
    }
}

type Feed = mpsc::Sender<Result<HelloReply, Status>>;

/// A host whose streams go on for as long as they are fed.
struct Endless(mpsc::UnboundedSender<Feed>);

#[tonic::async_trait]
impl Greeter for Endless {
    type SayHellosStream = BoxStream<HelloReply>;

    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        Ok(Response::new(HelloReply::default()))
    }

    async fn say_hellos(
        &self,
        _: Request<HelloRequest>,
    ) -> Result<Response<Self::SayHellosStream>, Status> {
        let (feed, replies) = mpsc::channel(1);
        self.0.send(feed).expect("somebody feeds it");
        Ok(Response::new(Box::pin(ReceiverStream::new(replies))))
    }
}

async fn streaming(
    config: &QueueConfig,
) -> (Endpoint, PriorityQueue, mpsc::UnboundedReceiver<Feed>) {
    let (feeds, streams) = mpsc::unbounded_channel();
    let layer = PriorityQueueLayer::with_clock(*config, ManualClock::new());
    let queue = layer.handle();
    let (incoming, endpoint) = loopback().await;
    let server = Server::builder().layer(layer).add_service(GreeterServer::new(Endless(feeds)));
    tokio::spawn(server.serve_with_incoming(incoming));
    (endpoint, queue, streams)
}

/// Asks on a connection of its own.
async fn greet(endpoint: &Endpoint, priority: &str) -> Result<(), Status> {
    let mut client = GreeterClient::new(endpoint.connect_lazy());
    let mut request = Request::new(HelloRequest::default());
    request.metadata_mut().insert("x-priority", priority.parse().expect("metadata"));
    client.say_hello(request).await.map(drop)
}

async fn loopback() -> (TcpIncoming, Endpoint) {
    let (listener, address) = loopback::listen().await.expect("a port");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    (TcpIncoming::from(listener), endpoint)
}
