//! State lives in the layer value.

use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use http::Request;
use portcullis_priority::{
    ConcurrencyLayer, ConcurrencyLimit, Priority, PriorityQueue, PriorityQueueLayer, QueueConfig,
};
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{Act, CONFIG, Inner, call, layer_of, request, running};

// S-PRIO-05
#[test]
fn all_services_of_a_layer_and_of_its_clones_share_one_queue() {
    let layer = layer_of(CONFIG.capacity(0));
    let inner = Inner::new(Act::Never);
    let cx = &mut Context::from_waker(Waker::noop());
    // As a router does: the layer is applied again and again.
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let mut service = layer.clone().layer(inner.clone());
            assert!(Service::<Request<()>>::poll_ready(&mut service, cx).is_ready());
            service.call(request())
        })
        .collect();
    assert_eq!((running(&layer.handle()), inner.calls().load(Ordering::Relaxed)), (3, 3));
    for _ in 0..2 {
        assert_eq!(call(&mut layer.clone().layer(inner.clone()), request()).status(), 503);
    }
    assert_eq!((layer.handle().snapshot().full, inner.calls().load(Ordering::Relaxed)), (2, 3));
    drop(calls);
    assert_eq!(running(&layer.handle()), 0);
}

#[test]
fn two_layers_have_two_queues_and_two_layers_of_one_queue_have_one() {
    const ONE: QueueConfig = QueueConfig::slots(1);
    let (a, b) = (PriorityQueueLayer::new(ONE), PriorityQueueLayer::new(ONE));
    let _slots = [&a, &b].map(|it| it.handle().try_acquire(Priority::LOW).expect("it is free"));
    let queue = PriorityQueue::new(ConcurrencyLimit::new(1));
    let layer = PriorityQueueLayer::from_queue(queue.clone());
    let bulkhead = ConcurrencyLayer::from_queue(queue);
    let _slot = layer.hold_to_head().http().handle().try_acquire(Priority::LOW).expect("free");
    assert!(bulkhead.grpc().hold_to_head().handle().try_acquire(Priority::CRITICAL).is_err());
}

// S-PRIO-01
#[test]
fn what_an_operator_changes_is_changed_for_services_that_exist_already() {
    let layer = layer_of(CONFIG.capacity(0));
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    let queue = layer.handle();
    let _slots = [(); 3].map(|()| queue.try_acquire(Priority::LOW).expect("it is free"));
    assert_eq!(call(&mut service, request()).status(), 503);
    queue.reconfigure(CONFIG.shared(4).capacity(0)).expect("it fits");
    assert_eq!(call(&mut service, request()).status(), 200);
    assert!(queue.reconfigure(CONFIG.shared(0)).is_err());
    assert_eq!(queue.snapshot().slots, 4, "what does not fit changes nothing");
}
