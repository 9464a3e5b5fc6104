//! A shared quota as a layer: servers on real sockets, a connection for each request, and a real
//! Redis server between them.
//!
//! Two servers with a limiter each stand for two processes: they have nothing in common but the
//! store.

#![cfg(feature = "redis")]

mod redis_server;

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use axum::{Router, http};
use breaker_core::{Name, Reason, Rejected, State};
use portcullis_ratelimit::portcullis_http::{AsRefused, Auto, HttpOrGrpc, keep_refusal, key};
use portcullis_ratelimit::redis::SharedByAll;
use portcullis_ratelimit::{
    OnStoreFailure, Rate, RateLimitHeaders, RateLimitWaitLayer, RedisLimit, RedisLimiter,
};
use redis_server::{Server, now};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Nothing comes back while a test runs.
const SLOW: Rate = Rate::new(1, Duration::from_secs(100));
/// For a busy machine: twenty times the deadline, and much less than a store that is stalled.
const IN_TIME: Duration = Duration::from_secs(1);
/// An open period of the store's circuit is at most a second; the rest is for a busy machine.
const RECOVERY: Duration = Duration::from_secs(10);

type Shared = RateLimitWaitLayer<HttpOrGrpc, Auto, SharedByAll, AsRefused>;

/// Ten at once. For a store that answers, however slowly: the deadline is long.
const TEN: RedisLimit = RedisLimit::new(SLOW, 10, OnStoreFailure::FailClosed)
    .named("shop")
    .slice(1)
    .deadline(Duration::from_secs(5));

/// The same for a store that does not answer.
const fn sick(policy: OnStoreFailure) -> RedisLimit {
    RedisLimit::new(SLOW, 10, policy).named("shop").slice(1).instances(2)
}

/// What one process has: a limiter of its own.
fn shared(store: &Server, limit: RedisLimit) -> Shared {
    let limiter = RedisLimiter::new(limit, store.client()).expect("a valid limit");
    RateLimitWaitLayer::shared(limiter)
}

/// A shop behind whatever is put before it.
async fn serve(protect: impl FnOnce(Router) -> Router) -> SocketAddr {
    let shop = Router::new().route("/", get(async || "sold")).route("/refused", get(further_in));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(axum::serve(listener, protect(shop)).into_future());
    address
}

/// Answers as a layer does that refuses.
async fn further_in() -> Response<Body> {
    let rejected = Rejected::new(Name::new("further in"), Reason::Open);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    keep_refusal(rejected, response)
}

/// Asks on a connection of its own, which ends with the answer.
async fn ask(server: SocketAddr, path: &str, tenant: &str) -> Response<()> {
    let mut connection = TcpStream::connect(server).await.expect("the server is up");
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\nx-tenant: {tenant}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("it answers");
    let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    let mut response = Response::builder().status(status);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        response = response.header(name, value);
    }
    response.body(()).expect("a response")
}

/// The same, and the answer has to come in time.
async fn ask_in_time(server: SocketAddr, path: &str, tenant: &str) -> Response<()> {
    let began = now();
    let answer = ask(server, path, tenant).await;
    assert!(began.elapsed() < IN_TIME, "answered after {:?}", began.elapsed());
    answer
}

fn text<'a>(answer: &'a Response<()>, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().expect("a text"))
}

fn seconds(answer: &Response<()>) -> u64 {
    text(answer, "retry-after").parse().expect("whole seconds")
}

/// How many of so many requests, by turns to all servers, are admitted; the others are refused by
/// the quota.
async fn admitted(servers: &[SocketAddr], tenant: &str, requests: usize) -> usize {
    let mut admitted = 0;
    for server in servers.iter().cycle().take(requests) {
        match ask(*server, "/", tenant).await.status() {
            StatusCode::OK => admitted += 1,
            status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS),
        }
    }
    admitted
}

// S-RATE-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_one_quota_per_key() {
    let store = Server::start();
    let servers = [
        serve(|shop| shop.layer(shared(&store, TEN).keyed(key::header("x-tenant")))).await,
        serve(|shop| shop.layer(shared(&store, TEN).keyed(key::header("x-tenant")))).await,
    ];
    assert_eq!(admitted(&servers, "bronze", 30).await, 10);
    // Keys do not know each other, and no key is a key, too.
    assert_eq!(admitted(&servers, "gold", 30).await, 10);
    assert_eq!(admitted(&servers, "", 30).await, 10);
    // One of them alone has no more, and what was used up is used up.
    assert_eq!(admitted(&servers[..1], "silver", 15).await, 10);
    assert_eq!(admitted(&servers[1..], "silver", 5).await, 0);
}

// S-RATE-01
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_same_time_they_admit_no_more_than_one_after_the_other() {
    let store = Server::start();
    for slice in [1, 4] {
        let limit = TEN.named(if slice == 1 { "single" } else { "four" }).slice(slice);
        let servers = [
            serve(|shop| shop.layer(shared(&store, limit))).await,
            serve(|shop| shop.layer(shared(&store, limit))).await,
        ];
        let asked: Vec<_> = (0..60)
            .map(|request| tokio::spawn(ask(servers[request % 2], "/", "anybody")))
            .collect();
        let mut admitted = 0;
        for answer in asked {
            admitted += u32::from(answer.await.expect("an answer").status() == StatusCode::OK);
        }
        // A slice may lie unspent in the one whose callers have all been served.
        assert!(admitted <= 10 && admitted >= 10 - 2 * (slice - 1), "{admitted} with {slice}");
    }
}

// S-RATE-09
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_caller_is_told_of_the_quota_of_all() {
    let store = Server::start();
    let one = serve(|shop| shop.layer(shared(&store, TEN))).await;
    let other = serve(|shop| shop.layer(shared(&store, TEN))).await;
    assert_eq!(admitted(&[one], "", 10).await, 10);
    let refused = ask(other, "/", "").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(text(&refused, "ratelimit-policy"), "\"shop\";q=10;w=1000");
    let wait = seconds(&refused);
    assert!((80..=100).contains(&wait), "{wait}");
    assert_eq!(text(&refused, "ratelimit"), format!("\"shop\";r=0;t={wait}"));
}

// S-RATE-09
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_may_tell_what_is_left_of_the_quota_of_all() {
    let store = Server::start();
    let headers = RateLimitHeaders::draft10().on_every_answer();
    let one = serve(|shop| shop.layer(shared(&store, TEN).headers(headers))).await;
    let other = serve(|shop| shop.layer(shared(&store, TEN).headers(headers))).await;
    for (request, server) in [one, other, other, one, other].into_iter().enumerate() {
        let answer = ask(server, "/", "").await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(text(&answer, "ratelimit-policy"), "\"shop\";q=10;w=1000");
        let left = format!("\"shop\";r={};", 9 - request);
        assert!(text(&answer, "ratelimit").starts_with(&left), "{answer:?}");
    }
}

// S-RATE-12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_costs_what_it_is_said_to_cost() {
    let store = Server::start();
    let keyed = shared(&store, TEN).keyed(key::header("x-tenant"));
    let layer = keyed.cost_fn(|request: &Request<Body>| match request.uri().query() {
        Some(cost) => cost.parse().expect("a number"),
        None => 1,
    });
    let limiter = layer.handle();
    let server = serve(|shop| shop.layer(layer)).await;
    for path in ["/?8", "/?2", "/?0"] {
        assert_eq!(ask(server, path, "").await.status(), StatusCode::OK, "{path}");
    }
    assert_eq!(ask(server, "/", "").await.status(), StatusCode::TOO_MANY_REQUESTS);
    let never = ask(server, "/?11", "").await;
    assert_eq!((never.status(), text(&never, "retry-after")), (StatusCode::TOO_MANY_REQUESTS, ""));
    // What is free is free, also where nobody can be asked.
    limiter.store_circuit().force_open(breaker_core::Override::new("maintenance"));
    assert_eq!(ask(server, "/?1", "new").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask(server, "/?0", "new").await.status(), StatusCode::OK);
}

// S-ADV-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_layer_further_in_refuses_is_given_back() {
    let store = Server::start();
    let headers = RateLimitHeaders::draft10().on_every_answer();
    let layer = shared(&store, TEN).headers(headers);
    let limiter = layer.handle();
    let server = serve(|shop| shop.layer(layer)).await;
    for _ in 0..25 {
        let refused = ask(server, "/refused", "").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(text(&refused, "ratelimit").starts_with("\"shop\";r=10;"), "{refused:?}");
    }
    assert_eq!(limiter.snapshot().given_back, 25);
    assert_eq!(admitted(&[server], "", 15).await, 10);
}

// T1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_key_is_shared_if_a_closure_picks_it() {
    let store = Server::start();
    let tenant = |request: &Request<Body>| {
        Some(request.headers().get("x-tenant")?.to_str().ok()?.to_owned())
    };
    let servers = [
        serve(|shop| shop.layer(shared(&store, TEN).keyed_fn(tenant))).await,
        serve(|shop| shop.layer(shared(&store, TEN).keyed_fn(tenant))).await,
    ];
    // At home in the layer, in its allocation, in the store's key, and as a digest.
    for len in [64, 95, 96, 127, 128, 5_000] {
        let long = "k".repeat(len);
        assert_eq!(admitted(&servers, &long, 12).await, 10, "{len} bytes");
    }
}

// T9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_store_each_layer_does_as_it_was_told() {
    let mut store = Server::start();
    let closed = shared(&store, sick(OnStoreFailure::FailClosed));
    let open = shared(&store, sick(OnStoreFailure::FailOpen));
    let local = shared(&store, sick(OnStoreFailure::LocalShare));
    let handle = closed.handle();
    let closed = serve(|shop| shop.layer(closed)).await;
    let open = serve(|shop| shop.layer(open)).await;
    let local = serve(|shop| shop.layer(local)).await;
    store.kill();

    for _ in 0..15 {
        let refused = ask_in_time(closed, "/", "").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(seconds(&refused), 1);
        // It is no fault of the caller's, whose quota is not known.
        assert_eq!(text(&refused, "ratelimit"), "");
        assert_eq!(ask_in_time(open, "/", "").await.status(), StatusCode::OK);
    }
    let mut sold = 0;
    for _ in 0..15 {
        let answer = ask_in_time(local, "/", "").await;
        sold += u32::from(answer.status() == StatusCode::OK);
        if answer.status() != StatusCode::OK {
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
            assert!((100..=200).contains(&seconds(&answer)), "{answer:?}");
        }
    }
    assert_eq!(sold, 5, "one of two shares of ten");

    store.restart();
    let began = now();
    while ask_in_time(closed, "/", "").await.status() != StatusCode::OK {
        assert!(began.elapsed() < RECOVERY, "{}", handle.explain());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(handle.store_circuit().state(), State::Closed);
}

// T9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_waits_for_a_store_that_is_stalled_longer_than_the_deadline() {
    let store = Server::start();
    let policies =
        [OnStoreFailure::FailClosed, OnStoreFailure::FailOpen, OnStoreFailure::LocalShare];
    let mut servers = Vec::new();
    for policy in policies {
        let layer = shared(&store, sick(policy)).keyed(key::header("x-tenant"));
        servers.push((policy, serve(|shop| shop.layer(layer)).await));
    }
    for (_, server) in &servers {
        assert_eq!(ask(*server, "/", "warm").await.status(), StatusCode::OK);
    }
    store.stall();
    // All at once, for one key and for many: the first wait for the deadline, the others for
    // nothing, since the circuit is open.
    for round in 0..3 {
        let mut asked = Vec::new();
        for (policy, server) in &servers {
            for request in 0..10 {
                let tenant = format!("{}", request % 4);
                let asking = ask_timed(*server, tenant);
                asked.push((*policy, tokio::spawn(asking)));
            }
        }
        for (policy, answer) in asked {
            let (status, took) = answer.await.expect("an answer");
            assert!(took < IN_TIME, "{policy:?} in round {round}: {took:?}");
            match policy {
                OnStoreFailure::FailClosed => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE),
                OnStoreFailure::FailOpen => assert_eq!(status, StatusCode::OK),
                OnStoreFailure::LocalShare => assert_ne!(status, StatusCode::SERVICE_UNAVAILABLE),
            }
        }
    }
    store.go_on();
}

async fn ask_timed(server: SocketAddr, tenant: String) -> (http::StatusCode, Duration) {
    let began = now();
    let answer = ask(server, "/", &tenant).await;
    (answer.status(), began.elapsed())
}
