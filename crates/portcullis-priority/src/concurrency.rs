//! The plain form of the queue, a bulkhead: [`ConcurrencyLayer`].

use std::fmt;

use breaker_core::{AsError, Clock, ErrorsAreFailures, Observe};
use portcullis_http::{Auto, Grpc, GrpcStatus, Http, HttpOrGrpc, ProblemJson};
use tower_layer::Layer;

use crate::config::ConcurrencyLimit;
use crate::enter::Equal;
use crate::handle::PriorityQueue;
use crate::hold::{ToEndOfBody, ToHead};
use crate::layer::PriorityQueueLayer;
use crate::service::PriorityQueueService;

/// A bounded number of calls at a time, all alike: a bulkhead.
///
/// Others are refused at once, or wait where [`max_wait`](ConcurrencyLimit::max_wait) says so. The
/// state lives in the layer value, and is shared by its clones and by all services that it makes.
///
/// ```
/// use portcullis_priority::{ConcurrencyLayer, ConcurrencyLimit};
///
/// let bulkhead = ConcurrencyLayer::new(ConcurrencyLimit::new(20).named("database"));
/// ```
///
/// Its service is a [`PriorityQueueService`] whose calls have no priority; so are its answers: see
/// [`PriorityQueueLayer::new`].
#[derive(Clone)]
#[must_use]
pub struct ConcurrencyLayer<C = HttpOrGrpc, R = Auto, H = ToEndOfBody>(
    PriorityQueueLayer<C, R, Equal, H>,
);

impl ConcurrencyLayer {
    /// A bulkhead for HTTP and gRPC services and clients.
    ///
    /// # Panics
    /// When the values of `limit` do not fit together: see [`ConcurrencyLimit::check`].
    pub fn new(limit: ConcurrencyLimit) -> Self {
        Self::from_queue(PriorityQueue::new(limit))
    }

    /// The same on another clock.
    ///
    /// # Panics
    /// When the values of `limit` do not fit together: see [`ConcurrencyLimit::check`].
    pub fn with_clock(limit: ConcurrencyLimit, clock: impl Clock + 'static) -> Self {
        Self::from_queue(PriorityQueue::with_clock(limit, clock))
    }

    /// A layer for slots that exist already.
    pub const fn from_queue(queue: PriorityQueue) -> Self {
        let (classify, refuse) = (HttpOrGrpc, Auto::new());
        Self(PriorityQueueLayer { queue, classify, refuse, enter: Equal, hold: ToEndOfBody })
    }
}

impl ConcurrencyLayer<ErrorsAreFailures, AsError, ToHead> {
    /// A bulkhead for any service: errors are failures, and a refusal is an error of the service,
    /// which needs `From<Rejected>`.
    ///
    /// # Panics
    /// When the values of `limit` do not fit together: see [`ConcurrencyLimit::check`].
    pub fn generic(limit: ConcurrencyLimit) -> Self {
        let queue = PriorityQueue::new(limit);
        let (classify, refuse) = (ErrorsAreFailures, AsError);
        Self(PriorityQueueLayer { queue, classify, refuse, enter: Equal, hold: ToHead })
    }
}

impl<C, R, H> ConcurrencyLayer<C, R, H> {
    /// Gives slots back with the head of the answer; see [`PriorityQueueLayer::hold_to_head`].
    pub fn hold_to_head(self) -> ConcurrencyLayer<C, R, ToHead> {
        ConcurrencyLayer(self.0.hold_to_head())
    }

    /// Classifies and refuses by HTTP's rules only.
    pub fn http(self) -> ConcurrencyLayer<Http, ProblemJson, H> {
        ConcurrencyLayer(self.0.http())
    }

    /// Classifies and refuses by gRPC's rules only.
    pub fn grpc(self) -> ConcurrencyLayer<Grpc, GrpcStatus, H> {
        ConcurrencyLayer(self.0.grpc())
    }

    /// What does a result say about the callee? See [`PriorityQueueLayer::classify`].
    pub fn classify<C2>(self, classify: C2) -> ConcurrencyLayer<C2, R, H> {
        ConcurrencyLayer(self.0.classify(classify))
    }

    /// What does a refused caller get?
    pub fn refuse<R2>(self, refuse: R2) -> ConcurrencyLayer<C, R2, H> {
        ConcurrencyLayer(self.0.refuse(refuse))
    }

    /// Has `observer` told what happens from now on.
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        Self(self.0.observe(observer))
    }

    /// The slots of this layer.
    #[must_use]
    pub fn handle(&self) -> PriorityQueue {
        self.0.handle()
    }
}

impl<S, C: Clone, R: Clone, H: Clone> Layer<S> for ConcurrencyLayer<C, R, H> {
    type Service = PriorityQueueService<S, C, R, Equal, H>;

    fn layer(&self, inner: S) -> Self::Service {
        self.0.layer(inner)
    }
}

impl<C, R, H> fmt::Debug for ConcurrencyLayer<C, R, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConcurrencyLayer").field(&self.0).finish()
    }
}
