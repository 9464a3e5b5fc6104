//! Quotas that many processes share through a Redis server: [`RedisLimiter`].
//!
//! ```no_run
//! use portcullis_ratelimit::{OnStoreFailure, Rate, RedisLimit, RedisLimiter};
//!
//! const LIMIT: RedisLimit = RedisLimit::new(Rate::per_second(100), 50, OnStoreFailure::LocalShare)
//!     .named("search")
//!     .instances(4);
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = RedisLimiter::new(LIMIT, redis::Client::open("redis://127.0.0.1/")?)?;
//! let share = limiter.acquire("customer 17", 1).await?;
//! # drop(share);
//! # Ok(()) }
//! ```
//!
//! # How it decides
//! The bucket of a key is one moment in the store, moved on by one script (GCRA; the arithmetic is
//! exact, the clock is the server's). A process takes a *slice* of calls at a time and spends it
//! without asking anybody, for as long as the *lease time*. What the store said last is remembered:
//! until the moment at which a call can be admitted at the earliest, it is refused on the spot, so
//! that a flood beyond the quota does not reach the store. Those who wait for one key wait for one
//! and the same answer.
//!
//! # What it promises
//! In any time `t`, all processes together admit for one key at most
//!
//! ```text
//! burst + rate * (t + deadline) + instances * slice
//! ```
//!
//! calls out of the store. For a call that is admitted in that time was either granted within it or
//! in the one `deadline` before it, since later answers are dropped: of those the bucket grants at
//! most `burst + rate * (t + deadline)`. Or it was granted earlier, and lay in the lease of its
//! process when the time began: that is a slice for each at most, none of it older than the lease
//! time. A slice of 1 leaves no lease. (A process that is itself held up, and not the store, hears
//! an answer by as much later.)
//!
//! Calls are lost, never doubled: with a lease that runs out, with an answer that nobody waits for
//! any more, with a key whose place another one takes.
//!
//! # When the store forgets
//! A process hands back what it last saw of a bucket with each question, and the store goes on from
//! whatever is later. So a server that begins anew, or fails over to a replica that lags behind,
//! refills nothing that the asking process has seen, all of its own calls among it. What it adds is
//! what was granted to others after the last look of those that ask first: none for one process,
//! and never more than one burst for each such loss. A clock of the server that steps forward adds
//! no more than one burst, too; one that steps back adds nothing, and takes nothing.
//!
//! # When the store gives no answer
//! Who asks is answered after the `deadline`, which the time to connect is a part of, and from the
//! fifth failure in a row on at once: then the [circuit](RedisLimiter::store_circuit) of the store
//! is open, for half a second to a second at a time, and nothing is sent. [`OnStoreFailure`]
//! decides then; it has to be chosen. What it admits comes on top of the promise above, and the
//! store never learns of it: with [`LocalShare`](OnStoreFailure::LocalShare) each process grants
//! at most `burst / instances + rate / instances * t` (a burst of one where that is less), as if it
//! began with a full bucket of its own. What is left of leases is spent meanwhile, and refusals
//! that the store has announced end when they would have ended.
//!
//! # What it needs
//! Redis 5 or later, or a server that speaks its protocol and knows Lua scripts; one key per bucket,
//! which expires when the bucket is full. A key of up to 128 bytes is kept as it is, a longer one as
//! its length and SHA-1. The connection is one, made by the first question and again after each
//! failure; TLS, passwords and databases are the client's.

mod acquire;
mod config;
mod entry;
mod gcra;
mod key;
mod layer;
mod leases;
mod share;
mod shared;
mod snapshot;
mod store;
mod ticket;
mod turn;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redis::Client;
use breaker_core::{CircuitBreaker, Clock, ConfigErrors, MonotonicClock, Name, Quota};

pub use self::acquire::Acquire;
pub use self::config::{OnStoreFailure, RedisLimit};
use self::key::kept;
pub use self::layer::{SharedByAll, SharedKey};
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

    /// A limit on another clock. It says how long leases and refusals last, and the circuit of the
    /// store stays open; how long an answer may take is a matter of tokio's time.
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
