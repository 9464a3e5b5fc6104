//! One target per key.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Request;
use portcullis_backoff::breaker_core::{RetryBudget, TokioClock};
use portcullis_backoff::portcullis_http::key;
use portcullis_backoff::{BoxError, Budget};
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{Act, CONFIG, Callee, Page, Web, layer_of, ms, status};

const FEW: Budget = Budget::tokens(3, 0, 1, 1);

fn to(host: &str) -> Web {
    Request::get(format!("http://{host}/")).body("text".to_owned()).expect("a request")
}

/// How often a failing call to this host is made.
async fn calls<S>(service: &mut S, callee: &Callee, host: &str) -> usize
where
    S: Service<Web, Response = Page, Error = BoxError>,
{
    let before = callee.calls();
    let _ = status(service, to(host)).await;
    callee.calls() - before
}

// S-BACKOFF-08, S-RETRY-04
#[tokio::test(start_paused = true)]
async fn targets_have_budgets_and_histories_of_their_own() {
    let callee = Callee::new(Act::Answer(503));
    let mut service = layer_of(CONFIG.budget(FEW)).keyed(key::host()).layer(callee.clone());
    assert_eq!(calls(&mut service, &callee, "a.example").await, 4);
    assert_eq!(calls(&mut service, &callee, "a.example").await, 1, "its budget is used up");
    assert_eq!(calls(&mut service, &callee, "b.example").await, 4);
    let callee = Callee::new(Act::Answer(507));
    let mut service = layer_of(CONFIG).keyed(key::host()).layer(callee.clone());
    assert_eq!(calls(&mut service, &callee, "a.example").await, 2);
    assert_eq!(calls(&mut service, &callee, "a.example").await, 1, "it is exhausted");
    assert_eq!(calls(&mut service, &callee, "b.example").await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_given_is_for_all_keys_whenever_it_is_given() {
    for first in [false, true] {
        let budget = RetryBudget::with_clock(FEW, TokioClock::new());
        let callee = Callee::new(Act::Answer(503));
        let layer = layer_of(CONFIG);
        let layer = if first {
            layer.budget(&budget).keyed(key::host())
        } else {
            layer.keyed(key::host()).budget(&budget)
        };
        let mut service = layer.layer(callee.clone());
        assert_eq!(calls(&mut service, &callee, "a.example").await, 4);
        assert_eq!(calls(&mut service, &callee, "b.example").await, 1, "{first}");
    }
}

// S-BACKOFF-08
#[tokio::test(start_paused = true)]
async fn keys_without_a_place_share_one_target() {
    let callee = Callee::new(Act::Answer(503));
    let layer = layer_of(CONFIG.budget(FEW).max_keys(16)).keyed(key::host());
    let mut service = layer.layer(callee.clone());
    let mut retries = 0;
    for number in 0..1_000 {
        retries += calls(&mut service, &callee, &format!("h{number}.example")).await - 1;
    }
    // Sixteen of their own at most, and one for all others.
    assert!(retries <= 17 * 3, "{retries}");
    assert!(retries > 3 * 3, "{retries}");
    assert_eq!(layer.handle().snapshot().retried, retries as u64);
}

/// A key that notes when it is written down, which is done for each target that is made.
#[derive(Clone, Eq, Hash, PartialEq)]
struct Noted(u32);

static WRITTEN: AtomicU32 = AtomicU32::new(0);

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WRITTEN.fetch_add(1, Ordering::Relaxed);
        self.0.fmt(f)
    }
}

// S-BACKOFF-08: a stranger who chooses keys has nothing made for those that have no place.
#[tokio::test(start_paused = true)]
async fn nothing_is_made_for_a_key_that_has_no_place() {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let callee = Callee::new(Act::Answer(503));
    let key = |_: &Web| Some(Noted(NUMBER.fetch_add(1, Ordering::Relaxed)));
    let layer = layer_of(CONFIG.budget(FEW).max_keys(1)).keyed_fn(key);
    let mut service = layer.layer(callee.clone());
    for _ in 0..100 {
        let _ = status(&mut service, to("a.example")).await;
    }
    assert_eq!(WRITTEN.load(Ordering::Relaxed), 1);
}

// S-BACKOFF-08: what has no place gets one when others are forgotten.
#[tokio::test(start_paused = true)]
async fn targets_that_are_as_new_give_way() {
    let callee = Callee::new(Act::Answer(503));
    let layer = layer_of(CONFIG.budget(FEW).max_keys(1)).keyed(key::host());
    let mut service = layer.layer(callee.clone());
    for number in 0..100 {
        let _ = calls(&mut service, &callee, &format!("h{number}.example")).await;
    }
    assert_eq!(calls(&mut service, &callee, "new.example").await, 1);
    tokio::time::advance(ms(600_000)).await;
    assert_eq!(calls(&mut service, &callee, "new.example").await, 4);
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_key_share_one_target() {
    let callee = Callee::new(Act::Answer(503));
    let layer = layer_of(CONFIG.budget(FEW)).keyed_fn(|_: &Web| None::<String>);
    let mut service = layer.layer(callee.clone());
    assert_eq!(calls(&mut service, &callee, "a.example").await, 4);
    assert_eq!(calls(&mut service, &callee, "b.example").await, 1);
    assert_eq!(layer.handle().snapshot().budget.taken, 3);
}
