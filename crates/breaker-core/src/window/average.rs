//! The moving average of successes.

/// An exponentially weighted average of successes: starts at 1, and each call keeps `exp(-1/n)`
/// of it. Fixed point with 32 bits after the point, so that equal histories compare equal.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Average {
    pub(super) value: u64,
    pub(super) keep: u64,
}

impl Average {
    pub(super) const ONE: u64 = 1 << 32;

    pub(super) fn new(calls: u32) -> Self {
        let keep = (-1.0 / f64::from(calls)).exp() * Self::ONE as f64;
        Self { value: Self::ONE, keep: keep as u64 }
    }

    pub(super) const fn record(&mut self, failed: bool) {
        let kept = (self.value as u128 * self.keep as u128) >> 32;
        let gained = if failed { 0 } else { Self::ONE - self.keep };
        let value = kept as u64 + gained;
        self.value = if value > Self::ONE { Self::ONE } else { value };
    }

    /// Takes in this many successes.
    pub(super) fn record_successes(&mut self, n: u32) {
        for _ in 0..n {
            if self.is_settled() {
                return;
            }
            self.record(false);
        }
    }

    /// Whether a success changes nothing: at one, or as near to it as rounding lets it come.
    pub(super) fn is_settled(&self) -> bool {
        let mut next = *self;
        next.record(false);
        next == *self
    }

    pub(super) const fn below(&self, basis_points: u16) -> bool {
        self.value * 10_000 < (basis_points as u64) << 32
    }

    pub(super) fn fraction(&self) -> f64 {
        self.value as f64 / Self::ONE as f64
    }
}
