use std::fmt;
use std::task::{Context, Poll};

use breaker_core::{Classify, Replay};
use tower_service::Service;

use crate::elsewhere::Elsewhere;
use crate::future::ResponseFuture;
use crate::layer::BackoffLayer;
use crate::targets::Targets;

/// A service whose calls are made again when they fail; made by [`BackoffLayer`].
///
/// It is a `Service` if the inner one is `Clone`, and classifier and replay fit it. Where a method
/// such as `ready` or `oneshot` "exists but its trait bounds were not satisfied", one of them does
/// not: a body that is no `Clone` needs [`replay`](BackoffLayer::replay).
#[derive(Clone)]
pub struct BackoffService<S, C, P, T, E> {
    inner: S,
    layer: BackoffLayer<C, P, T, E>,
}

impl<S, C, P, T, E> BackoffService<S, C, P, T, E> {
    pub(crate) const fn new(inner: S, layer: BackoffLayer<C, P, T, E>) -> Self {
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

impl<S, C, P, T, E, Req> Service<Req> for BackoffService<S, C, P, T, E>
where
    S: Service<Req> + Clone,
    C: Classify<S::Response, S::Error> + Clone,
    P: Replay<Req> + Clone,
    T: Targets<Req>,
    E: Elsewhere<Req, S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, C, P, E, Req>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Req) -> Self::Future {
        let Self { inner, layer: BackoffLayer { classify, replay, targets, elsewhere } } = self;
        let mark = targets.mark(&request);
        let said = (classify.clone(), mark);
        let Some(kept) = replay.keep(&mut request) else {
            return ResponseFuture::once(inner.call(request), said);
        };
        // The one that was made ready is called, and goes along for what may follow; a clone stays.
        let fresh = inner.clone();
        let mut service = std::mem::replace(inner, fresh);
        let first = service.call(request);
        let parts = (service, replay.clone(), elsewhere.clone());
        ResponseFuture::repeatable(first, parts, kept, said)
    }
}

impl<S: fmt::Debug, C, P, T: fmt::Debug, E> fmt::Debug for BackoffService<S, C, P, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackoffService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}
