//! A circuit outside of the timeout sees one failure for each call that took too long.

use std::convert::Infallible;

use http::{Request, Response};
use portcullis_breaker::CircuitBreakerLayer;
use portcullis_timeout::breaker_core::{CircuitBreakerConfig, State, TokioClock};
use portcullis_timeout::portcullis_http::HttpOrGrpc;
use portcullis_timeout::{AdaptiveTimeoutLayer, TimeoutConfig};
use tower::{ServiceBuilder, service_fn};

use super::support::{Act, Inner, call, ms};

/// 100 ms, whatever happens.
fn timeout() -> AdaptiveTimeoutLayer {
    AdaptiveTimeoutLayer::with_clock(TimeoutConfig::fixed(ms(100)), TokioClock::new())
}

// S-TIMEOUT-06
#[tokio::test(start_paused = true)]
async fn a_call_of_200_ms_under_a_timeout_of_100_opens_a_circuit_of_one_failure() {
    let config =
        CircuitBreakerConfig::new().trip(portcullis_timeout::breaker_core::Trip::consecutive(1));
    let breaker = CircuitBreakerLayer::with_clock(config, TokioClock::new());
    let circuit = breaker.handle();
    let inner = Inner::new(Act::After(200, 200));
    let mut stack = ServiceBuilder::new().layer(breaker).layer(timeout()).service(inner.clone());
    assert_eq!(circuit.state(), State::Closed);
    assert_eq!(call(&mut stack).await.0.status(), 504);
    assert_eq!((circuit.state(), inner.calls()), (State::Open, 1));
    assert_eq!(call(&mut stack).await.0.status(), 503);
    assert_eq!(inner.calls(), 1, "the second call was not made");
}

// S-TIMEOUT-06
#[tokio::test(start_paused = true)]
async fn each_timeout_is_one_failure_of_the_kind_timeout() {
    use portcullis_timeout::breaker_core::{Classify, FailureKind, Outcome, Trip};
    let breaker = CircuitBreakerLayer::with_clock(
        CircuitBreakerConfig::new().trip(Trip::consecutive(100)),
        TokioClock::new(),
    );
    let circuit = breaker.handle();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kinds = seen.clone();
    let breaker = breaker.classify_fn(move |result: Result<&Response<String>, &Infallible>| {
        let outcome = HttpOrGrpc.classify(result);
        kinds.lock().expect("no panic").push(outcome);
        outcome
    });
    let inner = service_fn(|_: Request<()>| std::future::pending::<Result<_, Infallible>>());
    let mut stack = ServiceBuilder::new().layer(breaker).layer(timeout()).service(inner);
    for _ in 0..3 {
        assert_eq!(call(&mut stack).await.0.status(), 504);
    }
    let timeouts = vec![Outcome::Failure(FailureKind::Timeout); 3];
    assert_eq!(*seen.lock().expect("no panic"), timeouts);
    assert_eq!(circuit.snapshot().totals.failures, 3);
}
