//! Priorities in tonic: a queue in front of a server, a bulkhead in front of a client's channel.

use portcullis::{
    BoxError, BoxErrors, CarryPriorityLayer, ConcurrencyLayer, ConcurrencyLimit, Priority,
    PriorityQueueLayer, QueueConfig, Rejected, deadline, key, priority,
};
use tokio::net::TcpListener;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Status, body::Body};
use tonic_greeter::Host;
use tonic_greeter::proto::HelloRequest;
use tonic_greeter::proto::greeter_client::GreeterClient;
use tonic_greeter::proto::greeter_server::GreeterServer;
use tonic_types::StatusExt as _;
use tower::ServiceBuilder;

/// 50 calls at a time, and the important first.
const GREETINGS: QueueConfig = QueueConfig::new().named("greetings");
/// One call at a time leaves this process; others fail at once.
const OURS: ConcurrencyLimit = ConcurrencyLimit::new(1).named("ours");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

async fn run() -> Result<Vec<String>, BoxError> {
    let mut story = Vec::new();

    // A server that believes what the machines of the house say of their calls.
    let peer = key::peer_ip(|info: &TcpConnectInfo| info.remote_addr());
    let ours = priority::from_request().trusted_peers(peer, ["127.0.0.0/8"])?;
    let queue = PriorityQueueLayer::new(GREETINGS)
        .priority(ours)
        .remaining_fn(deadline::grpc_timeout::<Body>);
    let slots = queue.handle();
    let host = Host::default();
    let (incoming, channel) = loopback().await?;
    let greeter = Server::builder().layer(queue).add_service(GreeterServer::new(host.clone()));
    tokio::spawn(greeter.serve_with_incoming(incoming));

    // A client that says how important its calls are: as important as the work they are part of.
    let bulkhead = ConcurrencyLayer::new(OURS);
    let places = bulkhead.handle();
    let channel = ServiceBuilder::new()
        .layer(bulkhead)
        .layer(CarryPriorityLayer::new())
        .layer(BoxErrors)
        .service(channel);
    let client = GreeterClient::new(channel);

    slots.min_priority(Priority::HIGH)?;
    for priority in [Priority::CRITICAL, Priority::HIGH, Priority::NORMAL, Priority::BULK] {
        let mut client = client.clone();
        let mut request = tonic::Request::new(HelloRequest::default());
        request.extensions_mut().insert(priority);
        let answer = client.say_hello(request).await;
        story.push(format!("{priority}: {}", told(answer)));
    }
    story.push(format!("the host was asked {} times", host.asked()));
    story.push(slots.explain());

    // The one place of the channel is taken: the call fails here.
    let place = places.try_acquire(Priority::NORMAL)?;
    let answer = client.clone().say_hello(HelloRequest::default()).await;
    story.push(format!("channel: {}", told(answer)));
    drop(place);
    Ok(story)
}

/// What a caller makes of an answer.
fn told<T>(answer: Result<T, Status>) -> String {
    let Err(status) = answer else { return "answered".to_owned() };
    // The error of a channel with a bulkhead is the refusal itself.
    if let Some(rejected) = Rejected::find(&status) {
        return format!("{rejected}");
    }
    // The status of a server says the same in the words of gRPC.
    let details = status.get_error_details();
    let wait = details.retry_info().and_then(|info| info.retry_delay);
    let weighed = details.error_info().and_then(|info| info.metadata.get("priority"));
    format!("{:?}, weighed as {weighed:?}, retry in {wait:?}", status.code())
}

/// A free port of this machine, and a channel to it.
async fn loopback() -> Result<(TcpIncoming, Channel), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
    Ok((TcpIncoming::from(listener), channel))
}

#[cfg(test)]
mod tests {
    // S-PRIO-01, S-PRIO-07: a queue speaks gRPC, and believes the clients of the house.
    #[tokio::test]
    async fn two_calls_are_answered_two_refused_and_one_stays_here() {
        let story = super::run().await.expect("a loopback");
        assert_eq!(story[..2], ["critical: answered", "high: answered"], "{story:#?}");
        for (line, priority) in story[2..4].iter().zip(["normal", "bulk"]) {
            let refused =
                format!("{priority}: Unavailable, weighed as Some({priority:?}), retry in Some(");
            assert!(line.starts_with(&refused), "{story:#?}");
        }
        assert_eq!(story[4], "the host was asked 2 times");
        assert!(story[5].starts_with("greetings: 0 of 50 slots are taken"), "{story:#?}");
        assert!(story[6].starts_with("channel: call refused by ours: all slots"), "{story:#?}");
    }
}
