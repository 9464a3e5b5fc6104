//! What a call costs that is ready at once, and what its future weighs.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use breaker_core::{Clock, ManualClock, Tick};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use portcullis_timeout::{HedgeConfig, HedgeLayer};
use tower::service_fn;
use tower_layer::Layer;
use tower_service::Service;

/// What a future may weigh beyond the first attempt and the request that is kept: the mark that leads
/// to the state, and where the rest is.
const FUTURE: usize = 24;

type Page = Response<Full<Bytes>>;
type Get = Request<Full<Bytes>>;

fn answer(_: Get) -> Ready<Result<Page, Infallible>> {
    ready(Ok(Response::new(Full::from("text"))))
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

#[test]
fn a_call_that_is_ready_at_once_allocates_nothing_and_reads_no_clock() {
    let clock = CountingClock::default();
    let layer = HedgeLayer::with_clock(HedgeConfig::new(), clock.clone());
    let mut service = layer.layer(service_fn(answer));
    let cx = &mut Context::from_waker(Waker::noop());
    let mut call = || {
        assert!(service.poll_ready(cx).is_ready());
        let Poll::Ready(Ok(_)) = pin!(service.call(Request::new(Full::default()))).poll(cx) else {
            panic!("it is answered at once");
        };
    };
    call();
    let before = clock.reads.load(Ordering::Relaxed);
    let info = measure(|| (0..1_000).for_each(|_| call()));
    assert_eq!(info.count_total, 0);
    assert_eq!(clock.reads.load(Ordering::Relaxed), before);
    assert_eq!(layer.handle().snapshot().calls, 0);
}

#[test]
fn services_keep_their_types_and_are_what_the_inner_one_is() {
    fn keeps<S>(_: &S)
    where
        S: Service<Get, Response = Page, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
    }
    let service = HedgeLayer::new(HedgeConfig::new()).layer(service_fn(answer));
    keeps(&service);
    keeps(&HedgeLayer::new(HedgeConfig::new()).http().layer(service_fn(answer)));
    keeps(&HedgeLayer::new(HedgeConfig::new()).grpc().layer(service_fn(answer)));
    keeps(&HedgeLayer::generic(HedgeConfig::new()).layer(service_fn(answer)));
}

#[test]
fn the_future_has_room_for_one_attempt_and_the_request_that_is_kept() {
    fn size<L, S>(layer: &L, inner: S) -> usize
    where
        L: Layer<S>,
        L::Service: Service<Get>,
    {
        let _ = layer.layer(inner);
        size_of::<<L::Service as Service<Get>>::Future>()
    }
    let size = size(&HedgeLayer::new(HedgeConfig::new()), service_fn(answer));
    let [attempt, kept] = [size_of::<Ready<Result<Page, Infallible>>>(), size_of::<Get>()];
    let over = size.saturating_sub(attempt + kept);
    println!("future: {size} B, {over} B over the first attempt and the kept request");
    assert!(over <= FUTURE, "{size} B, {over} B over");
}
