//! The same for the layer without priorities.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Request;
use portcullis_priority::breaker_core::{ManualClock, Reason, Rejected, TokioClock};
use portcullis_priority::portcullis_http::refusal_of;
use portcullis_priority::{ConcurrencyLayer, ConcurrencyLimit, Priority};
use tower::ServiceExt as _;
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{Act, Inner, Shown, call, of, panics, request, running};

const DATABASE: ConcurrencyLimit = ConcurrencyLimit::new(2).named("database");

#[test]
fn so_many_calls_run_at_a_time_and_others_are_refused_at_once() {
    let layer = ConcurrencyLayer::with_clock(DATABASE, ManualClock::new()).hold_to_head();
    let inner = Inner::new(Act::Never);
    let mut service = layer.layer(inner.clone());
    let cx = &mut Context::from_waker(Waker::noop());
    let calls = [(); 2].map(|()| {
        assert!(Service::<Request<()>>::poll_ready(&mut service, cx).is_ready());
        service.call(request())
    });
    for priority in ["bulk", "critical"] {
        let refused = call(&mut service, of(priority));
        assert_eq!(refused.status(), 503);
        let rejected = refusal_of(&refused).expect("it is marked");
        assert_eq!((rejected.reason(), rejected.by().as_str()), (Reason::AtLimit, "database"));
        assert_eq!(refused.headers()["retry-after"], "1");
    }
    assert_eq!(inner.calls().load(Ordering::Relaxed), 2);
    drop(calls);
    assert_eq!(running(&layer.handle()), 0);
}

#[test]
fn panics_and_refusals_from_further_in_give_the_slot_back() {
    let layer = ConcurrencyLayer::with_clock(DATABASE, ManualClock::new()).hold_to_head();
    let shown = Shown::default();
    layer.handle().limit_by(shown.clone()).expect("a slot is shared");
    for act in [Act::PanicInCall, Act::PanicInFuture] {
        (0..5).for_each(|_| panics(&mut layer.layer(Inner::new(act))));
    }
    for _ in 0..5 {
        assert_eq!(call(&mut layer.layer(Inner::new(Act::Refuse)), request()).status(), 200);
    }
    assert_eq!((running(&layer.handle()), shown.verdicts()), (0, vec![]));
}

// S-PRIO-05: by default to the end of the body.
#[test]
fn the_slot_is_held_until_the_body_is_read_or_dropped() {
    let layer = ConcurrencyLayer::with_clock(DATABASE, ManualClock::new());
    let inner = tower::service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(
            "text".to_owned(),
        )))
    });
    let answer = call(&mut layer.layer(inner), request());
    assert_eq!(running(&layer.handle()), 1);
    drop(answer);
    assert_eq!(running(&layer.handle()), 0);
}

#[tokio::test(start_paused = true)]
async fn where_it_may_wait_the_instance_that_was_made_ready_is_called_later() {
    let limit = DATABASE.max_wait(Duration::from_millis(100));
    let layer = ConcurrencyLayer::with_clock(limit, TokioClock::new()).hold_to_head();
    let mut slots = Vec::from([(); 2].map(|()| layer.handle().try_acquire(Priority::BULK)));
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    let waits = tokio::spawn(service.ready().await.expect("ready").call(request()));
    let mut dropped = Box::pin(service.ready().await.expect("ready").call(request()));
    assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    tokio::task::yield_now().await;
    assert_eq!(layer.handle().snapshot().depth(), 2);
    drop(dropped);
    slots.pop();
    let Ok(answer) = waits.await.expect("no panic");
    assert_eq!((answer.status().as_u16(), running(&layer.handle())), (200, 1));
    assert_eq!(layer.handle().snapshot().left, 1);
}

#[test]
fn any_service_may_stand_behind_it() {
    #[derive(Debug, PartialEq)]
    struct Refused(Reason);
    impl From<Rejected> for Refused {
        fn from(rejected: Rejected) -> Self {
            Self(rejected.reason())
        }
    }
    let layer = ConcurrencyLayer::generic(ConcurrencyLimit::new(1));
    let inner = tower::service_fn(|number: u8| std::future::ready(Ok::<u8, Refused>(number + 1)));
    let mut service = layer.layer(inner);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    assert_eq!(pin!(service.call(1)).poll(cx), Poll::Ready(Ok(2)));
    let _slot = layer.handle().try_acquire(Priority::BULK).expect("it is free");
    assert!(service.poll_ready(cx).is_ready());
    assert_eq!(pin!(service.call(1)).poll(cx), Poll::Ready(Err(Refused(Reason::AtLimit))));
}
