//! A circuit for each part of the traffic: per route, per tenant.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::MatchedPath;
use axum::routing::get;
use http::{Request, Response, StatusCode};
use portcullis::{Chance, CircuitBreakerConfig, CircuitBreakerLayer, State, key};
use portcullis_tests::loopback::{self, ask};
use tower::{Layer as _, ServiceExt as _, service_fn};

const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new();

// S-CORE-13
#[tokio::test]
async fn each_route_has_its_own_circuit_through_nested_routers() {
    let by_route = key::extension(MatchedPath::as_str);
    let layer = CircuitBreakerLayer::new(CONFIG).keyed(by_route);
    let circuits = layer.circuits().clone();
    let v2 = Router::new().route("/a", get(well)).route("/users/{id}", get(sick));
    let app = Router::new().route("/a", get(sick)).route("/b", get(well)).nest("/v2", v2);
    let server = serve(app.layer(layer)).await;

    for _ in 0..5 {
        assert_eq!(status(server, "/a").await, 500);
    }
    assert_eq!(status(server, "/a").await, 503);
    assert_eq!(status(server, "/b").await, 200);
    assert_eq!(status(server, "/v2/a").await, 200);
    // The template is the key, so that the path of a stranger is none.
    for user in 1..=5 {
        assert_eq!(status(server, &format!("/v2/users/{user}")).await, 500);
    }
    assert_eq!(status(server, "/v2/users/6").await, 503);

    let keys: HashSet<_> = circuits.all().iter().map(|(key, _)| key.to_string()).collect();
    let templates = ["/a", "/b", "/v2/a", "/v2/users/{id}"].map(str::to_owned);
    assert_eq!(keys, HashSet::from(templates));
}

// S-CORE-13: nobody makes circuits by asking for pages that are not there.
#[tokio::test]
async fn paths_that_match_no_route_share_one_circuit() {
    let by_route = key::extension(MatchedPath::as_str);
    let layer = CircuitBreakerLayer::new(CONFIG).keyed(by_route);
    let circuits = layer.circuits().clone();
    let app = Router::new().route("/b", get(well)).fallback(sick).layer(layer);
    let server = serve(app).await;
    for number in 0..5 {
        assert_eq!(status(server, &format!("/unknown/{number}")).await, 500);
    }
    assert_eq!(status(server, "/unknown/5").await, 503);
    assert_eq!(circuits.unmatched().state(), State::Open);
    assert_eq!(status(server, "/b").await, 200);
    assert_eq!(circuits.len(), 1);
}

// S-CORE-13
#[tokio::test]
async fn each_tenant_has_its_own_circuit() {
    let layer = CircuitBreakerLayer::new(CONFIG).keyed(key::header("x-tenant"));
    let report = async |request: axum::extract::Request| match request.headers().get("x-tenant") {
        Some(tenant) if tenant == "acme" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    let server = serve(Router::new().route("/report", get(report)).layer(layer)).await;
    let report = async |tenant: &str| {
        let request = Request::get("/report").header("x-tenant", tenant).body(());
        ask(server, &request.expect("a request")).await.expect("an answer").status().as_u16()
    };
    for _ in 0..5 {
        assert_eq!(report("acme").await, 500);
    }
    assert_eq!(report("acme").await, 503);
    assert_eq!(report("umbrella").await, 200);
}

// S-CORE-13: a flood of keys neither grows the map nor makes it forget an open circuit.
#[tokio::test]
async fn a_hundred_thousand_random_tenants_stay_within_the_bound() {
    let layer = CircuitBreakerLayer::new(CONFIG).keyed(key::header("x-tenant"));
    let circuits = layer.circuits().clone();
    let service = layer.layer(service_fn(async |request: Request<()>| {
        let sick = request.headers()["x-tenant"] == "acme";
        let mut answer = Response::new(String::new());
        *answer.status_mut() = StatusCode::from_u16(if sick { 500 } else { 200 }).expect("known");
        Ok::<_, Infallible>(answer)
    }));
    let report = async |tenant: &str| {
        let request = Request::get("/").header("x-tenant", tenant).body(()).expect("a request");
        service.clone().oneshot(request).await.map(|answer| answer.status().as_u16())
    };
    for _ in 0..5 {
        assert_eq!(report("acme").await, Ok(500));
    }
    let mut chance = Chance::seeded(23);
    for _ in 0..100_000 {
        assert_eq!(report(&format!("{:x}", chance.draw())).await, Ok(200));
    }
    assert_eq!(circuits.len(), 10_000);
    assert_eq!(report("acme").await, Ok(503));
}

async fn sick() -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn well() {}

async fn serve(app: Router) -> SocketAddr {
    let (listener, server) = loopback::listen().await.expect("a port");
    tokio::spawn(axum::serve(listener, app).into_future());
    server
}

async fn status(server: SocketAddr, path: &str) -> u16 {
    loopback::get(server, path).await.expect("an answer").status().as_u16()
}
