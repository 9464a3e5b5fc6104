//! The same calls through retries and timeouts, while all goes well.

use std::future::Ready;
use std::time::Duration;

use ::tower::retry::{Policy, RetryLayer};
use ::tower::timeout::TimeoutLayer;
use ::tower_resilience_timelimiter::TimeLimiterLayer;
use portcullis_benches::{
    Case, Failed, Later, Live, Nothing, Once, UntilDone, cloned, reused, runtime,
};
use tower_layer::Layer as _;

const SECOND: Duration = Duration::from_secs(1);

/// Every peer of retries and timeouts, on every path that it has.
pub(crate) fn retries() -> Vec<Case> {
    let mut cases = tower();
    cases.extend(tower_resilience());
    cases.extend(ninelives());
    cases
}

/// A policy as its users write it: three attempts, and a clone of each request.
#[derive(Clone, Copy, Debug)]
struct Thrice(u8);

impl Policy<bool, (), Failed> for Thrice {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut bool, result: &mut Result<(), Failed>) -> Option<Ready<()>> {
        (result.is_err() && self.0 > 0).then(|| {
            self.0 -= 1;
            std::future::ready(())
        })
    }

    fn clone_request(&mut self, request: &bool) -> Option<bool> {
        Some(*request)
    }
}

// ===== tower =====

fn tower() -> Vec<Case> {
    let case = |name, make: fn() -> Live| Case::new("tower", name, make);
    vec![
        case("retry", || reused::<Once, _>(RetryLayer::new(Thrice(2)).layer(Nothing))),
        case("retry, cloned per call", || {
            cloned::<Once, _>(RetryLayer::new(Thrice(2)).layer(Nothing))
        }),
        case("retry, answer at the second poll", || {
            reused::<UntilDone, _>(RetryLayer::new(Thrice(2)).layer(Later))
        }),
        case("timeout", || {
            reused::<Once, _>(TimeoutLayer::new(SECOND).layer(Nothing)).within(runtime())
        }),
        case("timeout, answer at the second poll", || {
            reused::<UntilDone, _>(TimeoutLayer::new(SECOND).layer(Later)).within(runtime())
        }),
    ]
}

// ===== tower-resilience =====

fn tower_resilience() -> Vec<Case> {
    fn retry() -> ::tower_resilience_retry::RetryLayer<bool, (), Failed> {
        ::tower_resilience_retry::RetryLayer::builder().max_attempts(3).build()
    }
    let case = |name, make: fn() -> Live| Case::new("tower-resilience", name, make);
    vec![
        case("retry", || reused::<Once, _>(retry().layer(Nothing))),
        case("retry, cloned per call", || cloned::<Once, _>(retry().layer(Nothing))),
        case("retry, answer at the second poll", || reused::<UntilDone, _>(retry().layer(Later))),
        case("timeout", || {
            let layer = TimeLimiterLayer::builder().timeout_duration(SECOND).build();
            reused::<Once, _>(layer.layer(Nothing)).within(runtime())
        }),
        case("timeout, answer at the second poll", || {
            let layer = TimeLimiterLayer::builder().timeout_duration(SECOND).build();
            reused::<UntilDone, _>(layer.layer(Later)).within(runtime())
        }),
    ]
}

// ===== ninelives =====

fn ninelives() -> Vec<Case> {
    fn retry() -> ::ninelives::RetryLayer<Failed> {
        let policy = ::ninelives::RetryPolicy::builder().max_attempts(3).build();
        policy.unwrap_or_else(|problem| panic!("{problem}")).into_layer()
    }
    fn timeout() -> ::ninelives::TimeoutLayer {
        ::ninelives::TimeoutLayer::new(SECOND).unwrap_or_else(|problem| panic!("{problem}"))
    }
    let case = |name, make: fn() -> Live| Case::new("ninelives", name, make);
    vec![
        case("retry", || reused::<Once, _>(retry().layer(Nothing))),
        case("timeout", || reused::<Once, _>(timeout().layer(Nothing)).within(runtime())),
    ]
}
