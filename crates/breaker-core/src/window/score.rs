//! The score of a cumulative sum of evidence.

use super::Tally;
use crate::clock::Tick;
use crate::config::Cusum;

/// Grows with each failure by what it says for the failing hypothesis, shrinks with each success
/// by what that says against it, and is never below zero. Fixed point with 24 bits after the
/// point: equal histories compare equal, and `n` successes are one subtraction.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Score {
    value: u32,
    up: u32,
    down: u32,
    threshold: u32,
    /// What was counted since the score left zero, or since the circuit closed.
    pub(super) tally: Tally,
    /// When the first failure of that tally ended.
    onset: Option<Tick>,
}

impl Score {
    const ONE: f64 = (1 << 24) as f64;

    /// As many successes as may be taken in one by one until the score is zero.
    const SOON: u32 = 16;

    pub(super) fn new(cusum: &Cusum) -> Self {
        let (healthy, failing) = (cusum.healthy.fraction(), cusum.failing.fraction());
        Self {
            value: 0,
            up: fixed((failing / healthy).ln()),
            down: fixed(((1.0 - healthy) / (1.0 - failing)).ln()),
            threshold: fixed(f64::from(cusum.threshold_milli) / 1_000.0),
            tally: Tally::default(),
            onset: None,
        }
    }

    pub(super) fn fail(&mut self, now: Tick) {
        // More than one failure above the threshold is not needed, and would only have to be
        // worked off where nothing trips: under an order or a strategy of the user's.
        self.value = (self.value + self.up).min(self.threshold + self.up);
        self.tally.add(true, false);
        self.onset.get_or_insert(now);
    }

    /// Takes in this many successes.
    pub(super) fn record_successes(&mut self, n: u32) {
        let less = u64::from(self.down) * u64::from(n);
        match u64::from(self.value).checked_sub(less) {
            None | Some(0) => self.clear(),
            Some(rest) => {
                self.value = rest as u32;
                self.tally.add_successes(n);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        (self.value, self.tally, self.onset) = (0, Tally::default(), None);
    }

    /// Begins at half of the threshold: half as many failures are needed as from zero.
    pub(super) fn rearm(&mut self) {
        self.clear();
        self.value = self.threshold / 2;
    }

    pub(super) const fn is_above(&self) -> bool {
        self.value > self.threshold
    }

    /// Whether a success changes nothing.
    pub(super) const fn is_settled(&self) -> bool {
        self.value == 0
    }

    pub(super) const fn is_soon_settled(&self) -> bool {
        self.value <= self.down.saturating_mul(Self::SOON)
    }

    /// The score as a share of its threshold.
    pub(super) fn fraction(&self) -> f64 {
        f64::from(self.value) / f64::from(self.threshold)
    }

    pub(super) const fn onset(&self) -> Option<Tick> {
        self.onset
    }

    /// Forgets what is only told and decides nothing.
    #[cfg(test)]
    pub(super) fn forget_figures(&mut self) {
        (self.tally, self.onset) = (Tally::default(), None);
    }

    pub(super) fn same_shape(&self, other: &Self) -> bool {
        let shape = |score: &Self| (score.up, score.down, score.threshold);
        shape(self) == shape(other)
    }

    /// This score with what `old` knows; `None` if that was about other hypotheses.
    pub(super) fn heir_of(&self, old: &Self) -> Option<Self> {
        ((self.up, self.down) == (old.up, old.down)).then(|| Self {
            value: old.value.min(self.threshold + self.up),
            threshold: self.threshold,
            ..*old
        })
    }
}

/// In fixed point; never zero, or a call would say nothing.
fn fixed(number: f64) -> u32 {
    ((number * Score::ONE).round() as u32).max(1)
}
