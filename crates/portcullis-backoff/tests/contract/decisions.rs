//! What is done about a failure, and that it is done.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use http::Method;
use portcullis_backoff::breaker_core::{Event, EventKind, FailureKind, Observe, Outcome, Rejected};
use portcullis_backoff::portcullis_http::refusal_of;
use portcullis_backoff::{BackoffConfig, BoxError};
use tower_layer::Layer as _;

use super::support::{
    Act, Begin, CONFIG, Callee, Page, call, get, layer, layer_of, ms, of, paid, status,
};

/// Writes down what is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

impl Observe for Told {
    fn event(&self, event: &Event<'_>) {
        let line = match event.kind {
            EventKind::Retried { attempt, delay, .. } => format!("{attempt}: again in {delay:?}"),
            EventKind::NotRetried { attempt, why, .. } => format!("{attempt}: {why}"),
            EventKind::BackedOff { delay } => format!("held for {delay:?}"),
            _ => return,
        };
        self.0.lock().expect("no panic").push(line);
    }
}

// S-RETRY-01
#[tokio::test(start_paused = true)]
async fn a_failure_is_repeated_until_it_goes_well() {
    let callee = Callee::first(&[Act::Answer(503), Act::Answer(504)], Act::Answer(200));
    let told = Told::default();
    let layer = layer().observe(told.clone());
    assert_eq!(status(&mut layer.layer(callee.clone()), get()).await, 200);
    assert_eq!(callee.times(), [0, 100, 200]);
    assert_eq!(told.take(), ["1: again in 100ms", "2: again in 100ms"]);
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.failed, snapshot.retried, snapshot.succeeded_after_retry), (2, 2, 1));
    assert_eq!((snapshot.delayed, snapshot.given_up), (ms(200), 0));
}

// S-RETRY-01: five attempts of a GET, and what the last one got is what the caller gets.
#[tokio::test(start_paused = true)]
async fn the_answer_of_the_last_attempt_is_the_answer_unchanged() {
    let acts = [Act::Answer(502), Act::Answer(503), Act::Answer(504), Act::Answer(503)];
    let callee = Callee::first(&acts, Act::Says(507, "x-server", "b-7"));
    let (told, layer) = (Told::default(), layer_of(CONFIG.exhausted_redirect(9)));
    let layer = layer.observe(told.clone());
    let answer = call(&mut layer.layer(callee.clone()), get()).await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-server"]),
        (507, &"b-7".parse().expect("a value"))
    );
    assert_eq!(answer.headers().len(), 1, "nothing is added");
    assert_eq!((callee.calls(), told.take().pop()), (5, Some("5: attempts".to_owned())));
    assert_eq!(layer.handle().snapshot().exhausted, 1);
}

#[tokio::test(start_paused = true)]
async fn the_error_of_the_last_attempt_is_the_error_itself() {
    let callee = Callee::first(&[Act::Answer(503)], Act::Fails(ErrorKind::ConnectionReset));
    let error = call(&mut layer().layer(callee.clone()), get()).await.expect_err("an error");
    let io = error.downcast::<std::io::Error>().expect("it is in no other");
    assert_eq!((io.kind(), callee.calls()), (ErrorKind::ConnectionReset, 5));
}

// S-RETRY-01: what would not help is not made.
#[tokio::test(start_paused = true)]
async fn other_kinds_fail_fast() {
    for (code, why) in [(500, "kind"), (404, "kind"), (400, "kind")] {
        let (told, callee) = (Told::default(), Callee::new(Act::Answer(code)));
        let mut service = layer().observe(told.clone()).layer(callee.clone());
        assert_eq!((status(&mut service, get()).await, callee.calls()), (code, 1));
        assert_eq!(told.take(), [format!("1: {why}")]);
    }
    let callee = Callee::new(Act::Answer(500));
    let config = CONFIG.retry_on(FailureKind::Internal, true);
    assert_eq!(status(&mut layer_of(config).layer(callee.clone()), get()).await, 500);
    assert_eq!(callee.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_says_nothing_is_neither_repeated_nor_counted() {
    let callee = Callee::new(Act::Answer(503));
    let layer = layer();
    let judge = |_: Result<&Page, &BoxError>| Outcome::Ignored;
    let mut service = layer.clone().classify_fn(judge).layer(callee.clone());
    assert_eq!((status(&mut service, get()).await, callee.calls()), (503, 1));
    assert_eq!(layer.handle().snapshot().failed, 0);
}

// S-RETRY-01: whoever is asked to go away does.
#[tokio::test(start_paused = true)]
async fn a_callee_that_asks_not_to_be_called_again_is_not() {
    for (name, value) in [("x-should-retry", "false"), ("grpc-retry-pushback-ms", "-1")] {
        let (told, callee) = (Told::default(), Callee::new(Act::Says(503, name, value)));
        let mut service = layer().observe(told.clone()).layer(callee.clone());
        assert_eq!((status(&mut service, get()).await, callee.calls()), (503, 1), "{name}");
        assert_eq!(told.take(), ["1: told_not_to"]);
    }
}

// S-RETRY-01, S-RETRY-04: the third rate limit holds others at the target back as long.
#[tokio::test(start_paused = true)]
async fn backing_off_holds_others_at_the_target() {
    let layer = layer_of(CONFIG.method(portcullis_backoff::breaker_core::Verb::Get, 2));
    let told = Told::default();
    let limited = Callee::new(Act::Says(429, "retry-after", "7"));
    let mut service = layer.clone().observe(told.clone()).layer(limited.clone());
    assert_eq!(status(&mut service, get()).await, 429);
    assert_eq!(told.take(), ["1: again in 7s", "2: attempts"]);
    // The third.
    let begin = Begin::now();
    let third = tokio::spawn(async move { status(&mut service, get()).await });
    tokio::task::yield_now().await;
    assert_eq!(told.take(), ["held for 7s", "1: again in 7s"]);
    // A call of another kind fails a second later: it waits for what is left.
    tokio::time::advance(ms(1_000)).await;
    let other = Callee::first(&[Act::Answer(504)], Act::Answer(200));
    assert_eq!(status(&mut layer.layer(other.clone()), get()).await, 200);
    assert_eq!(begin.elapsed(), ms(7_000));
    // First attempts wait for nothing.
    let (begin, fresh) = (Begin::now(), Callee::new(Act::Answer(200)));
    assert_eq!(status(&mut layer.layer(fresh), get()).await, 200);
    assert_eq!(begin.elapsed(), ms(0));
    assert_eq!(third.await.expect("no panic"), 429);
    assert_eq!((layer.handle().snapshot().backed_off, limited.calls()), (1, 4));
}

// S-RETRY-01, S-RETRY-04: the second exhaustion sends one call elsewhere.
#[tokio::test(start_paused = true)]
async fn the_alternative_gets_exactly_one_call() {
    let (sick, spare) = (Callee::new(Act::Answer(507)), Callee::new(Act::Says(500, "x-from", "b")));
    let (told, layer) = (Told::default(), layer());
    let redirecting = layer.clone().observe(told.clone()).redirect_to(spare.clone());
    let answer = call(&mut redirecting.layer(sick.clone()), get()).await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-from"]),
        (500, &"b".parse().expect("a value"))
    );
    assert_eq!((sick.times(), spare.times()), (vec![0, 300], vec![600]), "three times as long");
    assert_eq!(spare.seen()[0].attempt, (3, 3));
    assert_eq!(told.take(), ["1: again in 300ms", "2: again in 300ms"]);
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.retried, snapshot.redirected), (2, 1));
}

// S-RETRY-01
#[tokio::test(start_paused = true)]
async fn where_there_is_no_alternative_an_exhausted_target_is_left_alone() {
    let (told, sick) = (Told::default(), Callee::new(Act::Answer(507)));
    let mut service = layer().observe(told.clone()).layer(sick.clone());
    assert_eq!((status(&mut service, get()).await, sick.calls()), (507, 2));
    assert_eq!(told.take(), ["1: again in 300ms", "2: no_alternative"]);
}

// S-RETRY-01: refusals of layers further in are their answer, unless they name a wait and are asked.
#[tokio::test(start_paused = true)]
async fn refusals_from_further_in_are_repeated_only_where_it_is_asked_for() {
    for (config, act, calls) in [
        (CONFIG, Act::Refuses(Some(50)), 1),
        (CONFIG.retry_refusals(true), Act::Refuses(None), 1),
        (CONFIG.retry_refusals(true), Act::Refuses(Some(250)), 5),
    ] {
        let (layer, callee) = (layer_of(config), Callee::new(act));
        let answer = call(&mut layer.layer(callee.clone()), get()).await.expect("an answer");
        assert!(refusal_of(&answer).is_some_and(|it: &Rejected| it.by().as_str() == "further in"));
        assert_eq!(callee.calls(), calls, "{act:?}");
        assert_eq!(layer.handle().snapshot().failed, 0, "nobody failed");
        if calls > 1 {
            assert_eq!(callee.times()[..3], [0, 250, 500], "the wait it names");
        }
    }
    // It was not sent, so that a POST may go again, too: twice, as POST has it.
    let callee = Callee::new(Act::Refuses(Some(50)));
    let mut service = layer_of(CONFIG.retry_refusals(true)).layer(callee.clone());
    assert_eq!((status(&mut service, of(Method::POST)).await, callee.calls()), (503, 2));
}

// S-RETRY-02: the classifier of the family reads errors, too.
#[tokio::test(start_paused = true)]
async fn an_error_is_judged_by_what_it_says() {
    for (kind, calls) in
        [(ErrorKind::TimedOut, 5), (ErrorKind::ConnectionRefused, 5), (ErrorKind::InvalidInput, 1)]
    {
        let callee = Callee::new(Act::Fails(kind));
        assert!(call(&mut layer().layer(callee.clone()), get()).await.is_err());
        assert_eq!(callee.calls(), calls, "{kind}");
    }
}

// S-RETRY-03: classes lower what methods say, and no more.
#[tokio::test(start_paused = true)]
async fn methods_and_priorities_limit_attempts() {
    use portcullis_backoff::breaker_core::Priority;
    for (method, priority, calls) in [
        (Method::GET, None, 5),
        (Method::HEAD, None, 3),
        (Method::PUT, None, 2),
        (Method::DELETE, None, 1),
        (Method::GET, Some(Priority::LOW), 1),
        (Method::GET, Some(Priority::NORMAL), 3),
        (Method::DELETE, Some(Priority::CRITICAL), 1),
    ] {
        let (callee, mut request) = (Callee::new(Act::Answer(504)), of(method.clone()));
        if let Some(priority) = priority {
            request.extensions_mut().insert(priority);
        }
        assert_eq!(status(&mut layer().layer(callee.clone()), request).await, 504);
        assert_eq!(callee.calls(), calls, "{method}, {priority:?}");
    }
}

// S-RETRY-01: any service, whose errors say nothing of themselves.
#[tokio::test]
async fn a_service_that_is_not_http_is_repeated_on_errors() {
    use tower::ServiceExt as _;
    let tries = Arc::new(Mutex::new(0));
    let config = BackoffConfig::new().delays(super::support::fixed(1));
    let layer = portcullis_backoff::BackoffLayer::generic(config);
    let seen = tries.clone();
    let mut service = layer.layer(tower::service_fn(move |number: u8| {
        let mut tries = seen.lock().expect("no panic");
        *tries += 1;
        std::future::ready(if *tries < 3 { Err("not yet") } else { Ok(number + 1) })
    }));
    let answer = tower_service::Service::call(service.ready().await.expect("ready"), 1).await;
    assert_eq!((answer, *tries.lock().expect("no panic")), (Ok(2), 3));
    assert_eq!(paid(&layer.handle()), (2, 0));
}
