//! What a queue weighs, what a call costs the allocator, and how often it reads the clock.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use portcullis_priority::breaker_core::{Clock, ManualClock, Tick};
use portcullis_priority::{
    ConcurrencyLayer, ConcurrencyLimit, Priority, PriorityQueue, PriorityQueueLayer, QueueConfig,
    Slot, Wait,
};
use tower::service_fn;
use tower_layer::Layer;
use tower_service::Service;

/// What a slot may weigh, in bytes.
const SLOT: usize = 40;
/// What a call may weigh that waits, or does not.
const WAIT: usize = 120;
/// What a response future may weigh beyond the one that it wraps: the slot, and what a call keeps
/// while it waits, the request not included.
const FUTURE: usize = 168;
/// What an idle queue may hold.
const QUEUE: i64 = 2_048;

type Page = Response<Full<Bytes>>;

/// One test at a time: memory that one frees may be taken by another.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that counts how often it is read.
#[derive(Clone, Default)]
struct CountingClock {
    hands: ManualClock,
    reads: Arc<AtomicU64>,
}

impl Clock for CountingClock {
    fn now(&self) -> Tick {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.hands.now()
    }
}

fn answer(_: Request<()>) -> Ready<Result<Page, Infallible>> {
    ready(Ok(Response::new(Full::from("text"))))
}

// ===== sizes =====

// S-ADV-08
#[test]
fn a_slot_is_a_few_words() {
    println!("slot: {} B, wait: {} B", size_of::<Slot>(), size_of::<Wait>());
    assert!(size_of::<Slot>() <= SLOT, "{} B", size_of::<Slot>());
    assert!(size_of::<Wait>() <= WAIT, "{} B", size_of::<Wait>());
}

// S-ADV-08: requests are kept by those that wait only, though each future has room for one.
#[test]
fn the_response_future_is_little_larger_than_the_one_inside() {
    fn size<L, S>(layer: &L, inner: S) -> usize
    where
        L: Layer<S>,
        L::Service: Service<Request<()>>,
    {
        let _ = layer.layer(inner);
        size_of::<<L::Service as Service<Request<()>>>::Future>()
    }
    let inner = size_of::<Ready<Result<Page, Infallible>>>();
    let layer = PriorityQueueLayer::new(QueueConfig::new());
    let room = inner.max(size_of::<Request<()>>());
    for (name, size) in [
        ("queue to the end of the body", size(&layer, service_fn(answer))),
        ("queue to the head", size(&layer.hold_to_head(), service_fn(answer))),
        ("bulkhead", size(&ConcurrencyLayer::new(ConcurrencyLimit::new(1)), service_fn(answer))),
    ] {
        println!("{name}: {size} B, {} B over the larger of request and future", size - room);
        assert!(size - room <= FUTURE, "{name}: {size} B");
    }
}

// S-ADV-08
#[test]
fn an_idle_queue_is_small() {
    let _alone = alone();
    let mut queues = Vec::with_capacity(1_000);
    let info = measure(|| {
        let config = QueueConfig::new();
        queues.extend((0..1_000).map(|_| PriorityQueue::with_clock(config, ManualClock::new())));
    });
    let each = info.bytes_current / 1_000;
    println!("queue: {each} B");
    assert!(each <= QUEUE, "{each} B");
}

// S-PRIO-08: a queue that nobody has is used again, whether it was idle, busy or full.
#[test]
fn ten_thousand_queues_made_and_dropped_take_no_more_memory() {
    let _alone = alone();
    let round = || {
        let config = QueueConfig::slots(2).capacity(3);
        let queue = PriorityQueue::with_clock(config, ManualClock::new());
        let slots = [(); 2].map(|()| queue.try_acquire(Priority::LOW));
        let waits = [(); 3].map(|()| queue.acquire(Priority::HIGH));
        drop((queue, waits));
        drop(slots);
    };
    (0..10).for_each(|_| round());
    let info = measure(|| (0..10_000).for_each(|_| round()));
    println!("after 10,000 queues: {} B more, {} B at most", info.bytes_current, info.bytes_max);
    assert!(info.bytes_current <= 0, "{} B", info.bytes_current);
    assert!(info.bytes_max <= 4 * 1_024, "{} B", info.bytes_max);
}

// ===== calls =====

/// Allocations and clock reads of a thousand calls.
fn cost(clock: &CountingClock, mut call: impl FnMut()) -> (u64, u64) {
    let _alone = alone();
    call();
    let before = clock.reads.load(Ordering::Relaxed);
    let info = measure(|| (0..1_000).for_each(|_| call()));
    (info.count_total, clock.reads.load(Ordering::Relaxed) - before)
}

/// Makes a call, and reads the body of the answer to its end.
fn made<S, B>(service: &mut S)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body + Unpin,
{
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let Poll::Ready(Ok(answer)) = pin!(service.call(Request::new(()))).poll(cx) else {
        panic!("it is answered at once");
    };
    let mut body = answer.into_body();
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(cx) {
        let _ = black_box(frame);
    }
}

// S-ADV-08
#[test]
fn a_call_that_finds_a_free_slot_allocates_nothing_and_reads_no_clock() {
    let clock = CountingClock::default();
    let queue = PriorityQueue::with_clock(QueueConfig::new(), clock.clone());
    let acquired = || drop(black_box(queue.try_acquire(Priority::NORMAL)));
    assert_eq!(cost(&clock, acquired), (0, 0), "by the handle");
    let waited = || {
        let wait = pin!(queue.acquire(Priority::BULK));
        assert!(wait.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    };
    assert_eq!(cost(&clock, waited), (0, 0), "by the handle that may wait");
    let layer = PriorityQueueLayer::from_queue(queue.clone());
    let mut service = layer.layer(service_fn(answer));
    assert_eq!(cost(&clock, || made(&mut service)), (0, 0), "to the end of the body");
    let mut service = layer.hold_to_head().layer(service_fn(answer));
    assert_eq!(cost(&clock, || made(&mut service)), (0, 0), "to the head");
    let limit = ConcurrencyLimit::new(2);
    let mut service = ConcurrencyLayer::with_clock(limit, clock.clone()).layer(service_fn(answer));
    assert_eq!(cost(&clock, || made(&mut service)), (0, 0), "by a bulkhead");
    assert_eq!(queue.snapshot().running, 0);
}

// S-ADV-08: a refusal is cheap, too.
#[test]
fn a_call_that_is_refused_allocates_nothing_and_reads_the_clock_once() {
    let clock = CountingClock::default();
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1), clock.clone());
    let slot = queue.try_acquire(Priority::NORMAL);
    let refused = || assert!(black_box(queue.try_acquire(Priority::HIGH)).is_err());
    assert_eq!(cost(&clock, refused), (0, 1_000), "at its limit");
    queue.min_priority(Priority::CRITICAL).expect("it fits");
    assert_eq!(cost(&clock, refused), (0, 1_000), "below the minimum");
    drop(slot);
}

// S-ADV-08: whether a call comes in time is not asked of those that need not wait.
#[test]
fn a_deadline_costs_nothing_where_a_slot_is_free() {
    let clock = CountingClock::default();
    let layer = PriorityQueueLayer::with_clock(QueueConfig::slots(1), clock.clone());
    let layer = layer.remaining_fn(|_: &Request<()>| Some(Duration::from_millis(5)));
    let mut service = layer.layer(service_fn(answer));
    assert_eq!(cost(&clock, || made(&mut service)), (0, 0));
}
