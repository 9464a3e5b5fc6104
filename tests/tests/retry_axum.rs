//! Retries in HTTP clients, hyper-util's and reqwest's: a flaky axum server on real sockets, and a
//! connection for each request.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use http::{Method, Request, StatusCode};
use http_body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use portcullis::{
    BackoffConfig, BackoffLayer, BoxError, BoxErrors, Budget, Delays, Event, EventKind,
    FailureKind, Observe, Percent, Verb, replay,
};
use portcullis_tests::loopback::{self, Hits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tower::{Service, ServiceBuilder, ServiceExt as _};

const MILLI: Duration = Duration::from_millis(1);

const CONFIG: BackoffConfig = BackoffConfig::new()
    .delays(Delays::fixed(MILLI).jitter(Percent::ZERO))
    .budget(Budget::unlimited())
    .hint_cap(Duration::from_millis(30))
    .named("flaky");

// S-RETRY-01, S-BACKOFF-10: as long as the server wishes, up to the cap, and once for each answer.
#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says_so() {
    let flaky = Flaky::new(&[(503, Some("1")), (503, Some("1")), (200, None)]).await;
    let layer = BackoffLayer::new(CONFIG);
    let mut client = hyper_client(layer.clone());
    assert_eq!(status(&mut client, flaky.request(Method::GET, Body::empty())).await, 200);
    assert_eq!((flaky.calls(), flaky.connections.count()), (3, 3));
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.retried, snapshot.succeeded_after_retry), (2, 1));
    assert_eq!(snapshot.delayed, 60 * MILLI);
}

// S-RETRY-05
#[tokio::test]
async fn a_post_is_made_again_only_with_a_key() {
    for (key, status_of, calls) in [(None, 503, 1), (Some("8e03978e"), 200, 2)] {
        let flaky = Flaky::new(&[(503, None), (200, None)]).await;
        let mut request = flaky.request(Method::POST, Body::from("an order"));
        if let Some(key) = key {
            request.headers_mut().insert("idempotency-key", key.parse().expect("a value"));
        }
        let mut client = hyper_client(BackoffLayer::new(CONFIG));
        assert_eq!(status(&mut client, request).await, status_of);
        assert_eq!(flaky.bodies(), vec!["an order"; calls]);
    }
}

// S-RETRY-05: axum's body is no `Clone`.
#[tokio::test]
async fn a_body_within_the_limit_is_sent_again_and_a_larger_one_is_not() {
    let kilobytes = |many: usize| "0123456789abcdef".repeat(64 * many);
    for (text, calls) in [(kilobytes(64), 2), (kilobytes(65), 1)] {
        for streamed in [false, true] {
            let flaky = Flaky::new(&[(503, None), (200, None)]).await;
            let body = if streamed { stream(&text) } else { Body::from(text.clone()) };
            let mut client = hyper_client(BackoffLayer::new(CONFIG));
            let answer = status(&mut client, flaky.request(Method::PUT, body)).await;
            assert_eq!(answer, if calls == 2 { 200 } else { 503 });
            let bodies = flaky.bodies();
            assert_eq!(bodies.len(), calls, "{} bytes, {streamed}", text.len());
            assert!(bodies.iter().all(|body| *body == text), "it is whole each time");
        }
    }
}

// S-RETRY-05: a refused connection has brought nothing to anybody, so that a POST goes again.
#[tokio::test]
async fn a_server_that_comes_up_meanwhile_is_reached() {
    for method in [Method::GET, Method::POST] {
        let (socket, server) = loopback::nobody().expect("a port");
        let failed = Failed::default();
        let config =
            CONFIG.method(Verb::Get, 100).method(Verb::Post, 100).delays(Delays::fixed(20 * MILLI));
        let layer = BackoffLayer::new(config).observe(failed.clone());
        let mut client = hyper_client(layer.clone());
        let uri = format!("http://{server}/");
        let request = Request::builder().method(&method).uri(uri).body(Body::from("text"));
        let call =
            tokio::spawn(async move { status(&mut client, request.expect("a request")).await });
        failed.0.notified().await;
        let app = Router::new().fallback(async || StatusCode::OK);
        let listener = socket.listen(16).expect("a socket");
        tokio::spawn(axum::serve(listener, app).into_future());
        assert_eq!(call.await.expect("no panic"), 200, "{method}");
        assert!(layer.handle().snapshot().retried > 0);
    }
}

// S-RETRY-05: what the server has done with a request whose connection broke, nobody knows.
#[tokio::test]
async fn a_connection_that_breaks_midway_is_a_failure_and_a_post_is_not_made_again() {
    for (method, calls) in [(Method::GET, 2), (Method::PUT, 2), (Method::POST, 1)] {
        let (hits, server) = breaking_server().await;
        let mut client = hyper_client(BackoffLayer::new(CONFIG));
        let uri = format!("http://{server}/");
        let request = Request::builder().method(&method).uri(uri).body(Body::empty());
        let answer = call(&mut client, request.expect("a request")).await;
        assert_eq!(answer.is_ok(), calls == 2, "{method}");
        assert_eq!(hits.count(), calls, "{method}");
    }
}

// S-RETRY-01
#[tokio::test]
async fn a_reqwest_client_is_given_retries_by_one_line() {
    let flaky = Flaky::new(&[(503, None), (502, None), (200, None)]).await;
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build();
    let client = client.expect("a client");
    let mut client =
        ServiceBuilder::new().layer(BackoffLayer::new(CONFIG)).layer(BoxErrors).service(client);
    let url: reqwest::Url = format!("http://{}/", flaky.address).parse().expect("a URL");
    let mut request = reqwest::Request::new(Method::PUT, url);
    *request.body_mut() = Some("text".into());
    let ready = client.ready().await.expect("ready");
    assert_eq!(ready.call(request).await.expect("an answer").status(), 502, "a PUT is made twice");
    assert_eq!(flaky.bodies(), ["text", "text"]);
    assert_eq!((flaky.attempts(), flaky.connections.count()), (vec![None, Some(2)], 2));
}

// S-RETRY-05: without boxing, the client's error stays what it is.
#[tokio::test]
async fn a_reqwest_client_that_keeps_its_error_gets_the_last_one() {
    let (_held, nobody) = loopback::nobody().expect("a port");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let layer = BackoffLayer::new(CONFIG);
    let mut client = ServiceBuilder::new().layer(layer.clone()).service(client);
    let url = format!("http://{nobody}/").parse().expect("a URL");
    let request = reqwest::Request::new(Method::POST, url);
    let error = client.ready().await.expect("ready").call(request).await.expect_err("refused");
    assert!(error.is_connect());
    assert_eq!(layer.handle().snapshot().failed, 2, "a POST that was never sent is made twice");
}

// ===== helpers =====

/// A client of hyper-util's, which makes a connection for each request.
fn hyper_client(
    layer: BackoffLayer,
) -> impl Service<
    Request<Body>,
    Response = Response<hyper::body::Incoming>,
    Error = BoxError,
    Future: Send,
> + Send {
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    ServiceBuilder::new()
        .layer(layer.replay(replay::bodies(Body::new)))
        .layer(BoxErrors)
        .service(client)
}

async fn call<S: Service<Request<Body>>>(
    client: &mut S,
    request: Request<Body>,
) -> Result<S::Response, S::Error> {
    client.ready().await?.call(request).await
}

async fn status<S, B>(client: &mut S, request: Request<Body>) -> u16
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
{
    call(client, request).await.expect("an answer").status().as_u16()
}

/// What a server does, one after the other; the last of it always.
type Script = Arc<Mutex<Vec<(u16, Option<&'static str>)>>>;

/// The number of an attempt, where it has one, and its body.
type Seen = (Option<u32>, String);

/// A server that reads the body, and answers by a script.
struct Flaky {
    address: SocketAddr,
    connections: Hits,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Flaky {
    async fn new(script: &[(u16, Option<&'static str>)]) -> Self {
        let script: Script = Arc::new(Mutex::new(script.iter().rev().copied().collect()));
        let (listener, address) = loopback::listen().await.expect("a port");
        let (connections, seen) = (Hits::default(), Arc::<Mutex<Vec<_>>>::default());
        let written = seen.clone();
        let app = Router::new().fallback(async move |request: Request<Body>| {
            let attempt = request.headers().get(replay::X_RETRY_ATTEMPT);
            let attempt = attempt.map(|it| it.to_str().expect("text").parse().expect("a number"));
            let body = axum::body::to_bytes(request.into_body(), usize::MAX).await;
            let body = String::from_utf8(body.expect("a body").to_vec()).expect("text");
            written.lock().expect("no panic").push((attempt, body));
            let mut script = script.lock().expect("no panic");
            let (status, wait) =
                if script.len() > 1 { script.pop().expect("it is there") } else { script[0] };
            let status = StatusCode::from_u16(status).expect("a status");
            match wait {
                Some(wait) => (status, [("retry-after", wait)]).into_response(),
                None => status.into_response(),
            }
        });
        let tapped = connections.clone();
        let listener = listener.tap_io(move |_| tapped.hit());
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { address, connections, seen }
    }

    fn request(&self, method: Method, body: Body) -> Request<Body> {
        let uri = format!("http://{}/", self.address);
        Request::builder().method(method).uri(uri).body(body).expect("a request")
    }

    fn calls(&self) -> usize {
        self.bodies().len()
    }

    fn bodies(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").iter().map(|(_, body)| body.clone()).collect()
    }

    fn attempts(&self) -> Vec<Option<u32>> {
        self.seen.lock().expect("no panic").iter().map(|(attempt, _)| *attempt).collect()
    }
}

/// A body in frames of a kilobyte, which does not say how long it is.
fn stream(text: &str) -> Body {
    struct Frames(Vec<Bytes>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(self.0.pop().map(|data| Ok(Frame::data(data))))
        }
    }
    let mut frames: Vec<_> = text.as_bytes().chunks(1_024).map(Bytes::copy_from_slice).collect();
    frames.reverse();
    Body::new(Frames(frames))
}

/// Reads the head of the first request and hangs up; answers others.
async fn breaking_server() -> (Hits, SocketAddr) {
    let (listener, address): (TcpListener, _) = loopback::listen().await.expect("a port");
    let hits = Hits::default();
    let seen = hits.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = [0; 1_024];
            let read = connection.read(&mut head).await;
            seen.hit();
            if read.is_ok() && seen.count() > 1 {
                let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                let _ = connection.write_all(answer).await;
            }
        }
    });
    (hits, address)
}

/// Hears of connections that were refused.
#[derive(Clone, Default)]
struct Failed(Arc<Notify>);

impl Observe for Failed {
    fn event(&self, event: &Event<'_>) {
        if let EventKind::Retried { kind: FailureKind::Connection, .. } = event.kind {
            self.0.notify_one();
        }
    }
}
