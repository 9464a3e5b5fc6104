use std::fmt;
use std::task::{Context, Poll};

use breaker_core::{Classify, Deadline, Expire, Tick};
use portcullis_http::deadline::ReadDeadline;
use tower_service::Service;

use crate::future::ResponseFuture;
use crate::layer::AdaptiveTimeoutLayer;
use crate::timeouts::Timeouts;

/// A service with a timeout; made by [`AdaptiveTimeoutLayer`].
///
/// It is a `Service` if classifier, answer, deadline and key fit the inner one. Where a method such
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
    D: ReadDeadline<Req>,
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
    fn call(&mut self, request: Req) -> Self::Future {
        let Self { inner, layer } = self;
        let AdaptiveTimeoutLayer { timeouts, classify, expire, deadline } = layer;
        let mut read = None;
        match deadline.deadline(&request, || *read.insert(timeouts.now())) {
            None => {
                let (note, timing) = (expire.note(&request), timeouts.timing(&request));
                ResponseFuture::goes(inner.call(request), note, timing, (classify, expire))
            }
            Some(deadline) => self.call_until(request, deadline, read),
        }
    }
}

type Answer<S, Req, C, E> = ResponseFuture<
    <S as Service<Req>>::Future,
    Req,
    <S as Service<Req>>::Response,
    <S as Service<Req>>::Error,
    C,
    E,
>;

impl<S, C, E, D, T> AdaptiveTimeoutService<S, C, E, D, T> {
    /// A call with a deadline; the present moment, where it was looked at already.
    #[cold]
    fn call_until<Req>(
        &mut self,
        mut request: Req,
        deadline: Deadline,
        now: Option<Tick>,
    ) -> Answer<S, Req, C, E>
    where
        S: Service<Req>,
        C: Classify<S::Response, S::Error> + Clone,
        E: Expire<Req, S::Response, S::Error> + Clone,
        D: ReadDeadline<Req>,
        T: Timeouts<Req>,
    {
        let Self { inner, layer } = self;
        let AdaptiveTimeoutLayer { timeouts, classify, expire, deadline: reads } = layer;
        let (note, mut timing) = (expire.note(&request), timeouts.timing(&request));
        let now = now.unwrap_or_else(|| timeouts.now());
        if deadline.has_passed(now) {
            let answer = expire.expire(note, timeouts.too_late(now));
            return ResponseFuture::refused(answer, timing, (classify, expire));
        }
        let until = timing.until(now, deadline);
        reads.pass_on(&mut request, until.told, now);
        let future = until.told.scope(|| inner.call(request));
        ResponseFuture::goes_until(future, note, (timing, until), (classify, expire))
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
