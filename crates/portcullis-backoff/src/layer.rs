use std::fmt::{self, Display};
use std::hash::Hash;
use std::sync::Arc;

use breaker_core::{
    CircuitBreaker, Clock, Cloned, ErrorsAreFailures, Key, Observe, Outcome, OutcomeFn,
    ResourceProbe, RetryBudget,
};
use portcullis_http::replay::{self, Clones, Marked};
use portcullis_http::{Grpc, Http, HttpOrGrpc};
use tower_layer::Layer;

use crate::config::BackoffConfig;
use crate::elsewhere::{Nowhere, To};
use crate::handle::Backoff;
use crate::keyed::Keyed;
use crate::service::BackoffService;
use crate::targets::{Budgeted, ForAll, PerKey, Registry};

/// Calls that fail are made again, where that helps and does no harm.
///
/// The state lives in the layer value: it is made by [`new`](Self::new), and clones of a layer, and
/// all services that it makes, share one budget and one history. So it does not matter how often the
/// layer is applied.
///
/// ```
/// use portcullis_backoff::{BackoffConfig, BackoffLayer};
///
/// let layer = BackoffLayer::new(BackoffConfig::new().named("search"));
/// let retries = layer.handle();       // for admin routes: reconfigure, snapshot, explain ..
/// ```
#[derive(Clone)]
#[must_use]
pub struct BackoffLayer<C = HttpOrGrpc, P = Clones, T = ForAll, E = Nowhere> {
    pub(crate) classify: C,
    pub(crate) replay: P,
    pub(crate) targets: T,
    pub(crate) elsewhere: E,
}

impl BackoffLayer {
    /// Retries for HTTP and gRPC clients.
    ///
    /// A request is made again if its method may be repeated (all but POST and PATCH, unless they
    /// carry an `Idempotency-Key`; gRPC calls where [`idempotent_fn`](Self::idempotent_fn) says so),
    /// or if the callee cannot have begun with it. Its body must be `Clone`, or be kept while it is
    /// sent: see [`replay`](Self::replay). The answer of the last attempt is the answer of the call.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`BackoffConfig::check`].
    pub fn new(config: BackoffConfig) -> Self {
        Self::from_backoff(&Backoff::new(config))
    }

    /// The same on another clock: in tests a [`ManualClock`](breaker_core::ManualClock), or
    /// [`TokioClock`](breaker_core::TokioClock) where tokio's time is paused. Waits are tokio's
    /// always.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`BackoffConfig::check`].
    pub fn with_clock(config: BackoffConfig, clock: impl Clock + 'static) -> Self {
        Self::from_backoff(&Backoff::with_clock(config, clock))
    }

    /// A layer for retries that exist already, with the answers of [`new`](Self::new). So delays can be
    /// foretold, too: see [`Backoff::with_clock_and_seed`].
    pub fn from_backoff(backoff: &Backoff) -> Self {
        let targets = backoff.all().clone();
        Self { classify: HttpOrGrpc, replay: Clones, targets, elsewhere: Nowhere }
    }
}

impl BackoffLayer<ErrorsAreFailures, Cloned> {
    /// Retries for any service: errors are failures of unknown kind, which are repeated, and all
    /// requests are `Clone` and may be made twice. Whoever knows more says so with
    /// [`classify_fn`](Self::classify_fn) and [`clone_request_fn`](Self::clone_request_fn).
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`BackoffConfig::check`].
    pub fn generic(config: BackoffConfig) -> Self {
        let config = config.retry_on(breaker_core::FailureKind::Unknown, true);
        let targets = Backoff::new(config).all().clone();
        Self { classify: ErrorsAreFailures, replay: Cloned, targets, elsewhere: Nowhere }
    }
}

impl<C, P, E> BackoffLayer<C, P, ForAll, E> {
    /// A target of its own, with history and budget, for each key: `key` is one of
    /// [`portcullis_http::key`], such as `key::host()`, or a [`Key`] of your own for requests with
    /// any body.
    pub fn keyed<F, K>(self, key: F) -> BackoffLayer<C, P, PerKey<F, K>, E>
    where
        F: Key<http::Request<()>, Key = K>,
        K: Clone + Display + Eq + Hash + Send + Sync + 'static,
    {
        self.per_key(key)
    }

    /// A target of its own for each key that a closure picks, with the request's type written out:
    /// `|request: &Request<Body>| ..`.
    pub fn keyed_fn<F, Req, K>(self, key: F) -> BackoffLayer<C, P, PerKey<F, K>, E>
    where
        F: Fn(&Req) -> Option<K>,
        K: Clone + Display + Eq + Hash + Send + Sync + 'static,
    {
        self.per_key(key)
    }

    fn per_key<F, K>(self, key: F) -> BackoffLayer<C, P, PerKey<F, K>, E>
    where
        K: Clone + Display + Eq + Hash + Send + Sync + 'static,
    {
        let Self { classify, replay, targets, elsewhere } = self;
        let keyed = Arc::new(Keyed::new(targets.hub(), targets.given()));
        BackoffLayer { classify, replay, targets: PerKey { key, keyed }, elsewhere }
    }

    /// The retries of this layer.
    #[must_use]
    pub fn handle(&self) -> Backoff {
        Backoff::of(Arc::new(self.targets.clone()))
    }
}

impl<C, P, F, K, E> BackoffLayer<C, P, PerKey<F, K>, E>
where
    K: Clone + Display + Eq + Hash + Send + Sync + 'static,
{
    /// The retries of this layer, all keys together.
    #[must_use]
    pub fn handle(&self) -> Backoff {
        Backoff::of(self.targets.keyed.clone())
    }
}

impl<C, P, T, E> BackoffLayer<C, P, T, E> {
    /// Classifies by HTTP's rules only: status codes.
    pub fn http(self) -> BackoffLayer<Http, P, T, E> {
        self.classify(Http)
    }

    /// Classifies by gRPC's rules only: status codes in headers.
    pub fn grpc(self) -> BackoffLayer<Grpc, P, T, E> {
        self.classify(Grpc)
    }

    /// What does a result say about the callee, and about another attempt?
    pub fn classify<C2>(self, classify: C2) -> BackoffLayer<C2, P, T, E> {
        let Self { replay, targets, elsewhere, .. } = self;
        BackoffLayer { classify, replay, targets, elsewhere }
    }

    /// What does a result say about the callee? As a closure, with its types written out:
    /// `|result: Result<&Response<Body>, &BoxError>| ..`. Refusals and the callee's wishes are
    /// recognised as before.
    pub fn classify_fn<F, Res, Err>(self, outcome: F) -> BackoffLayer<OutcomeFn<F, C>, P, T, E>
    where
        F: Fn(Result<&Res, &Err>) -> Outcome,
    {
        let Self { classify, replay, targets, elsewhere } = self;
        let classify = OutcomeFn::new(outcome, classify);
        BackoffLayer { classify, replay, targets, elsewhere }
    }

    /// How a request is sent again: one of [`portcullis_http::replay`], such as
    /// `replay::bodies(Body::new)`, which keeps a body while it is being sent. To be said before
    /// [`idempotent_fn`](Self::idempotent_fn), which adds to what is there.
    pub fn replay<P2>(self, replay: P2) -> BackoffLayer<C, P2, T, E> {
        let Self { classify, targets, elsewhere, .. } = self;
        BackoffLayer { classify, replay, targets, elsewhere }
    }

    /// How a request is sent again, as a closure with its type written out:
    /// `|request: &MyRequest| -> Option<MyRequest> ..`. It is asked for what may be made twice, and
    /// answers `None` for what may not.
    pub fn clone_request_fn<F, Req>(self, clone: F) -> BackoffLayer<C, F, T, E>
    where
        F: Fn(&Req) -> Option<Req>,
    {
        self.replay(clone)
    }

    /// Which requests may be made twice, besides those whose method says so: as a closure with the
    /// request's type written out, `|request: &Request<Body>| ..`.
    pub fn idempotent_fn<F, Req>(self, mark: F) -> BackoffLayer<C, Marked<P, F>, T, E>
    where
        F: Fn(&Req) -> bool,
    {
        let Self { classify, replay, targets, elsewhere } = self;
        let replay = replay::idempotent_fn(replay, mark);
        BackoffLayer { classify, replay, targets, elsewhere }
    }

    /// Where a call goes when its target is exhausted: a service of the same types. What it answers
    /// is the answer.
    pub fn redirect_to<S>(self, service: S) -> BackoffLayer<C, P, T, To<S>> {
        let Self { classify, replay, targets, .. } = self;
        BackoffLayer { classify, replay, targets, elsewhere: To(service) }
    }

    /// One budget for all targets of this layer, shared with whoever has it, too: other retries of
    /// the same callee, and [hedges](https://docs.rs/portcullis-timeout).
    pub fn budget(self, budget: &RetryBudget) -> Self
    where
        T: Budgeted,
    {
        let Self { classify, replay, targets, elsewhere } = self;
        let targets = targets.with_budget(budget);
        Self { classify, replay, targets, elsewhere }
    }
}

impl<C, P, E> BackoffLayer<C, P, ForAll, E> {
    /// Watches a circuit further in: see [`RetryBudget::watch`].
    pub fn watch(self, circuit: &CircuitBreaker) -> Self {
        self.targets.watch(circuit);
        self
    }

    /// Has `observer` told what happens from now on.
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        self.targets.hub().observe(Arc::new(observer));
        self
    }

    /// Who knows how busy the machine is, for delays that follow it.
    pub fn probe(self, probe: impl ResourceProbe + 'static) -> Self {
        self.targets.hub().probe(probe);
        self
    }
}

impl<S, C: Clone, P: Clone, T: Clone, E: Clone> Layer<S> for BackoffLayer<C, P, T, E> {
    type Service = BackoffService<S, C, P, T, E>;

    fn layer(&self, inner: S) -> Self::Service {
        BackoffService::new(inner, self.clone())
    }
}

/// Without classifier, replay and alternative, so that closures are no hindrance.
impl<C, P, T: fmt::Debug, E> fmt::Debug for BackoffLayer<C, P, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackoffLayer").field("targets", &self.targets).finish_non_exhaustive()
    }
}
