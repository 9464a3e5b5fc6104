//! What the others have and ours has not.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use circuitbreaker_rs::{CircuitBreaker as RatedBreaker, DefaultPolicy, HookRegistry};
use common::Reply;
use failsafe::futures::CircuitBreaker as _;
use failsafe::{FailurePolicy, backoff, failure_policy};
use portcullis_benches::{Nothing, call, finish};
use portcullis_peers::tower_resilience::last_100;
use recloser::{AsyncRecloser, Recloser};
use tower_layer::Layer;
use tower_service::Service;

#[tokio::test]
async fn tower_resilience_answers_from_a_fallback_while_open() {
    let (layer, handle) = last_100().build_with_handle().expect("a right configuration");
    handle.force_open().await;
    let fallback = |_: bool| -> std::pin::Pin<Box<dyn Future<Output = _> + Send>> {
        Box::pin(async { Ok(()) })
    };
    let mut service = layer.layer_fn(Nothing).with_fallback(fallback);
    assert!(matches!(call(&mut service, true), Some(Ok(()))));
}

#[tokio::test]
async fn tower_resilience_can_hold_callers_back_instead_of_refusing_them() {
    let builder = last_100().backpressure();
    let (layer, handle) = builder.build_with_handle().expect("a right configuration");
    handle.force_open().await;
    let mut service = layer.layer(Nothing);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_pending());
}

#[test]
fn ninelives_has_more_layers_than_a_breaker() {
    fn is_layer<L: Layer<Nothing>>(_: &L) {}
    is_layer(&ninelives::TimeoutLayer::new(Duration::from_secs(1)).expect("right"));
    is_layer(&ninelives::BulkheadLayer::new(8).expect("right"));
}

#[test]
fn failsafe_takes_a_failure_policy_and_a_wait_of_ones_own() {
    struct Second(bool);

    impl FailurePolicy for Second {
        fn record_success(&mut self) {}

        fn mark_dead_on_failure(&mut self) -> Option<Duration> {
            std::mem::replace(&mut self.0, true).then_some(Duration::from_secs(86_400))
        }

        fn revived(&mut self) {}
    }

    let full = backoff::full_jittered(Duration::from_secs(1), Duration::from_secs(60));
    let policy = Second(false).or_else(failure_policy::consecutive_failures(9, full));
    let breaker = failsafe::Config::new().failure_policy(policy).build();
    let refused: Vec<bool> = (0..3)
        .map(|_| finish(breaker.call(Reply::now(false))))
        .map(|answer| matches!(answer, Err(failsafe::Error::Rejected)))
        .collect();
    assert_eq!(refused, [false, false, true]);
}

#[test]
fn recloser_takes_a_closure_for_the_wait() {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = asked.clone();
    let wait = move |_: u32, wait: Duration| {
        counted.fetch_add(1, Ordering::Relaxed);
        wait * 2
    };
    let builder = Recloser::custom().closed_len(1).half_open_len(1).open_wait_strategy(wait);
    let breaker = AsyncRecloser::from(builder.open_wait(Duration::from_nanos(1)).build());
    (0..20).for_each(|_| assert!(finish(breaker.call(Reply::now(false))).is_err()));
    assert!(asked.load(Ordering::Relaxed) > 0);
}

#[test]
fn circuitbreaker_rs_calls_a_closure_for_each_kind_of_event() {
    let opened = Arc::new(AtomicU32::new(0));
    let counted = opened.clone();
    let hooks = HookRegistry::new();
    hooks.set_on_open(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let breaker = RatedBreaker::<DefaultPolicy, portcullis_benches::Failed>::builder()
        .consecutive_failures(1)
        .hooks(hooks)
        .build();
    assert!(finish(breaker.call_async(|| Reply::now(false))).is_err());
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}
