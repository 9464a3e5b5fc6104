//! One target per key, in bounded memory: [`Keyed`].

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use breaker_core::{Anchored, Name, RetryBudget};

use crate::config::BackoffConfig;
use crate::hub::Hub;
use crate::snapshot::Counts;
use crate::sync::{Mutex, lock};
use crate::target::Target;
use crate::targets::{Mark, counted};

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
    unmatched: (Anchored<Target>, Mark),
    overflow: (Anchored<Target>, Mark),
    per_shard: usize,
}

struct Shard<K> {
    places: HashMap<K, usize, RandomState>,
    entries: Vec<(K, Anchored<Target>, Mark)>,
    /// Where the search for a place goes on.
    hand: usize,
    /// What targets counted that have given way.
    gone: Counts,
}

const SHARDS: usize = 16;

/// How many places a new key may look at: an arrival costs the same however large the map is.
const LOOKS: usize = 8;

impl<K: Clone + Display + Eq + Hash> Keyed<K> {
    pub(crate) fn new(hub: &Arc<Hub>, shared: Option<RetryBudget>) -> Self {
        let hasher = RandomState::new();
        let most = hub.config().max_keys as usize;
        let shard = |_| {
            let (places, gone) = (HashMap::with_hasher(hasher.clone()), Counts::default());
            Mutex::new(Shard { places, entries: Vec::new(), hand: 0, gone })
        };
        let single = |name: &str, seed: u64| {
            let label = Some(Name::cut(name));
            let budget = shared.clone().unwrap_or_else(|| budget(hub));
            let target = Target::open(hub, label, budget, hasher.hash_one(seed));
            let mark = Mark::of(&target);
            (target, mark)
        };
        Self {
            hub: hub.clone(),
            shards: (0..SHARDS).map(shard).collect(),
            unmatched: single("unmatched", 1),
            overflow: single("overflow", 2),
            per_shard: most.div_ceil(SHARDS).max(1),
            shared: shared.clone(),
            hasher,
        }
    }

    /// The target of this key, or that of calls without one, for a call that begins.
    pub(crate) fn mark(&self, key: Option<&K>) -> Mark {
        let mark = self.find(key);
        if mark.budget.budget().is_some_and(|budget| budget.counts_calls()) {
            counted(mark.budget);
        }
        mark
    }

    fn find(&self, key: Option<&K>) -> Mark {
        let Some(key) = key else { return self.unmatched.1 };
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[hash as usize % SHARDS];
        if let Some(mark) = lock(shard).find(key) {
            return mark;
        }
        // The label of a key is the user's code, and so is the clock: not under the lock.
        let label = Some(Name::cut(&key.to_string()));
        let budget = self.shared.clone().unwrap_or_else(|| budget(&self.hub));
        let target = Target::open(&self.hub, label, budget, hash);
        let (now, config) = (self.hub.now(), self.hub.config());
        let mark = Mark::of(&target);
        let old = {
            let mut shard = lock(shard);
            if let Some(mark) = shard.find(key) {
                return mark;
            }
            let full = shard.entries.len() >= self.per_shard;
            let place = full.then(|| shard.free_place(|old| old.is_forgettable(&config, now)));
            match place {
                Some(None) => return self.overflow.1,
                Some(Some(place)) => shard.replace(place, (key.clone(), target, mark)),
                None => {
                    shard.push((key.clone(), target, mark));
                    None
                }
            }
        };
        drop(old);
        mark
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn unmatched(&self) -> &Anchored<Target> {
        &self.unmatched.0
    }

    /// What all of them counted.
    pub(crate) fn counts(&self) -> Counts {
        let singles = self.unmatched.0.counts().and(self.overflow.0.counts());
        self.shards.iter().fold(singles, |sum, shard| {
            let shard = lock(shard);
            let all = shard.entries.iter().map(|(_, target, _)| target.counts());
            all.fold(sum.and(shard.gone), Counts::and)
        })
    }
}

fn budget(hub: &Hub) -> RetryBudget {
    let config: Arc<BackoffConfig> = hub.config();
    RetryBudget::with_clock(config.budget, hub.clock())
}

impl<K: Clone + Eq + Hash> Shard<K> {
    fn find(&self, key: &K) -> Option<Mark> {
        self.places.get(key).map(|&place| self.entries[place].2)
    }

    fn push(&mut self, entry: (K, Anchored<Target>, Mark)) {
        self.places.insert(entry.0.clone(), self.entries.len());
        self.entries.push(entry);
    }

    /// A place whose target may be forgotten, found by looking at a few, each time further on.
    fn free_place(&mut self, forgettable: impl Fn(&Target) -> bool) -> Option<usize> {
        for _ in 0..LOOKS.min(self.entries.len()) {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.entries.len();
            if forgettable(&self.entries[place].1) {
                return Some(place);
            }
        }
        None
    }

    /// Puts a target into this place, and hands out what stood there: to be dropped without a lock.
    fn replace(
        &mut self,
        place: usize,
        entry: (K, Anchored<Target>, Mark),
    ) -> Option<(K, Anchored<Target>, Mark)> {
        let key = entry.0.clone();
        let (_, old, _) = &self.entries[place];
        self.gone = self.gone.and(old.counts());
        // In this order, so that a key whose own code panics leaves no place to a stranger.
        self.places.remove(&self.entries[place].0)?;
        self.places.insert(key, place);
        Some(std::mem::replace(&mut self.entries[place], entry))
    }
}
