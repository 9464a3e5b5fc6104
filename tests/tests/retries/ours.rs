//! Stacks of shipped layers.

use breaker_core::{AsError, CircuitBreaker, CircuitBreakerConfig, Cloned, FailureKind};
use portcullis::CircuitBreakerLayer;
use portcullis::portcullis_priority::{ConcurrencyLayer, ConcurrencyLimit, Limit, PriorityQueue};
use portcullis_backoff::{BackoffConfig, BackoffLayer};
use portcullis_timeout::{AdaptiveTimeoutLayer, FromScope, TimeoutConfig};
use tower::ServiceBuilder;

use crate::callee::Callee;
use crate::judge::Judge;
use crate::run::{Client, PATIENCE};

/// As shipped, but for what this server's errors are: worth another attempt.
const BACKOFF: BackoffConfig =
    BackoffConfig::new().same_for_all_methods().retry_on(FailureKind::Internal, true);
const LIMIT: ConcurrencyLimit = ConcurrencyLimit::adaptive(Limit::deadline(PATIENCE));

/// Retries, and a timeout for each attempt.
pub(crate) fn alone(callee: &Callee, _: u64) -> Client {
    let layers = ServiceBuilder::new()
        .layer(BackoffLayer::with_clock(BACKOFF, callee.clock).replay(Cloned).classify(Judge))
        .layer(timeout(callee));
    Client::new(layers.service(callee.clone()))
}

/// What the family has for a client: retries, a circuit, a limit and a timeout.
pub(crate) fn family(callee: &Callee, number: u64) -> Client {
    stack(callee, number, &CircuitBreakerConfig::http_client())
}

/// The same with a circuit that opens by a row of failures, be it by chance.
pub(crate) fn family_with_hard_circuit(callee: &Callee, number: u64) -> Client {
    stack(callee, number, &CircuitBreakerConfig::adaptive())
}

fn stack(callee: &Callee, number: u64, config: &CircuitBreakerConfig) -> Client {
    let circuit = CircuitBreaker::with_clock_and_seed(*config, callee.clock, number);
    let queue = PriorityQueue::with_clock(LIMIT, callee.clock);
    let retries = BackoffLayer::with_clock(BACKOFF, callee.clock).replay(Cloned).classify(Judge);
    let layers = ServiceBuilder::new()
        .layer(retries.watch(&circuit))
        .layer(CircuitBreakerLayer::from_breaker(circuit).classify(Judge).refuse(AsError))
        .layer(ConcurrencyLayer::from_queue(queue).hold_to_head().classify(Judge).refuse(AsError))
        .layer(timeout(callee));
    Client::new(layers.service(callee.clone()))
}

/// A second for each attempt, or what is left of the deadline.
fn timeout(callee: &Callee) -> AdaptiveTimeoutLayer<Judge, AsError, FromScope> {
    AdaptiveTimeoutLayer::with_clock(TimeoutConfig::fixed(PATIENCE), callee.clock)
        .classify(Judge)
        .expire(AsError)
        .deadline(FromScope)
}
