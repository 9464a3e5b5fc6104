use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use breaker_core::{
    AsError, CircuitBreaker, Clock, ErrorsAreFailures, Key, Observe, Outcome, OutcomeFn, Priority,
    Rejected,
};
use portcullis_http::priority::{self, RequestPriority};
use portcullis_http::{Auto, Grpc, GrpcStatus, Http, HttpOrGrpc, ProblemJson};
use tower_layer::Layer;

use crate::config::QueueConfig;
use crate::enter::{ByPriority, FairBy, Within};
use crate::handle::PriorityQueue;
use crate::hold::{ToEndOfBody, ToHead};
use crate::service::PriorityQueueService;

/// A bounded number of calls at a time, the important ones first.
///
/// The state lives in the layer value: it is made by [`new`](Self::new), and clones of a layer, and
/// all services that it makes, share one queue. So it does not matter how often a router applies the
/// layer.
///
/// ```
/// use portcullis_priority::{PriorityQueueLayer, QueueConfig};
///
/// let layer = PriorityQueueLayer::new(QueueConfig::slots(64).named("search"));
/// let queue = layer.handle();       // for admin routes: min_priority, reconfigure, explain ..
/// ```
#[derive(Clone)]
#[must_use]
pub struct PriorityQueueLayer<
    C = HttpOrGrpc,
    R = Auto,
    E = ByPriority<RequestPriority>,
    H = ToEndOfBody,
> {
    pub(crate) queue: PriorityQueue,
    pub(crate) classify: C,
    pub(crate) refuse: R,
    pub(crate) enter: E,
    pub(crate) hold: H,
}

impl PriorityQueueLayer {
    /// A queue for HTTP and gRPC services and clients.
    ///
    /// A request is as important as the [`Priority`] in its extensions, or as its header
    /// `x-priority` or `priority` says; since anybody can write headers, they can only make it less
    /// important: see [`priority::from_request`]. The slot is held to the end of the response's
    /// body, which therefore is a [`JudgedBody`](portcullis_http::JudgedBody).
    ///
    /// A refused caller gets a response where the error is `Infallible` (axum, tonic servers): a 503
    /// with `Retry-After`, or a gRPC `UNAVAILABLE`; and a boxed [`Rejected`] where the error is a
    /// `BoxError` (clients: put [`BoxErrors`](portcullis_http::BoxErrors) beneath).
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`QueueConfig::check`].
    pub fn new(config: QueueConfig) -> Self {
        Self::from_queue(PriorityQueue::new(config))
    }

    /// The same on another clock: in tests a [`ManualClock`](breaker_core::ManualClock), or
    /// [`TokioClock`](breaker_core::TokioClock) where tokio's time is paused.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`QueueConfig::check`].
    pub fn with_clock(config: QueueConfig, clock: impl Clock + 'static) -> Self {
        Self::from_queue(PriorityQueue::with_clock(config, clock))
    }

    /// A layer for a queue that exists already, with the answers of [`new`](Self::new).
    pub const fn from_queue(queue: PriorityQueue) -> Self {
        let enter = ByPriority(priority::from_request());
        Self { queue, classify: HttpOrGrpc, refuse: Auto::new(), enter, hold: ToEndOfBody }
    }
}

impl<P> PriorityQueueLayer<ErrorsAreFailures, AsError, ByPriority<P>, ToHead> {
    /// A queue for any service, where `priority` says how important a request is: errors are
    /// failures, and a refusal is an error of the service, which needs `From<Rejected>`.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`QueueConfig::check`].
    pub fn generic<Req>(config: QueueConfig, priority: P) -> Self
    where
        P: Fn(&Req) -> Option<Priority>,
    {
        let queue = PriorityQueue::new(config);
        let (classify, refuse) = (ErrorsAreFailures, AsError);
        Self { queue, classify, refuse, enter: ByPriority(priority), hold: ToHead }
    }
}

impl<C, R, P, H> PriorityQueueLayer<C, R, ByPriority<P>, H> {
    /// How important a request is: one of [`portcullis_http::priority`], or a
    /// [`Prioritize`](breaker_core::Prioritize) of your own.
    pub fn priority<P2>(self, priority: P2) -> PriorityQueueLayer<C, R, ByPriority<P2>, H> {
        self.entering(|_| ByPriority(priority))
    }

    /// How important a request is, as a closure with the request's type written out:
    /// `|request: &Request<Body>| ..`. It decides alone: headers are not read then.
    pub fn priority_fn<F, Req>(self, priority: F) -> PriorityQueueLayer<C, R, ByPriority<F>, H>
    where
        F: Fn(&Req) -> Option<Priority>,
    {
        self.priority(priority)
    }
}

impl<C, R, E, H> PriorityQueueLayer<C, R, E, H> {
    fn entering<E2>(self, change: impl FnOnce(E) -> E2) -> PriorityQueueLayer<C, R, E2, H> {
        let Self { queue, classify, refuse, enter, hold } = self;
        PriorityQueueLayer { queue, classify, refuse, enter: change(enter), hold }
    }

    /// Has users take turns within a class: `user` is one of [`portcullis_http::key`], or a [`Key`]
    /// of your own for requests with any body. It comes after the priority.
    ///
    /// A hash with a random seed puts users into 128 cohorts, so that nothing is kept of them.
    pub fn fair_by<F>(self, user: F) -> PriorityQueueLayer<C, R, FairBy<E, F>, H>
    where
        F: Key<http::Request<()>>,
    {
        self.entering(|enter| FairBy { enter, user })
    }

    /// Has users take turns within a class, where a closure tells them apart, with the request's
    /// type written out: `|request: &Request<Body>| ..`.
    pub fn fair_by_fn<F, Req, K>(self, user: F) -> PriorityQueueLayer<C, R, FairBy<E, F>, H>
    where
        F: Fn(&Req) -> Option<K>,
        K: Clone + fmt::Display + Eq + Hash + Send + Sync + 'static,
    {
        self.entering(|enter| FairBy { enter, user })
    }

    /// How long the caller of a request waits for its answer, with the request's type written out:
    /// `|request: &Request<Body>| ..`. Those that would have to wait, and could not be served
    /// in time then, are refused at once: see [`Call::remaining`](crate::Call::remaining).
    pub fn remaining_fn<F, Req>(self, remaining: F) -> PriorityQueueLayer<C, R, Within<E, F>, H>
    where
        F: Fn(&Req) -> Option<Duration>,
    {
        self.entering(|enter| Within { enter, remaining })
    }

    /// Gives slots back with the head of the answer: the type of the response stays as it is, and
    /// calls whose body is still being sent are not counted.
    pub fn hold_to_head(self) -> PriorityQueueLayer<C, R, E, ToHead> {
        let Self { queue, classify, refuse, enter, .. } = self;
        PriorityQueueLayer { queue, classify, refuse, enter, hold: ToHead }
    }

    /// Holds slots to the end of the response's body: the default of [`PriorityQueueLayer::new`].
    pub fn hold_to_end_of_body(self) -> PriorityQueueLayer<C, R, E, ToEndOfBody> {
        let Self { queue, classify, refuse, enter, .. } = self;
        PriorityQueueLayer { queue, classify, refuse, enter, hold: ToEndOfBody }
    }

    /// Classifies and refuses by HTTP's rules only: status codes, and problem+json with 503.
    pub fn http(self) -> PriorityQueueLayer<Http, ProblemJson, E, H> {
        self.classify(Http).refuse(ProblemJson::new())
    }

    /// Classifies and refuses by gRPC's rules only: status codes in headers, and `UNAVAILABLE`.
    pub fn grpc(self) -> PriorityQueueLayer<Grpc, GrpcStatus, E, H> {
        self.classify(Grpc).refuse(GrpcStatus::new())
    }

    /// What does a result say about the callee, and is it a refusal from further in? The first moves
    /// the [limit](QueueConfig::limit) where there is one, the second gives the slot back at once.
    pub fn classify<C2>(self, classify: C2) -> PriorityQueueLayer<C2, R, E, H> {
        let Self { queue, refuse, enter, hold, .. } = self;
        PriorityQueueLayer { queue, classify, refuse, enter, hold }
    }

    /// What does a result say about the callee? As a closure, with its types written out:
    /// `|result: Result<&Response<Body>, &Infallible>| ..`. Refusals from further in are recognised
    /// as before.
    pub fn classify_fn<F, Res, Err>(
        self,
        outcome: F,
    ) -> PriorityQueueLayer<OutcomeFn<F, C>, R, E, H>
    where
        F: Fn(Result<&Res, &Err>) -> Outcome,
    {
        let Self { queue, classify, refuse, enter, hold } = self;
        let classify = OutcomeFn::new(outcome, classify);
        PriorityQueueLayer { queue, classify, refuse, enter, hold }
    }

    /// What does a refused caller get?
    pub fn refuse<R2>(self, refuse: R2) -> PriorityQueueLayer<C, R2, E, H> {
        let Self { queue, classify, enter, hold, .. } = self;
        PriorityQueueLayer { queue, classify, refuse, enter, hold }
    }

    /// What does a refused caller get? As a closure, with the request's type written out:
    /// `|request: &Request<Body>, rejected| ..`. Send a response of your own through
    /// [`keep_refusal`](portcullis_http::keep_refusal), or outer layers judge it as the callee's.
    pub fn refuse_fn<F, Req, Res, Err>(self, refuse: F) -> PriorityQueueLayer<C, F, E, H>
    where
        F: Fn(&Req, Rejected) -> Result<Res, Err>,
    {
        self.refuse(refuse)
    }

    /// Watches a circuit: see [`PriorityQueue::watch`].
    pub fn watch(self, circuit: &CircuitBreaker) -> Self {
        self.queue.watch(circuit);
        self
    }

    /// Has `observer` told what happens from now on.
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        self.queue.observe(observer);
        self
    }

    /// The queue of this layer.
    #[must_use]
    pub fn handle(&self) -> PriorityQueue {
        self.queue.clone()
    }
}

impl<S, C: Clone, R: Clone, E: Clone, H: Clone> Layer<S> for PriorityQueueLayer<C, R, E, H> {
    type Service = PriorityQueueService<S, C, R, E, H>;

    fn layer(&self, inner: S) -> Self::Service {
        PriorityQueueService::new(inner, self.clone())
    }
}

/// Without classifier, refusal and priority, so that closures are no hindrance.
impl<C, R, E, H> fmt::Debug for PriorityQueueLayer<C, R, E, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriorityQueueLayer").field("queue", &self.queue).finish_non_exhaustive()
    }
}
