//! The shares of a ramp by steps: [`Shares`].

use super::Ramp;
use crate::percent::Percent;

/// Shares in rising order, in place: a ramp is `Copy`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Shares {
    points: [u16; Ramp::MAX_STEPS],
    len: u8,
}

impl Shares {
    /// Whether these are shares that a ramp can climb.
    pub(crate) const fn fit(shares: &[Percent]) -> bool {
        let (mut below, mut i) = (0, 0);
        while i < shares.len() {
            if shares[i].as_basis_points() <= below {
                return false;
            }
            below = shares[i].as_basis_points();
            i += 1;
        }
        i >= 1 && i <= Ramp::MAX_STEPS
    }

    pub(super) const fn new(shares: &[Percent]) -> Self {
        let mut points = [0; Ramp::MAX_STEPS];
        let mut i = 0;
        while i < shares.len() {
            points[i] = shares[i].as_basis_points();
            i += 1;
        }
        Self { points, len: shares.len() as u8 }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = Percent> {
        self.points[..usize::from(self.len)].iter().map(|points| Percent::basis_points(*points))
    }

    /// The share after this one.
    pub(crate) fn above(&self, share: Percent) -> Option<Percent> {
        self.iter().find(|next| *next > share)
    }

    /// The share before this one.
    pub(crate) fn below(&self, share: Percent) -> Option<Percent> {
        self.iter().rev().find(|last| *last < share)
    }
}
