//! The breaker in axum: real servers, and a fresh connection for each request.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Path;
use axum::handler::Handler;
use axum::response::IntoResponse as _;
use axum::routing::{MethodRouter, get, post};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use portcullis::{
    CallError, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, Percent, State,
    keep_refusal,
};
use portcullis_tests::loopback::{self, Hits, ask};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;

const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new();

// ===== the lines of the documentation =====

#[tokio::test]
async fn a_router_is_protected_by_one_line() {
    let (hits, cfg) = (Hits::default(), CircuitBreakerConfig::new());
    let pay = sick(&hits);
    let app = Router::new().route("/pay", post(pay)).layer(CircuitBreakerLayer::new(cfg));
    let (listener, server) = loopback::listen().await.expect("a port");
    tokio::spawn(axum::serve(listener, app).into_future());
    let request = Request::post("/pay").body(()).expect("a request");
    for _ in 0..60 {
        ask(server, &request).await.expect("an answer");
    }
    assert_eq!(hits.count(), 5);
}

#[tokio::test]
async fn two_routes_share_the_circuit_of_a_cloned_layer() {
    let hits = Hits::default();
    let (a, b) = (sick(&hits), sick(&hits));
    let breaker = CircuitBreakerLayer::new(CONFIG);
    let app =
        Router::new().route("/a", get(a).layer(breaker.clone())).route("/b", get(b).layer(breaker));
    let server = serve(app).await;
    for path in ["/a", "/b", "/a", "/b", "/a"] {
        assert_eq!(status(server, path).await, 500);
    }
    for path in ["/a", "/b"] {
        assert_eq!(status(server, path).await, 503);
    }
    assert_eq!(hits.count(), 5);
}

// ===== wherever the layer stands =====

type Place = fn(CircuitBreakerLayer, MethodRouter) -> Router;

const PLACES: [(&str, Place); 9] = [
    ("Router::layer", |breaker, pay| Router::new().route("/shop/pay", pay).layer(breaker)),
    ("Router::route_layer", |breaker, pay| {
        Router::new().route("/shop/pay", pay).route_layer(breaker)
    }),
    ("MethodRouter::layer", |breaker, pay| Router::new().route("/shop/pay", pay.layer(breaker))),
    ("MethodRouter::route_layer", |breaker, pay| {
        Router::new().route("/shop/pay", pay.route_layer(breaker))
    }),
    ("around a nested router", |breaker, pay| {
        Router::new().nest("/shop", Router::new().route("/pay", pay)).layer(breaker)
    }),
    ("within a nested router", |breaker, pay| {
        Router::new().nest("/shop", Router::new().route("/pay", pay).layer(breaker))
    }),
    ("within a nested service", |breaker, pay| {
        Router::new().nest_service("/shop", Router::new().route("/pay", pay).layer(breaker))
    }),
    ("within a merged router", |breaker, pay| {
        Router::new().merge(Router::new().route("/shop/pay", pay).layer(breaker))
    }),
    ("around a fallback", |breaker, pay| Router::new().fallback(pay).layer(breaker)),
];

// S-CORE-09, S-CORE-13: the state is in the layer, not in what a router makes of it again and
// again; and the refusal is an answer that any client understands.
#[tokio::test]
async fn of_sixty_failing_requests_five_reach_the_handler_wherever_the_layer_stands() {
    for (place, lay) in PLACES {
        let hits = Hits::default();
        let server = serve(lay(CircuitBreakerLayer::new(CONFIG), get(sick(&hits)))).await;
        for number in 1..=60 {
            let answer = loopback::get(server, "/shop/pay").await.expect("an answer");
            if number <= 5 {
                assert_eq!(answer.status(), 500, "{place}: request {number}");
            } else {
                assert_is_refusal(&answer, &format!("{place}: request {number}"));
            }
        }
        assert_eq!(hits.count(), 5, "{place}");
    }
}

fn assert_is_refusal(answer: &Response<String>, which: &str) {
    assert_eq!(answer.status(), 503, "{which}");
    let wait: u64 = answer.headers()["retry-after"]
        .to_str()
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .expect("whole seconds");
    assert!((1..=60).contains(&wait), "{which}: {wait} s");
    assert_eq!(answer.headers()["content-type"], "application/problem+json", "{which}");
    assert!(answer.body().starts_with('{') && answer.body().contains("\"status\":503"), "{which}");
}

// ===== what opens a circuit, and what does not =====

// S-CORE-08, S-CORE-13: whoever knocks at missing pages opens nothing.
#[tokio::test]
async fn missing_pages_open_nothing() {
    let hits = Hits::default();
    let layer = CircuitBreakerLayer::new(CONFIG);
    let breaker = layer.handle();
    let server = serve(Router::new().route("/pay", get(sick(&hits))).layer(layer)).await;
    for number in 0..5 {
        assert_eq!(status(server, &format!("/missing/{number}")).await, 404);
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(status(server, "/pay").await, 500);
    assert_eq!(hits.count(), 1);
}

// S-CORE-08
#[tokio::test]
async fn errors_of_clients_never_open_and_errors_of_the_server_do() {
    for code in [400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 429] {
        assert_eq!(state_after_ten(code).await, State::Closed, "{code}");
    }
    for code in [408, 500, 501, 502, 503, 504, 507] {
        assert_eq!(state_after_ten(code).await, State::Open, "{code}");
    }
}

async fn state_after_ten(code: u16) -> State {
    let answer = async |Path(code): Path<u16>| StatusCode::from_u16(code).expect("a status");
    let layer = CircuitBreakerLayer::new(CONFIG);
    let breaker = layer.handle();
    let server = serve(Router::new().route("/{code}", get(answer)).layer(layer)).await;
    for _ in 0..10 {
        status(server, &format!("/{code}")).await;
    }
    breaker.state()
}

// S-CORE-13: a part of the refusals is enforced, the rest passes and is only counted.
#[tokio::test]
async fn half_enforced_lets_half_of_the_refused_pass() {
    let hits = Hits::default();
    let layer = CircuitBreakerLayer::new(CONFIG.enforce(Percent::new(50)));
    let server = serve(Router::new().route("/pay", get(sick(&hits))).layer(layer)).await;
    for _ in 0..25 {
        status(server, "/pay").await;
    }
    assert_eq!(hits.count(), 5 + 10);
}

// S-CORE-08: an answer whose body breaks off looked well at its head.
#[tokio::test]
async fn a_body_that_breaks_off_is_evidence_where_its_end_is_judged() {
    let broken = async || Response::new(Body::new(BreaksOff { has_begun: false }));
    let at_the_head = CircuitBreakerLayer::new(CONFIG);
    let at_the_end = CircuitBreakerLayer::new(CONFIG);
    let states = [at_the_head.handle(), at_the_end.handle()];
    let app = Router::new()
        .route("/head", get(broken).layer(at_the_head))
        .route("/end", get(broken).layer(at_the_end.judge_at_end_of_body()));
    let server = serve(app).await;
    for path in ["/head", "/end"] {
        for _ in 0..5 {
            // The connection may be cut before the head is on its way.
            let _ = loopback::get(server, path).await;
        }
    }
    assert_eq!(states.map(|breaker| breaker.state()), [State::Closed, State::Open]);
    assert_eq!(status(server, "/end").await, 503);
}

/// Half a body.
struct BreaksOff {
    has_begun: bool,
}

impl HttpBody for BreaksOff {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let begun = std::mem::replace(&mut self.has_begun, true);
        let half = Frame::data(Bytes::from_static(b"half of it"));
        Poll::Ready(Some(if begun { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(half) }))
    }
}

// ===== circuits within circuits =====

// S-CORE-08, S-CORE-09: what an inner circuit refused is nobody's failure.
#[tokio::test]
async fn the_refusal_of_an_inner_circuit_does_not_open_an_outer_one() {
    let outer = CircuitBreakerLayer::new(CONFIG);
    let inner = CircuitBreakerLayer::new(CONFIG);
    let breaker = outer.handle();
    inner.handle().force_open("maintenance");
    let pay = get(sick(&Hits::default())).layer(inner);
    let shop = Router::new().route("/pay", pay);
    let server = serve(Router::new().nest("/shop", shop).layer(outer)).await;
    for _ in 0..10 {
        assert_eq!(status(server, "/shop/pay").await, 503);
    }
    assert_eq!((breaker.state(), breaker.snapshot().totals.ignored), (State::Closed, 10));
}

// S-CORE-08: a handler says by a mark that its 503 is a refusal; without the mark it is a failure.
#[tokio::test]
async fn a_handler_that_answers_a_refusal_itself_marks_its_answer() {
    let bank = CircuitBreaker::new(CONFIG);
    bank.force_open("maintenance");
    let pay = async move || {
        let paid = bank.run(async { Ok::<_, Infallible>("paid") }).await;
        match paid {
            Ok(paid) => paid.into_response(),
            Err(CallError::Failed(never)) => match never {},
            Err(CallError::Refused(rejected)) => {
                keep_refusal(rejected, StatusCode::SERVICE_UNAVAILABLE.into_response())
            }
        }
    };
    let unmarked = async || StatusCode::SERVICE_UNAVAILABLE;
    for (pay, state) in [(get(pay), State::Closed), (get(unmarked), State::Open)] {
        let layer = CircuitBreakerLayer::new(CONFIG);
        let breaker = layer.handle();
        let server = serve(Router::new().route("/pay", pay).layer(layer)).await;
        for _ in 0..10 {
            assert_eq!(status(server, "/pay").await, 503);
        }
        assert_eq!(breaker.state(), state);
    }
}

// ===== beside other layers =====

#[tokio::test]
async fn tracing_goes_outside_in_a_call_of_its_own() {
    let hits = Hits::default();
    let app = Router::new()
        .route("/pay", get(sick(&hits)))
        .layer(CircuitBreakerLayer::new(CONFIG))
        .layer(TraceLayer::new_for_http());
    let server = serve(app).await;
    for _ in 0..10 {
        status(server, "/pay").await;
    }
    assert_eq!(hits.count(), 5);
}

// S-CORE-07: a panic is a failure, and goes on to whoever catches it.
#[tokio::test]
async fn panics_count_beneath_a_layer_that_catches_them() {
    let hits = Hits::default();
    let counted = hits.clone();
    let panics = async move || {
        counted.hit();
        assert_eq!(counted.count(), 0, "as the test wants it");
    };
    let app = Router::new()
        .route("/pay", get(panics))
        .layer(CircuitBreakerLayer::new(CONFIG))
        .layer(CatchPanicLayer::new());
    let server = serve(app).await;
    let mut answers = Vec::new();
    for _ in 0..7 {
        answers.push(status(server, "/pay").await);
    }
    assert_eq!(answers, [500, 500, 500, 500, 500, 503, 503]);
    assert_eq!(hits.count(), 5);
}

// ===== helpers =====

/// A handler that answers 500, and counts.
fn sick(hits: &Hits) -> impl Handler<((),), ()> + use<> {
    let hits = hits.clone();
    move || -> Ready<StatusCode> {
        hits.hit();
        ready(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

async fn serve(app: Router) -> SocketAddr {
    let (listener, server) = loopback::listen().await.expect("a port");
    tokio::spawn(axum::serve(listener, app).into_future());
    server
}

async fn status(server: SocketAddr, path: &str) -> u16 {
    loopback::get(server, path).await.expect("an answer").status().as_u16()
}
