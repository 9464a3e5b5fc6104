//! The evidence on which a circuit decides: O(1) per call, in memory fixed at construction.

mod average;
mod calls;
#[cfg(test)]
mod tests;
mod time;

use self::average::Average;
use self::calls::CallWindow;
use self::time::TimeWindow;
use crate::clock::Tick;
use crate::config::{Span, Trip, TripOn, WindowRule};
use crate::rejected::{Cause, Condition};

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

/// Small, so that a plain streak costs no more than a number does.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Item {
    Streak(u32),
    Calls(Box<CallWindow>),
    Time(Box<TimeWindow>),
    Average(Box<Average>),
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
            match item {
                Item::Streak(streak) if failed => *streak = streak.saturating_add(1),
                Item::Streak(streak) => *streak = 0,
                Item::Calls(window) => window.record(failed, slow),
                Item::Time(window) => window.record(failed, slow, now),
                Item::Average(average) => average.record(failed),
            }
        }
    }

    /// The same as recording this many successes that were not slow, one by one.
    pub(crate) fn record_successes(&mut self, n: u32, now: Tick) {
        if n == 0 {
            return;
        }
        for item in self.items_mut() {
            match item {
                Item::Streak(streak) => *streak = 0,
                Item::Calls(window) => window.record_successes(n),
                Item::Time(window) => window.record_successes(n, now),
                Item::Average(average) => average.record_successes(n),
            }
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
        for item in self.items_mut() {
            match item {
                Item::Streak(streak) => *streak = 0,
                Item::Calls(window) => window.clear(),
                Item::Time(window) => window.clear(),
                Item::Average(average) => average.value = Average::ONE,
            }
        }
    }

    /// The first condition that is met, with its numbers.
    pub(crate) fn verdict(&self, trip: &Trip) -> Option<Cause> {
        self.items().iter().zip(trip.conditions()).find_map(|(item, condition)| {
            match (item, condition) {
                (&Item::Streak(streak), &TripOn::Consecutive(threshold)) => (streak >= threshold)
                    .then_some(Cause {
                        condition: Condition::ConsecutiveFailures,
                        bad: streak,
                        calls: streak,
                    }),
                (Item::Calls(window), TripOn::Window(rule)) => rule_met(rule, window.tally),
                (Item::Time(window), TripOn::Window(rule)) => rule_met(rule, window.sum),
                (Item::Average(average), TripOn::Average { threshold, .. }) => average
                    .below(threshold.as_basis_points())
                    .then_some(Cause { condition: Condition::SuccessAverage, bad: 0, calls: 0 }),
                // Items are made from the conditions, in their order.
                _ => None,
            }
        })
    }

    /// What successes that are not slow do from here, at `now`, and until when that stands.
    pub(crate) fn lull(&self, trip: &Trip, now: Tick) -> (Lull, Option<Tick>) {
        let mut least = Lull::Nothing;
        let mut until = None;
        for (item, condition) in self.items().iter().zip(trip.conditions()) {
            least = least.max(item.lull(condition, self.is_streak()));
            if let Item::Time(window) = item {
                let end = window.end_of_bucket(now);
                until = Some(until.map_or(end, |sooner: Tick| sooner.min(end)));
            }
        }
        (least, until)
    }

    /// Whether failures in a row are all that is looked at.
    fn is_streak(&self) -> bool {
        self.items().iter().all(|item| matches!(item, Item::Streak(_)))
    }

    /// Failures in a row, where they are counted.
    pub(crate) fn streak(&self) -> Option<u32> {
        self.items().iter().find_map(|item| match item {
            Item::Streak(streak) => Some(*streak),
            _ => None,
        })
    }

    /// The counts of the first window.
    pub(crate) fn tally(&self) -> Option<Tally> {
        self.items().iter().find_map(|item| match item {
            Item::Calls(window) => Some(window.tally),
            Item::Time(window) => Some(window.sum),
            _ => None,
        })
    }

    /// The counts of each condition, in their order.
    pub(crate) fn tallies(&self) -> [Tally; Trip::MAX_CONDITIONS] {
        let mut tallies = [Tally::default(); Trip::MAX_CONDITIONS];
        for (tally, item) in tallies.iter_mut().zip(self.items()) {
            *tally = match item {
                Item::Streak(streak) => Tally { calls: *streak, failures: *streak, slow: 0 },
                Item::Calls(window) => window.tally,
                Item::Time(window) => window.sum,
                Item::Average(_) => Tally::default(),
            };
        }
        tallies
    }

    /// The moving average of successes, where one is kept.
    pub(crate) fn average(&self) -> Option<f64> {
        self.items().iter().find_map(|item| match item {
            Item::Average(average) => Some(average.fraction()),
            _ => None,
        })
    }

    /// Whether nothing here speaks against the callee: to forget it would lose nothing.
    pub(crate) fn is_clean(&self) -> bool {
        self.items().iter().all(|item| match item {
            Item::Streak(streak) => *streak == 0,
            Item::Calls(window) => window.tally.is_clean(),
            Item::Time(window) => window.sum.is_clean(),
            // Rounding keeps an average a hair below one for ever.
            Item::Average(average) => average.value >= Average::ONE / 1_000 * 999,
        })
    }

    const fn items(&self) -> &[Item] {
        match &self.0 {
            Items::One(item) => std::slice::from_ref(item),
            Items::Many(items) => items,
        }
    }

    const fn items_mut(&mut self) -> &mut [Item] {
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

/// Whether some number of successes more, in a window that holds `size` calls, meets a rule.
fn rule_may_be_met(rule: &WindowRule, tally: Tally, size: u32) -> bool {
    // Successes only dilute a rate: it is highest where it is first looked at.
    let next = tally.calls.saturating_add(1).min(size);
    rule_met(rule, Tally { calls: next.max(rule.window.min_calls), ..tally }).is_some()
}

fn rule_met(rule: &WindowRule, tally: Tally) -> Option<Cause> {
    let Tally { calls, failures, slow } = tally;
    if rule.failure_count.is_some_and(|threshold| failures >= threshold) {
        return Some(Cause { condition: Condition::FailureCount, bad: failures, calls });
    }
    if calls < rule.window.min_calls {
        return None;
    }
    if rule.failure_rate.is_some_and(|rate| rate.reached_by(failures, calls)) {
        return Some(Cause { condition: Condition::FailureRate, bad: failures, calls });
    }
    rule.slow_rate.is_some_and(|rate| rate.reached_by(slow, calls)).then_some(Cause {
        condition: Condition::SlowCallRate,
        bad: slow,
        calls,
    })
}

// ===== impl Item =====

impl Item {
    fn new(condition: &TripOn) -> Self {
        match condition {
            TripOn::Consecutive(_) => Self::Streak(0),
            TripOn::Window(rule) => match rule.window.span {
                Span::Calls(size) => Self::Calls(CallWindow::new(size).into()),
                Span::Time { length, buckets } => {
                    Self::Time(TimeWindow::new(length.as_nanos() as u64, buckets).into())
                }
            },
            TripOn::Average { calls, .. } => Self::Average(Average::new(*calls).into()),
        }
    }

    /// What successes do here; `alone` if nothing but streaks is looked at.
    fn lull(&self, condition: &TripOn, alone: bool) -> Lull {
        let (may_trip, settled) = match (self, condition) {
            // One success, and it is settled.
            (Self::Streak(streak), _) => (alone && *streak > 0, *streak == 0),
            (Self::Calls(window), TripOn::Window(rule)) => {
                (rule_may_be_met(rule, window.tally, window.size), window.is_settled())
            }
            // Calls grow old in it, so that new ones always change something.
            (Self::Time(window), TripOn::Window(rule)) => {
                (rule_may_be_met(rule, window.sum, u32::MAX), false)
            }
            (Self::Average(average), TripOn::Average { threshold, .. }) => {
                (average.below(threshold.as_basis_points()), average.is_settled())
            }
            // Items are made from the conditions, in their order.
            _ => (true, false),
        };
        match (may_trip, settled) {
            (true, _) => Lull::Matters,
            (false, true) => Lull::Nothing,
            (false, false) => Lull::Adds,
        }
    }

    fn has_shape_of(&self, old: &Self) -> bool {
        match (self, old) {
            (Self::Calls(new), Self::Calls(old)) => new.size == old.size,
            (Self::Average(new), Self::Average(old)) => new.keep == old.keep,
            _ => true,
        }
    }

    /// How far it looks back, among items of one kind.
    fn knows(&self) -> u64 {
        match self {
            Self::Calls(window) => window.tally.calls as u64,
            Self::Average(average) => average.keep,
            Self::Streak(_) | Self::Time(_) => 0,
        }
    }

    /// This item with what `old` knows, if they are of one kind.
    fn heir_of(&self, old: &Self) -> Option<Self> {
        match (self, old) {
            (Self::Streak(_), Self::Streak(streak)) => Some(Self::Streak(*streak)),
            (Self::Calls(new), Self::Calls(old)) => Some(Self::Calls(new.heir_of(old).into())),
            (Self::Time(new), Self::Time(old)) => {
                new.same_shape(old).then(|| Self::Time(old.clone()))
            }
            (Self::Average(new), Self::Average(old)) => {
                Some(Self::Average(Average { value: old.value, ..**new }.into()))
            }
            _ => None,
        }
    }
}
