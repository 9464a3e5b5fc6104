//! The budget that is a share of the calls: [`Ratio`].

use std::time::Duration;

use super::config::Share;
use crate::clock::Tick;

/// The state of [`Budget::ratio`](super::Budget::ratio).
///
/// A ring of buckets, each a tenth of the window. Where the buckets do not fit the window it errs
/// to the safe side: retries are remembered for eleven buckets, which hold the window that ends now
/// at any time, and calls for ten, which it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ratio {
    share: Share,
    /// The number of the newest bucket, counted from the beginning of time.
    newest: u64,
    ring: [Bucket; RING],
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Bucket {
    calls: u32,
    retries: u32,
}

const RING: usize = Share::BUCKETS as usize + 1;

impl Ratio {
    pub(super) const fn new(share: Share) -> Self {
        Self { share, newest: 0, ring: [Bucket { calls: 0, retries: 0 }; RING] }
    }

    /// A call begins.
    pub(super) fn called(&mut self, now: Tick) {
        self.advance(now);
        let calls = &mut self.bucket().calls;
        *calls = calls.saturating_add(1);
    }

    /// Takes one retry, if it is there.
    pub(super) fn take(&mut self, now: Tick) -> bool {
        let granted = self.balance(now) > 0;
        if granted {
            let retries = &mut self.bucket().retries;
            *retries = retries.saturating_add(1);
        }
        granted
    }

    /// A retry that was paid so long ago is not made. One that the ring has forgotten already stands
    /// in nobody's way.
    pub(super) fn refund(&mut self, now: Tick, held: Duration) {
        self.advance(now);
        let paid = self.share.bucket(Tick::ZERO.after(now.since(Tick::ZERO.after(held))));
        if self.newest - paid.min(self.newest) < RING as u64 {
            let retries = &mut self.ring[place(paid.min(self.newest))].retries;
            *retries = retries.saturating_sub(1);
        }
    }

    /// How many retries there are.
    pub(super) fn balance(&mut self, now: Tick) -> u64 {
        self.advance(now);
        // The next bucket in the ring is the eleventh: its calls may lie before the window.
        let oldest = place(self.newest + 1);
        let (mut calls, mut retries) = (0, 0);
        for (at, bucket) in self.ring.iter().enumerate() {
            retries += u64::from(bucket.retries);
            calls += if at == oldest { 0 } else { u64::from(bucket.calls) };
        }
        self.share.of(calls).saturating_sub(retries)
    }

    /// Empties the buckets whose time is over. A clock that steps back moves nothing.
    fn advance(&mut self, now: Tick) {
        let newest = self.share.bucket(now);
        let passed = newest.saturating_sub(self.newest).min(RING as u64);
        self.newest = self.newest.max(newest);
        for age in 0..passed {
            self.ring[place(self.newest - age)] = Bucket::default();
        }
    }

    fn bucket(&mut self) -> &mut Bucket {
        &mut self.ring[place(self.newest)]
    }
}

const fn place(bucket: u64) -> usize {
    (bucket % RING as u64) as usize
}
