//! So many calls from border to border: [`FixedWindow`].

use breaker_core::Tick;

use super::{Limiter, window};
use crate::terms::Terms;

/// A fixed window: so many calls in each window, and at its border the count begins anew.
///
/// ```text
/// index = floor(now / window);    admits while count + cost <= limit, then count += cost
/// ```
///
/// Simple, and easy to explain to a caller. The price: around a border, at the end of one window
/// and the beginning of the next, up to twice the limit passes in no time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FixedWindow {
    index: u64,
    count: u32,
}

impl FixedWindow {
    /// A window without a call.
    #[must_use]
    pub const fn new() -> Self {
        Self { index: 0, count: 0 }
    }

    /// The window that `now` lies in, and what was taken in it. A clock that steps back stays in
    /// the latest.
    const fn seen(&self, terms: &Terms, now: Tick) -> Self {
        let index = window::index(terms, now);
        if index > self.index {
            Self { index, count: 0 }
        } else {
            Self { index: self.index, count: self.count }
        }
    }
}

impl Limiter for FixedWindow {
    fn ready_at(&self, terms: &Terms, now: Tick, cost: u32) -> Option<Tick> {
        if cost > terms.limit {
            return None;
        }
        let seen = self.seen(terms, now);
        if u64::from(seen.count) + u64::from(cost) <= u64::from(terms.limit) {
            return Some(now);
        }
        window::begin(terms, seen.index.checked_add(1)?)
    }

    fn take(&mut self, terms: &Terms, now: Tick, cost: u32) {
        *self = self.seen(terms, now);
        self.count = self.count.saturating_add(cost);
    }

    /// Matters in the window only in which it was taken.
    fn give_back(&mut self, terms: &Terms, _now: Tick, taken: Tick, cost: u32) {
        if window::index(terms, taken) == self.index {
            self.count = self.count.saturating_sub(cost);
        }
    }

    fn remaining(&self, terms: &Terms, now: Tick) -> u32 {
        terms.limit.saturating_sub(self.seen(terms, now).count)
    }

    fn full_at(&self, terms: &Terms, now: Tick) -> Tick {
        let seen = self.seen(terms, now);
        if seen.count == 0 {
            return now;
        }
        seen.index.checked_add(1).and_then(|next| window::begin(terms, next)).unwrap_or(Tick::MAX)
    }

    /// With another length, what was taken in the present window counts as taken now.
    fn carry(&mut self, from: &Terms, to: &Terms, now: Tick) {
        if from.window != to.window {
            let count = self.seen(from, now).count;
            *self = Self { index: window::index(to, now), count };
        }
    }
}
