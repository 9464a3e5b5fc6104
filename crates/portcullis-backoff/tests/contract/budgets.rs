//! How many attempts there are beyond the first ones.

use portcullis_backoff::breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Percent, RetryBudget, TokioClock,
};
use portcullis_backoff::{BackoffLayer, Budget};
use tower_layer::Layer as _;

use super::support::{Act, CONFIG, Callee, get, layer_of, ms, paid, status};

/// A hundred calls within ten seconds, all of which fail.
async fn a_hundred(layer: &BackoffLayer) -> usize {
    let callee = Callee::new(Act::Answer(503));
    let calls: Vec<_> = (0..100)
        .map(|number| {
            let mut service = layer.layer(callee.clone());
            tokio::spawn(async move {
                tokio::time::sleep(ms(number * 99)).await;
                status(&mut service, get()).await
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no panic"), 503);
    }
    callee.calls() - 100
}

// S-BACKOFF-10
#[tokio::test(start_paused = true)]
async fn a_hundred_failing_calls_are_repeated_twenty_times_at_most() {
    let layer = layer_of(CONFIG.budget(Budget::ratio(Percent::new(20), 0)));
    let retries = a_hundred(&layer).await;
    assert!((15..=20).contains(&retries), "{retries}");
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.retried, snapshot.budget.taken), (retries as u64, retries as u64));
    assert_eq!(snapshot.refused_by_budget, 100);
}

// S-BACKOFF-10: overload and timeouts say that the callee is short of breath.
#[tokio::test(start_paused = true)]
async fn the_budget_of_the_default_is_sparing_with_a_callee_that_drowns() {
    let retries = a_hundred(&layer_of(CONFIG.budget(Budget::adaptive()))).await;
    assert!(retries <= 20, "{retries}");
}

// S-BACKOFF-10
#[tokio::test(start_paused = true)]
async fn without_a_budget_there_are_no_retries() {
    assert_eq!(a_hundred(&layer_of(CONFIG.budget(Budget::none()))).await, 0);
    assert_eq!(a_hundred(&layer_of(CONFIG)).await, 400);
}

// S-BACKOFF-10
#[tokio::test(start_paused = true)]
async fn while_the_circuit_is_open_that_is_watched_nothing_is_repeated() {
    let circuit = CircuitBreaker::with_clock(CircuitBreakerConfig::new(), TokioClock::new());
    let layer = layer_of(CONFIG).watch(&circuit);
    let callee = Callee::new(Act::Answer(503));
    let mut service = layer.layer(callee.clone());
    circuit.trip().expect("it is closed");
    assert_eq!((status(&mut service, get()).await, callee.calls()), (503, 1));
    assert_eq!(layer.handle().snapshot().refused_by_budget, 1);
    circuit.reset();
    assert_eq!((status(&mut service, get()).await, callee.calls()), (503, 6));
}

// S-BACKOFF-10: one callee, one budget, whoever calls it.
#[tokio::test(start_paused = true)]
async fn two_layers_share_a_budget_and_nothing_else() {
    let budget = RetryBudget::with_clock(Budget::tokens(3, 0, 1, 1), TokioClock::new());
    let (one, two) = (layer_of(CONFIG).budget(&budget), layer_of(CONFIG).budget(&budget));
    let callee = Callee::new(Act::Answer(503));
    assert_eq!(status(&mut one.layer(callee.clone()), get()).await, 503);
    assert_eq!(status(&mut two.layer(callee.clone()), get()).await, 503);
    assert_eq!((callee.calls(), budget.snapshot().taken), (5, 3));
    assert_eq!((one.handle().snapshot().retried, two.handle().snapshot().retried), (3, 0));
    assert_eq!(paid(&one.handle()), (3, 0));
}
