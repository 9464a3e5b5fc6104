//! Callers that wait for their turn, as a layer: [`RateLimitWaitLayer`].

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use breaker_core::{Classify, Refuse, Rejected};
use pin_project::pin_project;
use portcullis_http::{Announce, RateLimitHeaders};
use tower_layer::Layer;
use tower_service::Service;

use crate::future::ResponseFuture;
use crate::grant::{Admission, Grant};
use crate::layer::{RateLimitLayer, refused};
use crate::limits::{Costed, Handled, Lines};

/// A [`RateLimitLayer`] whose callers wait for their turn; made by
/// [`waiting`](RateLimitLayer::waiting).
///
/// Whoever came first is served first, and whoever would wait longer than
/// [`max_wait`](crate::RateLimit::max_wait) is refused at once. A call that waits can be dropped:
/// those behind it move up.
#[derive(Clone)]
#[must_use]
pub struct RateLimitWaitLayer<C, R, T, A> {
    layer: RateLimitLayer<C, R, T, A>,
}

impl<C, R, T, A> RateLimitWaitLayer<C, R, T, A> {
    pub(crate) const fn new(layer: RateLimitLayer<C, R, T, A>) -> Self {
        Self { layer }
    }

    #[cfg(feature = "redis")]
    pub(crate) fn with_limits<T2>(
        self,
        change: impl FnOnce(T) -> T2,
    ) -> RateLimitWaitLayer<C, R, T2, A> {
        RateLimitWaitLayer::new(self.layer.with_limits(change))
    }

    /// What a request costs, with its type written out: `|request: &Request<Body>| ..`; default one.
    pub fn cost_fn<F, Req>(self, cost: F) -> RateLimitWaitLayer<C, R, Costed<T, F>, A>
    where
        F: Fn(&Req) -> u32,
    {
        RateLimitWaitLayer::new(self.layer.cost_fn(cost))
    }

    /// Which headers tell callers of their quota; see [`RateLimitLayer::headers`].
    pub fn headers(
        self,
        headers: RateLimitHeaders,
    ) -> RateLimitWaitLayer<C, R, T, RateLimitHeaders> {
        RateLimitWaitLayer::new(self.layer.headers(headers))
    }

    /// What does a refused caller get?
    pub fn refuse<R2>(self, refuse: R2) -> RateLimitWaitLayer<C, R2, T, A> {
        RateLimitWaitLayer::new(self.layer.refuse(refuse))
    }

    /// What does a result say about the callee? See [`RateLimitLayer::classify`].
    pub fn classify<C2>(self, classify: C2) -> RateLimitWaitLayer<C2, R, T, A> {
        RateLimitWaitLayer::new(self.layer.classify(classify))
    }

    /// The layer that this one was made of.
    pub const fn get_ref(&self) -> &RateLimitLayer<C, R, T, A> {
        &self.layer
    }
}

impl<C, R, T: Handled, A> RateLimitWaitLayer<C, R, T, A> {
    /// The limit of this layer, or the limits where there is one per key.
    #[must_use]
    pub fn handle(&self) -> T::Handle {
        self.layer.handle()
    }
}

impl<S, C, R, T, A> Layer<S> for RateLimitWaitLayer<C, R, T, A>
where
    C: Clone,
    R: Clone,
    T: Clone,
    A: Clone,
{
    type Service = RateLimitWaitService<S, C, R, T, A>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimitWaitService { inner, layer: self.layer.clone() }
    }
}

/// A service behind a limit, whose callers wait for their turn; made by [`RateLimitWaitLayer`].
#[derive(Clone)]
pub struct RateLimitWaitService<S, C, R, T, A> {
    inner: S,
    layer: RateLimitLayer<C, R, T, A>,
}

impl<S, C, R, T, A> RateLimitWaitService<S, C, R, T, A> {
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

impl<S, C, R, T, A, Req> Service<Req> for RateLimitWaitService<S, C, R, T, A>
where
    S: Service<Req> + Clone,
    C: Classify<S::Response, S::Error> + Clone,
    R: Refuse<Req, S::Response, S::Error> + Clone,
    T: Lines<Req>,
    A: Announce<S::Response> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = WaitFuture<S, C, R, T::Acquire, A, Req, T::Grant>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let RateLimitLayer { limits, classify, refuse, announce } = &self.layer;
        let acquire = limits.acquire(&request, limits.cost(&request));
        // The one that was made ready is called later; a clone of it stays.
        let fresh = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, fresh);
        let (classify, refuse, announce) = (classify.clone(), refuse.clone(), announce.clone());
        WaitFuture {
            step: Step::Waits { acquire, call: Some(Call { service, request }) },
            ways: Ways { classify, refuse, announce },
        }
    }
}

impl<C, R, T: fmt::Debug, A> fmt::Debug for RateLimitWaitLayer<C, R, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimitWaitLayer").field(&self.layer).finish()
    }
}

impl<S: fmt::Debug, C, R, T: fmt::Debug, A> fmt::Debug for RateLimitWaitService<S, C, R, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitWaitService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}

/// Waits for the turn of a call, and for its answer: named, pinned, not boxed.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct WaitFuture<S: Service<Req>, C, R, Q, A, Req, G = Grant> {
    #[pin]
    step: Step<S, C, Q, A, Req, G>,
    ways: Ways<C, R, A>,
}

#[pin_project(project = StepProj)]
enum Step<S: Service<Req>, C, Q, A, Req, G> {
    Waits {
        #[pin]
        acquire: Q,
        call: Option<Call<S, Req>>,
    },
    Goes(#[pin] ResponseFuture<S::Future, C, A, S::Response, S::Error, G>),
}

/// A call that has not been made yet.
struct Call<S, Req> {
    service: S,
    request: Req,
}

struct Ways<C, R, A> {
    classify: C,
    refuse: R,
    announce: A,
}

impl<S, C, R, Q, A, Req, G> Future for WaitFuture<S, C, R, Q, A, Req, G>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error> + Clone,
    R: Refuse<Req, S::Response, S::Error>,
    Q: Future<Output = Result<G, Rejected>>,
    G: Admission,
    A: Announce<S::Response> + Clone,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let StepProj::Waits { acquire, call } = this.step.as_mut().project() {
            let admitted = ready!(acquire.poll(cx));
            let Some(Call { mut service, request }) = call.take() else {
                panic!("a `WaitFuture` was polled after it had ended");
            };
            let Ways { classify, refuse, announce } = this.ways;
            let answer = match admitted {
                Ok(grant) => {
                    let inner = grant.watch(|| service.call(request));
                    ResponseFuture::admitted(inner, grant, classify.clone(), announce.clone())
                }
                Err(rejected) => {
                    ResponseFuture::refused(refused(refuse, announce, &request, rejected))
                }
            };
            this.step.set(Step::Goes(answer));
        }
        match this.step.project() {
            StepProj::Goes(answer) => answer.poll(cx),
            StepProj::Waits { .. } => Poll::Pending,
        }
    }
}

impl<S: Service<Req>, C, R, Q, A, Req, G> fmt::Debug for WaitFuture<S, C, R, Q, A, Req, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Waits { .. } => "waits",
            Step::Goes(_) => "goes",
        };
        f.debug_tuple("WaitFuture").field(&step).finish()
    }
}
