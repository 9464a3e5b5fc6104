//! What a further attempt was to cost is given back, once, however the call ends before it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};

use portcullis_backoff::breaker_core::{Advice, Classify, Event, EventKind, Observe, Outcome};
use portcullis_backoff::portcullis_http::HttpOrGrpc;
use portcullis_backoff::{BackoffLayer, BoxError};
use tower::ServiceExt as _;
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{Act, Again, CONFIG, Callee, Page, Web, get, layer, layer_of, ms, paid, poll};

// S-BACKOFF-10: the first attempt has cost nothing.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_in_its_first_attempt_costs_nothing() {
    let layer = layer();
    let mut service = layer.layer(Callee::new(Act::Never));
    for polls in 0..3 {
        let mut call = Box::pin(service.ready().await.expect("ready").call(get()));
        (0..polls).for_each(|_| assert!(poll(call.as_mut()).is_pending()));
    }
    assert_eq!(paid(&layer.handle()), (0, 0));
}

// S-BACKOFF-10: while it waits.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_gives_its_attempt_back_once() {
    let (layer, callee) = (layer(), Callee::new(Act::Answer(503)));
    let mut service = layer.layer(callee.clone());
    let mut call = Box::pin(service.ready().await.expect("ready").call(get()));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!((paid(&layer.handle()), callee.calls()), ((1, 0), 1));
    drop(call);
    assert_eq!((paid(&layer.handle()), callee.calls()), ((1, 1), 1));
    assert_eq!(layer.handle().snapshot().given_up, 1);
}

// S-BACKOFF-10: after the wait, while its service is not ready.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_its_service_is_ready_gives_its_attempt_back_once() {
    let (layer, callee) = (layer(), Callee::new(Act::Answer(503)).again(Again::Pending));
    let mut service = layer.layer(callee.clone());
    let mut call = Box::pin(service.ready().await.expect("ready").call(get()));
    assert!(poll(call.as_mut()).is_pending());
    tokio::time::advance(ms(100)).await;
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!((paid(&layer.handle()), callee.calls()), ((1, 0), 1));
    drop(call);
    assert_eq!(paid(&layer.handle()), (1, 1));
}

// S-BACKOFF-10: what is made is paid for.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_in_its_second_attempt_gets_nothing_back() {
    let (layer, callee) = (layer(), Callee::first(&[Act::Answer(503)], Act::Never));
    let mut service = layer.layer(callee.clone());
    let mut call = Box::pin(service.ready().await.expect("ready").call(get()));
    assert!(poll(call.as_mut()).is_pending());
    tokio::time::advance(ms(100)).await;
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(callee.calls(), 2);
    drop(call);
    assert_eq!((paid(&layer.handle()), layer.handle().snapshot().given_up), ((1, 0), 0));
}

// S-RETRY-01: the alternative was never ready, and is paid back as well.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_the_alternative_is_ready_gives_its_attempt_back() {
    let (layer, sick) = (layer(), Callee::new(Act::Answer(507)));
    let pending = tower::service_fn(|_: Web| std::future::pending::<Result<Page, BoxError>>());
    let limited = tower::limit::ConcurrencyLimit::new(pending, 0);
    let mut service = layer.clone().redirect_to(limited).layer(sick.clone());
    let call = tokio::spawn(service.ready().await.expect("ready").call(get()));
    tokio::time::sleep(ms(700)).await;
    assert_eq!((paid(&layer.handle()), sick.calls()), ((2, 0), 2));
    call.abort();
    assert!(call.await.is_err());
    assert_eq!(paid(&layer.handle()), (2, 1));
}

/// Makes the service ready, calls it, and polls the call through its waits until it panics.
async fn panics<S: Service<Web, Response = Page, Error = BoxError>>(service: &mut S) {
    let called = catch_unwind(AssertUnwindSafe(|| {
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(service.poll_ready(cx).is_ready());
        Box::pin(service.call(get()))
    }));
    let Ok(mut call) = called else { return };
    for _ in 0..20 {
        let polled = catch_unwind(AssertUnwindSafe(|| poll(call.as_mut()).map(drop)));
        match polled {
            Err(_) => return,
            Ok(polled) => assert!(polled.is_pending(), "it ended well"),
        }
        tokio::time::advance(ms(100)).await;
    }
    panic!("it did not panic");
}

// S-RETRY-01: a panic is never repeated.
#[tokio::test(start_paused = true)]
async fn a_panic_of_the_callee_goes_on_and_is_not_repeated() {
    for act in [Act::PanicInCall, Act::PanicInFuture] {
        let (layer, callee) = (layer(), Callee::new(act));
        panics(&mut layer.layer(callee.clone())).await;
        assert_eq!((callee.calls(), paid(&layer.handle())), (1, (0, 0)), "{act:?}");
        let callee = Callee::first(&[Act::Answer(503)], act);
        panics(&mut layer.layer(callee.clone())).await;
        assert_eq!((callee.calls(), paid(&layer.handle())), (2, (1, 0)), "{act:?}: it was made");
    }
    let (layer, callee) = (layer(), Callee::new(Act::Answer(503)).again(Again::Panics));
    panics(&mut layer.layer(callee.clone())).await;
    assert_eq!((callee.calls(), paid(&layer.handle())), (1, (1, 1)), "it was not made");
}

/// Panics where it is asked this.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken {
    Classify,
    IsRefusal,
    Advice,
}

impl Classify<Page, BoxError> for Broken {
    fn classify(&self, result: Result<&Page, &BoxError>) -> Outcome {
        assert_ne!(*self, Self::Classify, "as told");
        HttpOrGrpc.classify(result)
    }

    fn is_refusal(&self, result: Result<&Page, &BoxError>) -> bool {
        assert_ne!(*self, Self::IsRefusal, "as told");
        HttpOrGrpc.is_refusal(result)
    }

    fn advice(&self, result: Result<&Page, &BoxError>) -> Advice {
        assert_ne!(*self, Self::Advice, "as told");
        HttpOrGrpc.advice(result)
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_classifier_goes_on_and_has_cost_nothing() {
    for broken in [Broken::Classify, Broken::IsRefusal, Broken::Advice] {
        let (layer, callee) = (layer(), Callee::new(Act::Answer(503)));
        panics(&mut layer.clone().classify(broken).layer(callee.clone())).await;
        assert_eq!((callee.calls(), paid(&layer.handle())), (1, (0, 0)), "{broken:?}");
        works(&layer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_replay_goes_on_and_nothing_is_lost() {
    let (layer, callee) = (layer(), Callee::new(Act::Answer(503)));
    let at_once = |_: &Web| -> Option<Web> { panic!("as told") };
    panics(&mut layer.clone().clone_request_fn(at_once).layer(callee.clone())).await;
    assert_eq!((callee.calls(), paid(&layer.handle())), (0, (0, 0)));
    let keeps = std::sync::atomic::AtomicBool::new(false);
    let keeps = std::sync::Arc::new(keeps);
    let later = move |request: &Web| {
        assert!(!keeps.swap(true, std::sync::atomic::Ordering::Relaxed), "as told");
        Some(request.clone())
    };
    panics(&mut layer.clone().clone_request_fn(later).layer(callee.clone())).await;
    let (taken, back) = paid(&layer.handle());
    assert_eq!((callee.calls(), taken - back), (1, 0));
    let marked = |_: &Web| -> bool { panic!("as told") };
    panics(&mut layer.clone().idempotent_fn(marked).layer(callee.clone())).await;
    assert_eq!(callee.calls(), 1);
    works(&layer).await;
}

/// Panics whatever it is told.
struct Loud;

impl Observe for Loud {
    fn event(&self, _: &Event<'_>) {
        panic!("as told");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_observer_goes_on_and_gives_back_what_was_paid() {
    let (layer, callee) = (layer(), Callee::new(Act::Answer(503)));
    panics(&mut layer.clone().observe(Loud).layer(callee.clone())).await;
    assert_eq!((callee.calls(), paid(&layer.handle())), (1, (1, 1)));
}

/// Panics where it hears that attempts are held back, and nowhere else.
struct LoudOnce;

impl Observe for LoudOnce {
    fn event(&self, event: &Event<'_>) {
        assert!(!matches!(event.kind, EventKind::BackedOff { .. }), "as told");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_on_though_other_events_follow_it() {
    let layer = layer_of(CONFIG.rate_limited_backoff(1));
    let callee = Callee::new(Act::Answer(429));
    panics(&mut layer.clone().observe(LoudOnce).layer(callee.clone())).await;
    assert_eq!((callee.calls(), paid(&layer.handle())), (1, (1, 1)));
}

/// Calls go on as before.
async fn works(layer: &BackoffLayer) {
    let callee = Callee::first(&[Act::Answer(503)], Act::Answer(200));
    assert_eq!(super::support::status(&mut layer.layer(callee), get()).await, 200);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "polled after it had ended")]
async fn a_call_that_has_ended_is_not_polled_again() {
    let mut service = layer().layer(Callee::new(Act::Answer(500)));
    let mut call = Box::pin(service.ready().await.expect("ready").call(get()));
    assert!(poll(call.as_mut()).is_ready());
    let _ = poll(call.as_mut());
}
