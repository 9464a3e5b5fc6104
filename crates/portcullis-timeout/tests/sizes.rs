//! What a timeout weighs, what a call costs the allocator, and how often it reads the clock.

use std::convert::Infallible;
use std::future::{Pending, Ready, pending, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use portcullis_timeout::breaker_core::{Clock, ManualClock, Tick};
use portcullis_timeout::{AdaptiveTimeout, AdaptiveTimeoutLayer, AdaptiveTimeouts, TimeoutConfig};
use tower::service_fn;
use tower_layer::Layer;
use tower_service::Service;

/// What a response future may weigh beyond the one that it wraps.
const FUTURE: usize = 56;
/// What a timeout may hold that no call was waited for.
const IDLE: i64 = 1_024;
/// What a timeout may hold that has a full window and history.
const FULL: i64 = 20 * 1_024;

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

fn never(_: Request<()>) -> Pending<Result<Page, Infallible>> {
    pending()
}

// S-TIMEOUT-06
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
    let layer = AdaptiveTimeoutLayer::new(TimeoutConfig::new());
    let inner = size_of::<Ready<Result<Page, Infallible>>>();
    let size = size(&layer, service_fn(answer));
    println!("{size} B, {} B over the one inside", size - inner);
    assert!(size - inner <= FUTURE, "{size} B");
}

// S-TIMEOUT-01
#[test]
fn a_timeout_is_small_until_calls_are_waited_for_and_bounded_then() {
    let _alone = alone();
    let mut all = Vec::with_capacity(100);
    let new = || AdaptiveTimeout::with_clock(TimeoutConfig::new(), ManualClock::new());
    let info = measure(|| all.extend((0..100).map(|_| new())));
    let each = info.bytes_current / 100;
    println!("idle: {each} B");
    assert!(each <= IDLE, "{each} B");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let timeout = new();
    let info = measure(|| {
        runtime.block_on(async {
            for turn in 0..500 {
                let work = tokio::time::sleep(Duration::from_millis(turn % 7));
                let work = async {
                    work.await;
                    Ok::<_, ()>(())
                };
                assert_eq!(timeout.run(work).await, Ok(()));
            }
        });
    });
    println!("full: {} B", info.bytes_current);
    assert!(info.bytes_current <= FULL, "{} B", info.bytes_current);
}

// S-TIMEOUT-01
#[test]
fn ten_thousand_timeouts_made_and_dropped_take_no_more_memory() {
    let _alone = alone();
    let round = || {
        drop(black_box(AdaptiveTimeout::with_clock(TimeoutConfig::new(), ManualClock::new())));
    };
    (0..10).for_each(|_| round());
    let info = measure(|| (0..10_000).for_each(|_| round()));
    println!("after 10,000 timeouts: {} B more", info.bytes_current);
    assert!(info.bytes_current <= 0, "{} B", info.bytes_current);
}

/// Allocations and clock reads of a thousand calls.
fn cost(clock: &CountingClock, mut call: impl FnMut()) -> (u64, u64) {
    let _alone = alone();
    call();
    let before = clock.reads.load(Ordering::Relaxed);
    let info = measure(|| (0..1_000).for_each(|_| call()));
    (info.count_total, clock.reads.load(Ordering::Relaxed) - before)
}

fn made<S>(service: &mut S) -> Poll<Result<Page, Infallible>>
where
    S: Service<Request<()>, Response = Page, Error = Infallible>,
{
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    black_box(pin!(service.call(Request::new(()))).poll(cx))
}

// S-TIMEOUT-06
#[test]
fn a_call_that_is_ready_at_once_allocates_nothing_and_reads_no_clock() {
    let clock = CountingClock::default();
    let layer = AdaptiveTimeoutLayer::with_clock(TimeoutConfig::new(), clock.clone());
    // There is no runtime here, so that a timer would panic.
    let mut service = layer.layer(service_fn(answer));
    assert_eq!(cost(&clock, || assert!(made(&mut service).is_ready())), (0, 0));
    let keyed = layer.clone().keyed_fn(|_: &Request<()>| Some(7));
    let mut service = keyed.layer(service_fn(answer));
    assert_eq!(cost(&clock, || assert!(made(&mut service).is_ready())), (0, 0), "by key");
    let timeout = layer.handle();
    let run = || {
        let run = pin!(timeout.run(ready(Ok::<_, ()>(1))));
        assert!(run.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    };
    assert_eq!(cost(&clock, run), (0, 0), "by the handle");
    let timeouts = AdaptiveTimeouts::<u8>::with_clock(TimeoutConfig::new(), clock.clone());
    assert!(timeouts.is_empty());
}

// S-TIMEOUT-06
#[test]
fn a_call_that_is_waited_for_reads_the_clock_twice() {
    let clock = CountingClock::default();
    let layer = AdaptiveTimeoutLayer::with_clock(TimeoutConfig::new(), clock.clone());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _guard = runtime.enter();
    let mut service = layer.layer(service_fn(never));
    let costs = cost(&clock, || assert!(made(&mut service).is_pending()));
    assert_eq!(costs, (1_000, 2_000), "one allocation, and one read at its beginning and its end");
}
