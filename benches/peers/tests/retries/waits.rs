//! When it is repeated.

use std::collections::BTreeSet;
use std::time::Duration;

use ninelives::Jitter;
use portcullis_backoff::{BackoffConfig, Delays};
use portcullis_benches::Failed;
use tower::retry::backoff::{Backoff as _, ExponentialBackoffMaker, MakeBackoff};
use tower_layer::Layer;
use tower_resilience_retry::{
    ExponentialBackoff, ExponentialRandomBackoff, IntervalFunction, RetryLayer as ResilienceLayer,
};
use tower_service::Service;

use crate::support::{Ask, Callee, SECOND, Slow, THRICE, down, nine, now, ours, resilience, whole};

/// How many instants there are for 100 clients whose waits are these, and the longest of them.
fn spread(waits: impl IntoIterator<Item = Duration>) -> (usize, Duration) {
    let waits: BTreeSet<Duration> = waits.into_iter().collect();
    (waits.len(), *waits.last().expect("some"))
}

#[tokio::test(start_paused = true)]
async fn clients_that_failed_together_meet_again_at_the_cap_of_two_of_them() {
    // A first wait as long as the longest, so that all are at the cap.
    let delays = Delays::exponential(SECOND).cap(SECOND);
    let ours = portcullis_backoff::Backoffs::new(delays);
    let (instants, longest) = spread((0..100).map(|key| ours.failed(&key)));
    assert!(instants > 90 && longest <= SECOND, "{instants} {longest:?}");

    let plain = ExponentialBackoff::new(SECOND).max_interval(SECOND);
    assert_eq!(spread((0..100).map(|_| plain.next_interval(0))), (1, SECOND));
    let random = ExponentialRandomBackoff::new(SECOND, 0.5).expect("right").max_interval(SECOND);
    let (instants, longest) = spread((0..100).map(|_| random.next_interval(0)));
    assert!(instants > 90 && longest > SECOND, "spread, and above the cap: {longest:?}");

    // Each with a maker of its own, and so with a chance of its own.
    let begun = now();
    let theirs = (0..100).map(|_| {
        let rng = tower::util::rng::HasherRng::default();
        let maker = ExponentialBackoffMaker::new(SECOND, SECOND, 0.99, rng);
        maker.expect("right").make_backoff().next_backoff().deadline() - begun
    });
    assert_eq!(spread(theirs), (1, SECOND));

    let full = Jitter::full();
    let (instants, longest) = spread((0..100).map(|_| full.apply(SECOND)));
    assert!(instants > 50 && longest <= SECOND, "{instants} {longest:?}");
}

#[tokio::test(start_paused = true)]
async fn all_calls_of_one_tower_backoff_draw_the_same_jitter() {
    let mut maker = ExponentialBackoffMaker::default();
    let begun = now();
    let mut wait = || maker.make_backoff().next_backoff().deadline() - begun;
    assert_eq!(spread((0..100).map(|_| wait())).0, 1);
    // Each layer has its own.
    let mut other = ExponentialBackoffMaker::default();
    assert_ne!(other.make_backoff().next_backoff().deadline() - begun, wait());
}

#[tokio::test(start_paused = true)]
async fn the_default_waits_of_one_of_them_are_the_same_for_all() {
    async fn first_wait<S>(layer: impl Layer<Callee<(), Failed>, Service = S>) -> Duration
    where
        S: Service<Ask>,
    {
        let callee = down();
        let _ = whole(layer.layer(callee.clone()), Ask::default()).await;
        callee.waits()[0]
    }
    let (mut theirs, mut others, mut mine) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..50 {
        theirs.push(first_wait(ResilienceLayer::builder().build()).await);
        let policy = ninelives::RetryPolicy::builder().build().expect("right");
        others.push(first_wait(policy.into_layer()).await);
        mine.push(first_wait(ours(BackoffConfig::new())).await);
    }
    assert_eq!(spread(theirs).0, 1);
    assert!(spread(others).0 > 10);
    assert!(spread(mine).0 > 10);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_longest_time_of_a_call_in_ours_only() {
    let slow = || Slow::new(|_| (SECOND, Err(Failed::Inner)));
    let callee = slow();
    let _ = whole(ours(THRICE.max_elapsed(SECOND * 3 / 2)).layer(callee.clone()), true).await;
    assert_eq!(callee.attempts(), 2);
    // There is nothing of the kind to be said to these, so they make all three.
    let callee = slow();
    let _ = whole(resilience::<bool, (), Failed>().build().layer(callee.clone()), true).await;
    assert_eq!(callee.attempts(), 3);
    let callee = slow();
    let _ = whole(nine().layer(callee.clone()), true).await;
    assert_eq!(callee.attempts(), 3);
}
