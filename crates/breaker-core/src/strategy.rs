//! What users decide themselves: a [`Strategy`] of their own, and the [`DependencyGate`].

use std::time::Duration;

use crate::explain::Snapshot;
use crate::percent::Percent;

/// Decides when to open, when to close, and which share of the calls passes in between.
///
/// A strategy is asked after each call that ended, outside of all locks, with the facts of that
/// moment; it may only cause the edges that every circuit has. While open, the open period of the
/// configuration runs, or its probes do, of which a good one leads to half-open; half-open, the
/// stay of the configuration is the longest there is. One that panics is replaced by the
/// configuration's own strategy, and reported.
///
/// While one is in force, each end of a call takes the circuit's lock.
///
/// The evidence is that of the conditions of the configuration's [`Trip`](crate::Trip): what is
/// named there is kept and can be read from the facts, [`failure_score`](Snapshot::failure_score),
/// [`success_average`](Snapshot::success_average) and [`trend`](Snapshot::trend) among them, but
/// the strategy says what follows from it. So detectors are combined by any rule, such as a
/// weighted sum.
///
/// ```
/// use breaker_core::{CircuitBreaker, CircuitBreakerConfig, FailureKind, Snapshot, State, Strategy};
///
/// /// Opens at the first failure, closes at the first success.
/// struct Nervous;
///
/// impl Strategy for Nervous {
///     fn open(&self, facts: &Snapshot) -> bool {
///         facts.tally.failures > 0
///     }
///
///     fn close(&self, facts: &Snapshot) -> bool {
///         facts.tally.calls > facts.tally.failures
///     }
/// }
///
/// let breaker = CircuitBreaker::new(CircuitBreakerConfig::new());
/// breaker.set_custom_strategy(Nervous);
/// breaker.try_acquire().unwrap().failure(FailureKind::Internal);
/// assert_eq!(breaker.state(), State::Open);
/// ```
pub trait Strategy: Send + Sync {
    /// Open now? Asked while closed and while half-open.
    fn open(&self, facts: &Snapshot) -> bool;

    /// Close now? Asked while half-open.
    fn close(&self, facts: &Snapshot) -> bool;

    /// Which share of the calls passes while half-open? A tenth, if nothing else is said.
    fn share(&self, facts: &Snapshot) -> Percent {
        let _ = facts;
        Percent::new(10)
    }

    /// The name in events.
    fn name(&self) -> &'static str {
        "custom"
    }
}

/// What a [`DependencyGate`] says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum GateVerdict {
    /// What the callee needs is there.
    Admit,
    /// It is not: calls are refused.
    Refuse {
        /// When another attempt makes sense.
        retry_after: Option<Duration>,
    },
}

/// Is what the callee itself depends on there? Asked before each admission, outside of all locks.
///
/// A gate goes with every strategy, and closures are gates. A gate that panics admits.
pub trait DependencyGate: Send + Sync {
    /// The verdict for a call that arrives now.
    fn verdict(&self) -> GateVerdict;
}

impl<F> DependencyGate for F
where
    F: Fn() -> GateVerdict + Send + Sync,
{
    fn verdict(&self) -> GateVerdict {
        self()
    }
}
