//! What a call costs the allocator and the clock, and what its future weighs.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use http::{Request, Response};
use portcullis_backoff::breaker_core::{Clock, ManualClock, Percent, Tick};
use portcullis_backoff::portcullis_http::key;
use portcullis_backoff::{Backoff, BackoffConfig, BackoffLayer, Budget};
use tower::service_fn;
use tower_layer::Layer;
use tower_service::Service;

/// What a response future may weigh beyond the one that it wraps and what is kept of the request.
const FUTURE: usize = 48;
/// What is kept of a request without a body.
const KEPT: usize = 232;
/// What an idle layer may hold.
const LAYER: i64 = 1_248;

type Web = Request<()>;
type Page = Response<()>;

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

fn answer(_: Web) -> Ready<Result<Page, Infallible>> {
    ready(Ok(Response::new(())))
}

fn made<S>(service: &mut S)
where
    S: Service<Web, Response = Page, Error = Infallible>,
{
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let Poll::Ready(Ok(answer)) = pin!(service.call(Request::new(()))).poll(cx) else {
        panic!("it is answered at once");
    };
    assert_eq!(answer.status(), 200);
}

/// Allocations and clock reads of a thousand calls that go well.
fn cost<S>(clock: &CountingClock, service: &mut S) -> (u64, u64)
where
    S: Service<Web, Response = Page, Error = Infallible>,
{
    let _alone = alone();
    // A budget that is new fills first.
    for _ in 0..2_000 {
        made(service);
        clock.hands.advance(Duration::from_millis(10));
    }
    let before = clock.reads.load(Ordering::Relaxed);
    let info = measure(|| (0..1_000).for_each(|_| made(service)));
    (info.count_total, clock.reads.load(Ordering::Relaxed) - before)
}

// S-ADV-08
#[test]
fn a_call_that_goes_well_allocates_nothing_and_reads_no_clock() {
    let clock = CountingClock::default();
    let of = |config| BackoffLayer::with_clock(config, clock.clone());
    let config = BackoffConfig::new();
    let mut service = of(config).layer(service_fn(answer));
    assert_eq!(cost(&clock, &mut service), (0, 0), "alone");
    let layer = of(config);
    let mut service = layer.layer(service_fn(answer));
    assert_eq!(cost(&clock, &mut service), (0, 0), "beside its layer");
    let mut service = of(config).keyed_fn(|_: &Web| Some(7)).layer(service_fn(answer));
    assert_eq!(cost(&clock, &mut service), (0, 0), "keyed");
    let tokens = Budget::tokens(10, 1_000, 1, 1);
    let mut service = of(config.budget(tokens)).layer(service_fn(answer));
    assert_eq!(cost(&clock, &mut service), (0, 0), "with a full purse");
    drop(layer);
}

// S-BACKOFF-10: how long a call has taken is known by the clock only.
#[test]
fn a_longest_time_costs_a_look_at_the_clock() {
    let clock = CountingClock::default();
    let config = BackoffConfig::new().max_elapsed(Duration::from_secs(9));
    let mut service = BackoffLayer::with_clock(config, clock.clone()).layer(service_fn(answer));
    assert_eq!(cost(&clock, &mut service), (0, 1_000));
}

// S-BACKOFF-10: a share of calls is one of calls.
#[test]
fn a_budget_by_ratio_reads_the_clock_once_per_call() {
    let clock = CountingClock::default();
    let config = BackoffConfig::new().budget(Budget::ratio(Percent::new(20), 10));
    let mut service = BackoffLayer::with_clock(config, clock.clone()).layer(service_fn(answer));
    assert_eq!(cost(&clock, &mut service), (0, 1_000));
}

// S-ADV-08
#[test]
fn the_response_future_is_little_larger_than_the_one_inside() {
    fn size<L, S>(layer: &L, inner: S) -> usize
    where
        L: Layer<S>,
        L::Service: Service<Web>,
    {
        let _ = layer.layer(inner);
        size_of::<<L::Service as Service<Web>>::Future>()
    }
    let inner = size_of::<Ready<Result<Page, Infallible>>>() + KEPT;
    let layer = BackoffLayer::new(BackoffConfig::new());
    for (name, size) in [
        ("one target", size(&layer.clone(), service_fn(answer))),
        ("keyed", size(&layer.keyed(key::host()), service_fn(answer))),
    ] {
        println!("{name}: {size} B, {} B over the inner one and the request", size - inner);
        assert!(size <= inner + FUTURE, "{name}: {size} B");
    }
}

// S-ADV-08
#[test]
fn an_idle_layer_is_small() {
    let _alone = alone();
    let mut all = Vec::with_capacity(1_000);
    let info = measure(|| {
        let config = BackoffConfig::new();
        all.extend((0..1_000).map(|_| Backoff::with_clock(config, ManualClock::new())));
    });
    let each = info.bytes_current / 1_000;
    println!("layer: {each} B");
    assert!(each <= LAYER, "{each} B");
}

// S-BACKOFF-08: a thousand times as many keys as there may be take no more memory.
#[test]
fn keys_beyond_the_bound_take_no_memory() {
    let _alone = alone();
    let config = BackoffConfig::new().max_keys(100);
    let layer = BackoffLayer::with_clock(config, ManualClock::new());
    let next = Arc::new(AtomicU64::new(0));
    let key = move |_: &Web| Some(next.fetch_add(1, Ordering::Relaxed));
    let mut service = layer.keyed_fn(key).layer(service_fn(|_: Web| {
        let sick = Response::builder().status(503).header("x-should-retry", "false").body(());
        ready(Ok::<_, Infallible>(sick.expect("an answer")))
    }));
    let mut round = || {
        for _ in 0..10_000 {
            let cx = &mut Context::from_waker(Waker::noop());
            assert!(service.poll_ready(cx).is_ready());
            assert!(pin!(service.call(Request::new(()))).poll(cx).is_ready());
        }
    };
    round();
    let info = measure(round);
    println!("after 10,000 keys more: {} B more", info.bytes_current);
    assert!(info.bytes_current <= 0, "{} B", info.bytes_current);
}
