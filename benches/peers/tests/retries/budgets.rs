//! How many retries a callee is sent.

use std::task::{Context, Waker};

use portcullis_backoff::Budget;
use portcullis_backoff::breaker_core::{FailureKind, Percent};
use portcullis_benches::Failed;
use tokio::time::advance;
use tower::retry::budget::{Budget as _, TpsBudget};
use tower_layer::Layer;
use tower_resilience_retry::RetryBudgetBuilder;
use tower_service::Service;

use crate::support::{
    Ask, Callee, HOUR, SECOND, THRICE, down, nine, ours, resilience, tower, whole,
};

const CALLS: usize = 10_000;

/// How many attempts a callee sees for a call, of whose attempts every second one fails.
async fn per_call<S>(layer: impl Layer<Callee<(), Failed>, Service = S>) -> f64
where
    S: Service<Ask> + Clone,
{
    let callee = Callee::new(|attempt| if attempt % 2 == 0 { Ok(()) } else { Err(Failed::Inner) });
    let service = layer.layer(callee.clone());
    for _ in 0..CALLS {
        let _ = whole(service.clone(), Ask::default()).await;
    }
    callee.attempts() as f64 / CALLS as f64
}

#[tokio::test(start_paused = true)]
async fn where_every_second_attempt_fails_a_bucket_of_ten_tokens_lets_all_be_made_twice() {
    let bucket = RetryBudgetBuilder::new().token_bucket().tokens_per_second(0.0);
    let bucket = bucket.max_tokens(10).initial_tokens(10).build().expect("right");
    assert_eq!(per_call(resilience().budget(bucket).build()).await, 2.0);
    assert_eq!(per_call(nine()).await, 2.0, "there is none");
    let fifth = per_call(ours(THRICE.budget(Budget::ratio(Percent::new(20), 0)))).await;
    assert!((1.19..=1.2).contains(&fifth), "{fifth}");
    let fifth = per_call(tower(Some(TpsBudget::new(10 * SECOND, 0, 0.2)))).await;
    assert!((1.1..=1.2).contains(&fifth), "{fifth}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_sixty_percent_is_one_of_a_hundred_in_tower() {
    let budget = TpsBudget::new(10 * SECOND, 0, 0.6);
    let granted = (0..1_000).filter(|_| {
        budget.deposit();
        budget.withdraw()
    });
    assert_eq!(granted.count(), 1_000);
    let budget = ours(THRICE.budget(Budget::ratio(Percent::new(60), 0))).handle().budget();
    let granted = (0..1_000).filter(|_| {
        budget.called();
        budget.try_retry(FailureKind::Connection)
    });
    assert_eq!(granted.count(), 600);
}

/// Whether a retry is there for the second call, where the first has gone while it waited for its
/// own, which was the only one there is.
async fn gives_back<S>(layer: impl Layer<Callee<(), Failed>, Service = S>) -> bool
where
    S: Service<Ask> + Clone,
{
    let callee = down();
    let service = layer.layer(callee.clone());
    let mut first = Box::pin(whole(service.clone(), Ask::default()));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(first);
    let _ = whole(service, Ask::default()).await;
    callee.attempts() == 3
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_not_made_is_given_back_by_ours_only() {
    assert!(gives_back(ours(THRICE.budget(Budget::tokens(1, 0, 1, 1)))).await);
    let bucket = RetryBudgetBuilder::new().token_bucket().tokens_per_second(0.0);
    let bucket = bucket.max_tokens(1).initial_tokens(1).build().expect("right");
    assert!(!gives_back(resilience().budget(bucket).build()).await);
    // Nothing for a call, and one for each second.
    assert!(!gives_back(tower(Some(TpsBudget::new(SECOND, 1, 0.0)))).await);
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_paused_time_brings_no_token_to_one_of_them() {
    let bucket = RetryBudgetBuilder::new().token_bucket().tokens_per_second(0.01);
    let bucket = bucket.max_tokens(10).initial_tokens(0).build().expect("right");
    let tps = TpsBudget::new(SECOND, 1, 0.0);
    let share = ours(THRICE.budget(Budget::ratio(Percent::ZERO, 1))).handle().budget();
    assert!(tps.withdraw() && !tps.withdraw());
    assert!((0..10).all(|_| share.try_retry(FailureKind::Unknown)));
    assert!(!share.try_retry(FailureKind::Unknown));
    advance(HOUR).await;
    assert!(!bucket.try_withdraw());
    assert!(tps.withdraw());
    assert!(share.try_retry(FailureKind::Unknown));
}
