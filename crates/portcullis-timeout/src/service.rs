use std::fmt;
use std::task::{Context, Poll};

use breaker_core::{Classify, Expire};
use tower_service::Service;

use crate::deadlines::Deadlines;
use crate::future::ResponseFuture;
use crate::layer::AdaptiveTimeoutLayer;
use crate::timeouts::Timeouts;

/// A service with a timeout; made by [`AdaptiveTimeoutLayer`].
///
/// It is a `Service` if classifier, answer, deadlines and key fit the inner one. Where a method such
/// as `ready` or `oneshot` "exists but its trait bounds were not satisfied", one of them does not: a
/// client's error needs the layer [`BoxErrors`](portcullis_http::BoxErrors) beneath; a body without
/// `Default` needs the layer that makes it to stand outside.
#[derive(Clone)]
pub struct AdaptiveTimeoutService<S, C, E, D, T> {
    inner: S,
    layer: AdaptiveTimeoutLayer<C, E, D, T>,
}

impl<S, C, E, D, T> AdaptiveTimeoutService<S, C, E, D, T> {
    pub(crate) const fn new(inner: S, layer: AdaptiveTimeoutLayer<C, E, D, T>) -> Self {
        Self { inner, layer }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside, mutable.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside, alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, E, D, T, Req> Service<Req> for AdaptiveTimeoutService<S, C, E, D, T>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error> + Clone,
    E: Expire<Req, S::Response, S::Error> + Clone,
    D: Deadlines<Req>,
    T: Timeouts<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Req, S::Response, S::Error, C, E>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Req) -> Self::Future {
        let Self { inner, layer } = self;
        let AdaptiveTimeoutLayer { timeouts, classify, expire, deadlines } = layer;
        let deadline = deadlines.read(&request);
        let note = expire.note(&request);
        let mut timing = timeouts.timing(&request);
        let future = match deadline {
            None => inner.call(request),
            Some(deadline) => {
                let now = timeouts.now();
                if deadline.has_passed(now) {
                    let answer = expire.expire(note, timeouts.too_late(now));
                    return ResponseFuture::refused(answer, timing, (classify, expire));
                }
                timing.shorten(deadline.left(now));
                deadlines.pass(&mut request, deadline);
                deadline.scope(|| inner.call(request))
            }
        };
        ResponseFuture::goes(future, note, (timing, deadline), (classify, expire))
    }
}

impl<S: fmt::Debug, C, E, D, T: fmt::Debug> fmt::Debug for AdaptiveTimeoutService<S, C, E, D, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveTimeoutService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}
