//! Two counts instead of a log: [`SlidingCounter`].

use breaker_core::Tick;

use super::{Limiter, window};
use crate::terms::Terms;

/// A sliding window, estimated: the count of the present fixed window, and of the one before as
/// much as the sliding window still covers of it.
///
/// ```text
/// estimate = previous * (1 - elapsed / window) + current
/// admits while estimate + cost <= limit, then current += cost
/// ```
///
/// As if the calls of the previous window had come evenly. Where they did not, the estimate is
/// wrong: never more than the limit passes between two borders, but in a window that slides across
/// one it can be nearly twice as much. Memory is the same for any limit. Decided in whole numbers,
/// by multiplying with the window instead of dividing by it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SlidingCounter {
    index: u64,
    previous: u32,
    current: u32,
}

impl SlidingCounter {
    /// Two windows without a call.
    #[must_use]
    pub const fn new() -> Self {
        Self { index: 0, previous: 0, current: 0 }
    }

    /// How many calls the last window is taken to hold. For reading: no decision goes by a fraction.
    #[must_use]
    pub fn estimate(&self, terms: &Terms, now: Tick) -> f64 {
        self.used(terms, now) as f64 / window::length(terms) as f64
    }

    /// As it is at `now`. A clock that steps back stays in the latest window.
    fn seen(&self, terms: &Terms, now: Tick) -> Self {
        let index = window::index(terms, now);
        match index.saturating_sub(self.index) {
            0 => self.clone(),
            1 => Self { index, previous: self.current, current: 0 },
            _ => Self { index, previous: 0, current: 0 },
        }
    }

    /// The estimate times the window: both counts at their weight in nanoseconds.
    fn used(&self, terms: &Terms, now: Tick) -> u128 {
        let seen = self.seen(terms, now);
        let length = window::length(terms);
        let begin = seen.index.saturating_mul(length);
        // Never below zero: `now` lies in that window, or before it.
        let covered = length.saturating_sub(now.as_nanos().saturating_sub(begin));
        u128::from(seen.previous) * u128::from(covered)
            + u128::from(seen.current) * u128::from(length)
    }
}

impl Limiter for SlidingCounter {
    fn ready_at(&self, terms: &Terms, now: Tick, cost: u32) -> Option<Tick> {
        let spare = terms.limit.checked_sub(cost)?;
        let length = window::length(terms);
        if self.used(terms, now) <= u128::from(spare) * u128::from(length) {
            return Some(now);
        }
        let seen = self.seen(terms, now);
        // In the present window its own count stays whole; if that alone is too much, in the next.
        let (index, fading, room) = match spare.checked_sub(seen.current) {
            Some(room) => (seen.index, seen.previous, room),
            None => (seen.index.checked_add(1)?, seen.current, spare),
        };
        // The longest cover with fading * cover <= room * window. There is less room than fades.
        let cover = u128::from(room) * u128::from(length) / u128::from(fading);
        let elapsed = length.checked_sub(u64::try_from(cover).ok()?)?;
        let at = window::begin(terms, index)?.as_nanos().checked_add(elapsed)?;
        Some(Tick::from_nanos(at).max(now))
    }

    fn take(&mut self, terms: &Terms, now: Tick, cost: u32) {
        *self = self.seen(terms, now);
        self.current = self.current.saturating_add(cost);
    }

    /// Matters in the window in which it was taken and in the next.
    fn give_back(&mut self, terms: &Terms, _now: Tick, taken: Tick, cost: u32) {
        match self.index.checked_sub(window::index(terms, taken)) {
            Some(0) => self.current = self.current.saturating_sub(cost),
            Some(1) => self.previous = self.previous.saturating_sub(cost),
            _ => {}
        }
    }

    fn remaining(&self, terms: &Terms, now: Tick) -> u32 {
        let length = u128::from(window::length(terms));
        let room = (u128::from(terms.limit) * length).saturating_sub(self.used(terms, now));
        // At most the limit.
        (room / length) as u32
    }

    fn full_at(&self, terms: &Terms, now: Tick) -> Tick {
        let seen = self.seen(terms, now);
        let windows = match (seen.previous, seen.current) {
            (0, 0) => return now,
            (_, 0) => 1,
            _ => 2,
        };
        let empty = seen.index.checked_add(windows);
        empty.and_then(|index| window::begin(terms, index)).unwrap_or(Tick::MAX)
    }

    /// With another length, the estimate counts as taken now, rounded up.
    fn carry(&mut self, from: &Terms, to: &Terms, now: Tick) {
        if from.window != to.window {
            let inside = self.used(from, now).div_ceil(u128::from(window::length(from)));
            let current = u32::try_from(inside).unwrap_or(u32::MAX);
            *self = Self { index: window::index(to, now), previous: 0, current };
        }
    }
}
