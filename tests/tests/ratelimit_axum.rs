//! Rate limits in axum: real servers, and a fresh connection for each request.
//!
//! The limits are on a clock that is moved by hand, so that a slow machine gains nothing.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::MatchedPath;
use axum::response::IntoResponse as _;
use axum::routing::{MethodRouter, get};
use http::{Request, Response, StatusCode};
use portcullis::{ManualClock, Rate, RateLimit, RateLimitHeaders, RateLimitLayer, key};
use portcullis_tests::loopback::{self, Hits};
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);
/// Five calls, and one more each second.
const FIVE: RateLimit = RateLimit::per_second(1).burst(5);

// ===== wherever the layer stands =====

type Place = fn(RateLimitLayer, MethodRouter) -> Router;

const PLACES: [(&str, Place); 7] = [
    ("Router::layer", |limit, pay| Router::new().route("/shop/pay", pay).layer(limit)),
    ("Router::route_layer", |limit, pay| Router::new().route("/shop/pay", pay).route_layer(limit)),
    ("MethodRouter::layer", |limit, pay| Router::new().route("/shop/pay", pay.layer(limit))),
    ("MethodRouter::route_layer", |limit, pay| {
        Router::new().route("/shop/pay", pay.route_layer(limit))
    }),
    ("within a nested router", |limit, pay| {
        Router::new().nest("/shop", Router::new().route("/pay", pay).layer(limit))
    }),
    ("within a nested service", |limit, pay| {
        Router::new().nest_service("/shop", Router::new().route("/pay", pay).layer(limit))
    }),
    ("around a fallback", |limit, pay| Router::new().fallback(pay).layer(limit)),
];

// S-RATE-09, S-RATE-10: the state is in the layer, not in what a router makes of it for each
// connection.
#[tokio::test]
async fn of_twenty_requests_five_are_admitted_wherever_the_layer_stands() {
    for (place, lay) in PLACES {
        let (hits, clock) = (Hits::default(), ManualClock::new());
        let layer = RateLimitLayer::with_clock(FIVE, clock.clone());
        let server = serve(lay(layer, well(&hits))).await;
        for number in 1..=20 {
            let expected = if number <= 5 { 200 } else { 429 };
            assert_eq!(status(server, "/shop/pay").await, expected, "{place}: request {number}");
        }
        clock.advance(SECOND);
        assert_eq!(status(server, "/shop/pay").await, 200, "{place}");
        assert_eq!(status(server, "/shop/pay").await, 429, "{place}");
        assert_eq!(hits.count(), 6, "{place}");
    }
}

// S-RATE-10
#[tokio::test]
async fn two_routes_share_the_limit_of_a_cloned_layer() {
    let hits = Hits::default();
    let limit = RateLimitLayer::with_clock(FIVE, ManualClock::new());
    let app = Router::new()
        .route("/a", well(&hits).layer(limit.clone()))
        .route("/b", well(&hits).layer(limit));
    let server = serve(app).await;
    for path in ["/a", "/b", "/a", "/b", "/a"] {
        assert_eq!(status(server, path).await, 200);
    }
    for path in ["/a", "/b"] {
        assert_eq!(status(server, path).await, 429);
    }
    assert_eq!(hits.count(), 5);
}

#[tokio::test]
async fn a_route_layer_lets_missing_pages_cost_nothing() {
    let limit = RateLimitLayer::with_clock(FIVE.burst(1), ManualClock::new());
    let app = Router::new().route("/pay", well(&Hits::default())).route_layer(limit);
    let server = serve(app).await;
    for _ in 0..5 {
        assert_eq!(status(server, "/missing").await, 404);
    }
    assert_eq!(status(server, "/pay").await, 200);
    assert_eq!(status(server, "/pay").await, 429);
}

// ===== what a refused caller is told =====

// S-RATE-09
#[tokio::test]
async fn a_refused_caller_is_told_when_to_come_back_in_headers_and_body() {
    let clock = ManualClock::new();
    let config = RateLimit::per_minute(5).named("per-client");
    let limit = RateLimitLayer::with_clock(config, clock.clone());
    let server = serve(Router::new().route("/pay", well(&Hits::default())).layer(limit)).await;
    for _ in 0..5 {
        let answer = loopback::get(server, "/pay").await.expect("an answer");
        assert_eq!((answer.status(), header(&answer, "ratelimit")), (StatusCode::OK, None));
    }
    clock.advance(Duration::from_millis(800));
    let answer = loopback::get(server, "/pay").await.expect("an answer");
    assert_eq!(answer.status(), 429);
    assert_eq!(header(&answer, "retry-after"), Some("12"));
    assert_eq!(header(&answer, "ratelimit-policy"), Some("\"per-client\";q=5;w=60"));
    assert_eq!(header(&answer, "ratelimit"), Some("\"per-client\";r=0;t=12"));
    assert_eq!(header(&answer, "content-type"), Some("application/problem+json"));
    assert_eq!(
        body(&answer),
        json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Quota used up",
            "status": 429,
            "detail": "the quota is used up; try again in 12 s",
            "instance": "/pay",
            "policy": "rate_limit",
            "state": "limited",
            "retry_after_ms": 11_200,
            "violated-policies": ["per-client"],
        })
    );
    // A millisecond before, and then.
    clock.advance(Duration::from_millis(11_199));
    assert_eq!(status(server, "/pay").await, 429);
    clock.advance(Duration::from_millis(1));
    assert_eq!(status(server, "/pay").await, 200);
}

// S-RATE-12
#[tokio::test]
async fn a_request_that_never_fits_is_told_no_time() {
    let limit = RateLimitLayer::with_clock(FIVE, ManualClock::new());
    let cost = |request: &axum::extract::Request| {
        request.uri().query().and_then(|query| query.parse().ok()).unwrap_or(1)
    };
    let app = Router::new().route("/pay", well(&Hits::default())).layer(limit.cost_fn(cost));
    let server = serve(app).await;
    let answer = loopback::get(server, "/pay?6").await.expect("an answer");
    assert_eq!((answer.status().as_u16(), header(&answer, "retry-after")), (429, None));
    assert_eq!(body(&answer).get("retry_after_ms"), None);
    assert_eq!(status(server, "/pay?3").await, 200);
    let answer = loopback::get(server, "/pay?4").await.expect("an answer");
    assert_eq!((answer.status().as_u16(), header(&answer, "retry-after")), (429, Some("2")));
    assert_eq!(status(server, "/pay?0").await, 200);
    assert_eq!(status(server, "/pay?2").await, 200);
    assert_eq!(status(server, "/pay").await, 429);
}

// ===== a limit for each caller =====

/// Only there all of 127.0.0.0/8 are the machine's own.
#[cfg(target_os = "linux")]
mod callers {
    use std::net::{IpAddr, Ipv4Addr};

    use axum::extract::ConnectInfo;
    use portcullis_tests::loopback::ask_from;

    use super::*;

    const PEERS: [IpAddr; 2] =
        [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))];

    async fn serve_with_peers(app: Router) -> SocketAddr {
        let (listener, server) = loopback::listen().await.expect("a port");
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(axum::serve(listener, app).into_future());
        server
    }

    async fn pay(peer: IpAddr, server: SocketAddr, forwarded: &str) -> u16 {
        let request = Request::get("/pay").header("x-forwarded-for", forwarded).body(());
        let request = request.expect("a request");
        ask_from(peer, server, &request).await.expect("an answer").status().as_u16()
    }

    // S-RATE-10
    #[tokio::test]
    async fn each_peer_has_a_limit_of_his_own_whatever_he_says_of_himself() {
        let by_peer = key::peer_ip(|info: &ConnectInfo<SocketAddr>| Some(info.0));
        let limit = RateLimitLayer::with_clock(FIVE, ManualClock::new()).keyed(by_peer);
        let limits = limit.handle().clone();
        let app = Router::new().route("/pay", well(&Hits::default())).layer(limit);
        let server = serve_with_peers(app).await;
        for number in 1..=10 {
            let expected = if number <= 5 { 200 } else { 429 };
            for peer in PEERS {
                let forged = format!("198.51.100.{number}");
                assert_eq!(pay(peer, server, &forged).await, expected, "{peer}: {number}");
            }
        }
        assert_eq!(limits.len(), 2);
        assert_eq!(limits.quota(&PEERS[1]).remaining(), 0);
    }

    // S-RATE-10: what stands left of the entry of the proxy is the caller's own invention.
    #[tokio::test]
    async fn behind_a_proxy_a_forged_header_makes_no_new_caller() {
        let by_peer = key::peer_ip(|info: &ConnectInfo<SocketAddr>| Some(info.0));
        let by_caller = by_peer.behind(key::TrustedProxy::hops(1));
        let limit = RateLimitLayer::with_clock(FIVE, ManualClock::new()).keyed(by_caller);
        let limits = limit.handle().clone();
        let app = Router::new().route("/pay", well(&Hits::default())).layer(limit);
        let server = serve_with_peers(app).await;
        let [proxy, _] = PEERS;
        for number in 1..=10 {
            let expected = if number <= 5 { 200 } else { 429 };
            let forged = format!("192.0.2.{number}, 198.51.100.7");
            assert_eq!(pay(proxy, server, &forged).await, expected, "{number}");
        }
        assert_eq!(pay(proxy, server, "198.51.100.7, 198.51.100.8").await, 200);
        assert_eq!(limits.len(), 2);
    }
}

// S-RATE-10
#[tokio::test]
async fn each_route_has_a_limit_of_its_own_and_unknown_paths_share_one() {
    let by_route = key::extension(MatchedPath::as_str);
    let limit = RateLimitLayer::with_clock(FIVE.burst(2), ManualClock::new()).keyed(by_route);
    let limits = limit.handle().clone();
    let hits = Hits::default();
    let app = Router::new().route("/a", well(&hits)).route("/users/{id}", well(&hits));
    let server = serve(app.fallback(async || StatusCode::NOT_FOUND).layer(limit)).await;
    for (path, expected) in [
        ("/users/1", 200),
        ("/users/2", 200),
        ("/users/3", 429),
        ("/a", 200),
        ("/unknown/1", 404),
        ("/unknown/2", 404),
        ("/unknown/3", 429),
        ("/a", 200),
        ("/a", 429),
    ] {
        assert_eq!(status(server, path).await, expected, "{path}");
    }
    assert_eq!((limits.len(), hits.count()), (2, 4));
}

// ===== what admitted callers are told =====

// S-RATE-09
#[tokio::test]
async fn each_limit_on_the_way_tells_of_itself_on_every_answer() {
    let headers = RateLimitHeaders::draft10().and_legacy().on_every_answer();
    let clock = ManualClock::new();
    let all_calls = RateLimit::per_minute(100).named("all");
    let per_client = RateLimit::per_second(2).named("per-client");
    let app = Router::new()
        .route("/pay", well(&Hits::default()))
        .layer(RateLimitLayer::with_clock(per_client, clock.clone()).headers(headers))
        .layer(RateLimitLayer::with_clock(all_calls, clock).headers(headers));
    let server = serve(app).await;
    for (code, left, reset, of_all) in [(200, 1, 1, 99), (200, 0, 1, 98), (429, 0, 1, 98)] {
        let answer = loopback::get(server, "/pay").await.expect("an answer");
        assert_eq!(answer.status(), code);
        let policies = ["\"per-client\";q=2;w=1", "\"all\";q=100;w=60"];
        assert_eq!(all(&answer, "ratelimit-policy"), policies);
        let inner = format!("\"per-client\";r={left};t={reset}");
        assert_eq!(all(&answer, "ratelimit")[0], inner);
        assert!(all(&answer, "ratelimit")[1].starts_with(&format!("\"all\";r={of_all};")));
        // The fields without a name are about the limit with the fewest calls left.
        assert_eq!(header(&answer, "x-ratelimit-limit"), Some("2"));
        assert_eq!(header(&answer, "x-ratelimit-remaining"), Some(left.to_string().as_str()));
        assert_eq!(header(&answer, "x-ratelimit-reset"), Some("1"));
    }
}

// ===== while the server runs =====

// S-RATE-06, S-RATE-10
#[tokio::test]
async fn an_operator_changes_what_a_running_server_admits() {
    let clock = ManualClock::new();
    let layer = RateLimitLayer::with_clock(FIVE.burst(1), clock.clone());
    let limit = layer.handle();
    let server = serve(Router::new().route("/pay", well(&Hits::default())).layer(layer)).await;
    assert_eq!(status(server, "/pay").await, 200);
    assert_eq!(status(server, "/pay").await, 429);
    limit.change_rate(Rate::per_second(100)).expect("a rate");
    clock.advance(Duration::from_millis(10));
    assert_eq!(status(server, "/pay").await, 200);
    assert_eq!(status(server, "/pay").await, 429);
    limit.reconfigure(limit.config().burst(3)).expect("a config");
    for expected in [200, 200, 429] {
        assert_eq!(status(server, "/pay").await, expected);
    }
    limit.change_rate(Rate::per_second(1)).expect("a rate");
    clock.advance(Duration::from_millis(10));
    assert_eq!(status(server, "/pay").await, 429);
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

fn header<'a>(answer: &'a Response<String>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

fn all<'a>(answer: &'a Response<String>, name: &str) -> Vec<&'a str> {
    answer.headers().get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
}

fn body(answer: &Response<String>) -> Value {
    serde_json::from_str(answer.body()).expect("JSON")
}
