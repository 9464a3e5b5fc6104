//! A limit around a future, without Tower.

use std::future::poll_fn;
use std::pin::pin;

use breaker_core::{CallError, ErrorsAreFailures};

use crate::grant::Grant;

/// Runs a future that was admitted; an `Err` is a failure.
pub(crate) async fn run<T, E>(
    grant: Grant,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, CallError<E>> {
    let mut future = pin!(future);
    let result = poll_fn(|cx| grant.watch(|| future.as_mut().poll(cx))).await;
    if grant.wants_outcome() {
        grant.record(ErrorsAreFailures::of(result.as_ref()));
    }
    result.map_err(CallError::Failed)
}
