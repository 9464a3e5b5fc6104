//! The window of the last period.

use super::Tally;
use crate::clock::Tick;

/// The last period in equal buckets on absolute borders; an event exactly one period old is out.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct TimeWindow {
    buckets: Box<[Tally]>,
    width: u64,
    /// The number of the newest bucket since the beginning of time.
    newest: u64,
    pub(super) sum: Tally,
}

impl TimeWindow {
    pub(super) fn new(length: u64, buckets: u16) -> Self {
        Self {
            buckets: vec![Tally::default(); usize::from(buckets)].into(),
            width: length / u64::from(buckets),
            newest: 0,
            sum: Tally::default(),
        }
    }

    pub(super) fn advance(&mut self, now: Tick) {
        let number = now.as_nanos() / self.width;
        let len = self.buckets.len() as u64;
        let steps = number.saturating_sub(self.newest).min(len);
        for step in 0..steps {
            let slot = ((number - step) % len) as usize;
            let old = std::mem::take(&mut self.buckets[slot]);
            self.sum.subtract(old);
        }
        self.newest = self.newest.max(number);
    }

    pub(super) fn record(&mut self, failed: bool, slow: bool, now: Tick) {
        self.advance(now);
        if self.sum.calls < u32::MAX {
            let slot = (self.newest % self.buckets.len() as u64) as usize;
            self.buckets[slot].add(failed, slow);
            self.sum.add(failed, slow);
        }
    }

    /// Takes in this many successes that were not slow.
    pub(super) fn record_successes(&mut self, n: u32, now: Tick) {
        self.advance(now);
        let n = n.min(u32::MAX - self.sum.calls);
        let slot = (self.newest % self.buckets.len() as u64) as usize;
        self.buckets[slot].calls += n;
        self.sum.calls += n;
    }

    #[cfg(test)]
    pub(super) fn buckets(&self) -> &[Tally] {
        &self.buckets
    }

    /// The calls of the older and of the newer half of the period; the middle bucket of an odd
    /// number is in neither.
    pub(super) fn halves(&self) -> [Tally; 2] {
        let len = self.buckets.len() as u64;
        let sum = |youngest: u64| {
            let mut sum = Tally::default();
            for age in youngest..youngest + len / 2 {
                // Before the beginning of time there is nothing.
                let number = self.newest.checked_sub(age);
                sum.merge(
                    number.map_or(Tally::default(), |number| self.buckets[(number % len) as usize]),
                );
            }
            sum
        };
        [sum(len - len / 2), sum(0)]
    }

    /// The end of the bucket that `now` lies in: from then on calls may have left the window.
    pub(super) const fn end_of_bucket(&self, now: Tick) -> Tick {
        let next = now.as_nanos() / self.width + 1;
        Tick::from_nanos(next.saturating_mul(self.width))
    }

    pub(super) fn clear(&mut self) {
        self.buckets.fill(Tally::default());
        self.sum = Tally::default();
    }

    pub(super) fn same_shape(&self, other: &Self) -> bool {
        (self.width, self.buckets.len()) == (other.width, other.buckets.len())
    }
}
