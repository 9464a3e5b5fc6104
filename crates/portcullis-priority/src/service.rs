use std::fmt;
use std::task::{Context, Poll};

use breaker_core::{Classify, Refuse};
use tower_service::Service;

use crate::enter::Enter;
use crate::future::ResponseFuture;
use crate::handle::Call;
use crate::hold::Hold;
use crate::layer::PriorityQueueLayer;

/// A service behind a queue; made by [`PriorityQueueLayer`] and
/// [`ConcurrencyLayer`](crate::ConcurrencyLayer).
///
/// It is a `Service` if the inner one is `Clone`, and classifier, refusal, priority and hold fit it.
/// Where a method such as `ready` or `oneshot` "exists but its trait bounds were not satisfied", one
/// of them does not: a client's error needs the layer [`BoxErrors`](portcullis_http::BoxErrors)
/// beneath; a body without `Default` needs the layer that makes it to stand outside.
#[derive(Clone)]
pub struct PriorityQueueService<S, C, R, E, H> {
    inner: S,
    layer: PriorityQueueLayer<C, R, E, H>,
}

impl<S, C, R, E, H> PriorityQueueService<S, C, R, E, H> {
    pub(crate) const fn new(inner: S, layer: PriorityQueueLayer<C, R, E, H>) -> Self {
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

impl<S, C, R, E, H, Req> Service<Req> for PriorityQueueService<S, C, R, E, H>
where
    S: Service<Req> + Clone,
    C: Classify<S::Response, S::Error> + Clone,
    R: Refuse<Req, S::Response, S::Error> + Clone,
    E: Enter<Req> + Clone,
    H: Hold<Req, S::Response> + Clone,
{
    type Response = H::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, C, R, E, H, Req>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let Self { inner, layer } = self;
        let call = layer.enter.call(&request);
        if let Some(slot) = layer.queue.acquire_at_once(call.priority) {
            return ResponseFuture::begin(inner, request, slot, layer);
        }
        self.ask(call, request)
    }
}

impl<S, C: Clone, R: Clone, E: Clone, H> PriorityQueueService<S, C, R, E, H> {
    /// A call that gets no slot without a look at the queue.
    #[cold]
    fn ask<Req>(&mut self, call: Call, request: Req) -> ResponseFuture<S, C, R, E, H, Req>
    where
        S: Service<Req> + Clone,
        R: Refuse<Req, S::Response, S::Error>,
        E: Enter<Req>,
        H: Hold<Req, S::Response> + Clone,
    {
        let Self { inner, layer } = self;
        match layer.queue.ask(&call, true).try_now() {
            Ok(Ok(slot)) => ResponseFuture::begin(inner, request, slot, layer),
            Ok(Err(rejected)) => {
                ResponseFuture::refused(layer.refuse.refuse(&request, rejected), layer)
            }
            Err(wait) => {
                // The one that was made ready is called later; a clone of it stays.
                let fresh = inner.clone();
                let ready = std::mem::replace(inner, fresh);
                ResponseFuture::waits(wait, ready, request, layer)
            }
        }
    }
}

impl<S: fmt::Debug, C, R, E, H> fmt::Debug for PriorityQueueService<S, C, R, E, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriorityQueueService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}
