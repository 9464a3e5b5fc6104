//! What the algorithms with windows share: where a window begins.
//!
//! Windows lie on absolute borders: the one with index `n` begins `n` windows after the clock was
//! made, and its border is its own.

use breaker_core::Tick;

use crate::terms::Terms;

/// The length of a window in nanoseconds, at least one.
#[inline]
pub(super) const fn length(terms: &Terms) -> u64 {
    let nanos = terms.window.as_nanos();
    if nanos == 0 {
        1
    } else if nanos > u64::MAX as u128 {
        u64::MAX
    } else {
        nanos as u64
    }
}

/// Which window a moment lies in.
#[inline]
pub(super) const fn index(terms: &Terms, at: Tick) -> u64 {
    at.as_nanos() / length(terms)
}

/// The first moment of a window; `None` if time ends before.
#[inline]
pub(super) fn begin(terms: &Terms, index: u64) -> Option<Tick> {
    index.checked_mul(length(terms)).map(Tick::from_nanos)
}
