//! Rate limits in tonic: per client in front of a server, and in front of a client's channel.

use std::time::Duration;

use portcullis::{BoxError, BoxErrors, RateLimit, RateLimitLayer, Rejected, key};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::transport::{Channel, Endpoint, Server};
use tonic_greeter::Host;
use tonic_greeter::proto::HelloRequest;
use tonic_greeter::proto::greeter_client::GreeterClient;
use tonic_greeter::proto::greeter_server::GreeterServer;
use tonic_types::StatusExt as _;
use tower::ServiceBuilder;

/// Three calls at once, and then one in 20 seconds.
const PER_CLIENT: RateLimit = RateLimit::per_minute(3).named("per-client");
/// Two calls at once, and then one in 100 ms; who would wait longer than 450 ms is refused at once.
const OURS: RateLimit =
    RateLimit::per_second(10).burst(2).max_wait(Duration::from_millis(450)).named("ours");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

async fn run() -> Result<Vec<String>, BoxError> {
    let mut story = Vec::new();

    // A server with a limit for each address: whoever is refused gets an ordinary status.
    let limit = RateLimitLayer::new(PER_CLIENT).keyed(key::peer_ip(TcpConnectInfo::remote_addr));
    let limits = limit.handle();
    let host = Host::default();
    let (incoming, channel) = loopback().await?;
    let greeter = Server::builder().layer(limit).add_service(GreeterServer::new(host.clone()));
    tokio::spawn(greeter.serve_with_incoming(incoming));
    let mut client = GreeterClient::new(channel);
    for _ in 0..4 {
        let answer = client.say_hello(HelloRequest::default()).await;
        story.push(format!("server: {}", told(answer)));
    }
    story.push(format!("server: the host was asked {} times", host.asked()));
    story.push(format!("server: {}", limits.explain()));

    // A channel that waits for its turn: of seven calls, two go, four wait, and one would wait too long.
    let host = Host::default();
    let (incoming, channel) = loopback().await?;
    let greeter = Server::builder().add_service(GreeterServer::new(host.clone()));
    tokio::spawn(greeter.serve_with_incoming(incoming));
    let channel = ServiceBuilder::new()
        .layer(RateLimitLayer::new(OURS).waiting())
        .layer(BoxErrors)
        .service(channel);
    let client = GreeterClient::new(channel);
    let mut calls = JoinSet::new();
    for _ in 0..7 {
        let mut client = client.clone();
        calls.spawn(async move { told(client.say_hello(HelloRequest::default()).await) });
    }
    while let Some(answer) = calls.join_next().await {
        story.push(format!("channel: {}", answer?));
    }
    story.push(format!("channel: the host was asked {} times", host.asked()));
    Ok(story)
}

/// What a caller makes of an answer.
fn told<T>(answer: Result<T, Status>) -> String {
    let Err(status) = answer else { return "answered".to_owned() };
    // The error of a channel with a limit is the refusal itself.
    if let Some(rejected) = Rejected::find(&status) {
        return format!("{rejected}");
    }
    // The status of a server says the same in the words of gRPC.
    let details = status.get_error_details();
    let wait = details.retry_info().and_then(|info| info.retry_delay);
    let wait = wait.map(|wait| format!(", retry in {wait:.0?}")).unwrap_or_default();
    let quotas = details.quota_failure().map(|quota| quota.violations.as_slice());
    let names: Vec<_> =
        quotas.unwrap_or_default().iter().map(|quota| quota.subject.as_str()).collect();
    format!("{:?} ({}): {}{wait}", status.code(), names.join(", "), status.message())
}

/// A free port of this machine, and a channel to it.
async fn loopback() -> Result<(TcpIncoming, Channel), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let channel = Endpoint::from_shared(format!("http://{}", listener.local_addr()?))?;
    Ok((TcpIncoming::from(listener), channel.connect_lazy()))
}

#[cfg(test)]
mod tests {
    // S-RATE-09, S-RATE-11: a limit speaks gRPC, and callers can wait for their turn.
    #[tokio::test]
    async fn three_calls_reach_the_server_and_six_leave_the_channel() {
        let story = super::run().await.expect("a loopback");
        let answered =
            |lines: &[String]| lines.iter().filter(|it| it.ends_with("answered")).count();
        let (server, channel) = story.split_at(6);
        assert_eq!(answered(&server[..3]), 3, "{story:#?}");
        let refused = "server: ResourceExhausted (per-client): the quota is used up; try again in ";
        assert!(server[3].starts_with(refused) && server[3].contains(", retry in "), "{story:#?}");
        assert!(server[4].ends_with("the host was asked 3 times"), "{story:#?}");
        // The one that is refused does not wait for the others.
        assert!(channel[0].starts_with("channel: call refused by ours: the quota"), "{story:#?}");
        assert_eq!(answered(channel), 6, "{story:#?}");
        assert_eq!(channel[7], "channel: the host was asked 6 times");
    }
}
