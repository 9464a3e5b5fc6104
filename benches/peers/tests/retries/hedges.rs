//! Second attempts beside the first.

use std::any::type_name;

use portcullis::{ErrorsAreFailures, TokioClock};
use portcullis_backoff::BoxError;
use portcullis_backoff::breaker_core::{Cloned, Percent};
use portcullis_benches::Failed;
use portcullis_timeout::{HedgeConfig, HedgeLayer, HedgeService};
use tower::hedge::{Hedge as TowerHedge, Policy as HedgePolicy};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::support::{HOUR, MILLI, Slow, whole};

/// tower's policy as its users write it: all may be sent twice.
#[derive(Clone, Copy)]
struct All;

impl HedgePolicy<bool> for All {
    fn clone_request(&self, request: &bool) -> Option<bool> {
        Some(*request)
    }

    fn can_retry(&self, _: &bool) -> bool {
        true
    }
}

fn our_hedge(config: HedgeConfig, inner: Slow) -> HedgeService<Slow, ErrorsAreFailures, Cloned> {
    let layer = HedgeLayer::with_clock(config, TokioClock::new());
    layer.classify(ErrorsAreFailures).replay(Cloned).layer(inner)
}

/// tower's, which has seen a hundred calls of 10 ms.
fn tower_hedge(inner: Slow) -> TowerHedge<Slow, All> {
    TowerHedge::new_with_mock_latencies(inner, All, 20, 0.95, HOUR, &[10; 100])
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_is_ten_times_as_slow_gets_each_call_twice_from_tower_and_a_tenth_from_ours()
{
    // As slow from the 101st attempt on.
    let well = |number| if number <= 100 { 10 * MILLI } else { 100 * MILLI };
    let callee = Slow::new(move |number| (well(number), Ok(())));
    let mut service = our_hedge(HedgeConfig::new(), callee.clone());
    for _ in 0..100 {
        assert!(whole(&mut service, true).await.is_ok());
    }
    assert_eq!(callee.attempts(), 100);
    for _ in 0..100 {
        assert!(whole(&mut service, true).await.is_ok());
    }
    assert!((201..=210).contains(&callee.attempts()), "{}", callee.attempts());

    let callee = Slow::new(|_| (100 * MILLI, Ok(())));
    let mut service = tower_hedge(callee.clone());
    for _ in 0..100 {
        assert!(whole(&mut service, true).await.is_ok());
    }
    assert_eq!(callee.attempts(), 200);
}

#[tokio::test(start_paused = true)]
async fn one_of_two_attempts_fails_and_tower_takes_that_for_the_answer() {
    // The first of the two fails while the second, which is well, is under way.
    let pair = |number| match number {
        1 => (60 * MILLI, Err(Failed::Inner)),
        _ => (80 * MILLI, Ok(())),
    };
    let mut service = tower_hedge(Slow::new(pair));
    assert!(whole(&mut service, true).await.is_err());

    let fixed = HedgeConfig::new().min_delay(20 * MILLI).max_delay(20 * MILLI);
    let fixed = fixed.initial(20 * MILLI).max_share(Percent::new(50));
    // One more before, which earns a half, as the call itself does.
    let callee =
        Slow::new(move |number| if number == 1 { (MILLI, Ok(())) } else { pair(number - 1) });
    let mut service = our_hedge(fixed, callee.clone());
    assert!(whole(&mut service, true).await.is_ok());
    assert!(whole(&mut service, true).await.is_ok());
    assert_eq!(callee.attempts(), 3);
}

#[test]
fn the_error_of_the_service_is_boxed_by_the_hedge_of_tower() {
    fn error<S: Service<bool>>(_: &S) -> &'static str {
        type_name::<S::Error>()
    }
    let inner = Slow::new(|_| (MILLI, Ok(())));
    assert_eq!(error(&our_hedge(HedgeConfig::new(), inner.clone())), type_name::<Failed>());
    assert_eq!(error(&tower_hedge(inner)), type_name::<BoxError>());
}
