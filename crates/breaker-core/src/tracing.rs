//! Tells a circuit's life through `tracing`: [`TracingObserver`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::{Level, event};

use crate::observe::{Event, EventKind, Interest, Observe};
use crate::state::State;

/// Tells changes, refusals and, if asked, every step through `tracing`, with the target
/// `resilience`.
///
/// Opening is a `WARN`, half-open and closed are an `INFO`, refusals are a `DEBUG` (one in
/// [`TracingObserver::SAMPLE`]), ended calls a `TRACE`. In [`Spans::Full`] each question for
/// admission is a span `check_circuit_state` and each update a span `update_circuit_state`.
/// Clones share their switch, which can be turned at run time.
///
/// ```
/// use breaker_core::{CircuitBreaker, CircuitBreakerConfig, Spans, TracingObserver};
///
/// let tracing = TracingObserver::new(Spans::Events);
/// let breaker = CircuitBreaker::new(CircuitBreakerConfig::new());
/// breaker.observe(tracing.clone());
/// tracing.switch(Spans::Full);
/// ```
#[derive(Clone, Debug)]
pub struct TracingObserver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    spans: AtomicU8,
    refusals: AtomicU8,
}

/// How much a [`TracingObserver`] tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Spans {
    /// Nothing.
    Off,
    /// Events, no spans.
    Events,
    /// Events, and a span for each check and each update of the state.
    Full,
}

impl TracingObserver {
    /// One refusal in so many is told.
    pub const SAMPLE: u8 = 64;

    /// An observer that tells this much.
    #[must_use]
    pub fn new(spans: Spans) -> Self {
        let observer = Self {
            shared: Arc::new(Shared { spans: AtomicU8::new(0), refusals: AtomicU8::new(0) }),
        };
        observer.switch(spans);
        observer
    }

    /// Tells this much from now on, for all clones.
    pub fn switch(&self, spans: Spans) {
        self.shared.spans.store(spans as u8, Ordering::Relaxed);
    }

    fn spans(&self) -> Spans {
        match self.shared.spans.load(Ordering::Relaxed) {
            0 => Spans::Off,
            1 => Spans::Events,
            _ => Spans::Full,
        }
    }

    /// The first refusal of every [`SAMPLE`](Self::SAMPLE).
    fn samples_refusal(&self) -> bool {
        self.shared.refusals.fetch_add(1, Ordering::Relaxed) % Self::SAMPLE == 0
    }
}

impl Observe for TracingObserver {
    fn interest(&self) -> Interest {
        let events = Interest::CHANGES | Interest::REFUSALS | Interest::CALLS;
        match self.spans() {
            Spans::Off => Interest::NOTHING,
            Spans::Events => events,
            Spans::Full => events | Interest::STEPS,
        }
    }

    fn event(&self, told: &Event<'_>) {
        let name = told.circuit.as_str();
        let key = told.partition.map_or("", |partition| partition.as_str());
        match told.kind {
            EventKind::StateChanged { transition, order } => {
                let (from, to) = (transition.from.as_str(), transition.to.as_str());
                let (why, order) = (transition.why.as_str(), order.as_deref().unwrap_or(""));
                let cause = transition.cause.map(|cause| cause.to_string()).unwrap_or_default();
                if matches!(transition.to, State::Open | State::ForcedOpen) {
                    event!(target: "resilience", Level::WARN, circuitbreaker.name = name, partition = key,
                        circuitbreaker.state = to, from, why, cause, order, "circuit opened");
                } else {
                    event!(target: "resilience", Level::INFO, circuitbreaker.name = name, partition = key,
                        circuitbreaker.state = to, from, why, order, "circuit changed");
                }
            }
            EventKind::Refused(rejected) => {
                if self.samples_refusal() {
                    event!(target: "resilience", Level::DEBUG, circuitbreaker.name = name, partition = key,
                        reason = rejected.summary(), retry_after = ?rejected.retry_after(),
                        sample = Self::SAMPLE, "call refused");
                }
            }
            EventKind::Checked { .. } | EventKind::Updated { .. } => spans(name, key, told.kind),
            EventKind::Settled { outcome, duration, slow, late, .. } => {
                event!(target: "resilience", Level::TRACE, circuitbreaker.name = name, partition = key,
                    ?outcome, ?duration, slow, late, "call ended");
            }
            EventKind::StrategyPanicked => {
                event!(target: "resilience", Level::WARN, circuitbreaker.name = name, partition = key,
                    "the strategy in force panicked and was replaced");
            }
            EventKind::Cancelled { elapsed } => {
                event!(target: "resilience", Level::TRACE, circuitbreaker.name = name,
                    partition = key, ?elapsed, "call cancelled");
            }
            EventKind::ThresholdSuggested { from, to, baseline } => {
                event!(target: "resilience", Level::INFO, circuitbreaker.name = name,
                    partition = key, %from, %to, %baseline, "threshold suggested");
            }
            EventKind::ThresholdChanged { from, to, baseline } => {
                event!(target: "resilience", Level::INFO, circuitbreaker.name = name,
                    partition = key, %from, %to, %baseline, "threshold changed");
            }
            EventKind::Reconfigured { version } => {
                event!(target: "resilience", Level::INFO, circuitbreaker.name = name,
                    partition = key, version, "circuit reconfigured");
            }
            EventKind::RateChanged { from, to, error_rate } => {
                event!(target: "resilience", Level::INFO, ratelimiter.name = name, from, to,
                    error_rate, "rate changed");
            }
            EventKind::LimitChanged { from, to } => {
                event!(target: "resilience", Level::INFO, queue.name = name, from, to,
                    "limit of calls in flight changed");
            }
            EventKind::MinimumChanged { from, to } => {
                event!(target: "resilience", Level::WARN, queue.name = name, %from, %to,
                    "least priority changed");
            }
            EventKind::Queued { priority, depth } => {
                event!(target: "resilience", Level::TRACE, queue.name = name, %priority, depth,
                    "call queued");
            }
            EventKind::Started { priority, waited, running, depth } => {
                event!(target: "resilience", Level::TRACE, queue.name = name, %priority, ?waited,
                    running, depth, "call started");
            }
            EventKind::Finished { priority, running } => {
                event!(target: "resilience", Level::TRACE, queue.name = name, %priority, running,
                    "call finished");
            }
            EventKind::StrategySwapped { to } => {
                event!(target: "resilience", Level::INFO, circuitbreaker.name = name,
                    partition = key, to, "strategy swapped");
            }
            other => {
                event!(target: "resilience", Level::DEBUG, circuitbreaker.name = name, partition = key,
                    event = ?other, "circuit");
            }
        }
    }
}

fn spans(name: &str, partition: &str, step: &EventKind) {
    match step {
        EventKind::Checked { state, failures, since_failure, trials_in_flight, admitted } => {
            let span = tracing::span!(target: "resilience", Level::DEBUG, "check_circuit_state",
                circuitbreaker.name = name, partition, circuitbreaker.state = state.as_str(),
                failures, since_failure = ?since_failure, trials_in_flight);
            span.in_scope(|| event!(target: "resilience", Level::DEBUG, admitted, "checked"));
        }
        EventKind::Updated { from, to, failures_before, failures_after, trials_in_flight } => {
            let span = tracing::span!(target: "resilience", Level::DEBUG, "update_circuit_state",
                circuitbreaker.name = name, partition, previous = from.as_str(),
                circuitbreaker.state = to.as_str(), failures_before, failures_after,
                trials_in_flight);
            span.in_scope(|| event!(target: "resilience", Level::DEBUG, "updated"));
        }
        _ => {}
    }
}
