//! One target per key, in bounded memory: [`Keyed`].

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use breaker_core::{Anchored, CircuitBreaker, Name, RetryBudget};

use crate::hub::Hub;
use crate::snapshot::Counts;
use crate::sync::{Mutex, lock};
use crate::target::Target;

/// The targets of a layer.
///
/// When the map is full, a new key takes the place of a target of which nothing is remembered that
/// matters. It looks at eight places, each time further on; where it finds none, the key shares one
/// target with others like it. So no flood of keys brings fresh budgets.
pub(crate) struct Keyed<K> {
    hub: Arc<Hub>,
    /// One budget for all keys, where it was given.
    shared: Option<RetryBudget>,
    hasher: RandomState,
    shards: Box<[Mutex<Shard<K>>]>,
    unmatched: Anchored<Target>,
    overflow: Anchored<Target>,
}

struct Shard<K> {
    places: HashMap<K, usize, RandomState>,
    entries: Vec<Entry<K>>,
    /// How many there may be.
    most: usize,
    /// Where the search for a place goes on.
    hand: usize,
    /// What targets counted that have given way.
    gone: Counts,
}

type Entry<K> = (K, Anchored<Target>);

/// Where a new key goes.
enum Place {
    New,
    /// That of a key which gives way.
    Of(usize),
    Nowhere,
}

const SHARDS: usize = 16;

/// How many places a new key may look at: an arrival costs the same however large the map is.
const LOOKS: usize = 8;

impl<K: Clone + Display + Eq + Hash> Keyed<K> {
    pub(crate) fn new(hub: &Arc<Hub>, shared: Option<&RetryBudget>) -> Self {
        let hasher = RandomState::new();
        let most = hub.config().max_keys as usize;
        let shards = SHARDS.min(most);
        let shard = |number| {
            let (places, gone) = (HashMap::with_hasher(hasher.clone()), Counts::default());
            // All together as many as there may be.
            let most = most / shards + usize::from(number < most % shards);
            Mutex::new(Shard { places, entries: Vec::new(), most, hand: 0, gone })
        };
        let single = |name: &str| {
            let label = Some(Name::cut(name));
            let budget = shared.cloned().unwrap_or_else(|| hub.budget());
            Target::open(hub, label, budget)
        };
        Self {
            hub: hub.clone(),
            shards: (0..shards).map(shard).collect(),
            unmatched: single("unmatched"),
            overflow: single("overflow"),
            shared: shared.cloned(),
            hasher,
        }
    }

    /// The target of this key, or that of calls without one.
    pub(crate) fn target(&self, key: Option<&K>) -> Anchored<Target> {
        let Some(key) = key else { return self.unmatched.clone() };
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[hash as usize % self.shards.len()];
        if let Some(target) = lock(shard).find(key) {
            return target;
        }
        // The label of a key is the user's code, and so is the clock: not under the lock.
        let (now, config) = (self.hub.now(), self.hub.config());
        let forgettable = |old: &Target| old.is_forgettable(&config, now);
        if matches!(lock(shard).place(forgettable), Place::Nowhere) {
            // Nothing is made for a key that has no place, however many of them there are.
            return self.overflow.clone();
        }
        let label = Some(Name::cut(&key.to_string()));
        let budget = self.shared.clone().unwrap_or_else(|| self.hub.budget());
        let target = Target::open(&self.hub, label, budget);
        let old = {
            let mut shard = lock(shard);
            if let Some(target) = shard.find(key) {
                return target;
            }
            match shard.place(forgettable) {
                Place::Nowhere => return self.overflow.clone(),
                Place::Of(place) => shard.replace(place, (key.clone(), target.clone())),
                Place::New => {
                    shard.push((key.clone(), target.clone()));
                    None
                }
            }
        };
        drop(old);
        target
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn unmatched(&self) -> &Anchored<Target> {
        &self.unmatched
    }

    /// Has all budgets watch this circuit; those to come have it from the hub.
    pub(crate) fn watch(&self, circuit: &CircuitBreaker) {
        self.hub.watch(circuit);
        for target in self.all() {
            target.budget.watch(circuit);
        }
    }

    /// All targets, as they are now.
    pub(crate) fn all(&self) -> Vec<Anchored<Target>> {
        let mut targets = vec![self.unmatched.clone(), self.overflow.clone()];
        for shard in &self.shards {
            targets.extend(lock(shard).entries.iter().map(|(_, target)| target.clone()));
        }
        targets
    }

    /// What all of them counted.
    pub(crate) fn counts(&self) -> Counts {
        let singles = self.unmatched.counts().and(self.overflow.counts());
        self.shards.iter().fold(singles, |sum, shard| {
            let shard = lock(shard);
            let all = shard.entries.iter().map(|(_, target)| target.counts());
            all.fold(sum.and(shard.gone), Counts::and)
        })
    }
}

impl<K: Clone + Eq + Hash> Shard<K> {
    fn find(&self, key: &K) -> Option<Anchored<Target>> {
        self.places.get(key).map(|&place| self.entries[place].1.clone())
    }

    fn push(&mut self, entry: Entry<K>) {
        self.places.insert(entry.0.clone(), self.entries.len());
        self.entries.push(entry);
    }

    /// Where a new key goes: to the place of a target that may be forgotten, if there is no other,
    /// found by looking at a few, each time further on.
    fn place(&mut self, forgettable: impl Fn(&Target) -> bool) -> Place {
        if self.entries.len() < self.most {
            return Place::New;
        }
        for _ in 0..LOOKS.min(self.entries.len()) {
            if forgettable(&self.entries[self.hand].1) {
                return Place::Of(self.hand);
            }
            self.hand = (self.hand + 1) % self.entries.len();
        }
        Place::Nowhere
    }

    /// Puts a target into this place, and hands out what stood there: to be dropped without a lock.
    fn replace(&mut self, place: usize, entry: Entry<K>) -> Option<Entry<K>> {
        let key = entry.0.clone();
        self.hand = (place + 1) % self.entries.len();
        let (_, old) = &self.entries[place];
        self.gone = self.gone.and(old.counts());
        // In this order, so that a key whose own code panics leaves no place to a stranger.
        self.places.remove(&self.entries[place].0)?;
        self.places.insert(key, place);
        Some(std::mem::replace(&mut self.entries[place], entry))
    }
}
