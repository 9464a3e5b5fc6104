//! How long a call waits, and until when.

use portcullis_backoff::Delays;
use portcullis_backoff::breaker_core::{Clock as _, Deadline, TokioClock};
use tower_layer::Layer as _;

use super::support::{Act, Begin, CONFIG, Callee, call, fixed, get, layer, layer_of, ms, status};

// A body may hold a slot, or a connection, that the next attempt needs.
#[tokio::test(start_paused = true)]
async fn the_answer_of_a_failed_attempt_is_dropped_before_the_wait() {
    let callee = Callee::first(&[Act::Answer(503)], Act::Answer(200));
    let mut service = layer().layer(callee.clone());
    let answer = tokio::spawn(async move { call(&mut service, get()).await });
    tokio::time::sleep(ms(50)).await;
    assert_eq!((callee.calls(), callee.bodies()), (1, 0));
    let answer = answer.await.expect("no panic").expect("an answer");
    assert_eq!((answer.status().as_u16(), callee.bodies()), (200, 1));
}

// S-BACKOFF-10
#[tokio::test(start_paused = true)]
async fn a_wait_that_the_callee_names_is_the_least() {
    for (act, second) in [
        (Act::Says(503, "retry-after", "7"), 7_000),
        (Act::Says(503, "retry-after", "0"), 100),
        (Act::Says(503, "grpc-retry-pushback-ms", "250"), 250),
        (Act::Says(503, "retry-after", "86400"), 300_000),
        (Act::Answer(503), 100),
        (Act::Answer(429), 200),
        (Act::Answer(507), 300),
    ] {
        let callee = Callee::first(&[act], Act::Answer(200));
        assert_eq!(status(&mut layer().layer(callee.clone()), get()).await, 200);
        assert_eq!(callee.times(), [0, second], "{act:?}");
    }
    let callee = Callee::first(&[Act::Says(503, "retry-after", "7")], Act::Answer(200));
    let capped = layer_of(CONFIG.hint_cap(ms(2_000)));
    assert_eq!(status(&mut capped.layer(callee.clone()), get()).await, 200);
    assert_eq!(callee.times(), [0, 2_000]);
}

// S-BACKOFF-10
#[tokio::test(start_paused = true)]
async fn no_attempt_starts_after_the_longest_time() {
    // Each attempt takes 400 ms, and 100 ms go by after it.
    let config = CONFIG.max_elapsed(ms(1_000));
    let callee = Callee::new(Act::Slow(400));
    assert_eq!(status(&mut layer_of(config).layer(callee.clone()), get()).await, 503);
    assert_eq!(callee.times(), [0, 500, 1_000]);
    // An answer that is there at once counts from there.
    let callee = Callee::new(Act::Answer(503));
    let config = CONFIG.max_elapsed(ms(250));
    assert_eq!(status(&mut layer_of(config).layer(callee.clone()), get()).await, 503);
    assert_eq!(callee.times(), [0, 100, 200]);
    // A wait that is longer is not begun.
    let (begin, callee) = (Begin::now(), Callee::new(Act::Says(503, "retry-after", "5")));
    let config = CONFIG.max_elapsed(ms(4_999));
    assert_eq!(status(&mut layer_of(config).layer(callee.clone()), get()).await, 503);
    assert_eq!((callee.calls(), begin.elapsed()), (1, ms(0)));
}

// S-BACKOFF-10: 20 ms of it must be left for the attempt.
#[tokio::test(start_paused = true)]
async fn no_attempt_starts_that_would_come_too_late() {
    for (left, calls) in [(0, 1), (100, 1), (120, 1), (121, 2), (220, 2), (221, 3)] {
        let (callee, mut request) = (Callee::new(Act::Answer(504)), get());
        let deadline = Deadline::after(TokioClock::new().now(), ms(left));
        request.extensions_mut().insert(deadline);
        let begin = Begin::now();
        assert_eq!(status(&mut layer().layer(callee.clone()), request).await, 504);
        assert_eq!(callee.calls(), calls, "{left} ms");
        assert_eq!(begin.elapsed(), ms(100) * (calls as u32 - 1), "it does not wait in vain");
    }
}

// S-BACKOFF-10: a deadline around the call is one, too.
#[tokio::test(start_paused = true)]
async fn the_deadline_of_who_calls_holds_as_well() {
    let (callee, layer) = (Callee::new(Act::Answer(504)), layer());
    let mut service = layer.layer(callee.clone());
    let deadline = Deadline::after(TokioClock::new().now(), ms(150));
    let mut call = Box::pin(call(&mut service, get()));
    let answer = std::future::poll_fn(|cx| deadline.scope(|| call.as_mut().poll(cx))).await;
    assert_eq!((answer.expect("an answer").status().as_u16(), callee.calls()), (504, 2));
}

// S-BACKOFF-01: delays grow from attempt to attempt, and begin anew with each call.
#[tokio::test(start_paused = true)]
async fn delays_grow_within_a_call() {
    use portcullis_backoff::breaker_core::Percent;
    let doubling = Delays::exponential(ms(100)).jitter(Percent::ZERO).cap(ms(500));
    let layer = layer_of(CONFIG.delays(doubling));
    for _ in 0..2 {
        let callee = Callee::new(Act::Answer(503));
        assert_eq!(status(&mut layer.layer(callee.clone()), get()).await, 503);
        assert_eq!(callee.times(), [0, 100, 300, 700, 1_200]);
    }
}

// S-BACKOFF-07: the default is spread.
#[tokio::test(start_paused = true)]
async fn calls_that_failed_together_do_not_come_back_together() {
    let config = portcullis_backoff::BackoffConfig::new();
    let layer = layer_of(config.budget(CONFIG_BUDGET));
    let callee = Callee::new(Act::Answer(503));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let mut service = layer.layer(callee.clone());
            tokio::spawn(async move { status(&mut service, get()).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no panic"), 503);
    }
    let mut second: Vec<_> =
        callee.seen().iter().filter(|it| it.attempt.0 == 2).map(|it| it.at).collect();
    assert!(second.iter().all(|&at| at <= 101), "{second:?}");
    second.dedup();
    assert!(second.len() > 10, "{second:?}");
}

const CONFIG_BUDGET: portcullis_backoff::Budget = portcullis_backoff::Budget::unlimited();

#[tokio::test(start_paused = true)]
async fn another_configuration_is_in_force_at_once() {
    let layer = layer();
    let callee = Callee::first(&[Act::Answer(503); 4], Act::Answer(200));
    let mut service = layer.layer(callee.clone());
    layer.handle().reconfigure(CONFIG.delays(fixed(40))).expect("it fits");
    assert_eq!(status(&mut service, get()).await, 200);
    assert_eq!(callee.times(), [0, 40, 80, 120, 160]);
    let wrong = CONFIG.max_elapsed(ms(1));
    assert!(layer.handle().reconfigure(wrong).is_err());
    assert_eq!(layer.handle().config(), CONFIG.delays(fixed(40)));
}
