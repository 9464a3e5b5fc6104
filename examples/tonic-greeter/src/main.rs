//! Circuits in tonic: in front of a server, of a server that streams, and of a client's channel.

use portcullis::{BoxError, BoxErrors, CircuitBreakerConfig, CircuitBreakerLayer, Rejected};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Response, Status, Streaming};
use tonic_greeter::Host;
use tonic_greeter::proto::greeter_client::GreeterClient;
use tonic_greeter::proto::greeter_server::GreeterServer;
use tonic_greeter::proto::{HelloReply, HelloRequest};
use tonic_types::StatusExt as _;
use tower::ServiceBuilder;

const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new().named("greeter");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

async fn run() -> Result<Vec<String>, BoxError> {
    let mut story = Vec::new();

    // A protected server: whoever is refused gets an ordinary status.
    let host = Host::ill();
    let (incoming, channel) = loopback().await?;
    let greeter = Server::builder()
        .layer(CircuitBreakerLayer::new(CONFIG))
        .add_service(GreeterServer::new(host.clone()));
    tokio::spawn(greeter.serve_with_incoming(incoming));
    let mut client = GreeterClient::new(channel);
    for _ in 0..6 {
        let answer = client.say_hello(HelloRequest::default()).await;
        story.push(format!("server: {}", told(answer)));
    }
    story.push(format!("server: the host was asked {} times", host.asked()));

    // A stream has its status at its end: there it is judged.
    let host = Host::ill();
    let (incoming, channel) = loopback().await?;
    let greeter = Server::builder()
        .layer(CircuitBreakerLayer::new(CONFIG).judge_at_end_of_body())
        .add_service(GreeterServer::new(host.clone()));
    tokio::spawn(greeter.serve_with_incoming(incoming));
    let mut client = GreeterClient::new(channel);
    for _ in 0..6 {
        let end = to_the_end(client.say_hellos(HelloRequest::default()).await).await;
        story.push(format!("stream: {}", told(end)));
    }
    story.push(format!("stream: the host was asked {} times", host.asked()));

    // A protected channel before a bare server: the sixth call does not leave the process.
    let host = Host::ill();
    let (incoming, channel) = loopback().await?;
    let greeter = Server::builder().add_service(GreeterServer::new(host.clone()));
    tokio::spawn(greeter.serve_with_incoming(incoming));
    let channel = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(CONFIG))
        .layer(BoxErrors)
        .service(channel);
    let mut client = GreeterClient::new(channel);
    for _ in 0..6 {
        let answer = client.say_hello(HelloRequest::default()).await;
        story.push(format!("channel: {}", told(answer)));
    }
    story.push(format!("channel: the host was asked {} times", host.asked()));
    Ok(story)
}

/// What a caller makes of an answer.
fn told<T>(answer: Result<T, Status>) -> String {
    let Err(status) = answer else { return "answered".to_owned() };
    // The error of a protected channel is the refusal itself, with reason and wait.
    if let Some(rejected) = Rejected::find(&status) {
        return format!("{rejected}");
    }
    // The status of a protected server says the same in the words of gRPC.
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let wait = delay.map(|delay| format!(", retry in {delay:.1?}")).unwrap_or_default();
    format!("{:?}: {}{wait}", status.code(), status.message())
}

async fn to_the_end(answer: Result<Response<Streaming<HelloReply>>, Status>) -> Result<(), Status> {
    let mut replies = answer?.into_inner();
    while replies.message().await?.is_some() {}
    Ok(())
}

/// A free port of this machine, and a channel to it.
async fn loopback() -> Result<(TcpIncoming, Channel), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let channel = Endpoint::from_shared(format!("http://{}", listener.local_addr()?))?;
    Ok((TcpIncoming::from(listener), channel.connect_lazy()))
}

#[cfg(test)]
mod tests {
    // S-CORE-08, S-CORE-09: gRPC failures are failures, and refusals speak gRPC.
    #[tokio::test]
    async fn five_calls_reach_the_host_on_each_way() {
        let story = super::run().await.expect("a loopback");
        let failed = "Internal: the host has lost his voice";
        for (part, refused) in story.chunks(7).zip([
            "server: Unavailable: the circuit is open; try again in ",
            "stream: Unavailable: the circuit is open; try again in ",
            "channel: call refused by greeter: the circuit is open, because 5 calls in a row failed",
        ]) {
            assert!(part[..5].iter().all(|line| line.ends_with(failed)), "{story:#?}");
            assert!(part[5].starts_with(refused), "{story:#?}");
            assert!(part[6].ends_with("the host was asked 5 times"), "{story:#?}");
        }
        assert_eq!(story.len(), 21);
    }
}
