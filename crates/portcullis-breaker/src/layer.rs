use std::fmt::{self, Display};
use std::hash::Hash;

use breaker_core::{
    AsError, CircuitBreaker, CircuitBreakerConfig, CircuitBreakers, Clock, ErrorsAreFailures, Key,
    Observe, Outcome, Rejected,
};
use portcullis_http::{Auto, Grpc, GrpcStatus, Http, HttpOrGrpc, ProblemJson};
use tower_layer::Layer;

use crate::body_end::BodyEndLayer;
use crate::circuits::{Keyed, Known, Single};
use crate::service::CircuitBreakerService;

/// A circuit breaker around a service, which keeps the service's types.
///
/// The state lives in the layer value: it is made by [`new`](Self::new), and clones of a layer,
/// and all services that it makes, share one circuit. So it does not matter how often a router
/// applies the layer.
///
/// ```
/// use portcullis_breaker::{CircuitBreakerConfig, CircuitBreakerLayer};
///
/// let layer = CircuitBreakerLayer::new(CircuitBreakerConfig::new().named("payments"));
/// let breaker = layer.handle();       // for admin routes: force_open, snapshot, explain ..
/// ```
#[derive(Clone)]
#[must_use]
pub struct CircuitBreakerLayer<C = HttpOrGrpc, R = Auto, T = Single> {
    circuits: T,
    classify: C,
    refuse: R,
}

impl CircuitBreakerLayer {
    /// A circuit for HTTP and gRPC services and clients.
    ///
    /// 5xx answers, 408, gRPC failure codes and errors count as failures, other 4xx do not. A refused caller
    /// gets a response where the error is `Infallible` (axum, tonic servers): a 503 or a gRPC
    /// `UNAVAILABLE`; and a boxed [`Rejected`] where the error is a `BoxError` (clients: put
    /// [`BoxErrors`](portcullis_http::BoxErrors) beneath).
    pub fn new(config: CircuitBreakerConfig) -> Self {
        Self::from_breaker(CircuitBreaker::new(config))
    }

    /// The same on another clock: in tests a [`ManualClock`](breaker_core::ManualClock), or
    /// `TokioClock` (feature `tokio`) where tokio's time is paused.
    pub fn with_clock(config: CircuitBreakerConfig, clock: impl Clock + 'static) -> Self {
        Self::from_breaker(CircuitBreaker::with_clock(config, clock))
    }

    /// A layer for a circuit that exists already, with the answers of [`new`](Self::new).
    ///
    /// For a service that is not HTTP add `.classify(ErrorsAreFailures).refuse(AsError)`.
    pub const fn from_breaker(breaker: CircuitBreaker) -> Self {
        Self { circuits: Single(breaker), classify: HttpOrGrpc, refuse: Auto::new() }
    }
}

impl CircuitBreakerLayer<ErrorsAreFailures, AsError> {
    /// A circuit for any service: errors are failures, and a refusal is an error of the service,
    /// which needs `From<Rejected>`.
    pub fn generic(config: CircuitBreakerConfig) -> Self {
        let circuits = Single(CircuitBreaker::new(config));
        Self { circuits, classify: ErrorsAreFailures, refuse: AsError }
    }
}

impl<C, R> CircuitBreakerLayer<C, R, Single> {
    /// The circuit of this layer.
    #[must_use]
    pub fn handle(&self) -> CircuitBreaker {
        self.circuits.0.clone()
    }

    /// One circuit per key of the request, with the configuration, the clock and the observers
    /// of this layer; up to 10,000 keys.
    ///
    /// `key` is one of [`portcullis_http::key`], or a [`Key`] of your own for requests with any
    /// body; for closures there is [`keyed_fn`](Self::keyed_fn).
    ///
    /// The circuits are new: a [`handle`](Self::handle) that was taken before leads to none of
    /// them. They are found by [`circuits`](CircuitBreakerLayer::circuits).
    #[allow(clippy::type_complexity, reason = "the key's type is named by the key")]
    pub fn keyed<F>(
        self,
        key: F,
    ) -> CircuitBreakerLayer<C, R, Keyed<F, <F as Key<http::Request<()>>>::Key>>
    where
        F: Key<http::Request<()>>,
    {
        let capacity = CircuitBreakers::<F::Key>::DEFAULT_CAPACITY;
        self.keyed_in(key, capacity)
    }

    /// One circuit per key that `key` picks from the request, with the request's type written
    /// out: `|request: &Request<Body>| ..`; up to 10,000 keys.
    pub fn keyed_fn<F, Req, K>(self, key: F) -> CircuitBreakerLayer<C, R, Keyed<F, K>>
    where
        F: Fn(&Req) -> Option<K>,
        K: Clone + Display + Eq + Hash + Send + Sync + 'static,
    {
        let capacity = CircuitBreakers::<K>::DEFAULT_CAPACITY;
        self.keyed_in(key, capacity)
    }

    /// [`keyed`](Self::keyed), with room for about so many keys.
    #[allow(clippy::type_complexity, reason = "the key's type is named by the key")]
    pub fn keyed_up_to<F>(
        self,
        keys: usize,
        key: F,
    ) -> CircuitBreakerLayer<C, R, Keyed<F, <F as Key<http::Request<()>>>::Key>>
    where
        F: Key<http::Request<()>>,
    {
        self.keyed_in(key, keys)
    }

    fn keyed_in<F, K>(self, key: F, capacity: usize) -> CircuitBreakerLayer<C, R, Keyed<F, K>>
    where
        K: Clone + Display + Eq + Hash,
    {
        let circuits = CircuitBreakers::like(&self.circuits.0, capacity);
        self.keyed_by(key, circuits)
    }

    /// One circuit per key, from circuits that exist already.
    pub fn keyed_by<F, K>(
        self,
        key: F,
        circuits: CircuitBreakers<K>,
    ) -> CircuitBreakerLayer<C, R, Keyed<F, K>> {
        let Self { classify, refuse, .. } = self;
        CircuitBreakerLayer { circuits: Keyed::new(key, circuits), classify, refuse }
    }
}

impl<C, R, F, K> CircuitBreakerLayer<C, R, Keyed<F, K>> {
    /// The circuits of this layer.
    #[must_use]
    pub const fn circuits(&self) -> &CircuitBreakers<K> {
        self.circuits.circuits()
    }
}

impl<C, R, T> CircuitBreakerLayer<C, R, T> {
    /// Classifies and refuses by HTTP's rules only: status codes, and problem+json with 503.
    pub fn http(self) -> CircuitBreakerLayer<Http, ProblemJson, T> {
        self.classify(Http).refuse(ProblemJson::new())
    }

    /// Classifies and refuses by gRPC's rules only: status codes in headers, and `UNAVAILABLE`.
    pub fn grpc(self) -> CircuitBreakerLayer<Grpc, GrpcStatus, T> {
        self.classify(Grpc).refuse(GrpcStatus::new())
    }

    /// What does a result say about the callee?
    pub fn classify<C2>(self, classify: C2) -> CircuitBreakerLayer<C2, R, T> {
        let Self { circuits, refuse, .. } = self;
        CircuitBreakerLayer { circuits, classify, refuse }
    }

    /// What does a result say about the callee? As a closure, with its types written out:
    /// `|result: Result<&Response<Body>, &Infallible>| ..`.
    pub fn classify_fn<F, Res, Err>(self, classify: F) -> CircuitBreakerLayer<F, R, T>
    where
        F: Fn(Result<&Res, &Err>) -> Outcome,
    {
        self.classify(classify)
    }

    /// What does a refused caller get?
    pub fn refuse<R2>(self, refuse: R2) -> CircuitBreakerLayer<C, R2, T> {
        let Self { circuits, classify, .. } = self;
        CircuitBreakerLayer { circuits, classify, refuse }
    }

    /// What does a refused caller get? As a closure, with the request's type written out:
    /// `|request: &Request<Body>, rejected| ..`. Send a response of your own through
    /// [`keep_refusal`](portcullis_http::keep_refusal), or outer layers judge it as the callee's.
    pub fn refuse_fn<F, Req, Res, Err>(self, refuse: F) -> CircuitBreakerLayer<C, F, T>
    where
        F: Fn(&Req, Rejected) -> Result<Res, Err>,
    {
        self.refuse(refuse)
    }

    /// Judges calls at the end of the response's body, where gRPC has its status and a stream
    /// may break. The one thing that changes a type: the body becomes a
    /// [`JudgedBody`](portcullis_http::JudgedBody).
    pub fn judge_at_end_of_body(self) -> BodyEndLayer<C, R, T> {
        BodyEndLayer::new(self)
    }
}

impl<C, R, T: Known> CircuitBreakerLayer<C, R, T> {
    /// Has `observer` told what happens from now on. Every call takes the circuit's lock then.
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        self.circuits.observe(observer);
        self
    }
}

impl<S, C, R, T> Layer<S> for CircuitBreakerLayer<C, R, T>
where
    C: Clone,
    R: Clone,
    T: Known,
{
    type Service = CircuitBreakerService<S, C, R, T>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self { circuits, classify, refuse } = self;
        CircuitBreakerService::new(inner, circuits.keep(), classify.clone(), refuse.clone())
    }
}

/// Without classifier and refusal, so that closures are no hindrance.
impl<C, R, T: fmt::Debug> fmt::Debug for CircuitBreakerLayer<C, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerLayer")
            .field("circuits", &self.circuits)
            .finish_non_exhaustive()
    }
}
