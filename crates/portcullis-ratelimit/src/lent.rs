//! Calls that a large token bucket has lent to threads in advance: [`Lent`].

pub(crate) mod thread;

use self::thread::here;
use crate::planted::planted;
use breaker_core::Tick;

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Calls that have been taken from a bucket in advance, so that they are admitted without a look at
/// the clock and without a lock.
///
/// A lent call was taken when it was lent and is spent later, when nobody knows. So until a share is
/// used up the bucket is filled up only as far as if nothing of it had been spent: what is in the
/// bucket and in the shares together is never more than the burst, and no more is admitted than by
/// the bucket alone. The price is that a burst after a pause may be short by what was lent and
/// spent, which is a 64th of the burst at most. Before a call is refused, all shares are called in.
#[derive(Debug)]
pub(crate) struct Lent {
    shares: [Share; Self::SHARES],
}

/// On a cache line of its own: threads do not disturb each other.
#[derive(Debug)]
#[repr(align(128))]
struct Share {
    calls: AtomicU32,
    /// When they were lent, in nanoseconds.
    since: AtomicU64,
}

impl Lent {
    pub(crate) const SHARES: usize = 8;

    /// A share below this is not worth its while.
    const WORTH: u32 = 4;

    pub(crate) fn new() -> Self {
        let share = |_| Share { calls: AtomicU32::new(0), since: AtomicU64::new(0) };
        Self { shares: std::array::from_fn(share) }
    }

    /// How many calls a share of so large a bucket is.
    pub(crate) const fn size(burst: u32) -> u32 {
        let size = burst / (64 * Self::SHARES as u32);
        if size < Self::WORTH { 0 } else { size }
    }

    /// Spends so many calls of this thread's share, if it holds as many; hands out when they were lent.
    #[inline]
    pub(crate) fn spend(&self, calls: u32) -> Option<Tick> {
        let Share { calls: share, since } = &self.shares[here()];
        let mut left = share.load(Ordering::Relaxed);
        // Nothing but the number is handed over, so its order to other memory is of no account.
        while left >= calls && left > 0 {
            let spent = left - calls;
            if planted("spends-unseen") {
                share.store(spent, Ordering::Relaxed);
                return Some(Tick::ZERO);
            }
            match share.compare_exchange_weak(left, spent, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(Tick::from_nanos(since.load(Ordering::Relaxed))),
                Err(other) => left = other,
            }
        }
        None
    }

    /// Lends to this thread.
    pub(crate) fn lend(&self, calls: u32, now: Tick) {
        let share = &self.shares[here()];
        share.since.store(now.as_nanos(), Ordering::Relaxed);
        share.calls.fetch_add(calls, Ordering::Relaxed);
    }

    /// Calls this thread's share in.
    pub(crate) fn call_in_here(&self) -> u32 {
        self.shares[here()].calls.swap(0, Ordering::Relaxed)
    }

    /// Calls all shares in.
    pub(crate) fn call_in(&self) -> u32 {
        self.shares.iter().map(|share| share.calls.swap(0, Ordering::Relaxed)).sum()
    }
}
