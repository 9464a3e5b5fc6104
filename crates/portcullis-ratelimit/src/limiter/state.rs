//! Which algorithm a limit goes by, and its bucket: [`Algorithm`].

use breaker_core::Tick;

#[cfg(feature = "governor")]
use super::gcra::Gcra;
use super::{
    Decision, FixedWindow, LeakyBucket, Limiter, Set, SlidingCounter, SlidingLog, TokenBucket,
    Verdict,
};
use crate::terms::Terms;

/// How a limit decides.
///
/// Buckets go by the rate and the burst, windows by the rate and the window. The default is
/// [`Adaptive`](Self::Adaptive).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// [`TokenBucket`]: eight bytes, exact, bursts up to the burst.
    TokenBucket,
    /// [`LeakyBucket`]: the same, told by a level.
    LeakyBucket,
    /// [`FixedWindow`]: so many calls from border to border.
    FixedWindow,
    /// [`SlidingLog`]: so many calls in any window, exact, in memory that grows with the limit.
    SlidingLog,
    /// [`SlidingCounter`]: so many calls in any window, estimated from two counts.
    SlidingCounter,
    /// The strictest of [`Set::DEFAULT`]: all of them have to admit.
    #[default]
    Adaptive,
    /// The loosest of [`Set::DEFAULT`]: one of them has to admit.
    Loosest,
    /// [`Gcra`](super::Gcra): as the token bucket, decided by the crate `governor`, for rates that
    /// stay.
    #[cfg(feature = "governor")]
    Gcra,
}

/// A bucket of any algorithm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum State {
    TokenBucket(TokenBucket),
    LeakyBucket(LeakyBucket),
    FixedWindow(FixedWindow),
    SlidingLog(SlidingLog),
    SlidingCounter(SlidingCounter),
    Set(Box<Set>),
    #[cfg(feature = "governor")]
    Gcra(Gcra),
}

impl State {
    /// A new bucket.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::TokenBucket => Self::TokenBucket(TokenBucket::new()),
            Algorithm::LeakyBucket => Self::LeakyBucket(LeakyBucket::new()),
            Algorithm::FixedWindow => Self::FixedWindow(FixedWindow::new()),
            Algorithm::SlidingLog => Self::SlidingLog(SlidingLog::new()),
            Algorithm::SlidingCounter => Self::SlidingCounter(SlidingCounter::new()),
            Algorithm::Adaptive => Self::set(Verdict::Strictest),
            Algorithm::Loosest => Self::set(Verdict::Loosest),
            #[cfg(feature = "governor")]
            Algorithm::Gcra => Self::Gcra(Gcra::new()),
        }
    }

    fn set(verdict: Verdict) -> Self {
        Self::Set(Box::new(Set::new(verdict, &Set::DEFAULT)))
    }
}

/// The same expression for whichever bucket it is.
macro_rules! each {
    ($state:expr, $bucket:ident => $ask:expr) => {
        match $state {
            State::TokenBucket($bucket) => $ask,
            State::LeakyBucket($bucket) => $ask,
            State::FixedWindow($bucket) => $ask,
            State::SlidingLog($bucket) => $ask,
            State::SlidingCounter($bucket) => $ask,
            State::Set($bucket) => $ask,
            #[cfg(feature = "governor")]
            State::Gcra($bucket) => $ask,
        }
    };
}

impl State {
    /// For those that are not so quickly decided that a detour would be felt.
    #[inline(never)]
    fn admit_by_others(&mut self, terms: &Terms, now: Tick, cost: u32) -> Decision {
        each!(self, bucket => bucket.admit(terms, now, cost))
    }
}

impl Limiter for State {
    fn ready_at(&self, terms: &Terms, now: Tick, cost: u32) -> Option<Tick> {
        each!(self, bucket => bucket.ready_at(terms, now, cost))
    }

    fn take(&mut self, terms: &Terms, now: Tick, cost: u32) {
        each!(self, bucket => bucket.take(terms, now, cost));
    }

    fn give_back(&mut self, terms: &Terms, now: Tick, taken: Tick, cost: u32) {
        each!(self, bucket => bucket.give_back(terms, now, taken, cost));
    }

    fn remaining(&self, terms: &Terms, now: Tick) -> u32 {
        each!(self, bucket => bucket.remaining(terms, now))
    }

    fn full_at(&self, terms: &Terms, now: Tick) -> Tick {
        each!(self, bucket => bucket.full_at(terms, now))
    }

    fn carry(&mut self, from: &Terms, to: &Terms, now: Tick) {
        each!(self, bucket => bucket.carry(from, to, now));
    }

    #[inline]
    fn admit(&mut self, terms: &Terms, now: Tick, cost: u32) -> Decision {
        if let Self::TokenBucket(bucket) = self {
            return bucket.admit(terms, now, cost);
        }
        self.admit_by_others(terms, now, cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S-RATE-04: memory.
    #[test]
    fn a_bucket_of_any_algorithm_fits_in_32_bytes_and_a_token_bucket_in_8() {
        assert!(size_of::<State>() <= 32, "{}", size_of::<State>());
        assert_eq!(size_of::<TokenBucket>(), 8);
        assert_eq!((size_of::<LeakyBucket>(), size_of::<FixedWindow>()), (16, 16));
        assert_eq!(size_of::<SlidingCounter>(), 16);
    }

    #[test]
    fn the_default_is_the_strictest_of_four() {
        assert_eq!(State::new(Algorithm::default()), State::set(Verdict::Strictest));
        assert_ne!(State::new(Algorithm::Loosest), State::set(Verdict::Strictest));
    }
}
