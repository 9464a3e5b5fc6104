//! What a layer further in refuses costs a rate limit nothing.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;

use axum::Router;
use axum::response::IntoResponse as _;
use axum::routing::{MethodRouter, get};
use http::{Request, Response, StatusCode};
use portcullis::{
    BoxError, BoxErrors, CircuitBreakerConfig, CircuitBreakerLayer, ManualClock, RateLimit,
    RateLimitHeaders, RateLimitLayer, Reason, Rejected, keep_refusal,
};
use portcullis_tests::loopback::{self, Hits};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

/// Five calls, and one more each second.
const FIVE: RateLimit = RateLimit::per_second(1).burst(5);

// S-ADV-02
#[tokio::test]
async fn the_refusal_of_an_open_circuit_gives_the_call_back() {
    let limit = RateLimitLayer::with_clock(FIVE, ManualClock::new());
    let breaker = CircuitBreakerLayer::new(CircuitBreakerConfig::new());
    let (quota, circuit) = (limit.handle(), breaker.handle());
    circuit.force_open("maintenance");
    let app = Router::new().route("/pay", well(&Hits::default())).layer(breaker).layer(limit);
    let server = serve(app).await;
    for _ in 0..20 {
        assert_eq!(status(server, "/pay").await, 503);
    }
    let figures = quota.snapshot();
    assert_eq!((figures.quota.remaining(), figures.given_back, figures.refused), (5, 20, 0));
    circuit.reset();
    for expected in [200, 200, 200, 200, 200, 429] {
        assert_eq!(status(server, "/pay").await, expected);
    }
}

// S-ADV-02: a handler says by a mark that its 503 is a refusal; without the mark the call was made.
#[tokio::test]
async fn the_mark_of_a_refusal_gives_the_call_back_and_a_bare_503_does_not() {
    let rejected = Rejected::new(portcullis::Name::new("bank"), Reason::Open);
    let marked =
        async move || keep_refusal(rejected, StatusCode::SERVICE_UNAVAILABLE.into_response());
    let bare = async || StatusCode::SERVICE_UNAVAILABLE;
    for (pay, left) in [(get(marked), 5), (get(bare), 2)] {
        let limit = RateLimitLayer::with_clock(FIVE, ManualClock::new());
        let quota = limit.handle();
        let server = serve(Router::new().route("/pay", pay).layer(limit)).await;
        for _ in 0..3 {
            assert_eq!(status(server, "/pay").await, 503);
        }
        assert_eq!(quota.quota().remaining(), left);
    }
}

// S-ADV-02: the same in a client, where a refusal is an error.
#[tokio::test]
async fn a_refusal_that_is_an_error_gives_the_call_back_and_any_other_error_does_not() {
    let limit = RateLimitLayer::with_clock(FIVE, ManualClock::new());
    let breaker = CircuitBreakerLayer::new(CircuitBreakerConfig::new());
    let (quota, circuit) = (limit.handle(), breaker.handle());
    let bank = service_fn(|_: Request<()>| {
        ready(Err::<Response<String>, _>(std::io::Error::from(std::io::ErrorKind::TimedOut)))
    });
    let client = ServiceBuilder::new().layer(limit).layer(breaker).layer(BoxErrors).service(bank);
    let pay = async || -> BoxError {
        client.clone().oneshot(Request::new(())).await.expect_err("no bank answers")
    };
    assert!(Rejected::find(&*pay().await).is_none());
    circuit.force_open("maintenance");
    for _ in 0..20 {
        let error = pay().await;
        let rejected = Rejected::find(&*error).expect("a refusal");
        assert_eq!(rejected.reason(), Reason::ForcedOpen);
    }
    assert_eq!(quota.quota().remaining(), 4);
}

// S-ADV-02
#[tokio::test]
async fn what_an_inner_limit_refuses_costs_the_outer_one_nothing_and_its_headers_say_so() {
    let headers = RateLimitHeaders::draft10().on_every_answer();
    let clock = ManualClock::new();
    let outer = RateLimitLayer::with_clock(FIVE.named("outer"), clock.clone());
    let inner = RateLimitLayer::with_clock(FIVE.burst(1).named("inner"), clock);
    let quota = outer.handle();
    let app = Router::new()
        .route("/pay", well(&Hits::default()))
        .layer(inner.headers(headers))
        .layer(outer.headers(headers));
    let server = serve(app).await;
    for expected in [200, 429, 429] {
        let answer = loopback::get(server, "/pay").await.expect("an answer");
        assert_eq!(answer.status(), expected);
        let told: Vec<_> = answer.headers().get_all("ratelimit").iter().collect();
        assert_eq!(told, ["\"inner\";r=0;t=1", "\"outer\";r=4;t=1"]);
    }
    assert_eq!(quota.quota().remaining(), 4);
}

// ===== helpers =====

/// A handler that answers 200, and counts.
fn well(hits: &Hits) -> MethodRouter {
    let hits = hits.clone();
    get(move || {
        hits.hit();
        ready(Ok::<_, Infallible>(()).into_response())
    })
}

async fn serve(app: Router) -> SocketAddr {
    let (listener, server) = loopback::listen().await.expect("a port");
    tokio::spawn(axum::serve(listener, app).into_future());
    server
}

async fn status(server: SocketAddr, path: &str) -> u16 {
    loopback::get(server, path).await.expect("an answer").status().as_u16()
}
