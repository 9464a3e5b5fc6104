//! Every call with its moment: [`SlidingLog`].

use std::collections::VecDeque;

use breaker_core::Tick;

use super::{Limiter, window};
use crate::terms::Terms;

/// A sliding window, exact: a log of what was taken when.
///
/// ```text
/// drops stamps <= now - window;    admits while count + cost <= limit, then logs the cost at now
/// ```
///
/// In no window, wherever it begins, is more than the limit admitted. The price is memory: 16 bytes
/// for each moment at which something was taken, so never more entries than the limit, and nothing
/// before the first call. A decision looks for its place in the log by halving.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SlidingLog {
    entries: VecDeque<Entry>,
}

/// What was taken at a moment. A running sum beside it spares the sum of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    at: Tick,
    /// The cost of all entries that ever stood before this one; it may run over, as only
    /// differences are read, and those fit.
    before: u32,
    /// Never zero.
    cost: u32,
}

impl Entry {
    const fn through(&self) -> u32 {
        self.before.wrapping_add(self.cost)
    }

    /// Whether it has left the window.
    fn is_out(&self, terms: &Terms, now: Tick) -> bool {
        self.leaves_at(terms).is_some_and(|at| at <= now)
    }

    fn leaves_at(&self, terms: &Terms) -> Option<Tick> {
        self.at.as_nanos().checked_add(window::length(terms)).map(Tick::from_nanos)
    }
}

impl SlidingLog {
    /// An empty log.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: VecDeque::new() }
    }

    /// How many entries it holds: at most the highest limit that has been in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the window holds, and the sum that ran up to it.
    fn used(&self, terms: &Terms, now: Tick) -> (u32, u32) {
        let first = self.entries.partition_point(|entry| entry.is_out(terms, now));
        match (self.entries.get(first), self.entries.back()) {
            (Some(first), Some(last)) => (last.through().wrapping_sub(first.before), first.before),
            _ => (0, 0),
        }
    }

    fn drop_what_is_out(&mut self, terms: &Terms, now: Tick) {
        let out = self.entries.partition_point(|entry| entry.is_out(terms, now));
        self.entries.drain(..out);
        // What a busy time has taken is given back in a quiet one.
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.capacity() / 2);
        }
    }
}

impl Limiter for SlidingLog {
    fn ready_at(&self, terms: &Terms, now: Tick, cost: u32) -> Option<Tick> {
        let spare = terms.limit.checked_sub(cost)?;
        let (used, before) = self.used(terms, now);
        let Some(excess) = used.checked_sub(spare).filter(|excess| *excess > 0) else {
            return Some(now);
        };
        // The entry with which as much has left as is too much.
        let last = self.entries.partition_point(|entry| {
            entry.is_out(terms, now) || entry.through().wrapping_sub(before) < excess
        });
        self.entries.get(last)?.leaves_at(terms)
    }

    fn take(&mut self, terms: &Terms, now: Tick, cost: u32) {
        self.drop_what_is_out(terms, now);
        let (used, _) = self.used(terms, now);
        let cost = cost.min(u32::MAX - used);
        if cost == 0 {
            return;
        }
        match self.entries.back_mut() {
            // Stamps stay in order, also with a clock that steps back.
            Some(last) if last.at >= now => last.cost += cost,
            last => {
                let before = last.map_or(0, |last| last.through());
                self.entries.push_back(Entry { at: now, before, cost });
            }
        }
    }

    /// Costs as many steps as there are later entries.
    fn give_back(&mut self, _terms: &Terms, _now: Tick, taken: Tick, cost: u32) {
        let Ok(index) = self.entries.binary_search_by_key(&taken, |entry| entry.at) else { return };
        let entry = &mut self.entries[index];
        let cost = cost.min(entry.cost);
        entry.cost -= cost;
        let is_empty = entry.cost == 0;
        for later in self.entries.range_mut(index + 1..) {
            later.before = later.before.wrapping_sub(cost);
        }
        if is_empty {
            self.entries.remove(index);
        }
    }

    fn remaining(&self, terms: &Terms, now: Tick) -> u32 {
        terms.limit.saturating_sub(self.used(terms, now).0)
    }

    fn full_at(&self, terms: &Terms, now: Tick) -> Tick {
        let Some(last) = self.entries.back() else { return now };
        last.leaves_at(terms).unwrap_or(Tick::MAX).max(now)
    }

    /// The log knows when each call came: with another length the window covers more of them or
    /// fewer.
    fn carry(&mut self, from: &Terms, _to: &Terms, now: Tick) {
        self.drop_what_is_out(from, now);
    }
}
