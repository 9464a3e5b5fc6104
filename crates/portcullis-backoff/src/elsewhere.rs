//! Where a call goes that its target cannot serve: [`Elsewhere`].

use std::future::Ready;
use std::task::{Context, Poll};

use tower_service::Service;

/// The alternative to a target that is exhausted.
///
/// [`Nowhere`] is none, [`To`] a service.
pub trait Elsewhere<Req, Res, Err> {
    /// The future of a call.
    type Future: Future<Output = Result<Res, Err>>;

    /// Whether there is one.
    const EXISTS: bool;

    /// Waits until the alternative takes a call.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Err>>;

    /// Sends the call there.
    fn call(&mut self, request: Req) -> Self::Future;
}

/// No alternative.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl<Req, Res, Err> Elsewhere<Req, Res, Err> for Nowhere {
    type Future = Ready<Result<Res, Err>>;

    const EXISTS: bool = false;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Err>> {
        Poll::Pending
    }

    fn call(&mut self, _: Req) -> Self::Future {
        unreachable!("it is never ready, and nobody asks it")
    }
}

/// Another service of the same types.
#[derive(Clone, Copy, Debug)]
pub struct To<S>(pub(crate) S);

impl<S: Service<Req>, Req> Elsewhere<Req, S::Response, S::Error> for To<S> {
    type Future = S::Future;

    const EXISTS: bool = true;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> S::Future {
        self.0.call(request)
    }
}
