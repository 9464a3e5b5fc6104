use std::fmt;
use std::task::{Context, Poll};

use breaker_core::{Classify, Refuse};
use portcullis_http::Announce;
use tower_service::Service;

use crate::future::ResponseFuture;
use crate::layer::{RateLimitLayer, refused};
use crate::limits::Limits;

/// A service behind a limit; made by [`RateLimitLayer`].
///
/// It is a `Service` if classifier, refusal, key and cost fit the service inside. Where a method such
/// as `ready` or `oneshot` "exists but its trait bounds were not satisfied", one of them does not: a
/// client's error needs the layer [`BoxErrors`](portcullis_http::BoxErrors) beneath; a body without
/// a `Default` belongs outside; a service that is not HTTP needs
/// [`RateLimitLayer::generic`]. Pass the stack to `fn check<S: tower::Service<Req>>(_: &S) {}`, and
/// the compiler says which.
#[derive(Clone)]
pub struct RateLimitService<S, C, R, T, A> {
    inner: S,
    layer: RateLimitLayer<C, R, T, A>,
}

impl<S, C, R, T, A> RateLimitService<S, C, R, T, A> {
    pub(crate) const fn new(inner: S, layer: RateLimitLayer<C, R, T, A>) -> Self {
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

impl<S, C, R, T, A, Req> Service<Req> for RateLimitService<S, C, R, T, A>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error> + Clone,
    R: Refuse<Req, S::Response, S::Error>,
    T: Limits<Req>,
    A: Announce<S::Response> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C, A, S::Response, S::Error>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let Self { inner, layer } = self;
        let cost = layer.limits.cost(&request);
        let grant = match layer.limits.acquire_at_once(cost) {
            Some(grant) => grant,
            None => match layer.limits.try_acquire(&request, cost) {
                Ok(grant) => grant,
                Err(rejected) => {
                    let answer = refused(&layer.refuse, &layer.announce, &request, rejected);
                    return ResponseFuture::refused(answer);
                }
            },
        };
        let inner = grant.watch(|| inner.call(request));
        let (classify, announce) = (layer.classify.clone(), layer.announce.clone());
        ResponseFuture::admitted(inner, grant, classify, announce)
    }
}

impl<S: fmt::Debug, C, R, T: fmt::Debug, A> fmt::Debug for RateLimitService<S, C, R, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}
