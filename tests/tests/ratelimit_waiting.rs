//! Callers that wait for their turn, in axum: real servers and connections.
//!
//! Turns come by a clock that is moved by hand. Only the timers that look at it are real, so a slow
//! machine makes these tests slower and nothing else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use http::Request;
use portcullis::{ManualClock, RateLimit, RateLimitLayer, RateLimiter, key};
use portcullis_tests::loopback::{self, answer, ask_and_hold};
use serde_json::{Value, json};
use tokio::net::TcpStream;

const TURN: Duration = Duration::from_millis(50);
/// One call, and the next one after a turn; whoever comes waits for three turns at most.
const CONFIG: RateLimit =
    RateLimit::per_second(20).burst(1).max_wait(Duration::from_millis(3 * 50));

// S-RATE-11
#[tokio::test]
async fn callers_are_served_in_the_order_in_which_they_came() {
    let shop = Shop::open().await;
    let mut waiting = vec![shop.ask(1).await];
    shop.has_served(&[1]).await;
    for number in 2..=4 {
        waiting.push(shop.ask(number).await);
        shop.has_waiting(number - 1).await;
    }
    for served in [&[1, 2][..], &[1, 2, 3], &[1, 2, 3, 4]] {
        shop.clock.advance(TURN);
        shop.has_served(served).await;
        shop.has_waiting(4 - served.len() as u32).await;
    }
    for connection in waiting {
        assert_eq!(answer(connection).await.expect("an answer").status(), 200);
    }
}

// S-RATE-11: at once, and not when the wait is over.
#[tokio::test]
async fn whoever_would_wait_too_long_is_refused_at_once() {
    let shop = Shop::open().await;
    let first = shop.ask(1).await;
    shop.has_served(&[1]).await;
    let mut waiting = Vec::new();
    for number in 2..=4 {
        waiting.push(shop.ask(number).await);
        shop.has_waiting(number - 1).await;
    }
    let refused = answer(shop.ask(5).await).await.expect("an answer");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: Value = serde_json::from_str(refused.body()).expect("JSON");
    assert_eq!(body["retry_after_ms"], json!(200));
    assert_eq!(shop.served(), [1]);
    shop.has_waiting(3).await;
    assert_eq!(answer(first).await.expect("an answer").status(), 200);
}

// S-RATE-11
#[tokio::test]
async fn a_client_that_goes_away_makes_room_for_those_behind_him() {
    let shop = Shop::open().await;
    let _first = shop.ask(1).await;
    shop.has_served(&[1]).await;
    let mut waiting = Vec::new();
    for number in 2..=4 {
        waiting.push(shop.ask(number).await);
        shop.has_waiting(number - 1).await;
    }
    // One from the middle. Another takes the place at the end, for which there was none before.
    drop(waiting.remove(1));
    shop.has_waiting(2).await;
    waiting.push(shop.ask(5).await);
    shop.has_waiting(3).await;
    // And the first, whose timer it was that the others waited for.
    drop(waiting.remove(0));
    shop.has_waiting(2).await;
    for served in [&[1, 4][..], &[1, 4, 5]] {
        shop.clock.advance(TURN);
        shop.has_served(served).await;
    }
    shop.has_waiting(0).await;
    for connection in waiting {
        assert_eq!(answer(connection).await.expect("an answer").status(), 200);
    }
}

// S-RATE-10, S-RATE-11
#[tokio::test]
async fn each_tenant_has_a_line_of_its_own() {
    let clock = ManualClock::new();
    let layer = RateLimitLayer::with_clock(CONFIG, clock).keyed(key::header("x-tenant"));
    let limits = layer.handle().clone();
    let app = Router::new().route("/report", get(async || ())).layer(layer.waiting());
    let server = serve(app).await;
    let report = async |tenant: &str| {
        let request = Request::get("/report").header("x-tenant", tenant).body(());
        ask_and_hold(server, &request.expect("a request")).await.expect("a connection")
    };
    assert_eq!(answer(report("acme").await).await.expect("an answer").status(), 200);
    let _waits = report("acme").await;
    until(|| limits.snapshot().waiters == 1).await;
    assert_eq!(answer(report("umbrella").await).await.expect("an answer").status(), 200);
    assert_eq!(limits.snapshot().waiters, 1);
}

// ===== helpers =====

/// A server that serves one caller in each turn, and remembers whom.
struct Shop {
    clock: ManualClock,
    limit: RateLimiter,
    served: Arc<Mutex<Vec<u32>>>,
    server: SocketAddr,
}

impl Shop {
    async fn open() -> Self {
        let (clock, served) = (ManualClock::new(), Arc::default());
        let layer = RateLimitLayer::with_clock(CONFIG, clock.clone());
        let limit = layer.handle();
        let list: Arc<Mutex<Vec<u32>>> = Arc::clone(&served);
        let pay = async move |Path(number): Path<u32>| list.lock().expect("no panic").push(number);
        let app = Router::new().route("/pay/{number}", get(pay)).layer(layer.waiting());
        Self { clock, limit, served, server: serve(app).await }
    }

    async fn ask(&self, number: u32) -> TcpStream {
        let request = Request::get(format!("/pay/{number}")).body(()).expect("a request");
        ask_and_hold(self.server, &request).await.expect("a connection")
    }

    fn served(&self) -> Vec<u32> {
        self.served.lock().expect("no panic").clone()
    }

    async fn has_served(&self, numbers: &[u32]) {
        until(|| self.served().len() >= numbers.len()).await;
        assert_eq!(self.served(), numbers);
    }

    async fn has_waiting(&self, callers: u32) {
        until(|| self.limit.snapshot().waiters == callers).await;
    }
}

async fn until(holds: impl Fn() -> bool) {
    let patience = Duration::from_secs(60);
    let looks = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(patience, looks).await.expect("it comes to be so");
}

async fn serve(app: Router) -> SocketAddr {
    let (listener, server) = loopback::listen().await.expect("a port");
    tokio::spawn(axum::serve(listener, app).into_future());
    server
}
