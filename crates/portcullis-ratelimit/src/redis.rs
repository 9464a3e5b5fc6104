//! Quotas that many processes share through a Redis server: [`RedisLimiter`].

mod acquire;
mod config;
mod entry;
mod gcra;
mod key;
mod leases;
mod share;
mod shared;
mod snapshot;
mod store;
mod ticket;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redis::Client;
use breaker_core::{CircuitBreaker, Clock, ConfigErrors, MonotonicClock, Name, Quota};

pub use self::acquire::Acquire;
pub use self::config::{OnStoreFailure, RedisLimit};
use self::key::kept;
pub use self::share::Share;
use self::shared::{First, Shared};
pub use self::snapshot::RedisSnapshot;

/// A quota that many processes share: cheap to clone, and all clones are the same.
#[derive(Clone)]
pub struct RedisLimiter {
    shared: Arc<Shared>,
}

impl RedisLimiter {
    /// A limit on the machine's monotonic clock. It connects when it is first asked.
    ///
    /// # Errors
    /// All that is wrong with the configuration.
    pub fn new(config: RedisLimit, client: Client) -> Result<Self, ConfigErrors> {
        Self::with_clock(config, client, MonotonicClock::new())
    }

    /// A limit on another clock. It says how long leases last and when a refusal ends; how long the
    /// store may take is a matter of tokio's time.
    ///
    /// # Errors
    /// All that is wrong with the configuration.
    pub fn with_clock(
        config: RedisLimit,
        client: Client,
        clock: impl Clock + 'static,
    ) -> Result<Self, ConfigErrors> {
        let shared = Arc::new(Shared::new(config, client, Arc::new(clock))?);
        Ok(Self { shared })
    }

    /// Spends from what this process has taken already: no question to the store, nothing to wait
    /// for. `None` where it has too little, or others wait for the same key.
    ///
    /// A key of more than 128 bytes costs a digest each time.
    #[must_use]
    pub fn try_local(&self, key: &str, cost: u32) -> Option<Share> {
        self.shared.try_local(key, cost)
    }

    /// Decides about a call: at once where that needs no question to the store, else within the
    /// deadline. Needs a tokio runtime with time and I/O.
    ///
    /// Those who need the store for the same key wait for one and the same answer. What that leaves
    /// over, up to a slice, later calls spend.
    ///
    /// It resolves to a [`Rejected`](breaker_core::Rejected) when the quota is used up (with the
    /// time until the call would be admitted), when the call costs more than the burst, and when
    /// the store gives no answer and [`OnStoreFailure`] wants it so.
    pub fn acquire(&self, key: &str, cost: u32) -> Acquire {
        let kept = kept(key);
        match self.shared.first(&kept, cost) {
            First::Decided(decided) => Acquire::decided(decided),
            First::Ask { shard } => {
                Acquire::waiting(Arc::clone(&self.shared), kept.into(), shard, cost)
            }
        }
    }

    /// The quota of a key and what is left of it, as far as this process knows; `None` where it
    /// knows nothing of it.
    #[must_use]
    pub fn quota(&self, key: &str) -> Option<Quota> {
        self.shared.quota(key)
    }

    /// The circuit of the store, to be read, observed and forced.
    #[must_use]
    pub fn store_circuit(&self) -> &CircuitBreaker {
        &self.shared.circuit
    }

    /// The figures in force.
    pub fn config(&self) -> RedisLimit {
        self.shared.config
    }

    /// The name of the limit.
    #[must_use]
    pub fn name(&self) -> Name {
        self.shared.config.name
    }

    /// What this process has seen so far.
    #[must_use]
    pub fn snapshot(&self) -> RedisSnapshot {
        let Shared { config, store, circuit, leases, .. } = &*self.shared;
        let (counts, keys) = leases.counts();
        RedisSnapshot {
            name: config.name,
            store: circuit.state(),
            on_store_failure: config.on_store_failure,
            keys,
            round_trips: store.round_trips.load(Ordering::Relaxed),
            store_failures: store.failures.load(Ordering::Relaxed),
            granted: counts.granted,
            given_back: counts.given_back,
            refused: counts.refused,
            admitted_without_store: counts.admitted_alone,
            refused_without_store: counts.refused_alone,
            limit: *config,
        }
    }

    /// One sentence: what is granted, and who decides at present.
    #[must_use]
    pub fn explain(&self) -> String {
        self.snapshot().explain()
    }
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiter")
            .field("config", &self.shared.config)
            .field("store", &self.shared.circuit)
            .finish_non_exhaustive()
    }
}

/// Takes over a poisoned lock: what is done under the locks of this module is arithmetic on plain
/// data, and each step leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
