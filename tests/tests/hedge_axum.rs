//! Hedges of a real client against a real server that is slow now and then.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use portcullis::Percent;
use portcullis::portcullis_http::replay::Clones;
use portcullis::portcullis_http::{BoxErrorsService, HttpOrGrpc};
use portcullis_tests::loopback::{self, Hits};
use portcullis_timeout::{BoxErrors, Hedge, HedgeConfig, HedgeLayer, HedgeService};
use tokio::sync::mpsc;
use tower::{Layer as _, ServiceExt as _};

/// After a time that no answer takes which comes at all, for every second call.
const FIXED: HedgeConfig = HedgeConfig::new()
    .min_delay(Duration::from_millis(250))
    .max_delay(Duration::from_millis(250))
    .initial(Duration::from_millis(250))
    .max_share(Percent::new(50));

/// A server whose answer to a first attempt on `/slow` never comes; the end that is told of each, and
/// closed when the server has let it go.
struct Slow {
    server: SocketAddr,
    came: mpsc::UnboundedReceiver<mpsc::Sender<()>>,
    hits: Hits,
}

async fn slow() -> Slow {
    let (come, came) = mpsc::unbounded_channel();
    let hits = Hits::default();
    let slow = {
        let hits = hits.clone();
        async move |request: Request<Body>| {
            hits.hit();
            let attempt = request.headers().get("x-retry-attempt").cloned();
            if attempt.is_none() {
                let (sender, _held) = mpsc::channel(1);
                come.send(sender).expect("somebody counts");
                pending::<()>().await;
            }
            format!("{attempt:?}")
        }
    };
    let app = Router::new()
        .route("/fast", get(async || "at once"))
        .route("/slow", get(slow.clone()).merge(post(slow)));
    let (listener, server) = loopback::listen().await.expect("a port");
    tokio::spawn(axum::serve(listener, app).into_future());
    Slow { server, came, hits }
}

type Transport = Client<HttpConnector, String>;
type Hedged = HedgeService<BoxErrorsService<Transport>, HttpOrGrpc, Clones>;

/// A client that has earned a hedge.
async fn client(server: SocketAddr) -> (Hedged, Hedge) {
    let transport: Transport = Client::builder(TokioExecutor::new()).build_http();
    let layer = HedgeLayer::new(FIXED);
    let hedge = layer.handle();
    let client = layer.layer(BoxErrors.layer(transport));
    for _ in 0..2 {
        let answer = client.clone().oneshot(request("GET", server, "fast")).await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    (client, hedge)
}

fn request(method: &str, server: SocketAddr, path: &str) -> Request<String> {
    let request = Request::builder().method(method).uri(format!("http://{server}/{path}"));
    request.body(String::new()).expect("a request")
}

#[tokio::test]
async fn a_second_attempt_wins_and_the_connection_of_the_first_is_closed() {
    let Slow { server, mut came, hits } = slow().await;
    let (client, hedge) = client(server).await;
    let answer = client.oneshot(request("GET", server, "slow")).await.expect("an answer");
    let body = axum::body::to_bytes(Body::new(answer.into_body()), 99).await.expect("a body");
    assert_eq!(body, "Some(\"2\")");
    let seen = hedge.snapshot();
    assert_eq!((seen.hedged, seen.won, hits.count()), (1, 1, 2));
    // The server drops a handler when its connection has gone.
    came.recv().await.expect("it came in").closed().await;
}

#[tokio::test]
async fn what_may_not_be_made_twice_is_sent_once() {
    let Slow { server, mut came, hits } = slow().await;
    let (client, hedge) = client(server).await;
    let call = client.oneshot(request("POST", server, "slow"));
    let waits = tokio::time::timeout(Duration::from_millis(500), call);
    assert!(waits.await.is_err(), "it waits for ever");
    assert_eq!((hedge.snapshot().hedged, hits.count()), (0, 1));
    came.recv().await.expect("it came in").closed().await;
}
