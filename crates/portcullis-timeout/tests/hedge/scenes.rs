//! The course of single calls.

use std::time::Duration;

use breaker_core::About;
use tokio::time::timeout;
use tower_service::Service;

use super::support::{Act, FIXED, Fault, Hedged, Scripted, hedged};

async fn scene(acts: &[Act]) -> (Hedged, Scripted, Result<u32, Fault>) {
    let (mut service, script, _) = hedged(FIXED, About::new()).await;
    script.acts(acts.iter().copied());
    let result = service.call(1).await;
    (service, script, result)
}

// As RT-018: the second attempt goes out when the delay has passed; one fails, and the success of the
// other is the answer.
#[tokio::test(start_paused = true)]
async fn a_failure_waits_for_the_other_attempt_and_the_first_success_is_the_answer() {
    let (_, script, result) = scene(&[Act::Fail(600, "down"), Act::Answer(200)]).await;
    assert_eq!(result, Ok(101));
    assert_eq!(script.log(), ["0 1 sent", "500 101 sent"]);
    let (_, script, result) = scene(&[Act::Answer(800), Act::Fail(100, "down")]).await;
    assert_eq!(result, Ok(1));
    assert_eq!(script.log(), ["0 1 sent", "500 101 sent"]);
}

// As RT-018: all others are cancelled at once.
#[tokio::test(start_paused = true)]
async fn the_loser_is_dropped_in_the_moment_of_the_answer() {
    let (_, script, result) = scene(&[Act::Answer(9_000), Act::Answer(200)]).await;
    assert_eq!(result, Ok(101));
    assert_eq!(script.log(), ["0 1 sent", "500 101 sent", "700 1 dropped"]);
    let (_, script, result) = scene(&[Act::Answer(600), Act::Answer(9_000)]).await;
    assert_eq!(result, Ok(1));
    assert_eq!(script.log(), ["0 1 sent", "500 101 sent", "600 101 dropped"]);
}

// As RT-018, but there is one second attempt, and never a third.
#[tokio::test(start_paused = true)]
async fn there_are_two_attempts_at_most() {
    let (_, script, result) = scene(&[Act::Answer(9_000), Act::Answer(8_000)]).await;
    assert_eq!(result, Ok(101));
    assert_eq!(script.log().len(), 3);
}

// As RT-019, neither of its modes: attempts do not start together, and a failure starts none.
#[tokio::test(start_paused = true)]
async fn a_call_that_ends_before_its_delay_is_sent_once_however_it_ends() {
    for act in [Act::Answer(499), Act::Fail(499, "down"), Act::Answer(0), Act::Fail(0, "down")] {
        let (_, script, _) = scene(&[act]).await;
        assert_eq!(script.log(), ["0 1 sent"], "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_both_fail_the_caller_gets_the_failure_of_the_first() {
    for acts in [
        [Act::Fail(600, "first"), Act::Fail(300, "second")],
        [Act::Fail(900, "first"), Act::Fail(100, "second")],
        [Act::Fail(600, "first"), Act::Fail(300, "refused")],
        [Act::Fail(900, "first"), Act::Fail(0, "refused")],
    ] {
        assert_eq!(scene(&acts).await.2, Err(Fault("first")), "{acts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_finds_fault_with_the_request_is_not_waited_with() {
    let (_, script, result) = scene(&[Act::Fail(600, "wrong"), Act::Answer(900)]).await;
    assert_eq!(result, Err(Fault("wrong")));
    assert_eq!(script.log().last().map(String::as_str), Some("600 101 dropped"));
    let (_, script, result) = scene(&[Act::Answer(900), Act::Fail(100, "wrong")]).await;
    assert_eq!(result, Err(Fault("wrong")));
    assert_eq!(script.log().last().map(String::as_str), Some("600 1 dropped"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_drops_both_attempts() {
    let (mut service, script, _) = hedged(FIXED, About::new()).await;
    script.acts([Act::Answer(9_000), Act::Answer(9_000)]);
    assert!(timeout(Duration::from_secs(1), service.call(1)).await.is_err());
    let mut log = script.log();
    log.sort_unstable();
    assert_eq!(log, ["0 1 sent", "1000 1 dropped", "1000 101 dropped", "500 101 sent"]);
}
