//! Panics, drops, and what is kept after the end.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use breaker_core::{About, Event, Observe};
use tower_service::Service;

use super::support::{Act, FIXED, Ready, hedged};

/// Panics when it is told.
struct Loud;

impl Observe for Loud {
    fn event(&self, _: &Event<'_>) {
        panic!("on purpose");
    }
}

/// What happens around a call that panics, while its future is kept.
async fn panicking(acts: &[Act], ready: Option<Ready>, loud: bool) -> Vec<String> {
    let (mut service, script, hedge) = hedged(FIXED, About::new()).await;
    script.acts(acts.iter().copied());
    ready.into_iter().for_each(|ready| script.ready(ready));
    if loud {
        hedge.observe(Loud);
    }
    let mut call = pin!(service.call(1));
    let ended = std::future::poll_fn(|cx| {
        let poll = || call.as_mut().poll(cx);
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)) {
            Ok(polled) => polled.map(|_| false),
            Err(_) => std::task::Poll::Ready(true),
        }
    });
    assert!(ended.await, "{acts:?}: no panic");
    let log = script.log();
    assert!(format!("{call:?}").contains("ended"), "{call:?}");
    log
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_one_attempt_drops_the_other_and_goes_on() {
    let slow = Act::Answer(9_000);
    let first = panicking(&[Act::Panic(700), slow], None, false).await;
    assert_eq!(first, ["0 1 sent", "500 101 sent", "700 101 dropped"]);
    let second = panicking(&[slow, Act::Panic(200)], None, false).await;
    assert_eq!(second, ["0 1 sent", "500 101 sent", "700 1 dropped"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_the_second_attempt_is_made_drops_the_first() {
    let slow = Act::Answer(9_000);
    let call = panicking(&[slow, Act::PanicInCall], None, false).await;
    assert_eq!(call, ["0 1 sent", "500 101 sent", "500 1 dropped"]);
    let ready = panicking(&[slow], Some(Ready::Panics), false).await;
    assert_eq!(ready, ["0 1 sent", "500 1 dropped"]);
    let mut observer = panicking(&[slow, slow], None, true).await;
    observer.sort_unstable();
    assert_eq!(observer, ["0 1 sent", "500 1 dropped", "500 101 dropped", "500 101 sent"]);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "was polled after it had ended")]
async fn a_future_that_has_ended_says_so_when_it_is_polled() {
    let (mut service, script, _) = hedged(FIXED, About::new()).await;
    script.acts([Act::Answer(0)]);
    let mut call = pin!(service.call(1));
    assert!(call.as_mut().await.is_ok());
    let _ = call.poll(&mut Context::from_waker(Waker::noop()));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_layer_is_gone_goes_on_alone() {
    let (mut service, script, hedge) = hedged(FIXED, About::new()).await;
    script.acts([Act::Answer(2_000)]);
    let call = service.call(1);
    drop((service, hedge));
    assert_eq!(call.await, Ok(1));
    assert_eq!(script.log(), ["0 1 sent"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_keeps_nothing() {
    struct Silent;
    impl Observe for Silent {}
    let count = Arc::new(Silent);
    let (mut service, script, hedge) = hedged(FIXED, About::new()).await;
    hedge.observe(count.clone());
    for wait in [0, 100, 600, 3_000] {
        script.acts([Act::Answer(2_000), Act::Answer(2_000)]);
        let _ = tokio::time::timeout(Duration::from_millis(wait), service.call(1)).await;
        script.acts([Act::Answer(1)]);
        service.call(2).await.expect("an answer");
    }
    drop((service, hedge));
    assert_eq!(Arc::strong_count(&count), 1);
}
