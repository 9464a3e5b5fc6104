//! Calls that take too long, and those that do not.

use std::any::type_name;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use portcullis::{AsError, ErrorsAreFailures};
use portcullis_benches::{Failed, Nothing, call};
use portcullis_timeout::{AdaptiveTimeoutLayer, FromScope, TimeoutConfig};
use tower::timeout::TimeoutLayer;
use tower_layer::Layer as _;
use tower_resilience_timelimiter::{FixedTimeout, TimeLimiterLayer};
use tower_service::Service;

use crate::support::{SECOND, now, whole};

fn our_timeout() -> AdaptiveTimeoutLayer<ErrorsAreFailures, AsError, FromScope> {
    AdaptiveTimeoutLayer::generic(TimeoutConfig::fixed(SECOND))
}

fn detached() -> TimeLimiterLayer<FixedTimeout> {
    TimeLimiterLayer::builder().timeout_duration(SECOND).cancel_running_future(false).build()
}

#[test]
fn a_call_that_is_ready_at_once_needs_a_timer_in_all_but_ours() {
    /// Whether it can be made where there are no timers; where there are some, it always can.
    fn without_timers<S: Service<bool> + Clone>(service: S) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        let within = runtime.enter();
        assert!(call(&mut service.clone(), false).is_some_and(|answer| answer.is_ok()));
        drop(within);
        let outside = || call(&mut service.clone(), false).is_some();
        catch_unwind(AssertUnwindSafe(outside)).unwrap_or(false)
    }
    let inner = Nothing;
    assert!(without_timers(our_timeout().layer(inner)));
    assert!(!without_timers(TimeoutLayer::new(SECOND).layer(inner)));
    let limiter = TimeLimiterLayer::builder().timeout_duration(SECOND).build();
    assert!(!without_timers(limiter.layer(inner)));
    assert!(!without_timers(ninelives::TimeoutLayer::new(SECOND).expect("right").layer(inner)));
}

#[test]
fn the_error_of_the_service_is_kept_by_one_timeout() {
    fn keeps<S: Service<bool>>(_: &S) -> bool {
        type_name::<S::Error>() == type_name::<Failed>()
    }
    let inner = Nothing;
    assert!(keeps(&our_timeout().layer(inner)));
    assert!(!keeps(&TimeoutLayer::new(SECOND).layer(inner)));
    assert!(!keeps(&detached().layer(inner)));
    assert!(!keeps(&ninelives::TimeoutLayer::new(SECOND).expect("right").layer(inner)));
}

/// Panics at its first poll.
#[derive(Clone, Copy)]
struct Panics;

impl Service<bool> for Panics {
    type Response = ();
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<(), Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: bool) -> Self::Future {
        Box::pin(async { panic!("on purpose") })
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_told_as_a_timeout_by_one_of_them_where_calls_are_detached() {
    let begun = now();
    let error = whole(detached().layer(Panics), true).await.expect_err("it has panicked");
    assert!(error.is_timeout() && begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    let panics = |call: Pin<Box<dyn Future<Output = ()>>>| {
        let mut call = call;
        let poll = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        catch_unwind(AssertUnwindSafe(poll)).is_err()
    };
    assert!(panics(Box::pin(async {
        let _ = whole(our_timeout().layer(Panics), true).await;
    })));
    assert!(panics(Box::pin(async {
        let _ = whole(TimeoutLayer::new(SECOND).layer(Panics), true).await;
    })));
}
