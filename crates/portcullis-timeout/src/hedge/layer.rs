use std::fmt;

use breaker_core::{
    Classify, Clock, Cloned, ErrorsAreFailures, Observe, Outcome, OutcomeFn, RetryBudget,
};
use portcullis_http::replay::Clones;
use portcullis_http::{Grpc, Http, HttpOrGrpc};
use tower_layer::Layer;

use super::config::HedgeConfig;
use super::handle::Hedge;
use super::service::HedgeService;

/// Sends a call a second time where the first attempt takes longer than nearly all others do, and
/// takes the answer that comes first.
///
/// It is for callees of which a few calls are slow by chance (a pause, a lost packet, one bad
/// instance of many): it cuts off the tail, at the price of a few more calls. It is no cure for a
/// callee that is slow as a whole, and holds back there.
///
/// ```
/// use portcullis_timeout::{HedgeConfig, HedgeLayer};
///
/// let layer = HedgeLayer::new(HedgeConfig::new().named("search"));
/// let hedge = layer.handle();     // for admin routes: snapshot, explain, reconfigure
/// ```
///
/// # When a call is sent again
///
/// All of this has to be so, or the call goes on as if the layer were not there:
///
/// - It may be made twice ([`About::idempotent`](breaker_core::About::idempotent)), it can be kept,
///   and nobody further out repeats it already.
/// - It has waited as long as the [percentile](HedgeConfig::percentile) of the calls before it, and
///   its deadline leaves time for that and for a typical call besides. Where the tail begins with a
///   jump, twice the latency at its foot is enough: if one call of twenty takes a second, the 95th
///   percentile itself would be a toss.
/// - Fewer than the [share](HedgeConfig::max_share) of the calls were. It is earned call by call, up
///   to ten second attempts are saved up, and the first is earned before it is sent.
/// - Not too many calls are slow just now: where 15 in a hundred more than the percentile says reach
///   the delay, there are no second attempts until that has been over for 10 s.
/// - A clone of the service is ready at once: it is asked one time, so that a second attempt takes a
///   free slot or none.
/// - The [budget](Self::budget) pays. It does not while the callee is congested.
///
/// # Which answer the caller gets
///
/// The first that is no failure; an answer that finds fault with the request is one, too, since
/// another attempt would get the same. The other attempt is dropped at once, with all that it holds
/// inside, and says nothing. Where one fails while the other is out, the other is waited for; where
/// both fail, the caller gets the failure of the first. A second attempt that is refused further in
/// was none: what it cost is given back. A panic drops the other attempt, and goes on.
///
/// # What is measured
///
/// The first attempt of each call that could be sent again and is not ready at once; so the delay is
/// that of such calls. Where the second one wins, or the caller goes away after the delay, the first
/// one is known to have taken at least as long, and counts at that. If it were left out, the layer
/// would forget the tail that it cuts off, and cut off more and more.
///
/// # Where it stands
///
/// Innermost, next to the transport: for a breaker or a limit outside both attempts are one call. In
/// a balancer each is sent where the balancer says. The service inside is `Clone`: the instance that
/// is ready makes the first attempt, and each call that can be sent again keeps a clone of it, and
/// of its request. A call that is ready at once reads no clock, sets no timer, takes no lock and
/// allocates nothing, but for what these clones do. The timer is tokio's.
///
/// The state lives in the layer value, and is shared by its clones and by all services that it makes.
/// After Dean and Barroso, "The Tail at Scale", 2013.
#[derive(Clone)]
#[must_use]
pub struct HedgeLayer<C = HttpOrGrpc, R = Clones> {
    pub(crate) hedge: Hedge,
    pub(crate) classify: C,
    pub(crate) replay: R,
}

impl HedgeLayer {
    /// Hedges for HTTP and gRPC clients.
    ///
    /// Requests are sent again whose body is `Clone` and that say they may be made twice, by their
    /// method or otherwise: see [`portcullis_http::replay`], which has what other bodies need, too.
    /// The second attempt tells in its header `x-retry-attempt` that it is one.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`HedgeConfig::check`].
    pub fn new(config: HedgeConfig) -> Self {
        Self::from_hedge(Hedge::new(config))
    }

    /// The same on another clock: [`TokioClock`](breaker_core::TokioClock) where tokio's time is
    /// paused.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`HedgeConfig::check`].
    pub fn with_clock(config: HedgeConfig, clock: impl Clock + 'static) -> Self {
        Self::from_hedge(Hedge::with_clock(config, clock))
    }

    /// A layer for a state that exists already.
    pub const fn from_hedge(hedge: Hedge) -> Self {
        Self { hedge, classify: HttpOrGrpc, replay: Clones }
    }
}

impl HedgeLayer<ErrorsAreFailures, Cloned> {
    /// Hedges for any service whose requests are `Clone` and may all be made twice: errors are
    /// failures. Where not all may be, `.replay(..)` says which.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`HedgeConfig::check`].
    pub fn generic(config: HedgeConfig) -> Self {
        Self { hedge: Hedge::new(config), classify: ErrorsAreFailures, replay: Cloned }
    }
}

impl<C, R> HedgeLayer<C, R> {
    /// Classifies by HTTP's rules only: status codes.
    pub fn http(self) -> HedgeLayer<Http, R> {
        self.classify(Http)
    }

    /// Classifies by gRPC's rules only: status codes in headers.
    pub fn grpc(self) -> HedgeLayer<Grpc, R> {
        self.classify(Grpc)
    }

    /// What does a result say about the callee, and is it a refusal from further in?
    pub fn classify<C2>(self, classify: C2) -> HedgeLayer<C2, R> {
        let Self { hedge, replay, .. } = self;
        HedgeLayer { hedge, classify, replay }
    }

    /// What does a result say about the callee? As a closure, with its types written out:
    /// `|result: Result<&Response<Body>, &Error>| ..`. Refusals from further in are recognised as
    /// before.
    pub fn classify_fn<F, Res, Err>(self, outcome: F) -> HedgeLayer<OutcomeFn<F, C>, R>
    where
        F: Fn(Result<&Res, &Err>) -> Outcome,
        C: Classify<Res, Err>,
    {
        let Self { hedge, classify, replay } = self;
        HedgeLayer { hedge, classify: OutcomeFn::new(outcome, classify), replay }
    }

    /// Can a request be sent again, and may it?
    pub fn replay<R2>(self, replay: R2) -> HedgeLayer<C, R2> {
        let Self { hedge, classify, .. } = self;
        HedgeLayer { hedge, classify, replay }
    }

    /// How a request is cloned that may be made twice, and `None` for others; with the request's
    /// type written out: `|request: &Request<Body>| ..`. It decides alone.
    pub fn clone_request_fn<F, Req>(self, clone: F) -> HedgeLayer<C, F>
    where
        F: Fn(&Req) -> Option<Req>,
    {
        self.replay(clone)
    }

    /// Has second attempts paid from this budget, which retries further out pay from, too: they tell
    /// it of the calls. By default there is an own one, [`Budget::adaptive`](breaker_core::Budget).
    pub fn budget(self, budget: &RetryBudget) -> Self {
        self.hedge.budget(budget);
        self
    }

    /// Has `observer` told what happens from now on:
    /// [`EventKind::Hedged`](breaker_core::EventKind::Hedged) for each call that is sent again.
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        self.hedge.observe(observer);
        self
    }

    /// The state of this layer.
    #[must_use]
    pub fn handle(&self) -> Hedge {
        self.hedge.clone()
    }
}

impl<S, C: Clone, R: Clone> Layer<S> for HedgeLayer<C, R> {
    type Service = HedgeService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        HedgeService::new(inner, self.clone())
    }
}

/// Without classifier and replay, so that closures are no hindrance.
impl<C, R> fmt::Debug for HedgeLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeLayer").field("hedge", &self.hedge).finish_non_exhaustive()
    }
}
