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
        let to_the_end = n.min(self.size - self.next);
        self.erase(self.next, to_the_end);
        self.erase(0, n - to_the_end);
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

    /// Makes the `n` places from `from` on good calls; places that are empty are good already.
    fn erase(&mut self, from: u32, n: u32) {
        let (mut at, end) = (from, from + n);
        while at < end {
            let (word, bit) = ((at / 64) as usize, at % 64);
            let here = (64 - bit).min(end - at);
            let mask = u64::MAX >> (64 - here) << bit;
            self.tally.failures -= (self.failed[word] & mask).count_ones();
            self.tally.slow -= (self.slow[word] & mask).count_ones();
            self.failed[word] &= !mask;
            self.slow[word] &= !mask;
            at += here;
        }
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
