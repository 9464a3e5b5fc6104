//! All that the protected shop has and the bare one has not. New layers go here.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use portcullis::key::{self, KeyText};
use portcullis::portcullis_ratelimit::PerKey;
use portcullis::{
    Auto, BoxErrors, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, FailureKind,
    HttpOrGrpc, Pace, Percent, RateLimit, RateLimitLayer, Rejected, State, Trip, Window,
};
use portcullis_backoff::{Backoff, BackoffConfig, BackoffLayer};
use portcullis_priority::portcullis_http::priority;
use portcullis_priority::{
    Class, ConcurrencyLayer, ConcurrencyLimit, Limit, PriorityQueue, PriorityQueueLayer,
    QueueConfig,
};
use portcullis_timeout::{AdaptiveTimeoutLayer, TimeoutConfig};
use tower::timeout::TimeoutLayer;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder};

use crate::client::{Client, TIMEOUT, UpstreamClient, bodiless, http};
use crate::depot;
use crate::door::CALLER;
use crate::till;
use crate::upstream::Upstream;

/// Half of the last twenty calls failed: leave the upstream alone for half a second, then try
/// three calls.
const CIRCUIT: CircuitBreakerConfig = CircuitBreakerConfig::new()
    .trip(Trip::failure_rate(Percent::new(50), Window::last(20).min_calls(10)))
    .open_period(Pace::fixed(Duration::from_millis(500)))
    .permitted_calls(3);

/// Requests per second that a caller may send, on average: its share is 12.
const RATE: u32 = 20;
/// Requests that it may send at once.
const BURST: u32 = 20;
const PER_CALLER: RateLimit = RateLimit::per_second(RATE).burst(BURST).named("per-client");

/// The profile for callers who wait so long, but for one thing: a critical request waits for a slot
/// for half of that, so that a machine that stands still for a moment costs none.
const TILL: QueueConfig = QueueConfig::adaptive(till::PATIENCE)
    .max_wait(Class::Critical, Duration::from_millis(till::PATIENCE.as_millis() as u64 / 2))
    .named("till");
/// Whose word is taken for how important a request is: a gateway of ours, so to speak.
const OURS: [&str; 1] = ["127.0.0.1/32"];

/// Attempts at the depot, five of a GET: errors of its own are worth another one, too.
const AGAIN: BackoffConfig =
    BackoffConfig::new().retry_on(FailureKind::Internal, true).named("depot");
/// Opens when nearly everything fails, and not while three in ten do.
const DEPOT: CircuitBreakerConfig = CircuitBreakerConfig::adaptive().named("depot");
/// As many attempts at a time as the depot bears; others wait a moment.
const AT_A_TIME: ConcurrencyLimit =
    ConcurrencyLimit::adaptive(Limit::deadline(depot::TIMEOUT)).max_wait(WAIT).named("depot");
/// Half of the time limit of an attempt.
const WAIT: Duration = Duration::from_millis(depot::TIMEOUT.as_millis() as u64 / 2);

/// A limit for each caller.
type Limits = RateLimitLayer<HttpOrGrpc, Auto, PerKey<key::Header, KeyText>>;

/// The protection of a shop: a limit for each caller, a circuit for each upstream, a queue before
/// the till, and attempts at the depot within a budget.
#[derive(Clone, Debug)]
pub(crate) struct Protection {
    limits: Limits,
    circuits: [CircuitBreakerLayer; 3],
    queue: PriorityQueue,
    again: BackoffLayer,
    depot: CircuitBreakerLayer,
    at_a_time: ConcurrencyLayer,
}

/// The limits of all callers as the view shows them.
#[derive(Clone, Debug)]
pub(crate) struct Ward {
    /// Requests that were refused since the start.
    pub(crate) refused: u64,
    pub(crate) explain: String,
}

/// The queue before the till as the view shows it.
#[derive(Clone, Debug)]
pub(crate) struct Rank {
    pub(crate) slots: u32,
    pub(crate) waiting: u32,
    pub(crate) explain: String,
}

/// The client of the depot as the view shows it.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    /// How many may be under way at a time.
    pub(crate) slots: u32,
    /// Attempts beyond the first ones since the start.
    pub(crate) repeated: u64,
    pub(crate) explain: String,
}

/// A circuit as the view shows it.
#[derive(Clone, Debug)]
pub(crate) struct Lamp {
    pub(crate) upstream: Upstream,
    pub(crate) state: State,
    /// Calls that the circuit has refused since the start.
    pub(crate) spared: u64,
    pub(crate) explain: String,
}

impl Protection {
    /// Limits of which nothing is used up, closed circuits for all upstreams, and an empty queue.
    pub(crate) fn new() -> Self {
        let depot = CircuitBreakerLayer::new(DEPOT);
        let names = ["upstream-a", "upstream-b", "upstream-c"];
        Self {
            limits: RateLimitLayer::new(PER_CALLER).keyed(key::header(CALLER)),
            circuits: names.map(|name| CircuitBreakerLayer::new(CIRCUIT.named(name))),
            queue: PriorityQueue::new(TILL),
            again: BackoffLayer::new(AGAIN).watch(&depot.handle()),
            depot,
            at_a_time: ConcurrencyLayer::new(AT_A_TIME),
        }
    }

    /// The shop behind the limits: a request that is refused costs it neither slot nor call.
    pub(crate) fn guard(&self, shop: Router) -> Router {
        shop.layer(self.limits.clone())
    }

    /// The till behind the queue: who matters most is served first, and what cannot be served in
    /// time is told so at once.
    pub(crate) fn rank(&self, till: Router) -> Router {
        let sender = key::peer_ip(|info: &ConnectInfo<SocketAddr>| Some(info.0));
        let Ok(priority) = priority::from_request().trusted_peers(sender, OURS) else {
            unreachable!("a constant network")
        };
        till.layer(PriorityQueueLayer::from_queue(self.queue.clone()).priority(priority))
    }

    /// The queue before the till.
    pub(crate) fn queue(&self) -> PriorityQueue {
        self.queue.clone()
    }

    /// The client of an upstream: that of the bare shop behind a circuit.
    pub(crate) fn client(&self, upstream: Upstream) -> UpstreamClient {
        let client = ServiceBuilder::new()
            .layer(self.circuits[upstream.index()].clone())
            .layer(BoxErrors)
            // Inside the circuit, so that it hears of every time-out.
            .layer(TimeoutLayer::new(TIMEOUT))
            .service(http());
        BoxCloneSyncService::new(client)
    }

    /// The client of the depot: as insistent as the bare one where that helps.
    pub(crate) fn depot_client(&self) -> Client {
        let client = ServiceBuilder::new()
            // Outside of all that can refuse: each attempt passes admission again.
            .layer(self.again.clone())
            .layer(self.depot.clone())
            .layer(self.at_a_time.clone().hold_to_head())
            .layer(AdaptiveTimeoutLayer::new(TimeoutConfig::fixed(depot::TIMEOUT).named("depot")))
            .layer(BoxErrors)
            .service(bodiless());
        BoxCloneSyncService::new(client)
    }

    /// How many calls the circuits have refused so far.
    pub(crate) fn spared(&self) -> u64 {
        self.handles().map(|circuit| circuit.snapshot().totals.refused).iter().sum()
    }

    /// The limits as they are now.
    pub(crate) fn ward(&self) -> Ward {
        let snapshot = self.limits.handle().snapshot();
        Ward { refused: snapshot.refused, explain: snapshot.explain() }
    }

    /// The queue as it is now.
    pub(crate) fn ranks(&self) -> Rank {
        let snapshot = self.queue.snapshot();
        let (slots, waiting) = (snapshot.slots, snapshot.depth());
        Rank { slots, waiting, explain: snapshot.explain() }
    }

    /// The client of the depot as it is now.
    pub(crate) fn attempts(&self) -> Attempts {
        let again: Backoff = self.again.handle();
        let slots = self.at_a_time.handle().snapshot().slots;
        let (repeated, explain) = (again.snapshot().retried, again.explain());
        Attempts { slots, repeated, explain }
    }

    /// The circuits as they are now.
    pub(crate) fn lamps(&self) -> Vec<Lamp> {
        let lamp = |(upstream, circuit): (Upstream, CircuitBreaker)| {
            let snapshot = circuit.snapshot();
            Lamp {
                upstream,
                state: snapshot.state,
                spared: snapshot.totals.refused,
                explain: snapshot.explain(),
            }
        };
        Upstream::ALL.into_iter().zip(self.handles()).map(lamp).collect()
    }

    fn handles(&self) -> [CircuitBreaker; 3] {
        self.circuits.each_ref().map(CircuitBreakerLayer::handle)
    }
}

/// The most requests of one caller that may get in within this time.
pub(crate) fn quota(within: Duration) -> u64 {
    let refilled = within.as_nanos() * u128::from(RATE) / 1_000_000_000;
    u64::from(BURST) + u64::try_from(refilled).unwrap_or(u64::MAX)
}

/// If a layer refused the call: in how many seconds to ask again. A time-out is no refusal.
pub(crate) fn refused(error: &BoxError) -> Option<u64> {
    let rejected = Rejected::find(error.as_ref()).filter(|it| !it.was_made());
    rejected.map(|rejected| rejected.retry_after_secs().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_the_burst_and_whole_calls_of_what_has_been_refilled() {
        assert_eq!(quota(Duration::ZERO), 20);
        assert_eq!(quota(Duration::from_millis(49)), 20);
        assert_eq!(quota(Duration::from_millis(50)), 21);
        assert_eq!(quota(Duration::from_secs(7)), 160);
    }
}
