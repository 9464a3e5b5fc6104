//! A bounded map in which the key that was used longest ago makes room: [`Lru`].

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Values by key, in the order in which they were last used. All steps take the same time however
/// many keys there are. Keys come with their hash, which is seeded at random elsewhere.
pub(crate) struct Lru<K, V> {
    /// Where a key is, by its hash.
    places: HashMap<u64, u32, BuildHasherDefault<Known>>,
    entries: Vec<Entry<K, V>>,
    newest: u32,
    oldest: u32,
    most: usize,
}

struct Entry<K, V> {
    key: K,
    hash: u64,
    newer: u32,
    older: u32,
    value: V,
}

/// No place.
const NOWHERE: u32 = u32::MAX;

impl<K: Clone + Eq, V: Default> Lru<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            places: HashMap::default(),
            entries: Vec::new(),
            newest: NOWHERE,
            oldest: NOWHERE,
            most: most.clamp(1, NOWHERE as usize - 1),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The value of a key, which is used by this.
    pub(crate) fn get(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        let index = self.find(hash, key)?;
        self.use_now(index);
        Some(&mut self.entries[index as usize].value)
    }

    /// The value of a key, which is not used by this.
    pub(crate) fn peek(&self, hash: u64, key: &K) -> Option<&V> {
        self.find(hash, key).map(|index| &self.entries[index as usize].value)
    }

    /// The value of a key, which is a new one if need be; and the key that made room, to be dropped
    /// where no lock is taken.
    pub(crate) fn get_or_new(&mut self, hash: u64, key: &K) -> (&mut V, Option<K>) {
        // The code of the key, which may panic, before anything is changed.
        let known = self.places.get(&hash).copied();
        let same = known.is_some_and(|index| self.entries[index as usize].key == *key);
        let (index, gone) = match known {
            Some(index) if same => (index, None),
            // Another key of the same hash makes room, and nobody is given what is a stranger's.
            Some(index) => (index, Some(self.replace(index, hash, key.clone()))),
            None if self.entries.len() < self.most => (self.add(hash, key.clone()), None),
            None => (self.oldest, Some(self.replace(self.oldest, hash, key.clone()))),
        };
        self.use_now(index);
        (&mut self.entries[index as usize].value, gone)
    }

    fn find(&self, hash: u64, key: &K) -> Option<u32> {
        let index = *self.places.get(&hash)?;
        (self.entries[index as usize].key == *key).then_some(index)
    }

    fn add(&mut self, hash: u64, key: K) -> u32 {
        let index = self.entries.len() as u32;
        if self.entries.len() == self.entries.capacity() {
            // By an eighth: memory matters more here than the time to make a place.
            self.entries.reserve_exact(self.entries.len() / 8 + 4);
        }
        let (newer, older, value) = (NOWHERE, NOWHERE, V::default());
        self.entries.push(Entry { key, hash, newer, older, value });
        self.places.insert(hash, index);
        self.link(index);
        index
    }

    fn replace(&mut self, index: u32, hash: u64, key: K) -> K {
        let entry = &mut self.entries[index as usize];
        self.places.remove(&entry.hash);
        entry.hash = hash;
        entry.value = V::default();
        self.places.insert(hash, index);
        std::mem::replace(&mut entry.key, key)
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

/// Hands through what is a hash already.
#[derive(Default)]
struct Known(u64);

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_keys_of_one_hash_do_not_share_a_value() {
        let mut lru = Lru::<&str, u32>::new(10);
        *lru.get_or_new(7, &"a").0 = 1;
        assert_eq!(lru.get_or_new(7, &"b"), (&mut 0, Some("a")));
        assert_eq!(lru.get(7, &"a"), None);
        assert_eq!((lru.peek(7, &"b"), lru.len()), (Some(&0), 1));
    }

    proptest! {
        #[test]
        fn it_is_a_list_whose_last_one_goes(
            most in 1_usize..6,
            steps in prop::collection::vec((0_u64..8, 0_u8..3), 0..100),
        ) {
            let mut lru = Lru::<u64, u32>::new(most);
            let mut plain: Vec<(u64, u32)> = Vec::new();
            for (key, step) in steps {
                let known = plain.iter().position(|(other, _)| *other == key);
                match step {
                    0 => prop_assert_eq!(lru.peek(key, &key), known.map(|at| &plain[at].1)),
                    1 => {
                        let used = known.map(|at| plain.remove(at));
                        plain.splice(0..0, used);
                        let value = lru.get(key, &key).copied();
                        prop_assert_eq!(value, used.map(|(_, value)| value));
                    }
                    _ => {
                        let (_, value) = known.map_or((key, 0), |at| plain.remove(at));
                        plain.insert(0, (key, value + 1));
                        let last = if plain.len() > most { plain.pop() } else { None };
                        let (own, gone) = lru.get_or_new(key, &key);
                        *own += 1;
                        prop_assert_eq!((*own, gone), (value + 1, last.map(|(key, _)| key)));
                    }
                }
                prop_assert_eq!(lru.len(), plain.len());
            }
        }
    }
}
