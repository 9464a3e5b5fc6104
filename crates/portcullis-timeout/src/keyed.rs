//! One timeout per key, in bounded memory: [`AdaptiveTimeouts`].

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex};

use breaker_core::{Clock, ConfigErrors, MonotonicClock, Observe, RetryBudget};

use crate::config::TimeoutConfig;
use crate::handle::AdaptiveTimeout;
use crate::home::{go_on, lock};
use crate::watch::Timing;

/// One timeout per key, all of the same configuration.
///
/// The map is bounded by [`max_keys`](TimeoutConfig::max_keys). When it is full, a new key takes the
/// place of the one of eight that was used longest ago, which begins anew should it come back, as all
/// keys do: with the initial timeout. Keys are hashed with a random seed, since attackers choose them.
///
/// ```
/// use portcullis_timeout::{AdaptiveTimeouts, TimeoutConfig};
/// use std::time::Duration;
///
/// let hosts = AdaptiveTimeouts::new(TimeoutConfig::new());
/// assert_eq!(hosts.get(&"a.example").timeout(), Duration::from_secs(1));
/// ```
pub struct AdaptiveTimeouts<K> {
    shared: Arc<Keyed<K>>,
}

struct Keyed<K> {
    hasher: RandomState,
    shards: Box<[Mutex<Shard<K>>]>,
    /// That of all calls without a key; it has the configuration in force, too.
    unmatched: AdaptiveTimeout,
}

struct Shard<K> {
    places: HashMap<K, usize, RandomState>,
    entries: Vec<Entry<K>>,
    /// Grows by one with each use.
    uses: u64,
    capacity: usize,
    /// Where the search for a place goes on.
    hand: usize,
}

struct Entry<K> {
    key: K,
    timeout: AdaptiveTimeout,
    used: u64,
}

const SHARDS: usize = 16;

/// Of fewer keys there is one shard: a few places in each would be full at different times.
const SHARDED_FROM: usize = SHARDS * LOOKS;

/// How many places a new key may look at: an arrival costs the same however large the map is.
const LOOKS: usize = 8;

impl<K: Clone + Eq + Hash> AdaptiveTimeouts<K> {
    /// Timeouts on the machine's monotonic clock.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`TimeoutConfig::check`].
    #[must_use]
    pub fn new(config: TimeoutConfig) -> Self {
        Self::with_clock(config, MonotonicClock::new())
    }

    /// Timeouts that measure calls on this clock.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`TimeoutConfig::check`].
    #[must_use]
    pub fn with_clock(config: TimeoutConfig, clock: impl Clock + 'static) -> Self {
        Self::like(&AdaptiveTimeout::with_clock(config, clock))
    }

    /// Timeouts with the configuration, the clock, the observers and the budget of `pattern`.
    #[must_use]
    pub fn like(pattern: &AdaptiveTimeout) -> Self {
        let config = pattern.config();
        let hasher = RandomState::new();
        let most = config.max_keys as usize;
        let number = if most < SHARDED_FROM { 1 } else { SHARDS };
        // What does not divide goes to the first ones.
        let capacity = |shard| most / number + usize::from(shard < most % number);
        let shards = (0..number).map(|shard| Shard::new(hasher.clone(), capacity(shard)));
        let shards = shards.map(Mutex::new).collect();
        let unmatched = AdaptiveTimeout::within(pattern.home.company().clone(), config);
        Self { shared: Arc::new(Keyed { hasher, shards, unmatched }) }
    }

    /// The timeout of this key.
    #[must_use]
    pub fn get(&self, key: &K) -> AdaptiveTimeout {
        self.find(key, AdaptiveTimeout::clone)
    }

    /// That of all calls without a key.
    #[must_use]
    pub fn unmatched(&self) -> &AdaptiveTimeout {
        &self.shared.unmatched
    }

    pub(crate) fn timing(&self, key: Option<&K>) -> Timing {
        let keep = Arc::strong_count(&self.shared) == 1;
        match key {
            Some(key) => self.find(key, |timeout| timeout.timing(keep)),
            None => self.shared.unmatched.timing(keep),
        }
    }

    fn find<T>(&self, key: &K, work: impl FnOnce(&AdaptiveTimeout) -> T) -> T {
        let keyed = &*self.shared;
        // Other bits than those by which the map of the shard chooses.
        let number = (keyed.hasher.hash_one(key) >> 32) as usize % keyed.shards.len();
        let mut shard = lock(&keyed.shards[number]);
        if let Some(index) = shard.places.get(key).copied() {
            return work(shard.at(index));
        }
        let unmatched = &keyed.unmatched;
        let config = unmatched.config();
        let new = AdaptiveTimeout::within(unmatched.home.company().clone(), config);
        let (index, gone) = shard.place(key, new);
        let done = work(shard.at(index));
        drop(shard);
        drop(gone);
        done
    }

    /// How many keys have a timeout of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    /// Whether no key has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has `observer` told from now on when a timeout moves, and how calls end.
    pub fn observe(&self, observer: impl Observe + 'static) {
        self.unmatched().observe(observer);
    }

    /// Does not lower timeouts while this budget says that the callee is congested.
    pub fn budget(&self, budget: &RetryBudget) {
        self.unmatched().budget(budget);
    }

    /// Puts another configuration in force for all keys; see
    /// [`AdaptiveTimeout::reconfigure`]. `max_keys` stays as it was.
    ///
    /// # Errors
    /// What [`TimeoutConfig::check`] finds; then nothing is changed.
    pub fn reconfigure(&self, config: TimeoutConfig) -> Result<(), ConfigErrors> {
        config.check()?;
        let mut told = self.unmatched().home.reconfigured(config);
        for shard in &self.shared.shards {
            let all: Vec<_> = {
                let shard = lock(shard);
                shard.entries.iter().map(|entry| entry.timeout.clone()).collect()
            };
            for timeout in all {
                // All keys have it before the panic of an observer goes on.
                told = told.and(timeout.home.reconfigured(config));
            }
        }
        go_on(told);
        Ok(())
    }
}

impl<K: Clone + Eq + Hash> Shard<K> {
    fn new(hasher: RandomState, capacity: usize) -> Self {
        let places = HashMap::with_hasher(hasher);
        Self { places, entries: Vec::new(), uses: 0, capacity, hand: 0 }
    }

    fn at(&mut self, index: usize) -> &AdaptiveTimeout {
        self.uses += 1;
        let entry = &mut self.entries[index];
        entry.used = self.uses;
        &entry.timeout
    }

    /// Finds a place for a new key, and says who gave way.
    fn place(&mut self, key: &K, timeout: AdaptiveTimeout) -> (usize, Option<Entry<K>>) {
        let entry = Entry { key: key.clone(), timeout, used: self.uses };
        let len = self.entries.len();
        if len < self.capacity {
            self.places.insert(key.clone(), len);
            self.entries.push(entry);
            return (len, None);
        }
        let looks = (0..LOOKS.min(len)).map(|step| (self.hand + step) % len);
        let index = looks.min_by_key(|index| self.entries[*index].used).unwrap_or(0);
        self.hand = (self.hand + LOOKS) % len;
        let gone = std::mem::replace(&mut self.entries[index], entry);
        self.places.remove(&gone.key);
        self.places.insert(key.clone(), index);
        (index, Some(gone))
    }
}

impl<K> Clone for AdaptiveTimeouts<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K> fmt::Debug for AdaptiveTimeouts<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unmatched = &self.shared.unmatched;
        f.debug_struct("AdaptiveTimeouts").field("unmatched", unmatched).finish_non_exhaustive()
    }
}
