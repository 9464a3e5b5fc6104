//! The layer whose callers wait.

use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_ratelimit::RateLimitLayer;
use portcullis_ratelimit::breaker_core::{Clock as _, TokioClock};
use portcullis_ratelimit::portcullis_http::key;
use tower::{Service, ServiceExt as _};
use tower_layer::Layer as _;

use super::support::{Act, CONFIG, Inner, from, request};

fn layer() -> (RateLimitLayer, TokioClock) {
    let clock = TokioClock::new();
    let config = CONFIG.burst(1).max_wait(Duration::from_millis(250));
    (RateLimitLayer::with_clock(config, clock), clock)
}

// S-RATE-11
#[tokio::test(start_paused = true)]
async fn calls_wait_for_their_turn_and_beyond_that_are_refused_at_once() {
    let (layer, clock) = layer();
    let service = layer.waiting().layer(Inner::new(Act::Answer(200)));
    let start = clock.now();
    let calls: Vec<_> = (0..4).map(|_| tokio::spawn(service.clone().oneshot(request()))).collect();
    let mut seen = Vec::new();
    for call in calls {
        let Ok(answer) = call.await.expect("no panic");
        seen.push((answer.status().as_u16(), clock.now().since(start).as_millis()));
    }
    assert_eq!(seen, [(200, 0), (200, 100), (200, 200), (429, 200)]);
}

// S-RATE-11: the one that was made ready is called, when its turn has come, and a clone stays.
#[tokio::test(start_paused = true)]
async fn the_instance_that_was_made_ready_is_called_later() {
    let (layer, _) = layer();
    let inner = Inner::new(Act::Answer(200));
    let calls = inner.calls();
    let mut service = layer.waiting().layer(inner);
    let first = service.ready().await.expect("ready").call(request());
    let second = service.ready().await.expect("ready").call(request());
    assert_eq!(calls.load(Ordering::Relaxed), 0, "nothing is called before it is polled");
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok_and(|answer| answer.status() == 200));
    assert!(second.is_ok_and(|answer| answer.status() == 200));
}

// S-RATE-11
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_is_not_made_and_costs_nothing() {
    let (layer, _) = layer();
    let limit = layer.handle();
    let inner = Inner::new(Act::Answer(200));
    let calls = inner.calls();
    let mut service = layer.waiting().layer(inner);
    drop(service.ready().await.expect("ready").call(request()));
    assert_eq!(limit.quota().remaining(), 1, "admitted, and never begun");
    let _ = limit.try_acquire().expect("there is one");
    let waits = tokio::spawn(service.ready().await.expect("ready").call(request()));
    tokio::task::yield_now().await;
    assert_eq!(limit.snapshot().waiters, 1);
    waits.abort();
    assert!(waits.await.is_err());
    assert_eq!((limit.snapshot().waiters, calls.load(Ordering::Relaxed)), (0, 0));
}

// S-RATE-10, S-RATE-11, S-RATE-12
#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_line() {
    let (layer, clock) = layer();
    let cost = |request: &http::Request<()>| request.headers().len() as u32;
    let layer = layer.keyed(key::header("x-client")).cost_fn(cost).waiting();
    let service = layer.layer(Inner::new(Act::Answer(200)));
    let start = clock.now();
    let clients = ["a", "a", "b", "b"];
    let calls = clients.map(|client| tokio::spawn(service.clone().oneshot(from(client))));
    let mut at = Vec::new();
    for call in calls {
        let Ok(answer) = call.await.expect("no panic");
        assert_eq!(answer.status(), 200);
        at.push(clock.now().since(start).as_millis());
    }
    assert_eq!(at, [0, 100, 100, 100]);
}

// S-ADV-02
#[tokio::test(start_paused = true)]
async fn a_refusal_from_further_in_gives_the_token_back_to_whoever_waits() {
    let (layer, clock) = layer();
    let service = layer.waiting().layer(Inner::new(Act::Refuse));
    let start = clock.now();
    for _ in 0..10 {
        let Ok(answer) = service.clone().oneshot(request()).await;
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(clock.now().since(start), Duration::ZERO);
}
