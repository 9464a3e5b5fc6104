//! The window of the last calls.

use super::Tally;

/// The last `size` calls, two bits each.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct CallWindow {
    failed: Box<[u64]>,
    slow: Box<[u64]>,
    pub(super) size: u32,
    next: u32,
    pub(super) tally: Tally,
}

impl CallWindow {
    pub(super) fn new(size: u32) -> Self {
        let words = (size as usize).div_ceil(64);
        Self {
            failed: vec![0; words].into(),
            slow: vec![0; words].into(),
            size,
            next: 0,
            tally: Tally::default(),
        }
    }

    pub(super) fn record(&mut self, failed: bool, slow: bool) {
        let (word, bit) = ((self.next / 64) as usize, 1_u64 << (self.next % 64));
        if self.tally.calls == self.size {
            self.tally.subtract(Tally {
                calls: 1,
                failures: u32::from(self.failed[word] & bit != 0),
                slow: u32::from(self.slow[word] & bit != 0),
            });
        }
        set(&mut self.failed[word], bit, failed);
        set(&mut self.slow[word], bit, slow);
        self.tally.add(failed, slow);
        self.next = if self.next + 1 == self.size { 0 } else { self.next + 1 };
        self.normalise();
    }

    /// Takes in this many successes that were not slow, a word at a time.
    pub(super) fn record_successes(&mut self, n: u32) {
        if n >= self.size {
            self.clear();
            self.tally.calls = self.size;
            return;
        }
        for (word, mask) in places(self.size, self.next, n) {
            // What is empty is good already.
            self.tally.failures -= (self.failed[word] & mask).count_ones();
            self.tally.slow -= (self.slow[word] & mask).count_ones();
            self.failed[word] &= !mask;
            self.slow[word] &= !mask;
        }
        self.tally.calls = (self.tally.calls + n).min(self.size);
        self.next = (self.next + n) % self.size;
        self.normalise();
    }

    /// Whether a success changes nothing: full, and all went well.
    pub(super) const fn is_settled(&self) -> bool {
        self.tally.calls == self.size && self.tally.failures == 0 && self.tally.slow == 0
    }

    /// A window in which all calls are alike has no beginning: let it begin at the front, so that
    /// equal evidence compares equal.
    const fn normalise(&mut self) {
        if self.is_settled() {
            self.next = 0;
        }
    }

    #[cfg(test)]
    pub(super) fn bits(&self) -> [&[u64]; 2] {
        [&self.failed, &self.slow]
    }

    /// The older and the newer half of the calls; the middle one of an odd number is in neither.
    pub(super) fn halves(&self) -> [Tally; 2] {
        let (held, half) = (self.tally.calls, self.tally.calls / 2);
        let oldest = if held == self.size { self.next } else { 0 };
        [oldest, oldest + held - half].map(|from| Tally {
            calls: half,
            failures: count(&self.failed, places(self.size, from % self.size, half)),
            slow: count(&self.slow, places(self.size, from % self.size, half)),
        })
    }

    pub(super) fn clear(&mut self) {
        self.failed.fill(0);
        self.slow.fill(0);
        self.next = 0;
        self.tally = Tally::default();
    }

    /// An empty window of this size, filled with the latest calls of `old`.
    pub(super) fn heir_of(&self, old: &Self) -> Self {
        let mut heir = Self::new(self.size);
        for age in (0..old.tally.calls.min(self.size)).rev() {
            let at = (old.next + old.size - 1 - age) % old.size;
            let (word, bit) = ((at / 64) as usize, 1_u64 << (at % 64));
            heir.record(old.failed[word] & bit != 0, old.slow[word] & bit != 0);
        }
        heir
    }
}

const fn set(word: &mut u64, bit: u64, on: bool) {
    if on {
        *word |= bit;
    } else {
        *word &= !bit;
    }
}

fn count(bits: &[u64], places: impl Iterator<Item = (usize, u64)>) -> u32 {
    places.map(|(word, mask)| (bits[word] & mask).count_ones()).sum()
}

/// The `n` places from `from` on, round a ring of `size`: words, and which of their bits.
fn places(size: u32, from: u32, n: u32) -> impl Iterator<Item = (usize, u64)> {
    let (mut at, mut left) = (from, n);
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let (word, bit) = ((at / 64) as usize, at % 64);
        let here = (64 - bit).min(size - at).min(left);
        at = (at + here) % size;
        left -= here;
        Some((word, u64::MAX >> (64 - here) << bit))
    })
}
