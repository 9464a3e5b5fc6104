use std::fmt::{self, Display};
use std::hash::Hash;
use std::time::Duration;

use breaker_core::{
    AsError, Clock, ErrorsAreFailures, Key, Observe, Outcome, OutcomeFn, Rejected, RetryBudget,
};
use portcullis_http::deadline::{self, RequestDeadline};
use portcullis_http::{Auto, Grpc, GrpcStatus, Http, HttpOrGrpc, ProblemJson};
use tower_layer::Layer;

use crate::config::TimeoutConfig;
use crate::deadlines::{FromScope, Remaining};
use crate::handle::AdaptiveTimeout;
use crate::keyed::AdaptiveTimeouts;
use crate::service::AdaptiveTimeoutService;
use crate::timeouts::{ForAll, PerKey};

/// A timeout around a service that follows how long its calls take, and keeps the service's types.
///
/// The state lives in the layer value: it is made by [`new`](Self::new), and clones of a layer, and
/// all services that it makes, share one timeout. So it does not matter how often a router applies
/// the layer.
///
/// ```
/// use portcullis_timeout::{AdaptiveTimeoutLayer, TimeoutConfig};
///
/// let layer = AdaptiveTimeoutLayer::new(TimeoutConfig::new().named("search"));
/// let timeout = layer.handle();     // for admin routes: timeout, snapshot, explain ..
/// ```
#[derive(Clone)]
#[must_use]
pub struct AdaptiveTimeoutLayer<C = HttpOrGrpc, E = Auto, D = RequestDeadline, T = ForAll> {
    pub(crate) timeouts: T,
    pub(crate) classify: C,
    pub(crate) expire: E,
    pub(crate) deadline: D,
}

impl AdaptiveTimeoutLayer {
    /// A timeout for HTTP and gRPC services and clients.
    ///
    /// A call that takes too long is dropped, and its caller gets a response where the error is
    /// `Infallible` (axum, tonic servers): a 504, or a gRPC `DEADLINE_EXCEEDED`; and a boxed
    /// [`Rejected`] where the error is a `BoxError` (clients: put
    /// [`BoxErrors`](portcullis_http::BoxErrors) beneath).
    ///
    /// A request that says until when it is of use, by [`deadline::from_request`], waits no longer than
    /// until then; when that has passed, the call is not made. How much of it is left, and never more
    /// than the timeout, is told to those further in.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`TimeoutConfig::check`].
    pub fn new(config: TimeoutConfig) -> Self {
        Self::from_timeout(AdaptiveTimeout::new(config))
    }

    /// The same on another clock: in tests [`TokioClock`](breaker_core::TokioClock) where tokio's time
    /// is paused.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`TimeoutConfig::check`].
    pub fn with_clock(config: TimeoutConfig, clock: impl Clock + 'static) -> Self {
        Self::from_timeout(AdaptiveTimeout::with_clock(config, clock))
    }

    /// A layer for a timeout that exists already, with the answers of [`new`](Self::new).
    pub const fn from_timeout(timeout: AdaptiveTimeout) -> Self {
        Self {
            timeouts: ForAll(timeout),
            classify: HttpOrGrpc,
            expire: Auto::new(),
            deadline: deadline::from_request(),
        }
    }
}

impl AdaptiveTimeoutLayer<ErrorsAreFailures, AsError, FromScope> {
    /// A timeout for any service: errors are failures, and a call that takes too long ends with an
    /// error of the service, which needs `From<Rejected>`.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`TimeoutConfig::check`].
    pub fn generic(config: TimeoutConfig) -> Self {
        let timeouts = ForAll(AdaptiveTimeout::new(config));
        Self { timeouts, classify: ErrorsAreFailures, expire: AsError, deadline: FromScope }
    }
}

impl<C, E, D> AdaptiveTimeoutLayer<C, E, D> {
    /// One timeout per key: `key` is one of [`portcullis_http::key`], or a [`Key`] of your own for
    /// requests with any body. Requests without a key share one.
    pub fn keyed<F>(self, key: F) -> AdaptiveTimeoutLayer<C, E, D, PerKey<F, F::Key>>
    where
        F: Key<http::Request<()>>,
    {
        self.per_key(key)
    }

    /// One timeout per key, where a closure picks the key, with the request's type written out:
    /// `|request: &Request<Body>| ..`. Requests without a key share one.
    pub fn keyed_fn<F, Req, K>(self, key: F) -> AdaptiveTimeoutLayer<C, E, D, PerKey<F, K>>
    where
        F: Fn(&Req) -> Option<K>,
        K: Clone + Display + Eq + Hash + Send + Sync + 'static,
    {
        self.per_key(key)
    }

    fn per_key<F, K>(self, key: F) -> AdaptiveTimeoutLayer<C, E, D, PerKey<F, K>>
    where
        K: Clone + Eq + Hash,
    {
        let Self { timeouts, classify, expire, deadline } = self;
        let timeouts = PerKey { key, timeouts: AdaptiveTimeouts::like(&timeouts.0) };
        AdaptiveTimeoutLayer { timeouts, classify, expire, deadline }
    }

    /// Has `observer` told from now on when the timeout moves, and how calls end that had to be waited
    /// for. Keys that are added later tell it, too.
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        self.timeouts.0.observe(observer);
        self
    }

    /// Does not lower the timeout while this budget says that the callee is congested. It holds for
    /// keys that are added later, too.
    pub fn budget(self, budget: &RetryBudget) -> Self {
        self.timeouts.0.budget(budget);
        self
    }

    /// The timeout of this layer.
    #[must_use]
    pub fn handle(&self) -> AdaptiveTimeout {
        self.timeouts.0.clone()
    }
}

impl<C, E, D, F, K> AdaptiveTimeoutLayer<C, E, D, PerKey<F, K>> {
    /// The timeouts of this layer.
    #[must_use]
    pub fn timeouts(&self) -> AdaptiveTimeouts<K> {
        self.timeouts.timeouts.clone()
    }
}

impl<C, E, D, T> AdaptiveTimeoutLayer<C, E, D, T> {
    /// Classifies and answers by HTTP's rules only: status codes, and problem+json with 504.
    pub fn http(self) -> AdaptiveTimeoutLayer<Http, ProblemJson, D, T> {
        self.classify(Http).expire(ProblemJson::new())
    }

    /// Classifies and answers by gRPC's rules only: status codes in headers, and
    /// `DEADLINE_EXCEEDED`.
    pub fn grpc(self) -> AdaptiveTimeoutLayer<Grpc, GrpcStatus, D, T> {
        self.classify(Grpc).expire(GrpcStatus::new())
    }

    /// Is a result a refusal from further in, or a failure? The first says nothing of how long the
    /// callee takes, and the second only where it took longer than most calls do.
    pub fn classify<C2>(self, classify: C2) -> AdaptiveTimeoutLayer<C2, E, D, T> {
        let Self { timeouts, expire, deadline, .. } = self;
        AdaptiveTimeoutLayer { timeouts, classify, expire, deadline }
    }

    /// Is a result a failure? As a closure, with its types written out:
    /// `|result: Result<&Response<Body>, &Infallible>| ..`. Refusals from further in are recognised
    /// as before.
    pub fn classify_fn<F, Res, Err>(
        self,
        outcome: F,
    ) -> AdaptiveTimeoutLayer<OutcomeFn<F, C>, E, D, T>
    where
        F: Fn(Result<&Res, &Err>) -> Outcome,
    {
        let Self { timeouts, classify, expire, deadline } = self;
        let classify = OutcomeFn::new(outcome, classify);
        AdaptiveTimeoutLayer { timeouts, classify, expire, deadline }
    }

    /// What does the caller of a call get that took too long?
    pub fn expire<E2>(self, expire: E2) -> AdaptiveTimeoutLayer<C, E2, D, T> {
        let Self { timeouts, classify, deadline, .. } = self;
        AdaptiveTimeoutLayer { timeouts, classify, expire, deadline }
    }

    /// What does the caller of a call get that took too long? As a closure. Send a response of your
    /// own through [`keep_refusal`](portcullis_http::keep_refusal), or outer layers do not know it for
    /// a timeout.
    pub fn expire_fn<F, Res, Err>(self, expire: F) -> AdaptiveTimeoutLayer<C, F, D, T>
    where
        F: Fn(Rejected) -> Result<Res, Err>,
    {
        self.expire(expire)
    }

    /// Until when is a request of use? By default [`deadline::from_request`], and in a layer by
    /// [`generic`](AdaptiveTimeoutLayer::generic) the deadline of the call which makes the request.
    pub fn deadline<D2>(self, deadline: D2) -> AdaptiveTimeoutLayer<C, E, D2, T> {
        let Self { timeouts, classify, expire, .. } = self;
        AdaptiveTimeoutLayer { timeouts, classify, expire, deadline }
    }

    /// How long does the caller of a request still wait? As a closure, with the request's type written
    /// out: `|request: &Request<Body>| ..`. A [`Deadline`](breaker_core::Deadline) around the call
    /// counts, too. Those further in learn it by
    /// [`Deadline::current`](breaker_core::Deadline::current).
    pub fn remaining_fn<F, Req>(self, remaining: F) -> AdaptiveTimeoutLayer<C, E, Remaining<F>, T>
    where
        F: Fn(&Req) -> Option<Duration>,
    {
        self.deadline(Remaining(remaining))
    }
}

impl<S, C: Clone, E: Clone, D: Clone, T: Clone> Layer<S> for AdaptiveTimeoutLayer<C, E, D, T> {
    type Service = AdaptiveTimeoutService<S, C, E, D, T>;

    fn layer(&self, inner: S) -> Self::Service {
        AdaptiveTimeoutService::new(inner, self.clone())
    }
}

/// Without classifier, answer and deadline, so that closures are no hindrance.
impl<C, E, D, T: fmt::Debug> fmt::Debug for AdaptiveTimeoutLayer<C, E, D, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("AdaptiveTimeoutLayer");
        debug.field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}
