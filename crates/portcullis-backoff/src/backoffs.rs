//! Delays by key, for use without Tower: [`Backoffs`].

mod figures;
mod lru;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display};
use std::hash::{BuildHasher, Hash, RandomState};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use breaker_core::{
    Chance, Clock, Event, EventKind, MonotonicClock, Name, Observe, Observers, Percent,
    ResourceGauge, ResourceProbe, Tick,
};

pub use self::figures::BackoffFigures;
use self::lru::Lru;
use crate::delays::{DelayKind, Delays};
use crate::pattern::Pattern;
use crate::record::{Record, Sequence};
use crate::sync::{Mutex, lock};

/// How long to wait before the next attempt, by key: one run of failures per key, and what has been
/// learnt of it. Clones share their keys.
///
/// The map is bounded ([`max_keys`](Self::max_keys)): a new key takes the place of the one that
/// was used longest ago, which begins anew should it come back. A key that has never failed takes
/// no place. Keys are hashed with a random seed, since attackers choose them.
///
/// ```
/// use portcullis_backoff::{Backoffs, Delays};
/// use std::time::Duration;
///
/// let hosts = Backoffs::new(Delays::linear(Duration::from_millis(100)));
/// let delay = hosts.failed(&"a.example");
/// assert!((90..=110).contains(&delay.as_millis()));
/// // .. wait for so long, try again ..
/// hosts.succeeded(&"a.example");
/// assert_eq!(hosts.snapshot(&"a.example").unwrap().attempts, 0);
/// ```
#[derive(Clone)]
pub struct Backoffs<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    settings: Settings,
    hasher: RandomState,
    shards: Box<[Mutex<Shard<K>>]>,
    observers: Mutex<Observers>,
}

#[derive(Clone)]
struct Settings {
    delays: Delays,
    clock: Arc<dyn Clock>,
    gauge: Option<Arc<ResourceGauge>>,
    name: Name,
    max_keys: u32,
    hint_cap: Duration,
    chance: Option<Chance>,
}

struct Shard<K> {
    keys: Lru<K, State>,
    chance: Chance,
}

/// What is known of a key.
#[derive(Default)]
struct State {
    seq: Sequence,
    record: Record,
    /// What delayed the attempt that is out, and whether the delay had grown.
    after: Option<(DelayKind, bool)>,
}

/// Maps smaller than this have one lock, and an exact order of use.
const SHARDED_FROM: u32 = 1_024;
const SHARDS: u32 = 16;

impl<K: Clone + Display + Eq + Hash> Backoffs<K> {
    /// How many keys are remembered, unless said otherwise.
    pub const DEFAULT_MAX_KEYS: u32 = 10_000;

    /// Delays on the machine's monotonic clock.
    #[must_use]
    pub fn new(delays: Delays) -> Self {
        Self::with_clock(delays, MonotonicClock::new())
    }

    /// Delays on this clock.
    #[must_use]
    pub fn with_clock(delays: Delays, clock: impl Clock + 'static) -> Self {
        let settings = Settings {
            delays,
            clock: Arc::new(clock),
            gauge: None,
            name: Name::new("backoff"),
            max_keys: Self::DEFAULT_MAX_KEYS,
            hint_cap: Duration::from_secs(300),
            chance: None,
        };
        Self::under(settings, Observers::default())
    }

    /// Has `probe` say, once per second at most, how busy the machine is; by default nothing is
    /// known of that. Like all settings of a map it begins one anew, without keys.
    #[must_use]
    pub fn probe(self, probe: impl ResourceProbe + 'static) -> Self {
        let gauge = Arc::new(ResourceGauge::new(probe, Duration::from_secs(1)));
        self.with(|settings| settings.gauge = Some(gauge))
    }

    /// What events call it; default "backoff". Begins anew, without keys.
    #[must_use]
    pub fn name(self, name: Name) -> Self {
        self.with(|settings| settings.name = name)
    }

    /// How many keys are remembered; default 10,000. From 1,024 on it is rounded up to a multiple
    /// of 16, each sixteenth with an order of use of its own. Begins anew, without keys.
    ///
    /// # Panics
    /// When it is zero.
    #[must_use]
    pub fn max_keys(self, max_keys: u32) -> Self {
        assert!(max_keys > 0, "at least one key is remembered");
        self.with(|settings| settings.max_keys = max_keys)
    }

    /// The longest time for which a callee may ask ([`failed_with_hint`](Self::failed_with_hint));
    /// default five minutes. Begins anew, without keys.
    ///
    /// # Panics
    /// When it is zero.
    #[must_use]
    pub fn hint_cap(self, cap: Duration) -> Self {
        assert!(!cap.is_zero(), "the cap of hints is above zero");
        self.with(|settings| settings.hint_cap = cap)
    }

    /// Has delays drawn from this source, so that they can be had again; by default it is seeded
    /// at random. Begins anew, without keys.
    #[must_use]
    pub fn chance(self, chance: Chance) -> Self {
        self.with(|settings| settings.chance = Some(chance))
    }

    /// Takes note that an attempt has failed; how long to wait before the next one.
    #[must_use]
    pub fn failed(&self, key: &K) -> Duration {
        let shared = &*self.shared;
        let (now, usage) = shared.now();
        let (hash, shard) = shared.shard_of(key);
        let delays = &shared.settings.delays;
        let mut shard = lock(shard);
        let Shard { keys, chance } = &mut *shard;
        let (state, gone) = keys.get_or_new(hash, key);
        state.record.ended(delays, now, state.after, false, usage);
        let next = state.record.next(delays, &mut state.seq, now, usage, chance);
        state.after = Some((next.kind, next.grown));
        drop(shard);
        // The key that made room is the user's code, and so are observers.
        drop(gone);
        if let Some(pattern) = next.found {
            shared.tell(key, pattern, now);
        }
        next.delay
    }

    /// The same where the callee has asked for a wait, as by `Retry-After`: no shorter than that,
    /// up to the [cap of hints](Self::hint_cap).
    #[must_use]
    pub fn failed_with_hint(&self, key: &K, hint: Duration) -> Duration {
        self.failed(key).max(hint.min(self.shared.settings.hint_cap))
    }

    /// Takes note that an attempt has succeeded: the next delay is the first again.
    pub fn succeeded(&self, key: &K) {
        let shared = &*self.shared;
        let (now, usage) = shared.now();
        let (hash, shard) = shared.shard_of(key);
        let mut shard = lock(shard);
        // What never failed is not worth a place.
        if let Some(state) = shard.keys.get(hash, key) {
            state.record.ended(&shared.settings.delays, now, state.after.take(), true, usage);
            state.seq.reset();
        }
    }

    /// What is known of a key; `None` where nothing is. Asking does not keep its place.
    #[must_use]
    pub fn snapshot(&self, key: &K) -> Option<BackoffFigures> {
        let now = self.shared.settings.clock.now();
        let (hash, shard) = self.shared.shard_of(key);
        let shard = lock(shard);
        let state = shard.keys.peek(hash, key)?;
        Some(BackoffFigures::new(state.seq, &state.record, now))
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.shards.iter().map(|shard| lock(shard).keys.len()).sum()
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has `observer` told, from now on, of each pattern that is found.
    pub fn observe(&self, observer: impl Observe + 'static) {
        let mut observers = lock(&self.shared.observers);
        let more = observers.and(Arc::new(observer));
        let old = std::mem::replace(&mut *observers, more);
        drop(observers);
        drop(old);
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.shared.settings.clone();
        change(&mut settings);
        Self::under(settings, lock(&self.shared.observers).clone())
    }

    fn under(settings: Settings, observers: Observers) -> Self {
        let hasher = RandomState::new();
        let number = if settings.max_keys < SHARDED_FROM { 1 } else { SHARDS };
        let most = settings.max_keys.div_ceil(number) as usize;
        let mut seeds = settings.chance.unwrap_or(Chance::seeded(hasher.hash_one(number)));
        let shards = (0..number).map(|_| {
            Mutex::new(Shard { keys: Lru::new(most), chance: Chance::seeded(seeds.draw()) })
        });
        let (shards, observers) = (shards.collect(), Mutex::new(observers));
        Self { shared: Arc::new(Shared { settings, hasher, shards, observers }) }
    }
}

impl<K: Display + Eq + Hash> Shared<K> {
    /// The present moment, and how busy the machine is.
    fn now(&self) -> (Tick, Option<Percent>) {
        let now = self.settings.clock.now();
        let usage = self.settings.gauge.as_ref().and_then(|gauge| gauge.usage(now).worst());
        (now, usage)
    }

    fn shard_of(&self, key: &K) -> (u64, &Mutex<Shard<K>>) {
        let hash = self.hasher.hash_one(key);
        // Other bits than those by which the map of the shard chooses.
        (hash, &self.shards[(hash >> 32) as usize % self.shards.len()])
    }

    #[cold]
    fn tell(&self, key: &K, pattern: Pattern, now: Tick) {
        let Pattern { period, interval } = pattern;
        let kind = EventKind::PatternFound { period, interval };
        let observers = lock(&self.observers).clone();
        if !observers.interest().includes(kind.interest()) {
            return;
        }
        let partition = Name::cut(&key.to_string());
        let (circuit, partition) = (&self.settings.name, Some(&partition));
        if let Err(panic) = observers.tell(&Event { circuit, partition, at: now, kind: &kind }) {
            resume_unwind(panic);
        }
    }
}

impl<K> fmt::Debug for Backoffs<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delays = &self.shared.settings.delays;
        f.debug_struct("Backoffs").field("delays", delays).finish_non_exhaustive()
    }
}
