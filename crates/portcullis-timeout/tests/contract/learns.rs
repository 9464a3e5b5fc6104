//! The timeout follows what the calls of the layer take.

use portcullis_timeout::breaker_core::{Budget, FailureKind, Outcome, RetryBudget, TokioClock};
use portcullis_timeout::{AdaptiveTimeout, AdaptiveTimeoutLayer, TimeoutConfig, TimeoutStrategy};
use tower_layer::Layer as _;

use super::support::{Act, CONFIG, Inner, call, layer, ms};

// S-TIMEOUT-01 S-TIMEOUT-05
#[tokio::test(start_paused = true)]
async fn it_follows_a_callee_down_and_up_again() {
    let layer = layer();
    let mut service = layer.layer(Inner::new(Act::After(100, 200)));
    for _ in 0..20 {
        call(&mut service).await;
    }
    let timeout = layer.handle().timeout();
    assert!((ms(148)..ms(152)).contains(&timeout), "{timeout:?}");
    // Three times slower for good: a new service of the same layer knows what the old one learned.
    let mut service = layer.clone().layer(Inner::new(Act::After(300, 200)));
    let mut timeouts = 0;
    for _ in 0..50 {
        let (answer, _) = call(&mut service).await;
        timeouts += u32::from(answer.status() == 504);
    }
    let settled = layer.handle().timeout();
    assert!(timeouts < 15 && settled > ms(300), "{timeouts} {settled:?}");
    for _ in 0..200 {
        assert_eq!(call(&mut service).await.0.status(), 200);
    }
    assert!(layer.handle().timeout() < ms(600), "{:?}", layer.handle().timeout());
}

// S-TIMEOUT-01
#[tokio::test(start_paused = true)]
async fn two_layers_have_two_timeouts_and_two_layers_of_one_timeout_have_one() {
    let (a, b) = (layer(), layer());
    call(&mut a.layer(Inner::new(Act::After(150, 200)))).await;
    assert_eq!((a.handle().timeout(), b.handle().timeout()), (ms(500), ms(1_000)));
    let shared = AdaptiveTimeout::with_clock(CONFIG, TokioClock::new());
    let [a, b] = [(); 2].map(|()| AdaptiveTimeoutLayer::from_timeout(shared.clone()));
    call(&mut a.layer(Inner::new(Act::After(150, 200)))).await;
    assert_eq!((shared.timeout(), b.handle().timeout()), (ms(500), ms(500)));
}

// S-TIMEOUT-01
#[tokio::test(start_paused = true)]
async fn an_operator_changes_and_resets_it_while_services_run() {
    let layer = layer();
    let mut service = layer.layer(Inner::new(Act::Never));
    let timeout = layer.handle();
    timeout.reconfigure(TimeoutConfig::fixed(ms(70))).expect("it fits");
    assert_eq!(call(&mut service).await.1, ms(70));
    assert!(timeout.reconfigure(TimeoutConfig::new().initial(ms(1))).is_err());
    assert_eq!(timeout.timeout(), ms(70), "what does not fit changes nothing");
    timeout.reconfigure(CONFIG).expect("it fits");
    assert_eq!(timeout.timeout(), ms(100), "within the new bounds");
    timeout.reset();
    assert_eq!((timeout.timeout(), timeout.snapshot().samples), (ms(1_000), 0));
    assert_eq!(timeout.config(), CONFIG);
}

// S-TIMEOUT-05
#[tokio::test(start_paused = true)]
async fn a_budget_that_sees_no_congestion_holds_nothing() {
    let layer = layer().budget(&RetryBudget::new(Budget::adaptive()));
    call(&mut layer.layer(Inner::new(Act::After(150, 200)))).await;
    assert_eq!(layer.handle().timeout(), ms(500));
}

// S-TIMEOUT-05
#[tokio::test(start_paused = true)]
async fn a_budget_that_sees_congestion_freezes_what_would_be_lowered() {
    let budget = RetryBudget::with_clock(Budget::adaptive(), TokioClock::new());
    let layer = layer().budget(&budget);
    let overload = Outcome::Failure(FailureKind::Overload { retry_after: None });
    (0..10).for_each(|_| budget.ended(overload));
    let mut service = layer.layer(Inner::new(Act::After(150, 200)));
    for _ in 0..50 {
        budget.ended(overload);
        assert!(budget.is_congested());
        call(&mut service).await;
    }
    assert_eq!(layer.handle().timeout(), ms(1_000));
    tokio::time::advance(ms(60_000)).await;
    assert!(!budget.is_congested());
    for _ in 0..10 {
        call(&mut service).await;
    }
    assert!(layer.handle().timeout() < ms(500), "{:?}", layer.handle().timeout());
}

// S-TIMEOUT-01
#[tokio::test(start_paused = true)]
async fn it_says_why_it_is_as_it_is() {
    let layer = layer();
    let timeout = layer.handle();
    assert_eq!(timeout.explain(), "search: calls may take 1.0s; no call was waited for yet");
    call(&mut layer.layer(Inner::new(Act::After(200, 200)))).await;
    let text = "search: calls may take 500.0ms; of the newest 1 calls 0 timed out, the others took \
                200.0ms on average, and the percentile is 200.0ms";
    assert_eq!(timeout.explain(), text);
    let seen = timeout.snapshot();
    assert_eq!((seen.moved, seen.last), (1, timeout.history().last().copied()));
    assert_eq!((seen.mean, seen.max, seen.std), (ms(200), ms(200), ms(0)));
    timeout.reconfigure(CONFIG.strategy(TimeoutStrategy::Fixed)).expect("it fits");
    assert_eq!(timeout.explain(), "search: calls may take 1.0s, always");
}
