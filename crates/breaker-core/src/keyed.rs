//! One circuit per key, in bounded memory: [`CircuitBreakers`].

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::{CircuitBreaker, Kept, Permit};
use crate::clock::{Clock, MonotonicClock};
use crate::config::CircuitBreakerConfig;
use crate::events::Events;
use crate::name::Name;
use crate::observe::Observe;
use crate::pace::Chance;
use crate::rejected::Rejected;
use crate::slot::{Slot, Surroundings};
use crate::sync::{Mutex, lock};

/// One circuit per key, all of the same configuration.
///
/// The map is bounded. When it is full, a new key takes the place of a circuit that equals a new
/// one: closed, without failures in its evidence (or with none for a quarter of an hour), without
/// a threshold that a [`Tuner`](crate::Tuner) has moved (or not called for as long), without a
/// configuration, a strategy or a gate of its own, and with no handle outside of the map. One that
/// opened and was never asked again counts as new a quarter of an hour after its open period, and
/// past outages keep nobody's place. It looks at eight places, each time further on; where it finds none, the key
/// shares one overflow circuit with others like it. So no flood of keys makes the map forget a
/// circuit that is open, and an arrival costs the same however large the map is. Keys are hashed
/// with a random seed, since attackers choose keys.
///
/// A [`Permit`] is no handle: calls of a circuit that gives way may still be out, and say nothing
/// any more. Who wants to hear of them holds a handle meanwhile.
///
/// ```
/// use breaker_core::{CircuitBreakerConfig, CircuitBreakers, State};
///
/// let hosts = CircuitBreakers::new(CircuitBreakerConfig::http_client());
/// hosts.get(&"a.example".to_string()).trip().unwrap();
/// assert_eq!(hosts.get(&"a.example".to_string()).state(), State::Open);
/// assert_eq!(hosts.get(&"b.example".to_string()).state(), State::Closed);
/// ```
#[derive(Clone)]
pub struct CircuitBreakers<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    shards: Box<[Mutex<Shard<K>>]>,
    hasher: RandomState,
    config: Mutex<Arc<CircuitBreakerConfig>>,
    around: Arc<Surroundings>,
    /// Shared by all keys beyond the bound.
    overflow: CircuitBreaker,
    /// Shared by all requests without a key.
    unmatched: CircuitBreaker,
    per_shard: usize,
}

struct Shard<K> {
    places: HashMap<K, u32, RandomState>,
    entries: Vec<(K, Kept)>,
    /// Where the search for a place goes on.
    hand: usize,
    chance: Chance,
}

const SHARDS: usize = 16;

/// How many places a new key may look at: an arrival costs the same however large the map is.
const LOOKS: usize = 8;

/// After this time without a failure the evidence of a closed circuit counts as none.
const FORGET_AFTER: Duration = Duration::from_secs(900);

impl<K: Clone + Display + Eq + Hash> CircuitBreakers<K> {
    /// How many keys have a circuit of their own, unless said otherwise.
    pub const DEFAULT_CAPACITY: usize = 10_000;

    /// Up to 10,000 circuits on the machine's monotonic clock.
    #[must_use]
    pub fn new(config: CircuitBreakerConfig) -> Self {
        Self::with_capacity_and_clock(config, Self::DEFAULT_CAPACITY, MonotonicClock::new())
    }

    /// Up to about `capacity` circuits (rounded up to a multiple of 16).
    #[must_use]
    pub fn with_capacity(config: CircuitBreakerConfig, capacity: usize) -> Self {
        Self::with_capacity_and_clock(config, capacity, MonotonicClock::new())
    }

    /// Up to about `capacity` circuits (rounded up to a multiple of 16), on this clock.
    #[must_use]
    pub fn with_capacity_and_clock(
        config: CircuitBreakerConfig,
        capacity: usize,
        clock: impl Clock + 'static,
    ) -> Self {
        Self::build(Arc::new(config), capacity, Arc::new(Surroundings::new(clock)))
    }

    /// Up to about `capacity` circuits with the configuration, the clock and the observers of
    /// `pattern`.
    #[must_use]
    pub fn like(pattern: &CircuitBreaker, capacity: usize) -> Self {
        let (config, around) = pattern.make();
        Self::build(config, capacity, around)
    }

    fn build(
        config: Arc<CircuitBreakerConfig>,
        capacity: usize,
        around: Arc<Surroundings>,
    ) -> Self {
        let hasher = RandomState::new();
        let now = around.clock.now();
        Slot::make_room();
        let circuit = |seed: u64, label: &str| {
            let chance = Chance::seeded(hasher.hash_one(seed));
            let (config, around) = (config.clone(), around.clone());
            CircuitBreaker::in_surroundings(config, chance, around, Some(label.into()), now)
        };
        let shard = |number: usize| {
            Mutex::new(Shard {
                places: HashMap::with_hasher(hasher.clone()),
                entries: Vec::new(),
                hand: 0,
                chance: Chance::seeded(hasher.hash_one(number)),
            })
        };
        Self {
            shared: Arc::new(Shared {
                shards: (0..SHARDS).map(shard).collect(),
                overflow: circuit(1, "overflow"),
                unmatched: circuit(2, "unmatched"),
                per_shard: capacity.div_ceil(SHARDS).max(1),
                hasher,
                config: Mutex::new(config),
                around,
            }),
        }
    }

    /// Asks the circuit of this key for admission, as
    /// [`try_acquire_unstamped`](CircuitBreaker::try_acquire_unstamped) does, without a handle of
    /// it where that takes nothing but a look.
    ///
    /// Each thread remembers where it found its last keys, up to 128, by their 64-bit hashes, and
    /// does not compare those keys again as long as their circuits are healthy. The hash is
    /// seeded at random, so nobody can make two keys equal by it; by chance a call that is out for
    /// one key is admitted, and judged, by the circuit of another once in some 10^17 look-ups.
    /// [`get`](Self::get) always compares.
    ///
    /// # Errors
    /// A [`Rejected`], which says why and when to come back.
    pub fn try_acquire_unstamped(&self, key: &K) -> Result<Permit, Rejected> {
        let hash = self.shared.hasher.hash_one(key);
        match Permit::seen(hash) {
            Some(permit) => Ok(permit),
            None => self.find(hash, key),
        }
    }

    fn find(&self, hash: u64, key: &K) -> Result<Permit, Rejected> {
        let found = {
            let shard = lock(&self.shared.shards[hash as usize % SHARDS]);
            shard.find(key).map(|kept| kept.acquire_at_once().ok_or_else(|| kept.handle()))
        };
        match found {
            Some(Ok(permit)) => {
                permit.remember(hash);
                Ok(permit)
            }
            Some(Err(circuit)) => circuit.try_acquire_unstamped(),
            None => self.get(key).try_acquire_unstamped(),
        }
    }

    /// The circuit of this key, or the overflow circuit where there is no place. The handle keeps it
    /// in its place.
    #[must_use]
    pub fn get(&self, key: &K) -> CircuitBreaker {
        let shared = &*self.shared;
        let number = shared.hasher.hash_one(key) as usize % SHARDS;
        {
            let shard = lock(&shared.shards[number]);
            if let Some(kept) = shard.find(key) {
                return kept.handle();
            }
        }
        // The label of a key is the user's code, and so is the clock: not under the lock.
        let label: Box<str> = Name::cut(&key.to_string()).as_str().into();
        let now = shared.around.clock.now();
        Slot::make_room();
        let mut shard = lock(&shared.shards[number]);
        if let Some(kept) = shard.find(key) {
            return kept.handle();
        }
        // Read under the lock of the shard, or a change of configuration could pass it by.
        let config = lock(&shared.config).clone();
        let place = if shard.entries.len() < shared.per_shard {
            None
        } else {
            match shard.free_place(|circuit| circuit.is_forgettable(&config, now, FORGET_AFTER)) {
                Some(place) => Some(place),
                None => return shared.overflow.clone(),
            }
        };
        let chance = Chance::seeded(shard.chance.draw());
        let around = shared.around.clone();
        let circuit = CircuitBreaker::in_surroundings(config, chance, around, Some(label), now);
        let _old = shard.settle_in(place, key.clone(), circuit.kept());
        // The old key and circuit are dropped after the lock.
        drop(shard);
        circuit
    }

    /// The circuit of requests that have no key.
    #[must_use]
    pub fn unmatched(&self) -> CircuitBreaker {
        self.shared.unmatched.clone()
    }

    /// The circuit that keys share for which there is no place.
    #[must_use]
    pub fn overflow(&self) -> CircuitBreaker {
        self.shared.overflow.clone()
    }

    /// How many keys have a circuit of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    /// Whether no key has a circuit yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys and their circuits, as they are just now.
    #[must_use]
    pub fn all(&self) -> Vec<(K, CircuitBreaker)> {
        let all = self.shared.shards.iter().flat_map(|shard| lock(shard).handles());
        all.collect()
    }

    /// Puts another configuration in force for all of them, present and future; see
    /// [`CircuitBreaker::reconfigure`].
    pub fn reconfigure(&self, config: CircuitBreakerConfig) {
        let shared = &*self.shared;
        *lock(&shared.config) = Arc::new(config);
        // Until what was applied everywhere is what is in force: two changes at a time end as one.
        loop {
            let config = lock(&shared.config).clone();
            let own = self.all().into_iter().map(|(_, circuit)| circuit);
            for circuit in own.chain([self.overflow(), self.unmatched()]) {
                circuit.share_config(config.clone());
            }
            if Arc::ptr_eq(&config, &lock(&shared.config)) {
                return;
            }
        }
    }

    /// Has `observer` told what happens to all of them from now on; every call of theirs takes the
    /// lock of its circuit then.
    pub fn observe(&self, observer: impl Observe + 'static) {
        self.shared.around.observe(Arc::new(observer));
    }

    /// The changes of all of them from now on, as a stream.
    #[must_use]
    pub fn subscribe(&self) -> Events {
        self.shared.around.history.subscribe()
    }
}

impl<K: Eq + Hash> Shard<K> {
    fn find(&self, key: &K) -> Option<&Kept> {
        self.places.get(key).map(|&place| &self.entries[place as usize].1)
    }

    fn handles(&self) -> Vec<(K, CircuitBreaker)>
    where
        K: Clone,
    {
        self.entries.iter().map(|(key, kept)| (key.clone(), kept.handle())).collect()
    }

    /// A place whose circuit may be forgotten, found by looking at a few, each time further on.
    fn free_place(&mut self, forgettable: impl Fn(&Kept) -> bool) -> Option<usize> {
        for _ in 0..LOOKS.min(self.entries.len()) {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.entries.len();
            if forgettable(&self.entries[place].1) {
                return Some(place);
            }
        }
        None
    }

    /// Puts a circuit into its place; hands out what stood there.
    fn settle_in(&mut self, place: Option<usize>, key: K, circuit: Kept) -> Option<(K, (K, Kept))>
    where
        K: Clone,
    {
        match place {
            None => {
                self.places.insert(key.clone(), self.entries.len() as u32);
                if self.entries.len() == self.entries.capacity() {
                    // By an eighth: memory matters more here than the time to make a circuit.
                    self.entries.reserve_exact(self.entries.len() / 8 + 4);
                }
                self.entries.push((key, circuit));
                None
            }
            Some(place) => {
                // In this order, so that a key whose own code panics leaves no place to a stranger.
                let (old_key, _) = self.places.remove_entry(&self.entries[place].0)?;
                self.places.insert(key.clone(), place as u32);
                Some((old_key, std::mem::replace(&mut self.entries[place], (key, circuit))))
            }
        }
    }
}

impl<K> fmt::Debug for CircuitBreakers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taken out first: who writes may ask for a circuit.
        let config = lock(&self.shared.config).clone();
        f.debug_struct("CircuitBreakers").field("config", &config).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::clock::Tick;

    static KEYS: OnceLock<CircuitBreakers<u32>> = OnceLock::new();
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    static UNDER_LOCK: AtomicU32 = AtomicU32::new(0);

    /// A clock that looks, when it is dropped, whether a lock of the map is taken.
    struct Looks;

    impl Clock for Looks {
        fn now(&self) -> Tick {
            Tick::ZERO
        }
    }

    impl Drop for Looks {
        fn drop(&mut self) {
            let shards = KEYS.get().into_iter().flat_map(|keys| &keys.shared.shards);
            let taken = shards.filter(|shard| shard.try_lock().is_err()).count();
            DROPPED.fetch_add(1, Ordering::SeqCst);
            UNDER_LOCK.fetch_add(taken as u32, Ordering::SeqCst);
        }
    }

    /// S-CORE-13: what ended unnoticed is the user's, and is dropped where no lock is taken.
    #[test]
    fn a_new_key_ends_what_ended_unnoticed_outside_of_the_map() {
        const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new();
        let keys = CircuitBreakers::with_capacity(CONFIG, 100_000);
        let keys = KEYS.get_or_init(|| keys);
        for key in 0..20_000 {
            let _ = keys.get(&key);
            if key % 100 == 0 {
                CircuitBreaker::with_clock(CONFIG, Looks).end_unnoticed();
            }
        }
        assert!(DROPPED.load(Ordering::SeqCst) > 0, "nobody looked");
        assert_eq!(UNDER_LOCK.load(Ordering::SeqCst), 0);
    }
}
