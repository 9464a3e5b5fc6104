use std::fmt;
use std::task::{Context, Poll};

use breaker_core::{Classify, Replay};
use tower_service::Service;

use super::attempt::Spare;
use super::future::HedgeFuture;
use super::layer::HedgeLayer;

/// A service whose slow calls are sent a second time; made by [`HedgeLayer`].
///
/// It is a `Service` if the inner one is `Clone`, and classifier and replay fit it.
#[derive(Clone)]
pub struct HedgeService<S, C, R> {
    inner: S,
    layer: HedgeLayer<C, R>,
}

impl<S, C, R> HedgeService<S, C, R> {
    pub(crate) const fn new(inner: S, layer: HedgeLayer<C, R>) -> Self {
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

impl<S, C, R, Req> Service<Req> for HedgeService<S, C, R>
where
    S: Service<Req> + Clone,
    C: Classify<S::Response, S::Error> + Clone,
    R: Replay<Req> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = HedgeFuture<S, C, R, Req>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Req) -> Self::Future {
        let Self { inner, layer } = self;
        // The one that is ready makes the first attempt; a clone of it waits for the second.
        let kept = layer.replay.keep(&mut request);
        let spare = kept.map(|kept| Spare { service: inner.clone(), kept });
        HedgeFuture::new(inner.call(request), spare, layer)
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for HedgeService<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}
