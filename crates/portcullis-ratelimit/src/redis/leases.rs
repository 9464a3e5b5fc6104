//! What a process knows of all keys, in bounded memory: [`Leases`].

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

use breaker_core::Tick;

use super::entry::{Entry, Rules};
use super::lock;

/// One entry per key. A full map gives the place of a key to another one where that gains nobody
/// anything; it looks at eight places, each time further on.
pub(super) struct Leases {
    shards: Box<[Mutex<Shard>]>,
    /// Keys come from outside: nobody shall know which ones meet.
    hasher: RandomState,
    per_shard: usize,
}

/// A part of the keys, under one lock.
pub(super) struct Shard {
    places: HashMap<Arc<str>, u32, RandomState>,
    entries: Vec<Kept>,
    /// Where the search for a place goes on.
    hand: usize,
    /// The latest moment that was seen.
    latest: Tick,
    /// The last number that was given.
    number: u64,
    /// Shared by all keys without a place, while the store is down.
    pub(super) overflow: Entry,
    pub(super) counts: Counts,
}

struct Kept {
    key: Arc<str>,
    /// Another one for each key that has the place.
    number: u64,
    entry: Entry,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) shard: u32,
    pub(super) place: u32,
    pub(super) number: u64,
}

/// What became of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) granted: u64,
    pub(super) given_back: u64,
    pub(super) refused: u64,
    pub(super) admitted_alone: u64,
    pub(super) refused_alone: u64,
}

const SHARDS: usize = 16;

/// How many places a new key may look at.
const LOOKS: usize = 8;

impl Leases {
    pub(super) fn new(max_keys: u32) -> Self {
        let hasher = RandomState::new();
        let shard = || {
            Mutex::new(Shard {
                places: HashMap::with_hasher(hasher.clone()),
                entries: Vec::new(),
                hand: 0,
                latest: Tick::ZERO,
                number: 0,
                overflow: Entry::default(),
                counts: Counts::default(),
            })
        };
        let shards = (0..SHARDS).map(|_| shard()).collect();
        Self { shards, hasher, per_shard: (max_keys as usize).div_ceil(SHARDS) }
    }

    /// The shard of a key.
    pub(super) fn shard_of(&self, kept: &str) -> u32 {
        // The upper bits: the map of the shard goes by the lower ones.
        (self.hasher.hash_one(kept) >> 60) as u32 % SHARDS as u32
    }

    pub(super) fn shard(&self, shard: u32) -> MutexGuard<'_, Shard> {
        lock(&self.shards[shard as usize % SHARDS])
    }

    pub(super) const fn per_shard(&self) -> usize {
        self.per_shard
    }

    /// The sum over all shards: of what was counted, and of the keys.
    pub(super) fn counts(&self) -> (Counts, usize) {
        let mut sum = (Counts::default(), 0);
        for shard in &self.shards {
            let shard = lock(shard);
            sum.0.add(shard.counts);
            sum.1 += shard.entries.len();
        }
        sum
    }
}

impl Shard {
    /// The present moment, or the latest that was seen: time does not step back.
    pub(super) fn at(&mut self, now: Tick) -> Tick {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// A number that was never given before.
    pub(super) const fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// The entry of a key, if it has one.
    pub(super) fn find(&mut self, shard: u32, kept: &str) -> Option<(Place, &mut Entry)> {
        let place = *self.places.get(kept)?;
        let found = &mut self.entries[place as usize];
        Some((Place { shard, place, number: found.number }, &mut found.entry))
    }

    /// The entry that was there, if it still is.
    pub(super) fn entry(&mut self, at: Place) -> Option<&mut Entry> {
        let found = self.entries.get_mut(at.place as usize)?;
        (found.number == at.number).then_some(&mut found.entry)
    }

    /// Where the entry of a key is; a new one where it had none. `None` where there is no place.
    pub(super) fn place(
        &mut self,
        (shard, room): (u32, usize),
        kept: &str,
        rules: &Rules,
        now: Tick,
    ) -> Option<Place> {
        if let Some((place, _)) = self.find(shard, kept) {
            return Some(place);
        }
        let place = if self.entries.len() < room {
            self.entries.len()
        } else {
            self.free_place(rules, now)?
        };
        let number = self.next_number();
        let key: Arc<str> = kept.into();
        let new = Kept { key: Arc::clone(&key), number, entry: Entry::default() };
        match self.entries.get_mut(place) {
            Some(old) => {
                self.places.remove(&old.key);
                *old = new;
            }
            None => self.entries.push(new),
        }
        self.places.insert(key, place as u32);
        Some(Place { shard, place: place as u32, number })
    }

    /// A place whose key may go, best one whose lease is spent.
    fn free_place(&mut self, rules: &Rules, now: Tick) -> Option<usize> {
        let mut free = None;
        for _ in 0..LOOKS.min(self.entries.len()) {
            self.hand = (self.hand + 1) % self.entries.len();
            let entry = &self.entries[self.hand].entry;
            if entry.may_go(rules, now) {
                free = free.or(Some(self.hand));
                if entry.is_idle(rules, now) {
                    return Some(self.hand);
                }
            }
        }
        free
    }
}

impl Counts {
    const fn add(&mut self, other: Self) {
        self.granted += other.granted;
        self.given_back += other.given_back;
        self.refused += other.refused;
        self.admitted_alone += other.admitted_alone;
        self.refused_alone += other.refused_alone;
    }
}
