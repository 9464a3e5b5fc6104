//! All that the protected shop has and the bare one has not. New layers go here.

use std::time::Duration;

use portcullis::{
    BoxErrors, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, Pace, Percent, Rejected,
    State, Trip, Window,
};
use tower::timeout::TimeoutLayer;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder};

use crate::client::{TIMEOUT, UpstreamClient, http};
use crate::upstream::Upstream;

/// Half of the last twenty calls failed: leave the upstream alone for half a second, then try
/// three calls.
const CIRCUIT: CircuitBreakerConfig = CircuitBreakerConfig::new()
    .trip(Trip::failure_rate(Percent::new(50), Window::last(20).min_calls(10)))
    .open_period(Pace::fixed(Duration::from_millis(500)))
    .permitted_calls(3);

/// The protection of a shop: a circuit for each upstream.
#[derive(Clone, Debug)]
pub(crate) struct Protection {
    circuits: [CircuitBreakerLayer; 3],
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
    /// Closed circuits for all upstreams.
    pub(crate) fn new() -> Self {
        let names = ["upstream-a", "upstream-b", "upstream-c"];
        Self { circuits: names.map(|name| CircuitBreakerLayer::new(CIRCUIT.named(name))) }
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

    /// How many calls were refused so far.
    pub(crate) fn spared(&self) -> u64 {
        self.handles().map(|circuit| circuit.snapshot().totals.refused).iter().sum()
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

/// If a circuit refused the call: in how many seconds to ask again.
pub(crate) fn refused(error: &BoxError) -> Option<u64> {
    Rejected::find(error.as_ref()).map(|rejected| rejected.retry_after_secs().unwrap_or(1))
}
