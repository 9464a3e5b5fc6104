//! Retries in tonic: a channel that makes calls again, and a server that says when, or never.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Request as Web;
use portcullis::{Backoff, BackoffConfig, BackoffLayer, BoxError, BoxErrors, Delays, replay};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::BoxStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_greeter::proto::greeter_client::GreeterClient;
use tonic_greeter::proto::greeter_server::{Greeter, GreeterServer};
use tonic_greeter::proto::{HelloReply, HelloRequest};
use tower::ServiceBuilder;

const CONFIG: BackoffConfig = BackoffConfig::new()
    .delays(Delays::full_jitter(Duration::from_millis(20)).cap(Duration::from_millis(200)))
    .named("greeter");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

async fn run() -> Result<Vec<String>, BoxError> {
    let mut story = Vec::new();
    for (mood, push_back, reads) in [
        ("busy twice", Some("40"), true),
        ("busy twice", Some("40"), false),
        ("busy, and tired of it", Some("-1"), true),
    ] {
        let host = Moody { asked: Arc::default(), push_back };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let server = Server::builder().add_service(GreeterServer::new(host.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        let backoff = Backoff::new(CONFIG);
        let said = told(greet(&backoff, address, reads).await);
        let (asked, waited) = (host.asked.load(Ordering::Relaxed), backoff.snapshot().delayed);
        let may = if reads { "may" } else { "may not" };
        story.push(format!("{mood}, {may} be made twice: {said} ({asked} calls, {waited:.0?})"));
    }

    // Nobody listens there any more: the call was not sent, so that it does not matter what it does.
    let nobody = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let backoff = Backoff::new(CONFIG);
    let _ = greet(&backoff, format!("http://{nobody}"), false).await;
    story.push(format!("not there: {} attempts", backoff.snapshot().failed));
    Ok(story)
}

async fn greet(
    backoff: &Backoff,
    address: String,
    reads: bool,
) -> Result<Response<HelloReply>, Status> {
    let endpoint = Endpoint::from_shared(address).expect("an address");
    let layer = BackoffLayer::from_backoff(backoff)
        .replay(replay::bodies(Body::new))
        // By the name of the method, in earnest: `request.uri().path()`.
        .idempotent_fn(move |_: &Web<Body>| reads);
    let channel =
        ServiceBuilder::new().layer(layer).layer(BoxErrors).service(endpoint.connect_lazy());
    GreeterClient::new(channel).say_hello(HelloRequest { name: "Ada".to_owned() }).await
}

fn told(answer: Result<Response<HelloReply>, Status>) -> String {
    match answer {
        Ok(reply) => reply.into_inner().text,
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// Is busy for two calls, and says when to come back, or never.
#[derive(Clone)]
struct Moody {
    asked: Arc<AtomicU32>,
    push_back: Option<&'static str>,
}

#[tonic::async_trait]
impl Greeter for Moody {
    type SayHellosStream = BoxStream<HelloReply>;

    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        if self.asked.fetch_add(1, Ordering::Relaxed) >= 2 {
            let text = format!("Hello {}!", request.get_ref().name);
            return Ok(Response::new(HelloReply { text }));
        }
        let mut status = Status::unavailable("busy");
        if let Some(push_back) = self.push_back {
            let push_back = tonic::metadata::MetadataValue::from_static(push_back);
            status.metadata_mut().insert("grpc-retry-pushback-ms", push_back);
        }
        Err(status)
    }

    async fn say_hellos(
        &self,
        _: Request<HelloRequest>,
    ) -> Result<Response<Self::SayHellosStream>, Status> {
        Err(Status::unimplemented("one at a time"))
    }
}

#[cfg(test)]
mod tests {
    // S-RETRY-01, S-RETRY-05
    #[tokio::test]
    async fn calls_are_made_again_as_client_and_server_have_it() {
        let story = super::run().await.expect("a loopback");
        // Twice what the server asks for, and up to a tenth on top.
        let (first, rest) = story.split_first().expect("four scenes");
        assert!(
            first.starts_with("busy twice, may be made twice: Hello Ada! (3 calls, 8"),
            "{first}"
        );
        assert_eq!(
            rest,
            [
                "busy twice, may not be made twice: Unavailable: busy (1 calls, 0ns)",
                "busy, and tired of it, may be made twice: Unavailable: busy (1 calls, 0ns)",
                "not there: 3 attempts",
            ]
        );
    }
}
