//! Shared helpers of the benchmarks: a service that costs nothing, and a call that is polled by
//! hand.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use portcullis::{FailureKind, Rejected};
use tower_service::Service;

/// A service that is always ready and answers at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

/// What [`Nothing`] fails with, if it is told to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Failed {
    /// The call was refused.
    Refused(Rejected),
    /// The call failed.
    Inner(FailureKind),
}

impl From<Rejected> for Failed {
    fn from(rejected: Rejected) -> Self {
        Self::Refused(rejected)
    }
}

impl From<Infallible> for Failed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Service<bool> for Nothing {
    type Response = ();
    type Error = Failed;
    type Future = Ready<Result<(), Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    /// Fails if the request says so.
    fn call(&mut self, fail: bool) -> Self::Future {
        ready(if fail { Err(Failed::Inner(FailureKind::Internal)) } else { Ok(()) })
    }
}

/// One whole call, polled by hand: no runtime in the figures.
pub fn call<S: Service<bool>>(
    service: &mut S,
    fail: bool,
) -> Option<Result<S::Response, S::Error>> {
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(&mut cx) else { return None };
    let mut future = pin!(service.call(fail));
    match future.as_mut().poll(&mut cx) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}
