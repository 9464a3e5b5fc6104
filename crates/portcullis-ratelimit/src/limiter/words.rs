//! What algorithms are called, and what shells ask of a bucket beyond its trait.

use breaker_core::Tick;

use super::{Algorithm, Limiter, State};
use crate::terms::Terms;

impl Algorithm {
    /// The names, as configurations and metrics spell them.
    pub(crate) const WORDS: &'static [(&'static str, Self)] = &[
        ("token_bucket", Self::TokenBucket),
        ("leaky_bucket", Self::LeakyBucket),
        ("fixed_window", Self::FixedWindow),
        ("sliding_log", Self::SlidingLog),
        ("sliding_counter", Self::SlidingCounter),
        ("adaptive", Self::Adaptive),
        ("loosest", Self::Loosest),
        #[cfg(feature = "governor")]
        ("gcra", Self::Gcra),
    ];

    /// The name of the algorithm, as configurations and metrics spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, one)| *one == self).map_or("unknown", |(word, _)| word)
    }

    /// Whether it has a window.
    pub(crate) const fn uses_window(self) -> bool {
        match self {
            Self::TokenBucket | Self::LeakyBucket => false,
            #[cfg(feature = "governor")]
            Self::Gcra => false,
            _ => true,
        }
    }

    /// Whether it has a bucket, whose capacity is the burst.
    pub(crate) const fn uses_burst(self) -> bool {
        !matches!(self, Self::FixedWindow | Self::SlidingLog | Self::SlidingCounter)
    }
}

impl State {
    /// Goes over from one configuration to another at `now`: what was taken stays taken, as far as
    /// the other algorithm can hold it.
    pub(crate) fn go_over(
        &mut self,
        (from, old): (Algorithm, &Terms),
        (to, new): (Algorithm, &Terms),
        now: Tick,
    ) {
        if from == to {
            return self.carry(old, new, now);
        }
        let taken = self.taken(old, now);
        *self = Self::new(to);
        let taken = taken.min(self.remaining(new, now));
        self.take(new, now, taken);
    }

    /// How many calls it holds as taken; of several, the one that holds most.
    fn taken(&self, terms: &Terms, now: Tick) -> u32 {
        match self {
            Self::Set(set) => set.most(|member| member.taken(terms, now)),
            one => {
                let most = if one.has_burst() { terms.burst() } else { terms.limit() };
                most.saturating_sub(one.remaining(terms, now))
            }
        }
    }

    /// Whether the burst is its capacity.
    pub(crate) const fn has_burst(&self) -> bool {
        !matches!(self, Self::FixedWindow(_) | Self::SlidingLog(_) | Self::SlidingCounter(_))
    }

    /// Sees to it that this many calls fit into the bucket beside what it holds.
    pub(crate) fn hold_back(&mut self, terms: &Terms, now: Tick, calls: u32) {
        if let Self::TokenBucket(bucket) = self {
            bucket.hold_back(terms, now, calls);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_has_a_name_of_its_own() {
        for &(word, algorithm) in Algorithm::WORDS {
            assert_eq!(algorithm.as_str(), word);
        }
    }
}
