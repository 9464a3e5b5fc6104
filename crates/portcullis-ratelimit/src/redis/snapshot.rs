//! What a shared quota has done so far: [`RedisSnapshot`].

use std::fmt;

use breaker_core::{Name, State};

use super::config::{OnStoreFailure, RedisLimit};

/// What one process has seen of a shared quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedisSnapshot {
    /// The name of the limit.
    pub name: Name,
    /// The state of the store's circuit: while it is open, the store is not asked.
    pub store: State,
    /// Who decides while the store gives no answer.
    pub on_store_failure: OnStoreFailure,
    /// How many keys the process keeps in mind.
    pub keys: usize,
    /// How often the store was asked.
    pub round_trips: u64,
    /// How often it gave no answer in time, or none that makes sense.
    pub store_failures: u64,
    /// Calls that were admitted out of the shared quota.
    pub granted: u64,
    /// Calls that were given back.
    pub given_back: u64,
    /// Calls that were refused because the quota was used up, or that cost too much.
    pub refused: u64,
    /// Calls that were admitted without the store.
    pub admitted_without_store: u64,
    /// Calls that were refused without the store.
    pub refused_without_store: u64,
    pub(super) limit: RedisLimit,
}

impl RedisSnapshot {
    /// One sentence: what is granted, and who decides at present.
    #[must_use]
    pub fn explain(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for RedisSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RedisLimit { rate, burst, instances, .. } = self.limit;
        let (name, trips, failures) = (self.name, self.round_trips, self.store_failures);
        write!(f, "{name} grants {rate} with bursts of {burst} over all processes; ")?;
        if self.store != State::Open {
            let calls = self.granted;
            return write!(
                f,
                "the store decides ({calls} calls granted in {trips} round trips, {failures} failed)"
            );
        }
        write!(f, "the store does not answer ({failures} of {trips} round trips failed), and ")?;
        match self.on_store_failure {
            OnStoreFailure::LocalShare => {
                write!(f, "this process grants its part, one of {instances}")
            }
            OnStoreFailure::FailOpen => f.write_str("all calls are admitted meanwhile"),
            OnStoreFailure::FailClosed => f.write_str("all calls are refused meanwhile"),
        }
    }
}
