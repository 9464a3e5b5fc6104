//! When a call is not sent again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use breaker_core::{
    About, Budget, Clock, Deadline, Event, EventKind, FailureKind, Observe, Outcome, Percent,
    RetryBudget, RetryPath, TokioClock,
};
use portcullis_timeout::{HedgeConfig, HedgeLayer, HedgeSnapshot};
use tower_layer::Layer;
use tower_service::Service;

use super::support::{Act, FIXED, Judge, Ready, Scripted, hedged};

const SLOW: [Act; 2] = [Act::Answer(2_000), Act::Answer(100)];

fn about(change: impl FnOnce(&mut About)) -> About {
    let mut about = About::new();
    change(&mut about);
    about
}

/// How often a slow request is sent of which this is known.
async fn sent(about: About) -> usize {
    let (mut service, script, _) = hedged(FIXED, about).await;
    script.acts(SLOW);
    service.call(1).await.expect("an answer");
    script.log().iter().filter(|line| line.ends_with("sent")).count()
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_made_twice_and_nobody_else_repeats_is_sent_again() {
    assert_eq!(sent(About::new()).await, 2);
    assert_eq!(sent(about(|about| about.idempotent = false)).await, 1);
    assert_eq!(sent(about(|about| about.repeated_elsewhere = true)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_has_to_leave_time_for_a_second_attempt() {
    for (left, attempts) in [(400, 1), (500, 1), (501, 2), (2_000, 2)] {
        let at = Deadline::after(TokioClock::new().now(), Duration::from_millis(left + 1));
        assert_eq!(sent(about(|about| about.deadline = Some(at))).await, attempts, "{left} ms");
        let (mut service, script, _) = hedged(FIXED, About::new()).await;
        script.acts(SLOW);
        let at = Deadline::after(TokioClock::new().now(), Duration::from_millis(left));
        let mut call = std::pin::pin!(service.call(1));
        std::future::poll_fn(|cx| at.scope(|| call.as_mut().poll(cx))).await.expect("an answer");
        let around = script.log().iter().filter(|line| line.ends_with("sent")).count();
        assert_eq!(around, attempts, "{left} ms, around the call");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_repeated_above_is_not_sent_again_as_well() {
    for (number, attempts) in [(1, 2), (2, 1)] {
        let (mut service, script, _) = hedged(FIXED, About::new()).await;
        script.acts(SLOW);
        let mut path = RetryPath::attempt(number);
        let mut call = std::pin::pin!(service.call(1));
        std::future::poll_fn(|cx| path.scope(|| call.as_mut().poll(cx))).await.expect("an answer");
        let sent = script.log().iter().filter(|line| line.ends_with("sent")).count();
        assert_eq!(sent, attempts, "attempt {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_at_once_is_asked_once_and_the_share_is_given_back() {
    for ready in [Ready::Pending, Ready::Fails] {
        let (mut service, script, hedge) = hedged(FIXED, About::new()).await;
        script.acts([Act::Answer(2_000)]);
        script.ready(ready);
        assert_eq!(service.call(1).await, Ok(1), "{ready:?}");
        assert_eq!(script.log(), ["0 1 sent"], "{ready:?}");
        let HedgeSnapshot { hedged, not_ready, .. } = hedge.snapshot();
        assert_eq!((hedged, not_ready), (0, 1));
        // It has earned one and a half by now.
        script.acts(SLOW);
        assert_eq!(service.call(2).await, Ok(102), "{ready:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_that_is_refused_was_none() {
    let (mut service, script, hedge) = hedged(FIXED, About::new()).await;
    script.acts([Act::Answer(2_000), Act::Fail(10, "refused")]);
    assert_eq!(service.call(1).await, Ok(1));
    assert_eq!(hedge.snapshot().hedged, 0);
    script.acts(SLOW);
    assert_eq!(service.call(2).await, Ok(102));
    assert_eq!(hedge.snapshot().hedged, 1);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_grants_nothing_lets_nothing_be_sent_again() {
    let (mut service, script, hedge) = hedged(FIXED, About::new()).await;
    let budget = RetryBudget::new(Budget::none());
    hedge.budget(&budget);
    script.acts([Act::Answer(2_000)]);
    assert_eq!(service.call(1).await, Ok(1));
    assert_eq!(hedge.snapshot().refused_by_budget, 1);
    hedge.budget(&RetryBudget::new(Budget::unlimited()));
    script.acts(SLOW);
    assert_eq!(service.call(2).await, Ok(102));
}

// By results, and not by latencies: all other calls are fast.
#[tokio::test(start_paused = true)]
async fn a_congested_callee_gets_no_second_attempt_until_that_is_over() {
    let (mut service, script, hedge) = hedged(FIXED, About::new()).await;
    let budget = RetryBudget::with_clock(Budget::adaptive(), TokioClock::new());
    hedge.budget(&budget);
    let overload = Outcome::Failure(FailureKind::Overload { retry_after: None });
    (0..10).for_each(|_| budget.ended(overload));
    assert!(budget.is_congested());
    // It is not even asked whether it is ready.
    script.ready(Ready::Panics);
    script.acts([Act::Answer(2_000)]);
    assert_eq!(service.call(1).await, Ok(1));
    assert_eq!((hedge.snapshot().hedged, hedge.snapshot().refused_by_budget), (0, 1));
    script.ready(Ready::Fails);
    tokio::time::sleep(Duration::from_secs(3)).await;
    script.acts([Act::Answer(2_000)]);
    assert_eq!(service.call(2).await, Ok(2));
    script.acts(SLOW);
    assert_eq!(service.call(3).await, Ok(103));
}

#[tokio::test(start_paused = true)]
async fn its_own_budget_hears_how_attempts_fail() {
    let (mut service, script, hedge) = hedged(FIXED, About::new()).await;
    for number in 0..10 {
        script.acts([Act::Fail(10, "overload")]);
        service.call(number).await.expect_err("overload");
    }
    script.acts([Act::Answer(2_000)]);
    assert_eq!(service.call(1).await, Ok(1));
    assert_eq!(hedge.snapshot().refused_by_budget, 1);
}

#[tokio::test(start_paused = true)]
async fn a_shared_budget_pays_and_hears_only_what_nobody_outside_does() {
    let (mut service, script, hedge) = hedged(FIXED, About::new()).await;
    let budget = RetryBudget::with_clock(Budget::adaptive(), TokioClock::new());
    hedge.budget(&budget);
    let before = budget.balance();
    for number in 0..10 {
        script.acts([Act::Fail(10, "overload")]);
        service.call(number).await.expect_err("overload");
        service.call(number).await.expect("an answer");
    }
    assert!(budget.balance() == before && !budget.is_congested(), "{budget:?}");
    script.acts(SLOW);
    assert_eq!(service.call(1).await, Ok(101));
    assert_eq!((budget.snapshot().taken, budget.balance()), (1, before - 1.0));
    script.acts([Act::Answer(2_000), Act::Fail(10, "refused")]);
    assert_eq!(service.call(1).await, Ok(1));
    assert_eq!((budget.snapshot().refunded, budget.balance()), (1, before - 1.0));
    // Failures of second attempts, of which the caller knows nothing.
    for number in 0..4 {
        script.acts([Act::Answer(2_000), Act::Fail(10, "overload")]);
        assert_eq!(service.call(number).await, Ok(number));
        for _ in 0..9 {
            service.call(number).await.expect("an answer");
        }
    }
    assert!(budget.is_congested(), "{budget:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_share_is_sent_again() {
    let config = FIXED.max_share(Percent::new(5));
    let (mut service, script, hedge) = hedged(config, About::new()).await;
    for number in 2..=1_000 {
        // One of eight is slow, which is more than the share, and not too many yet.
        let acts = if number % 8 == 0 { &SLOW[..1] } else { &[Act::Answer(1)] };
        script.acts(acts.iter().copied());
        service.call(number).await.expect("an answer");
        script.log();
        let HedgeSnapshot { calls, hedged, .. } = hedge.snapshot();
        assert!(hedged * 20 <= calls, "{hedged} of {calls}");
    }
    let snapshot = hedge.snapshot();
    assert!(snapshot.hedged >= 49 && snapshot.refused_by_share > 50, "{snapshot:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_again_before_enough_calls_were_measured() {
    let config = HedgeConfig::new().max_share(Percent::new(50));
    let (mut service, script, hedge) = hedged(config, About::new()).await;
    for number in 2..20 {
        script.acts([Act::Answer(3_000)]);
        assert_eq!(service.call(number).await, Ok(number));
    }
    assert_eq!(hedge.snapshot().delay, None);
    assert!(hedge.explain().contains("too few"), "{}", hedge.explain());
    script.acts([Act::Answer(3_000)]);
    service.call(20).await.expect("an answer");
    assert_eq!(hedge.snapshot().delay, Some(Duration::from_secs(1)), "the longest there is");
    assert_eq!(hedge.snapshot().hedged, 0);
}

#[tokio::test(start_paused = true)]
async fn while_too_many_are_slow_none_is_sent_again_and_later_some_are() {
    let (mut service, script, hedge) = hedged(FIXED, About::new()).await;
    for number in 1..=100 {
        script.acts([Act::Answer(600), Act::Answer(600)]);
        service.call(number).await.expect("an answer");
    }
    let slow = hedge.snapshot();
    assert!(slow.hedged <= 10 && slow.paused && slow.refused_while_slow > 80, "{slow:?}");
    assert!(hedge.explain().contains("too many are slow"), "{}", hedge.explain());
    let mut later = 0;
    for number in 0..2_000 {
        let act = if number % 20 == 19 { Act::Answer(600) } else { Act::Answer(20) };
        script.acts([act]);
        service.call(number).await.expect("an answer");
        later = hedge.snapshot().hedged - slow.hedged;
    }
    assert!(later > 50 && !hedge.snapshot().paused, "{later} later");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_kept_is_sent_once() {
    let layer = HedgeLayer::with_clock(FIXED, TokioClock::new()).classify(Judge);
    let script = Scripted::default();
    let even = |number: &u32| (number % 2 == 0).then_some(*number);
    let mut service = layer.clone_request_fn(even).layer(script.clone());
    for (number, attempts) in [(0, 1), (2, 2), (4, 1), (1, 1), (3, 1)] {
        script.log();
        script.acts(SLOW[..attempts].iter().copied());
        service.call(number).await.expect("an answer");
        let sent = script.log().iter().filter(|line| line.ends_with("sent")).count();
        assert_eq!(sent, attempts, "{number}");
    }
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Observe for Told {
    fn event(&self, event: &Event<'_>) {
        let EventKind::Hedged { after } = event.kind else { return };
        self.0.lock().unwrap().push(format!("{} after {after:?}", event.circuit));
    }
}

#[tokio::test(start_paused = true)]
async fn observers_are_told_of_each_call_that_is_sent_again() {
    let (mut service, script, hedge) = hedged(FIXED.named("search"), About::new()).await;
    let told = Told::default();
    hedge.observe(told.clone());
    script.acts(SLOW);
    service.call(1).await.expect("an answer");
    assert_eq!(*told.0.lock().unwrap(), ["search after 500ms"]);
    let said = hedge.explain();
    assert!(said.starts_with("search: calls are sent again after 500 ms; 1 of 2"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn another_configuration_is_in_force_from_the_next_call_on() {
    let (mut service, script, hedge) = hedged(FIXED, About::new()).await;
    let wrong = FIXED.min_delay(Duration::from_secs(5));
    assert!(hedge.reconfigure(wrong).is_err());
    assert_eq!(hedge.config(), FIXED);
    let ms = Duration::from_millis(200);
    hedge.reconfigure(FIXED.min_delay(ms).max_delay(ms).initial(ms)).expect("it fits");
    script.acts(SLOW);
    service.call(1).await.expect("an answer");
    assert_eq!(script.log(), ["0 1 sent", "200 101 sent", "300 1 dropped"]);
}
