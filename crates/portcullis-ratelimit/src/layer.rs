use std::fmt::{self, Display};
use std::hash::Hash;
use std::sync::Arc;

use breaker_core::{
    AsError, Clock, ErrorsAreFailures, Key, Observe, Outcome, OutcomeFn, Refuse, Rejected,
};
use portcullis_http::{
    AsRefused, Auto, Grpc, GrpcStatus, Http, HttpOrGrpc, ProblemJson, RateLimitHeaders,
};
use tower_layer::Layer;

use crate::config::RateLimit;
use crate::keyed::RateLimiters;
use crate::limits::{Costed, ForAll, Handled, PerKey, Watched};
use crate::service::RateLimitService;
use crate::single::RateLimiter;

/// A rate limit around a service, which keeps the service's types.
///
/// The state lives in the layer value: it is made by [`new`](Self::new), and clones of a layer, and
/// all services that it makes, share one limit. So it does not matter how often a router applies the
/// layer.
///
/// ```
/// use portcullis_ratelimit::{RateLimit, RateLimitLayer};
///
/// let layer = RateLimitLayer::new(RateLimit::per_second(50).burst(20).named("search"));
/// let limit = layer.handle();       // for admin routes: change_rate, snapshot, explain ..
/// ```
#[derive(Clone)]
#[must_use]
pub struct RateLimitLayer<C = HttpOrGrpc, R = Auto, T = ForAll, A = AsRefused> {
    pub(crate) limits: T,
    pub(crate) classify: C,
    pub(crate) refuse: R,
    pub(crate) announce: A,
}

impl RateLimitLayer {
    /// A limit for HTTP and gRPC services and clients.
    ///
    /// A refused caller gets a response where the error is `Infallible` (axum, tonic servers): a 429
    /// with `Retry-After`, `RateLimit` and `RateLimit-Policy`, or a gRPC `RESOURCE_EXHAUSTED`; and a
    /// boxed [`Rejected`] where the error is a `BoxError` (clients: put
    /// [`BoxErrors`](portcullis_http::BoxErrors) beneath).
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`RateLimit::check`].
    pub fn new(config: RateLimit) -> Self {
        Self::from_limiter(RateLimiter::new(config))
    }

    /// The same on another clock: in tests a [`ManualClock`](breaker_core::ManualClock), or
    /// `TokioClock` (feature `tokio`) where tokio's time is paused.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`RateLimit::check`].
    pub fn with_clock(config: RateLimit, clock: impl Clock + 'static) -> Self {
        Self::from_limiter(RateLimiter::with_clock(config, clock))
    }

    /// A layer for a limit that exists already, with the answers of [`new`](Self::new).
    ///
    /// For a service that is not HTTP add `.classify(ErrorsAreFailures).refuse(AsError)`.
    pub const fn from_limiter(limiter: RateLimiter) -> Self {
        Self::over(ForAll(limiter))
    }
}

impl<T> RateLimitLayer<HttpOrGrpc, Auto, T, AsRefused> {
    pub(crate) const fn over(limits: T) -> Self {
        Self { limits, classify: HttpOrGrpc, refuse: Auto::new(), announce: AsRefused }
    }
}

impl RateLimitLayer<ErrorsAreFailures, AsError> {
    /// A limit for any service: errors are failures, and a refusal is an error of the service, which
    /// needs `From<Rejected>`.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`RateLimit::check`].
    pub fn generic(config: RateLimit) -> Self {
        RateLimitLayer::new(config).classify(ErrorsAreFailures).refuse(AsError)
    }
}

impl<C, R, A> RateLimitLayer<C, R, ForAll, A> {
    /// One limit per key of the request, with the configuration, the clock and the observers of this
    /// layer, in bounded memory.
    ///
    /// `key` is one of [`portcullis_http::key`], or a [`Key`] of your own for requests with any
    /// body; for closures there is [`keyed_fn`](Self::keyed_fn).
    ///
    /// The limits are new: a [`handle`](Self::handle) that was taken before leads to none of them.
    #[allow(clippy::type_complexity, reason = "the key's type is named by the key")]
    pub fn keyed<F>(
        self,
        key: F,
    ) -> RateLimitLayer<C, R, PerKey<F, <F as Key<http::Request<()>>>::Key>, A>
    where
        F: Key<http::Request<()>>,
        <F as Key<http::Request<()>>>::Key: Clone + Eq + Hash + Send + Sync + 'static,
    {
        let limits = RateLimiters::like(&self.limits.0);
        self.keyed_by(key, limits)
    }

    /// One limit per key that `key` picks from the request, with the request's type written out:
    /// `|request: &Request<Body>| ..`.
    pub fn keyed_fn<F, Req, K>(self, key: F) -> RateLimitLayer<C, R, PerKey<F, K>, A>
    where
        F: Fn(&Req) -> Option<K>,
        K: Clone + Display + Eq + Hash + Send + Sync + 'static,
    {
        let limits = RateLimiters::like(&self.limits.0);
        self.keyed_by(key, limits)
    }

    /// One limit per key, from limits that exist already.
    pub fn keyed_by<F, K>(
        self,
        key: F,
        limits: RateLimiters<K>,
    ) -> RateLimitLayer<C, R, PerKey<F, K>, A> {
        self.with_limits(|_| PerKey { key, limits })
    }
}

impl<C, R, T, A> RateLimitLayer<C, R, T, A> {
    pub(crate) fn with_limits<T2>(
        self,
        change: impl FnOnce(T) -> T2,
    ) -> RateLimitLayer<C, R, T2, A> {
        let Self { limits, classify, refuse, announce } = self;
        RateLimitLayer { limits: change(limits), classify, refuse, announce }
    }

    /// What a request costs, with its type written out: `|request: &Request<Body>| ..`; default one.
    /// A request that costs nothing is admitted, one above the burst never is. It comes after the
    /// key: `.keyed(..).cost_fn(..)`.
    pub fn cost_fn<F, Req>(self, cost: F) -> RateLimitLayer<C, R, Costed<T, F>, A>
    where
        F: Fn(&Req) -> u32,
    {
        let Self { limits, classify, refuse, announce } = self;
        RateLimitLayer { limits: Costed { limits, cost }, classify, refuse, announce }
    }

    /// Which headers tell callers of their quota. By default refusals carry `RateLimit` and
    /// `RateLimit-Policy`, and admitted calls carry nothing.
    pub fn headers(self, headers: RateLimitHeaders) -> RateLimitLayer<C, R, T, RateLimitHeaders> {
        let Self { limits, classify, refuse, .. } = self;
        RateLimitLayer { limits, classify, refuse, announce: headers }
    }

    /// Classifies and refuses by HTTP's rules only: status codes, and problem+json with 429.
    pub fn http(self) -> RateLimitLayer<Http, ProblemJson, T, A> {
        self.classify(Http).refuse(ProblemJson::new())
    }

    /// Classifies and refuses by gRPC's rules only: status codes in headers, and
    /// `RESOURCE_EXHAUSTED`.
    pub fn grpc(self) -> RateLimitLayer<Grpc, GrpcStatus, T, A> {
        self.classify(Grpc).refuse(GrpcStatus::new())
    }

    /// What does a result say about the callee, and is it a refusal from further in? The first moves
    /// the rate where it is [adjusted](RateLimit::adjust); the second gives the cost back.
    pub fn classify<C2>(self, classify: C2) -> RateLimitLayer<C2, R, T, A> {
        let Self { limits, refuse, announce, .. } = self;
        RateLimitLayer { limits, classify, refuse, announce }
    }

    /// What does a result say about the callee? As a closure, with its types written out:
    /// `|result: Result<&Response<Body>, &Infallible>| ..`. Refusals from further in are recognised
    /// as before.
    pub fn classify_fn<F, Res, Err>(self, outcome: F) -> RateLimitLayer<OutcomeFn<F, C>, R, T, A>
    where
        F: Fn(Result<&Res, &Err>) -> Outcome,
    {
        let Self { limits, classify, refuse, announce } = self;
        RateLimitLayer { limits, classify: OutcomeFn::new(outcome, classify), refuse, announce }
    }

    /// What does a refused caller get?
    pub fn refuse<R2>(self, refuse: R2) -> RateLimitLayer<C, R2, T, A> {
        let Self { limits, classify, announce, .. } = self;
        RateLimitLayer { limits, classify, refuse, announce }
    }

    /// What does a refused caller get? As a closure, with the request's type written out:
    /// `|request: &Request<Body>, rejected| ..`. Send a response of your own through
    /// [`keep_refusal`](portcullis_http::keep_refusal), or outer layers judge it as the callee's.
    pub fn refuse_fn<F, Req, Res, Err>(self, refuse: F) -> RateLimitLayer<C, F, T, A>
    where
        F: Fn(&Req, Rejected) -> Result<Res, Err>,
    {
        self.refuse(refuse)
    }

    /// Has callers wait for their turn, for [`max_wait`](RateLimit::max_wait) at most, instead of
    /// refusing them at once. The service has to be `Clone` then: the one that was made ready is
    /// called when the turn has come. It comes last: what it makes is the layer to be added.
    #[cfg(feature = "tokio")]
    pub fn waiting(self) -> crate::RateLimitWaitLayer<C, R, T, A> {
        crate::RateLimitWaitLayer::new(self)
    }
}

impl<C, R, T: Handled, A> RateLimitLayer<C, R, T, A> {
    /// The limit of this layer, a [`RateLimiter`]; where there is one per key, the [`RateLimiters`].
    #[must_use]
    pub fn handle(&self) -> T::Handle {
        self.limits.handle()
    }
}

impl<C, R, T: Watched, A> RateLimitLayer<C, R, T, A> {
    /// Has `observer` told of refusals and of changes of the rate from now on.
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        self.limits.observe(Arc::new(observer));
        self
    }
}

impl<S, C, R, T, A> Layer<S> for RateLimitLayer<C, R, T, A>
where
    C: Clone,
    R: Clone,
    T: Clone,
    A: Clone,
{
    type Service = RateLimitService<S, C, R, T, A>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimitService::new(inner, self.clone())
    }
}

/// Without classifier and refusal, so that closures are no hindrance.
impl<C, R, T: fmt::Debug, A> fmt::Debug for RateLimitLayer<C, R, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Makes the answer for a refused caller.
pub(crate) fn refused<Req, Res, Err>(
    refuse: &impl Refuse<Req, Res, Err>,
    announce: &impl portcullis_http::Announce<Res>,
    request: &Req,
    rejected: Rejected,
) -> Result<Res, Err> {
    let mut answer = refuse.refuse(request, rejected);
    if let Ok(response) = &mut answer {
        announce.refused(response, &rejected);
    }
    answer
}
