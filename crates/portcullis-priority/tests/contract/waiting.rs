//! Calls that wait for a slot.

use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use http::Request;
use portcullis_priority::breaker_core::{Reason, TokioClock};
use portcullis_priority::portcullis_http::refusal_of;
use portcullis_priority::{Priority, PriorityQueueLayer, QueueConfig, Slot};
use tower::{Service, ServiceExt as _};
use tower_layer::Layer as _;

use super::support::{Act, Inner, Plain, of, request, running};

/// A layer with one slot, which is taken.
fn taken() -> (Plain, Slot) {
    let config = QueueConfig::slots(1);
    let layer = PriorityQueueLayer::with_clock(config, TokioClock::new()).hold_to_head();
    let slot = layer.handle().try_acquire(Priority::NORMAL).expect("it is free");
    (layer, slot)
}

// S-PRIO-02: the one that was made ready is called, when its turn has come, and a clone stays.
#[tokio::test(start_paused = true)]
async fn the_instance_that_was_made_ready_is_called_later() {
    let (layer, slot) = taken();
    let inner = Inner::new(Act::Answer(200));
    let calls = inner.calls();
    let mut service = layer.layer(inner);
    let first = tokio::spawn(service.ready().await.expect("ready").call(request()));
    let second = tokio::spawn(service.ready().await.expect("ready").call(request()));
    tokio::task::yield_now().await;
    assert_eq!((calls.load(Ordering::Relaxed), layer.handle().snapshot().depth()), (0, 2));
    drop(slot);
    for call in [first, second] {
        let Ok(answer) = call.await.expect("no panic");
        assert_eq!(answer.status(), 200);
    }
    assert_eq!((calls.load(Ordering::Relaxed), running(&layer.handle())), (2, 0));
}

// S-PRIO-05: before it is polled, while it waits, and with a slot that it has not fetched.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_is_not_made_and_leaves_nothing_behind() {
    let inner = Inner::new(Act::Answer(200));
    let calls = inner.calls();
    let cx = &mut Context::from_waker(Waker::noop());
    for (polls, granted) in [(0, false), (1, false), (0, true), (1, true), (2, true)] {
        let (layer, slot) = taken();
        let mut service = layer.layer(inner.clone());
        let mut waits = Box::pin(service.ready().await.expect("ready").call(request()));
        for _ in 0..polls {
            assert!(waits.as_mut().poll(cx).is_pending());
        }
        let queue = layer.handle();
        assert_eq!(queue.snapshot().depth(), 1);
        if granted {
            drop(slot);
            assert_eq!((queue.snapshot().depth(), running(&queue)), (0, 1));
            drop(waits);
        } else {
            drop(waits);
            drop(slot);
        }
        assert_eq!((queue.snapshot().depth(), running(&queue)), (0, 0), "{polls}, {granted}");
        assert!(queue.try_acquire(Priority::BULK).is_ok());
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

// S-PRIO-05: the call has its slot, and is dropped while the service answers.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_after_it_waited_gives_its_slot_back() {
    let (layer, slot) = taken();
    let mut service = layer.layer(Inner::new(Act::Never));
    let cx = &mut Context::from_waker(Waker::noop());
    let mut call = Box::pin(service.ready().await.expect("ready").call(request()));
    assert!(call.as_mut().poll(cx).is_pending());
    drop(slot);
    assert!(call.as_mut().poll(cx).is_pending());
    assert_eq!(running(&layer.handle()), 1);
    drop(call);
    assert_eq!(running(&layer.handle()), 0);
}

// S-PRIO-05
#[tokio::test(start_paused = true)]
async fn a_panic_of_a_call_that_waited_gives_the_slot_to_the_next() {
    for act in [Act::PanicInCall, Act::PanicInFuture] {
        let (layer, slot) = taken();
        let sick = tokio::spawn(layer.layer(Inner::new(act)).oneshot(request()));
        tokio::task::yield_now().await;
        let well = tokio::spawn(layer.layer(Inner::new(Act::Answer(200))).oneshot(request()));
        tokio::task::yield_now().await;
        assert_eq!(layer.handle().snapshot().depth(), 2);
        drop(slot);
        assert!(sick.await.expect_err("the panic goes on").is_panic(), "{act:?}");
        let Ok(answer) = well.await.expect("no panic");
        assert_eq!((answer.status().as_u16(), running(&layer.handle())), (200, 0));
    }
}

// S-PRIO-02: a refusal that comes while it waits is the answer of the call.
#[tokio::test(start_paused = true)]
async fn whoever_has_waited_in_vain_gets_what_others_get() {
    let (layer, _slot) = taken();
    let inner = Inner::new(Act::Answer(200));
    let calls = inner.calls();
    let waits = tokio::spawn(layer.layer(inner).oneshot(of("low")));
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(500)).await;
    let Ok(answer) = waits.await.expect("no panic");
    assert_eq!(answer.status(), 503);
    let rejected = refusal_of(&answer).expect("it is marked");
    assert_eq!(rejected.reason(), Reason::QueueTimeout);
    assert_eq!(rejected.priority(), Some(Priority::LOW));
    assert_eq!((calls.load(Ordering::Relaxed), layer.handle().snapshot().depth()), (0, 0));
}

// S-PRIO-02: ready means ready, though somebody waits.
#[tokio::test(start_paused = true)]
async fn waiting_calls_leave_the_service_ready() {
    let (layer, _slot) = taken();
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    let _waits = service.ready().await.expect("ready").call(request());
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(Service::<Request<()>>::poll_ready(&mut service, cx).is_ready());
    assert!(Service::<Request<()>>::poll_ready(&mut service.clone(), cx).is_ready());
}
