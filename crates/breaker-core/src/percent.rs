//! [`Percent`]: a share that cannot be out of range.

use std::fmt;

/// A share from 0 % to 100 %, in steps of a hundredth of a percent.
///
/// ```
/// use breaker_core::Percent;
///
/// const HALF: Percent = Percent::new(50);
/// assert_eq!(HALF, Percent::from_fraction(0.5).unwrap());
/// assert!(HALF.reached_by(3, 6));
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Percent(u16);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// All.
    pub const FULL: Self = Self(Self::ONE);

    pub(crate) const ONE: u16 = 10_000;

    /// A share in whole percent.
    ///
    /// # Panics
    /// When `percent` is over 100; in a constant this is a compile error.
    #[must_use]
    pub const fn new(percent: u8) -> Self {
        assert!(percent <= 100, "a percentage lies in 0..=100");
        Self(percent as u16 * 100)
    }

    /// A share in hundredths of a percent.
    ///
    /// # Panics
    /// When `basis_points` is over 10,000; in a constant this is a compile error.
    #[must_use]
    pub const fn basis_points(basis_points: u16) -> Self {
        assert!(basis_points <= Self::ONE, "a share in basis points lies in 0..=10000");
        Self(basis_points)
    }

    /// A share from a fraction in 0..=1, rounded down to a hundredth of a percent; `None` for
    /// anything else. A fraction above zero never becomes zero.
    #[must_use]
    pub fn from_fraction(fraction: f64) -> Option<Self> {
        if !(0.0..=1.0).contains(&fraction) {
            return None;
        }
        // 0.29 * 10,000 is a hair below 2,900: what is a hair below a step belongs to it.
        let points = fraction.mul_add(f64::from(Self::ONE), 1e-6) as u16;
        Some(Self(if fraction > 0.0 { points.max(1) } else { 0 }))
    }

    /// The share as a fraction in 0..=1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ONE)
    }

    /// The share in hundredths of a percent.
    #[must_use]
    pub const fn as_basis_points(self) -> u16 {
        self.0
    }

    /// Whether `part` of `whole` is at least this share; never for an empty whole. Exact.
    #[must_use]
    pub const fn reached_by(self, part: u32, whole: u32) -> bool {
        whole > 0 && part as u64 * Self::ONE as u64 >= self.0 as u64 * whole as u64
    }

    /// Whether `part` of `whole` is more than this share. Exact.
    #[must_use]
    pub const fn exceeded_by(self, part: u32, whole: u32) -> bool {
        part as u64 * Self::ONE as u64 > self.0 as u64 * whole as u64
    }

    pub(crate) const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn saturating_add(self, more: Self) -> Self {
        let sum = self.0 + more.0;
        Self(if sum > Self::ONE { Self::ONE } else { sum })
    }

    pub(crate) const fn saturating_sub(self, less: Self) -> Self {
        Self(self.0.saturating_sub(less.0))
    }

    pub(crate) const fn rest(self) -> Self {
        Self(Self::ONE - self.0)
    }
}

impl fmt::Debug for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match rest {
            0 => write!(f, "{whole} %"),
            _ if rest % 10 == 0 => write!(f, "{whole}.{} %", rest / 10),
            _ => write!(f, "{whole}.{rest:02} %"),
        }
    }
}

/// Lets an exact share of arrivals through, evenly spread and without chance.
///
/// An accumulator in basis points: it starts at 10,000 less the share, each arrival adds the
/// share, and at 10,000 the arrival passes. So the first arrival passes, and 100 arrivals at 10 %
/// pass exactly ten.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Spread(u16);

impl Spread {
    pub(crate) const fn new(share: Percent) -> Self {
        Self(Percent::ONE - share.0)
    }

    pub(crate) const fn pass(&mut self, share: Percent) -> bool {
        // Nothing is nothing: not even the first arrival passes.
        if share.is_zero() {
            return false;
        }
        self.0 += share.0;
        let passes = self.0 >= Percent::ONE;
        if passes {
            self.0 -= Percent::ONE;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_passes_numbers_1_11_21() {
        let share = Percent::new(10);
        let mut spread = Spread::new(share);
        let passed: Vec<_> = (1..=100).filter(|_| spread.pass(share)).collect();
        assert_eq!(passed, [1, 11, 21, 31, 41, 51, 61, 71, 81, 91]);
    }

    #[test]
    fn nothing_and_all_are_exact() {
        for (share, expected) in [(Percent::ZERO, 0), (Percent::FULL, 1_000)] {
            let mut spread = Spread::new(share);
            assert_eq!((0..1_000).filter(|_| spread.pass(share)).count(), expected);
        }
    }

    #[test]
    fn fractions_are_read_to_the_step_and_nonsense_is_refused() {
        for (fraction, points) in [(0.29, 2_900), (1.0 / 3.0, 3_333), (0.575, 5_750), (1e-9, 1)] {
            assert_eq!(Percent::from_fraction(fraction), Some(Percent(points)));
        }
        for wrong in [f64::NAN, -0.1, 1.000_1, f64::INFINITY] {
            assert_eq!(Percent::from_fraction(wrong), None);
        }
    }

    #[test]
    fn a_threshold_is_reached_by_equality_and_exceeded_only_above() {
        let half = Percent::new(50);
        assert!(half.reached_by(5, 10) && !half.exceeded_by(5, 10));
        assert!(!half.reached_by(0, 0) && !Percent::ZERO.reached_by(0, 0));
        assert!(Percent::FULL.reached_by(u32::MAX, u32::MAX));
    }

    #[test]
    fn shows_what_a_person_would_write() {
        assert_eq!(Percent(5_750).to_string(), "57.5 %");
        assert_eq!(Percent(1).to_string(), "0.01 %");
        assert_eq!(Percent::FULL.to_string(), "100 %");
    }
}
