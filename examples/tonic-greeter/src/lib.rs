//! A greeter that can fall ill, and the code generated from `proto/greeter.proto`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proto::greeter_server::Greeter;
use proto::{HelloReply, HelloRequest};
use tonic::codegen::{BoxStream, tokio_stream};
use tonic::{Request, Response, Status};

/// What `build.rs` made of `proto/greeter.proto`.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::restriction)]
pub mod proto {
    tonic::include_proto!("greeter");
}

/// Greets as long as it is well. Clones are the same person.
#[derive(Clone, Debug, Default)]
pub struct Host {
    ill: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Host {
    /// A host who is ill, and will be until told otherwise.
    #[must_use]
    pub fn ill() -> Self {
        let host = Self::default();
        host.fall_ill(true);
        host
    }

    /// Falls ill, or recovers.
    pub fn fall_ill(&self, ill: bool) {
        self.ill.store(ill, Ordering::Relaxed);
    }

    /// How many calls have come through to the host.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn greet(&self, name: &str) -> Result<HelloReply, Status> {
        if self.ill.load(Ordering::Relaxed) {
            return Err(Status::internal("the host has lost his voice"));
        }
        Ok(HelloReply { text: format!("Hello {name}!") })
    }
}

#[tonic::async_trait]
impl Greeter for Host {
    type SayHellosStream = BoxStream<HelloReply>;

    /// The status of a failure is in the head of the answer.
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.greet(&request.get_ref().name).map(Response::new)
    }

    /// The status of a failure is in the trailers, after a first message that looks well.
    async fn say_hellos(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<Self::SayHellosStream>, Status> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let welcome = HelloReply { text: "Welcome!".to_owned() };
        let replies = [Ok(welcome), self.greet(&request.get_ref().name)];
        Ok(Response::new(Box::pin(tokio_stream::iter(replies))))
    }
}
