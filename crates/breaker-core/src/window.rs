//! The evidence on which a circuit decides: O(1) per call, in memory fixed at construction.

mod average;
mod calls;
mod item;
mod score;
#[cfg(test)]
mod tests;
mod time;

use self::item::Item;
use crate::clock::Tick;
use crate::config::Trip;
use crate::rejected::Cause;

/// Calls, and how many of them failed or were slow.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Tally {
    /// Calls that were counted.
    pub calls: u32,
    /// Those of them that failed.
    pub failures: u32,
    /// Those of them that were slow.
    pub slow: u32,
}

impl Tally {
    /// Failures by calls; `None` before the first call.
    #[must_use]
    pub fn failure_rate(&self) -> Option<f64> {
        (self.calls > 0).then(|| f64::from(self.failures) / f64::from(self.calls))
    }

    /// Slow calls by calls; `None` before the first call.
    #[must_use]
    pub fn slow_rate(&self) -> Option<f64> {
        (self.calls > 0).then(|| f64::from(self.slow) / f64::from(self.calls))
    }

    /// Counts one call, unless the counters are full.
    pub(crate) const fn add(&mut self, failed: bool, slow: bool) {
        if self.calls < u32::MAX {
            self.calls += 1;
            self.failures += failed as u32;
            self.slow += slow as u32;
        }
    }

    /// Counts this many good calls, until the counters are full.
    const fn add_successes(&mut self, n: u32) {
        self.calls = self.calls.saturating_add(n);
    }

    const fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.slow += other.slow;
    }

    const fn is_clean(&self) -> bool {
        self.failures == 0 && self.slow == 0
    }

    const fn subtract(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}

/// What a plain success does: one of the present generation, counted as a success, and not slow.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Lull {
    /// It changes nothing, and so do all that follow.
    Nothing,
    /// It only adds up: no number of them changes the state.
    Adds,
    /// It has to be taken in by itself: the state may change, or the evidence come to rest.
    Matters,
}

/// All the evidence that a [`Trip`] asks for, one item per condition.
///
/// Most circuits have one condition; then nothing but its window is on the heap.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Evidence(Items);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Items {
    One(Item),
    Many(Box<[Item]>),
}

impl Evidence {
    pub(crate) fn new(trip: &Trip) -> Self {
        Self(trip.conditions().map(Item::new).collect())
    }

    /// The same evidence in the shape that `trip` asks for; what fits is carried over, from an
    /// item of the same shape or else from the one of its kind that knows most.
    pub(crate) fn reshape(&self, trip: &Trip) -> Self {
        let items = trip.conditions().map(|condition| {
            let fresh = Item::new(condition);
            let heirs = self.items().iter().filter_map(|old| {
                fresh.heir_of(old).map(|heir| (fresh.has_shape_of(old), old.knows(), heir))
            });
            let best = heirs.max_by_key(|(same_shape, knows, _)| (*same_shape, *knows));
            best.map_or(fresh, |(_, _, heir)| heir)
        });
        Self(items.collect())
    }

    pub(crate) fn record(&mut self, failed: bool, slow: bool, now: Tick) {
        for item in self.items_mut() {
            item.record(failed, slow, now);
        }
    }

    /// The same as recording this many successes that were not slow, one by one.
    pub(crate) fn record_successes(&mut self, n: u32, now: Tick) {
        if n == 0 {
            return;
        }
        for item in self.items_mut() {
            item.record_successes(n, now);
        }
    }

    pub(crate) fn advance(&mut self, now: Tick) {
        for item in self.items_mut() {
            if let Item::Time(window) = item {
                window.advance(now);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.items_mut().iter_mut().for_each(Item::clear);
    }

    /// Begins anew after a recovery: a relapse is to be noticed sooner than the first failure was.
    pub(crate) fn rearm(&mut self) {
        self.clear();
        for item in self.items_mut() {
            if let Item::Score(score) = item {
                score.rearm();
            }
        }
    }

    /// The first condition that is met, with its numbers.
    pub(crate) fn verdict(&self, trip: &Trip) -> Option<Cause> {
        // Items are made from the conditions, in their order.
        self.items()
            .iter()
            .zip(trip.conditions())
            .find_map(|(item, condition)| item.verdict(condition))
    }

    /// What successes that are not slow do from here, at `now`, and until when that stands.
    pub(crate) fn lull(&self, trip: &Trip, now: Tick) -> (Lull, Option<Tick>) {
        let soon_at_rest = self.items().iter().all(Item::is_soon_at_rest);
        let mut most = Lull::Nothing;
        let mut until = None;
        for (item, condition) in self.items().iter().zip(trip.conditions()) {
            most = most.max(item.lull(condition, soon_at_rest));
            if let Item::Time(window) = item {
                let end = window.end_of_bucket(now);
                until = Some(until.map_or(end, |sooner: Tick| sooner.min(end)));
            }
        }
        (most, until)
    }

    /// Failures in a row, where they are counted.
    pub(crate) fn streak(&self) -> Option<u32> {
        self.items().iter().find_map(|item| match item {
            Item::Streak(streak) => Some(*streak),
            _ => None,
        })
    }

    /// Failures in a row, where nothing else is looked at.
    #[cfg(test)]
    pub(crate) fn lone_streak(&self) -> Option<u32> {
        match self.items() {
            [Item::Streak(streak)] => Some(*streak),
            _ => None,
        }
    }

    /// The same evidence, without what is only told and decides nothing.
    #[cfg(test)]
    pub(crate) fn without_figures(&self) -> Self {
        let mut bare = self.clone();
        for item in bare.items_mut() {
            if let Item::Score(score) = item {
                score.forget_figures();
            }
        }
        bare
    }

    /// The counts of the first window; without one, of what is counted first.
    pub(crate) fn tally(&self) -> Tally {
        let items = self.items();
        let window = items.iter().find(|item| matches!(item, Item::Calls(_) | Item::Time(_)));
        let counts = || items.iter().find(|item| matches!(item, Item::Streak(_) | Item::Score(_)));
        window.or_else(counts).map_or(Tally::default(), Item::tally)
    }

    /// The counts of each condition, in their order.
    pub(crate) fn tallies(&self) -> [Tally; Trip::MAX_CONDITIONS] {
        let mut tallies = [Tally::default(); Trip::MAX_CONDITIONS];
        for (tally, item) in tallies.iter_mut().zip(self.items()) {
            *tally = item.tally();
        }
        tallies
    }

    /// The moving average of successes of each condition that keeps one, in their order.
    pub(crate) fn averages(&self) -> [Option<f64>; Trip::MAX_CONDITIONS] {
        self.figures(|item| match item {
            Item::Average(average) => Some(average.fraction()),
            _ => None,
        })
    }

    /// The score of each condition that keeps one, as a share of its threshold, in their order.
    pub(crate) fn scores(&self) -> [Option<f64>; Trip::MAX_CONDITIONS] {
        self.figures(|item| match item {
            Item::Score(score) => Some(score.fraction()),
            _ => None,
        })
    }

    /// The trend of each condition that looks at a window, in their order: the failure rate of its
    /// newer half less that of its older half.
    pub(crate) fn trends(&self, trip: &Trip) -> [Option<f64>; Trip::MAX_CONDITIONS] {
        let mut conditions = trip.conditions();
        self.figures(|item| item.trend(conditions.next()?))
    }

    /// When the failures began of which the first score above nothing tells.
    pub(crate) fn onset(&self) -> Option<Tick> {
        self.items().iter().find_map(|item| match item {
            Item::Score(score) => score.onset(),
            _ => None,
        })
    }

    /// Whether nothing here speaks against the callee: to forget it would lose nothing.
    pub(crate) fn is_clean(&self) -> bool {
        self.items().iter().all(Item::is_clean)
    }

    fn figures(
        &self,
        mut figure: impl FnMut(&Item) -> Option<f64>,
    ) -> [Option<f64>; Trip::MAX_CONDITIONS] {
        let mut figures = [None; Trip::MAX_CONDITIONS];
        for (place, item) in figures.iter_mut().zip(self.items()) {
            *place = figure(item);
        }
        figures
    }

    fn items(&self) -> &[Item] {
        match &self.0 {
            Items::One(item) => std::slice::from_ref(item),
            Items::Many(items) => items,
        }
    }

    fn items_mut(&mut self) -> &mut [Item] {
        match &mut self.0 {
            Items::One(item) => std::slice::from_mut(item),
            Items::Many(items) => items,
        }
    }
}

impl FromIterator<Item> for Items {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        let mut items = items.into_iter();
        match (items.next(), items.next()) {
            (Some(only), None) => Self::One(only),
            (first, second) => Self::Many(first.into_iter().chain(second).chain(items).collect()),
        }
    }
}
