//! Priority queue and bulkhead in axum: real servers, and a fresh connection for each request.
//!
//! Nobody waits for time to pass: handlers stay where they are until they are let go, and clocks
//! stand still.

use std::future::ready;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path};
use axum::routing::{MethodRouter, get, post};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use portcullis::{
    CarryPriorityLayer, Class, ConcurrencyLayer, ConcurrencyLimit, ManualClock, Priority,
    PriorityQueue, PriorityQueueLayer, QueueConfig, key, priority,
};
use portcullis_tests::loopback;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, mpsc};
use tower::ServiceExt as _;

/// One call at a time, and nobody waits.
const ONE: QueueConfig = QueueConfig::slots(1).capacity(0).named("search");

// ===== wherever the layer stands =====

type Place = fn(PriorityQueueLayer, MethodRouter) -> Router;

const PLACES: [(&str, Place); 6] = [
    ("Router::layer", |queue, find| Router::new().route("/shop/find", find).layer(queue)),
    ("Router::route_layer", |queue, find| {
        Router::new().route("/shop/find", find).route_layer(queue)
    }),
    ("MethodRouter::layer", |queue, find| Router::new().route("/shop/find", find.layer(queue))),
    ("within a nested router", |queue, find| {
        Router::new().nest("/shop", Router::new().route("/find", find).layer(queue))
    }),
    ("within a nested service", |queue, find| {
        Router::new().nest_service("/shop", Router::new().route("/find", find).layer(queue))
    }),
    ("around a fallback", |queue, find| Router::new().fallback(find).layer(queue)),
];

// S-PRIO-03, S-PRIO-05: the slots are in the layer, not in what a router makes of it for each
// connection.
#[tokio::test]
async fn one_call_runs_at_a_time_wherever_the_layer_stands() {
    for (place, lay) in PLACES {
        let (room, mut visitors) = room();
        let layer = PriorityQueueLayer::with_clock(ONE, ManualClock::new());
        let queue = layer.handle();
        let server = serve(lay(layer, room.handler())).await;
        for _ in 0..2 {
            let first = tokio::spawn(ask(server, "/shop/find", "normal"));
            visitors.recv().await.expect("it comes in");
            for _ in 0..3 {
                assert_eq!(ask(server, "/shop/find", "normal").await.status(), 503, "{place}");
            }
            room.let_one_go();
            assert_eq!(first.await.expect("no panic").status(), 200, "{place}");
        }
        let figures = queue.snapshot();
        assert_eq!((figures.running, figures.full), (0, 6), "{place}");
    }
}

// S-PRIO-02: a call that waits is served when the one before it has ended.
#[tokio::test]
async fn a_call_that_waits_on_another_connection_gets_the_slot() {
    let (room, mut visitors) = room();
    let layer = PriorityQueueLayer::with_clock(ONE.capacity(10), ManualClock::new());
    let (queue, queued) = (layer.handle(), Queued::default());
    queue.observe(queued.clone());
    let server = serve(Router::new().route("/find", room.handler()).layer(layer)).await;
    let first = tokio::spawn(ask(server, "/find", "normal"));
    visitors.recv().await.expect("it comes in");
    let second = tokio::spawn(ask(server, "/find", "normal"));
    queued.one_more().await;
    assert_eq!((queue.snapshot().running, queue.snapshot().depth()), (1, 1));
    room.let_one_go();
    visitors.recv().await.expect("so does the other");
    room.let_one_go();
    for answer in [first, second] {
        assert_eq!(answer.await.expect("no panic").status(), 200);
    }
    assert_eq!((queue.snapshot().running, queue.snapshot().waited), (0, 1));
}

// ===== what a refused caller is told =====

// S-PRIO-01, S-PRIO-08
#[tokio::test]
async fn a_refused_caller_is_told_when_to_come_back_and_how_important_he_was() {
    let config = QueueConfig::slots(9).min_priority(Priority::LOW).named("search");
    let layer = PriorityQueueLayer::with_clock(config, ManualClock::new());
    let server = serve(Router::new().route("/find", well()).layer(layer)).await;
    let answer = ask(server, "/find", "bulk").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(header(&answer, "retry-after"), Some("1"));
    assert_eq!(header(&answer, "content-type"), Some("application/problem+json"));
    let problem = body(&answer);
    assert_eq!(
        (&problem["status"], &problem["priority"], &problem["instance"]),
        (&json!(503), &json!("bulk"), &json!("/find"))
    );
    assert_eq!(problem["retry_after_ms"], 1_000);
    for (name, value, expected) in [
        ("x-priority", "24", 503),
        ("x-priority", "25", 200),
        ("x-priority", "low", 200),
        ("x-priority", "nonsense", 200),
        ("priority", "u=7", 503),
        ("priority", "u=5, i", 200),
        ("accept", "*/*", 200),
    ] {
        let request = Request::get("/find").header(name, value).body(()).expect("a request");
        let answer = loopback::ask(server, &request).await.expect("an answer");
        assert_eq!(answer.status(), expected, "{name}: {value}");
    }
}

// S-PRIO-01. Only there all of 127.0.0.0/8 are the machine's own.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_forged_priority_is_cut_to_normal_and_a_trusted_peer_is_believed() {
    let (room, mut visitors) = room();
    let config = ONE.reserved(Class::Critical, 1);
    let peer = key::peer_ip(|info: &ConnectInfo<SocketAddr>| Some(info.0));
    let ours = priority::from_request().trusted_peers(peer, ["127.0.0.2/32"]).expect("a network");
    let layer = PriorityQueueLayer::with_clock(config, ManualClock::new()).priority(ours);
    let app = Router::new().route("/find", room.handler()).layer(layer);
    let server = serve_with_peers(app).await;
    let critical = || Request::get("/find").header("x-priority", "critical").body(());
    let critical = move || critical().expect("a request");
    let first = tokio::spawn(async move { loopback::ask(server, &critical()).await });
    visitors.recv().await.expect("a slot is shared");
    let forged = loopback::ask(server, &critical()).await.expect("an answer");
    assert_eq!((forged.status().as_u16(), &body(&forged)["priority"]), (503, &json!("normal")));
    let trusted = tokio::spawn(async move {
        loopback::ask_from([127, 0, 0, 2].into(), server, &critical()).await
    });
    visitors.recv().await.expect("the slot of critical calls");
    room.let_one_go();
    room.let_one_go();
    for answer in [first, trusted] {
        assert_eq!(answer.await.expect("no panic").expect("an answer").status(), 200);
    }
}

// ===== to the end of the body =====

// S-PRIO-05
#[tokio::test]
async fn a_slot_is_held_while_the_body_is_sent() {
    let (server, queue, mut bodies, _) = streaming(&ONE).await;
    let mut client = begin(server, &mut bodies).await;
    assert_eq!(queue.snapshot().running, 1);
    assert_eq!(ask(server, "/stream", "normal").await.status(), 503);
    client.frames.send(Bytes::from_static(b"last")).await.expect("it is read");
    drop(client.frames);
    let mut rest = String::new();
    client.connection.read_to_string(&mut rest).await.expect("the rest");
    assert!(rest.contains("last"), "{rest:?}");
    assert_eq!(queue.snapshot().running, 0);
}

// S-PRIO-05: whoever waits gets the slot of a client that has hung up.
#[tokio::test]
async fn a_client_that_hangs_up_while_the_body_is_sent_gives_the_slot_back() {
    let (server, queue, mut bodies, queued) = streaming(&ONE.capacity(1)).await;
    let client = begin(server, &mut bodies).await;
    let second = tokio::spawn(async move { loopback::get(server, "/stream").await });
    queued.one_more().await;
    assert_eq!((queue.snapshot().running, queue.snapshot().depth()), (1, 1));
    drop(client.connection);
    let frames = bodies.recv().await.expect("the other has come in");
    client.frames.closed().await;
    drop(frames);
    assert_eq!(second.await.expect("no panic").expect("an answer").status(), 200);
    assert_eq!(queue.snapshot().running, 0);
}

// S-PRIO-05: as in the queue, so in the handler.
#[tokio::test]
async fn a_client_that_hangs_up_while_it_waits_leaves_the_queue() {
    let (room, mut visitors) = room();
    let layer = PriorityQueueLayer::with_clock(ONE.capacity(2), ManualClock::new());
    let (queue, queued) = (layer.handle(), Queued::default());
    queue.observe(queued.clone());
    let server = serve(Router::new().route("/find", room.handler()).layer(layer)).await;
    let request = Request::get("/find").body(()).expect("a request");
    let first = loopback::ask_and_hold(server, &request).await.expect("a connection");
    visitors.recv().await.expect("it comes in");
    let second = loopback::ask_and_hold(server, &request).await.expect("a connection");
    queued.one_more().await;
    let third = tokio::spawn(ask(server, "/find", "normal"));
    queued.one_more().await;
    // Both go, the one that waits first. The third needs the slot of the one in the handler.
    drop(second);
    while queue.snapshot().left == 0 {
        tokio::task::yield_now().await;
    }
    drop(first);
    visitors.recv().await.expect("the third");
    room.let_one_go();
    assert_eq!(third.await.expect("no panic").status(), 200);
    assert_eq!((queue.snapshot().running, queue.snapshot().depth()), (0, 0));
}

// ===== bulkheads and operators =====

#[tokio::test]
async fn a_bulkhead_around_one_route_leaves_the_others_alone() {
    let (room, mut visitors) = room();
    let limit = ConcurrencyLimit::new(2).named("reports");
    let bulkhead = ConcurrencyLayer::with_clock(limit, ManualClock::new());
    let slots = bulkhead.handle();
    let app = Router::new().route("/report", room.handler().layer(bulkhead)).route("/find", well());
    let server = serve(app).await;
    let inside = [(); 2].map(|()| tokio::spawn(ask(server, "/report", "normal")));
    for _ in 0..2 {
        visitors.recv().await.expect("it comes in");
    }
    let refused = ask(server, "/report", "critical").await;
    assert_eq!((refused.status().as_u16(), header(&refused, "retry-after")), (503, Some("1")));
    assert_eq!(ask(server, "/find", "bulk").await.status(), 200);
    room.let_one_go();
    room.let_one_go();
    for answer in inside {
        assert_eq!(answer.await.expect("no panic").status(), 200);
    }
    assert_eq!(slots.snapshot().running, 0);
}

// S-PRIO-01
#[tokio::test]
async fn an_operator_moves_the_minimum_of_a_running_server() {
    let config = QueueConfig::slots(9).named("search");
    let layer = PriorityQueueLayer::with_clock(config, ManualClock::new());
    let queue = layer.handle();
    let admin = post(async move |Path(least): Path<String>| {
        let least: Priority = least.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
        queue.min_priority(least).map_err(|_| StatusCode::CONFLICT)?;
        Ok::<_, StatusCode>(queue.explain())
    });
    let app = Router::new().route("/find", well()).layer(layer).route("/least/{level}", admin);
    let server = serve(app).await;
    let order = async |least: &str| {
        let request = Request::post(format!("/least/{least}")).body(()).expect("a request");
        loopback::ask(server, &request).await.expect("an answer")
    };
    assert_eq!(ask(server, "/find", "bulk").await.status(), 200);
    let said = order("normal").await;
    assert!(said.body().ends_with("; calls below normal are refused"), "{said:?}");
    assert_eq!(ask(server, "/find", "49").await.status(), 503);
    assert_eq!(ask(server, "/find", "50").await.status(), 200);
    assert_eq!(order("highest").await.status(), 400);
    assert_eq!(ask(server, "/find", "49").await.status(), 503, "nonsense changes nothing");
    assert_eq!(order("0").await.status(), 200);
    assert_eq!(ask(server, "/find", "bulk").await.status(), 200);
}

// ===== on to other servers =====

// S-PRIO-07: a handler knows nothing of it; its client carries the priority on.
#[tokio::test]
async fn the_priority_of_a_call_arrives_at_the_server_behind() {
    let trusting = || {
        let peer = key::peer_ip(|info: &ConnectInfo<SocketAddr>| Some(info.0));
        let ours = priority::from_request().trusted_peers(peer, ["127.0.0.1/32"]);
        PriorityQueueLayer::new(QueueConfig::new()).priority(ours.expect("a network"))
    };
    let told = get(async |request: Request<Body>| {
        let header = request.headers().get("x-priority").cloned();
        format!("{header:?} {:?}", Priority::current().map(Priority::level))
    });
    let behind = serve_with_peers(Router::new().route("/told", told).layer(trusting())).await;
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let client = tower::ServiceBuilder::new()
        .layer(CarryPriorityLayer::new())
        // A bulkhead on the way weighs nothing, and hides nothing.
        .layer(ConcurrencyLayer::new(ConcurrencyLimit::new(9)))
        .layer(portcullis::BoxErrors)
        .service(client);
    let front = get(async move || {
        let request = Request::get(format!("http://{behind}/told")).body(Body::empty());
        let answer = client.oneshot(request.expect("a request")).await.expect("an answer");
        Body::new(answer.into_body())
    });
    let server = serve_with_peers(Router::new().route("/", front).layer(trusting())).await;
    for (asked, header, level) in
        [("high", "75", 75), ("80", "80", 80), ("bulk", "0", 0), ("normal", "50", 50)]
    {
        let answer = ask(server, "/", asked).await;
        let expected = format!("Some({header:?}) Some({level})");
        assert!(answer.body().contains(&expected), "{asked}: {answer:?}");
    }
}

// ===== helpers =====

/// A place where handlers stay until they are let go.
#[derive(Clone)]
struct Room {
    came: mpsc::UnboundedSender<()>,
    doors: Arc<Semaphore>,
}

fn room() -> (Room, mpsc::UnboundedReceiver<()>) {
    let (came, visitors) = mpsc::unbounded_channel();
    (Room { came, doors: Arc::new(Semaphore::new(0)) }, visitors)
}

impl Room {
    fn handler(&self) -> MethodRouter {
        let Self { came, doors } = self.clone();
        get(async move || {
            came.send(()).expect("somebody counts");
            doors.acquire().await.expect("it is not closed").forget();
        })
    }

    fn let_one_go(&self) {
        self.doors.add_permits(1);
    }
}

/// Hears of calls that begin to wait.
#[derive(Clone, Default)]
struct Queued(Arc<Notify>);

impl Queued {
    async fn one_more(&self) {
        self.0.notified().await;
    }
}

impl portcullis::Observe for Queued {
    fn event(&self, event: &portcullis::Event<'_>) {
        if matches!(event.kind, portcullis::EventKind::Queued { .. }) {
            self.0.notify_one();
        }
    }
}

/// A body whose frames come from a channel.
struct Frames(mpsc::Receiver<Bytes>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A client that has seen the beginning of a body, and the end that feeds the body.
struct Reading {
    connection: TcpStream,
    frames: mpsc::Sender<Bytes>,
}

type Bodies = mpsc::UnboundedReceiver<mpsc::Sender<Bytes>>;

/// A server whose answers go on for as long as their bodies are fed.
async fn streaming(config: &QueueConfig) -> (SocketAddr, PriorityQueue, Bodies, Queued) {
    let (opened, bodies) = mpsc::unbounded_channel();
    let handler = get(move || {
        let (frames, body) = mpsc::channel(1);
        opened.send(frames).expect("somebody feeds it");
        ready(Body::new(Frames(body)))
    });
    let layer = PriorityQueueLayer::with_clock(*config, ManualClock::new());
    let (queue, queued) = (layer.handle(), Queued::default());
    queue.observe(queued.clone());
    let server = serve(Router::new().route("/stream", handler).layer(layer)).await;
    (server, queue, bodies, queued)
}

async fn begin(server: SocketAddr, bodies: &mut Bodies) -> Reading {
    let request = Request::get("/stream").body(()).expect("a request");
    let mut connection = loopback::ask_and_hold(server, &request).await.expect("a connection");
    let frames = bodies.recv().await.expect("the handler answers");
    frames.send(Bytes::from_static(b"first")).await.expect("it is read");
    let mut seen = Vec::new();
    while !seen.ends_with(b"first\r\n") {
        assert_ne!(connection.read_buf(&mut seen).await.expect("bytes"), 0, "it goes on");
    }
    Reading { connection, frames }
}

fn well() -> MethodRouter {
    get(async || "well")
}

async fn serve(app: Router) -> SocketAddr {
    let (listener, server) = loopback::listen().await.expect("a port");
    tokio::spawn(axum::serve(listener, app).into_future());
    server
}

async fn serve_with_peers(app: Router) -> SocketAddr {
    let (listener, server) = loopback::listen().await.expect("a port");
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, app).into_future());
    server
}

async fn ask(server: SocketAddr, path: &'static str, priority: &'static str) -> Response<String> {
    let request = Request::get(path).header("x-priority", priority).body(()).expect("a request");
    loopback::ask(server, &request).await.expect("an answer")
}

fn header<'a>(answer: &'a Response<String>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

fn body(answer: &Response<String>) -> Value {
    serde_json::from_str(answer.body()).expect("JSON")
}
