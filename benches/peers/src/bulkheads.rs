//! The same calls through bulkheads and an adaptive limit: with slots to spare, and with none.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use ::tower::limit::ConcurrencyLimitLayer;
use ::tower::load_shed::LoadShedLayer;
use ::tower_resilience_bulkhead::{BulkheadConfigBuilder, BulkheadLayer};
use little_loadshedder::LoadShedLayer as LittleLayer;
use portcullis_benches::{
    Case, Later, Live, Nothing, Once, UntilDone, Web, cloned, handed_over, requested, reused,
};
use tower_layer::Layer as _;
use tower_service::Service;

/// As many as ours has.
const SLOTS: usize = 50;

/// Every peer of a bulkhead, on every path that it has.
pub(crate) fn bulkheads() -> Vec<Case> {
    let mut cases = tower();
    cases.extend(tower_resilience());
    cases.extend(ninelives());
    cases.extend(little_loadshedder());
    cases
}

/// Calls of a service that has one slot, which somebody else has taken.
fn refused<S>(mut service: S) -> Live
where
    S: Service<bool, Future: 'static> + Clone + Send + 'static,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready(), "the first call is admitted");
    let mut call = Box::pin(service.call(false));
    assert!(call.as_mut().poll(&mut cx).is_pending(), "the first call runs");
    // It is never polled again, nor dropped.
    std::mem::forget(call);
    let mut second = service.clone();
    let ready = second.poll_ready(&mut cx).is_ready();
    let answer = pin!(second.call(false)).poll(&mut cx).is_ready();
    assert!(ready && answer, "the second call is refused at once");
    reused::<Once, _>(service)
}

// ===== tower =====

fn tower() -> Vec<Case> {
    const fn slots(slots: usize) -> ConcurrencyLimitLayer {
        ConcurrencyLimitLayer::new(slots)
    }
    fn shed(slots: usize) -> (LoadShedLayer, ConcurrencyLimitLayer) {
        (LoadShedLayer::new(), ConcurrencyLimitLayer::new(slots))
    }
    let case = |name, make: fn() -> Live| Case::new("tower", name, make);
    vec![
        case("concurrency limit", || reused::<Once, _>(slots(SLOTS).layer(Nothing))),
        case("concurrency limit, cloned per call", || {
            cloned::<Once, _>(slots(SLOTS).layer(Nothing))
        }),
        case("concurrency limit, request, held to its head", || requested(slots(SLOTS).layer(Web))),
        case("concurrency limit, hand-over", || handed_over(slots(1).layer(Later))).alone(),
        case("load shed over it", || reused::<Once, _>(shed(SLOTS).layer(Nothing))),
        case("load shed over it, refusal", || refused(shed(1).layer(Later))),
    ]
}

// ===== tower-resilience =====

/// Its refusals wait for a timer, so they cannot be made one after the other: see
/// `tests/bulkheads.rs`.
fn tower_resilience() -> Vec<Case> {
    fn made(builder: BulkheadConfigBuilder) -> BulkheadLayer {
        builder.build().unwrap_or_else(|problem| panic!("{problem}"))
    }
    fn slots(slots: usize) -> BulkheadConfigBuilder {
        BulkheadLayer::builder().max_concurrent_calls(slots)
    }
    let case = |name, make: fn() -> Live| Case::new("tower-resilience", name, make);
    vec![
        case("bulkhead", || reused::<Once, _>(made(slots(SLOTS)).layer(Nothing))),
        case("bulkhead, cloned per call", || cloned::<Once, _>(made(slots(SLOTS)).layer(Nothing))),
        case("bulkhead, request, held to its head", || requested(made(slots(SLOTS)).layer(Web))),
        case("bulkhead, hand-over", || handed_over(made(slots(1)).layer(Later))).alone(),
    ]
}

// ===== ninelives =====

fn ninelives() -> Vec<Case> {
    fn slots(slots: usize) -> ::ninelives::BulkheadLayer {
        ::ninelives::BulkheadLayer::new(slots).unwrap_or_else(|problem| panic!("{problem}"))
    }
    let case = |name, make: fn() -> Live| Case::new("ninelives", name, make);
    vec![
        case("bulkhead", || reused::<Once, _>(slots(SLOTS).layer(Nothing))),
        case("bulkhead, cloned per call", || cloned::<Once, _>(slots(SLOTS).layer(Nothing))),
        case("bulkhead, refusal", || refused(slots(1).layer(Later))),
    ]
}

// ===== adaptive =====

/// One thread alone: it begins with one slot and one place to wait, and would shed calls of another.
fn little_loadshedder() -> Vec<Case> {
    let adaptive = || {
        let layer = LittleLayer::new(0.01, Duration::from_millis(100));
        reused::<UntilDone, _>(layer.layer(Nothing))
    };
    vec![Case::new("little-loadshedder", "adaptive", adaptive).alone()]
}
