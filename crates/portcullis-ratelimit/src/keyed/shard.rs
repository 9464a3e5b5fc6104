//! A part of the map under one lock: [`Shard`].

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use breaker_core::{Quota, Tick};

use crate::config::RateLimit;
use crate::grant::Place;
use crate::hub::{Hub, InForce};
use crate::line::Aftermath;
use crate::planted::planted;
use crate::seat::Seat;
use crate::sync::Ordering;
use crate::terms::Terms;

/// A part of the map: keys, and their buckets in the order in which they were last used.
pub(super) struct Shard<K> {
    /// Where the bucket of a key is, by the key's hash.
    places: HashMap<u64, u32, BuildHasherDefault<Known>>,
    entries: Vec<Entry<K>>,
    /// Places of keys that are gone.
    free: Vec<u32>,
    /// Keys that are gone, to be dropped where no lock is taken.
    gone: Vec<K>,
    newest: u32,
    oldest: u32,
    most: usize,
    force: InForce,
    /// Keys with a limit of their own.
    own: HashMap<K, Box<InForce>>,
}

struct Entry<K> {
    key: Option<K>,
    hash: u64,
    used: Tick,
    newer: u32,
    older: u32,
    /// Grows with each key that takes this place.
    age: u32,
    has_own: bool,
    seat: Seat,
}

/// Where a bucket is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Where {
    pub(super) index: u32,
    pub(super) age: u32,
}

/// No place.
const NOWHERE: u32 = u32::MAX;

/// How many keys a new one may look at: an arrival costs the same however large the map is.
const LOOKS: usize = 8;

/// After so long a key with a full bucket makes room.
const IDLE: Duration = Duration::from_secs(60);

impl<K: Clone + Eq + Hash> Shard<K> {
    pub(super) fn new(force: InForce) -> Self {
        let most = (force.config.max_keys as usize).div_ceil(super::SHARDS as usize).max(1);
        Self {
            places: HashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            gone: Vec::new(),
            newest: NOWHERE,
            oldest: NOWHERE,
            most,
            force,
            own: HashMap::new(),
        }
    }

    /// Keys that are gone: to be dropped outside of the lock, since that is the user's code.
    pub(super) fn gone(&mut self) -> Vec<K> {
        std::mem::take(&mut self.gone)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes over what is in force by now. A rate that moved by itself asks nothing of the buckets.
    #[inline]
    pub(super) fn catch_up(&mut self, hub: &Hub, now: Tick) {
        if self.force.version != hub.version() {
            self.take_over(hub.in_force(), now, hub.waiters() > 0);
        }
    }

    #[cold]
    fn take_over(&mut self, force: InForce, now: Tick, waits: bool) {
        // A rate that has moved by itself concerns those only who wait, and mostly nobody does.
        if self.force.era != force.era || waits {
            for entry in self.entries.iter_mut().filter(|entry| !entry.has_own) {
                entry.seat.carry(&self.force, &force, now);
            }
        }
        self.force = force;
    }

    /// The place of a key, which is a new one if need be; `None` where there is none for it.
    pub(super) fn place_of(&mut self, hash: u64, key: &K, now: Tick, hub: &Hub) -> Option<Where> {
        if let Some(&index) = self.places.get(&hash) {
            let entry = &mut self.entries[index as usize];
            // Another key of the same hash: nobody is given a stranger's bucket.
            if entry.key.as_ref() != Some(key) {
                return None;
            }
            entry.used = now;
            let age = entry.age;
            self.use_now(index);
            return Some(Where { index, age });
        }
        self.make_place(hash, key, now, hub)
    }

    #[inline(never)]
    fn make_place(&mut self, hash: u64, key: &K, now: Tick, hub: &Hub) -> Option<Where> {
        // The code of the key, which may panic, before anything is changed.
        let own = self.own.get(key);
        let seat = Seat::under(own.map_or(&self.force, |own| own));
        let (has_own, key) = (own.is_some(), key.clone());
        let gone = self.dismiss_idle(now);
        hub.evicted.fetch_add(gone, Ordering::Relaxed);
        let Some(index) = self.free_place(now, hub) else {
            self.gone.push(key);
            return None;
        };
        let age = self.entries.get(index as usize).map_or(0, |entry| entry.age.wrapping_add(1));
        let (newer, older) = (NOWHERE, NOWHERE);
        let entry = Entry { key: Some(key), hash, used: now, newer, older, age, has_own, seat };
        match self.entries.get_mut(index as usize) {
            Some(place) => *place = entry,
            None => {
                if self.entries.len() == self.entries.capacity() {
                    // By an eighth: memory matters more here than the time to make a place.
                    self.entries.reserve_exact(self.entries.len() / 8 + 4);
                }
                self.entries.push(entry);
            }
        }
        self.places.insert(hash, index);
        self.link(index);
        Some(Where { index, age })
    }

    /// A place that nobody has.
    fn free_place(&mut self, now: Tick, hub: &Hub) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            return Some(index);
        }
        if self.entries.len() < self.most {
            return Some(self.entries.len() as u32);
        }
        for _ in 0..LOOKS {
            let index = self.oldest;
            if index == NOWHERE {
                break;
            }
            if self.is_new(index, now) {
                self.dismiss(index);
                hub.evicted.fetch_add(1, Ordering::Relaxed);
                return self.free.pop();
            }
            // It is still owed something: others shall be looked at before it is again.
            self.use_now(index);
        }
        None
    }

    /// Lets up to two keys go that have been idle for long with a full bucket; how many.
    fn dismiss_idle(&mut self, now: Tick) -> u64 {
        let mut gone = 0;
        while gone < 2 && self.oldest != NOWHERE {
            let index = self.oldest;
            let idle = now.since(self.entries[index as usize].used) >= IDLE;
            if !idle || !self.is_new(index, now) {
                break;
            }
            self.dismiss(index);
            gone += 1;
        }
        gone
    }

    fn dismiss(&mut self, index: u32) {
        self.unlink(index);
        let entry = &mut self.entries[index as usize];
        self.places.remove(&entry.hash);
        self.gone.extend(entry.key.take());
        // What it holds is given back, not only its place.
        entry.seat = Seat::under(&self.force);
        self.free.push(index);
    }

    fn is_new(&self, index: u32, now: Tick) -> bool {
        let entry = &self.entries[index as usize];
        entry.seat.is_new(&self.force_of(entry).terms, now)
    }

    fn force_of<'a>(&'a self, entry: &Entry<K>) -> &'a InForce {
        let own = entry.key.as_ref().filter(|_| entry.has_own).and_then(|key| self.own.get(key));
        own.map_or(&self.force, |own| own)
    }

    /// The bucket at a place, and what is in force for it.
    pub(super) fn at(&mut self, index: u32) -> (&mut Seat, &InForce) {
        let entry = &mut self.entries[index as usize];
        let key = entry.key.as_ref().filter(|_| entry.has_own);
        let force = key.and_then(|key| self.own.get(key)).map_or(&self.force, |own| own);
        (&mut entry.seat, force)
    }

    /// The bucket at a place, if it is still that of the same key.
    pub(super) fn again(&mut self, place: Place) -> Option<(&mut Seat, &InForce)> {
        let entry = self.entries.get(place.index as usize)?;
        let same = entry.age == place.age || planted("age-unseen");
        (same && entry.key.is_some()).then(|| self.at(place.index))
    }

    /// What is granted to a key, and what is left of it.
    pub(super) fn quota(&mut self, hash: u64, key: &K, now: Tick) -> Quota {
        let known = self.places.get(&hash).copied();
        let known = known.filter(|&at| self.entries[at as usize].key.as_ref() == Some(key));
        match known {
            Some(index) => {
                let (seat, force) = self.at(index);
                seat.quota(&force.terms, now)
            }
            None => {
                let force = self.own.get(key).map_or(&self.force, |own| own);
                Seat::under(force).quota(&force.terms, now)
            }
        }
    }

    /// Gives a key a limit of its own, or the one of all.
    pub(super) fn own(
        &mut self,
        hash: u64,
        key: &K,
        config: Option<RateLimit>,
        now: Tick,
        out: &mut Aftermath,
    ) {
        let index = self.places.get(&hash).copied();
        let index = index.filter(|&at| self.entries[at as usize].key.as_ref() == Some(key));
        let before = index.map(|at| self.force_of(&self.entries[at as usize]).clone());
        match config {
            Some(config) => self.own.insert(key.clone(), Box::new(own(config, now))),
            None => self.own.remove(key),
        };
        let Some((index, before)) = index.zip(before) else { return };
        self.entries[index as usize].has_own = self.own.contains_key(key);
        let after = self.force_of(&self.entries[index as usize]).clone();
        let seat = &mut self.entries[index as usize].seat;
        seat.go_over(&before, &after, now);
        seat.stir(out);
    }

    /// Says that something has changed for all.
    pub(super) fn stir(&mut self, out: &mut Aftermath) {
        self.entries.iter_mut().for_each(|entry| entry.seat.stir(out));
    }

    // ===== the order of use =====

    fn use_now(&mut self, index: u32) {
        if self.newest != index {
            self.unlink(index);
            self.link(index);
        }
    }

    fn link(&mut self, index: u32) {
        let older = self.newest;
        let entry = &mut self.entries[index as usize];
        (entry.older, entry.newer) = (older, NOWHERE);
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = index,
            None => self.oldest = index,
        }
        self.newest = index;
    }

    fn unlink(&mut self, index: u32) {
        let Entry { newer, older, .. } = self.entries[index as usize];
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }
}

/// What is in force for a key with a limit of its own.
fn own(config: RateLimit, now: Tick) -> InForce {
    let terms = Terms::new(config.rate, config.rate, config.burst, config.window, now);
    InForce { terms, config: Arc::new(config), era: 0, version: 0 }
}

/// Hands through what is a hash already, seeded at random.
#[derive(Default)]
pub(super) struct Known(u64);

impl Hasher for Known {
    fn write(&mut self, bytes: &[u8]) {
        // Only whole numbers are hashed here.
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
