//! What is kept for one condition.

use super::average::Average;
use super::calls::CallWindow;
use super::score::Score;
use super::time::TimeWindow;
use super::{Lull, Tally};
use crate::clock::Tick;
use crate::config::{Span, TripOn, WindowRule};
use crate::rejected::{Cause, Condition};

/// Small, so that a plain streak costs no more than a number does.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Item {
    Streak(u32),
    Calls(Box<CallWindow>),
    Time(Box<TimeWindow>),
    Average(Box<Average>),
    Score(Box<Score>),
}

impl Item {
    pub(super) fn new(condition: &TripOn) -> Self {
        match condition {
            TripOn::Consecutive(_) => Self::Streak(0),
            TripOn::Window(rule) => match rule.window.span {
                Span::Calls(size) => Self::Calls(CallWindow::new(size).into()),
                Span::Time { length, buckets } => {
                    Self::Time(TimeWindow::new(length.as_nanos() as u64, buckets).into())
                }
            },
            TripOn::Average { calls, .. } => Self::Average(Average::new(*calls).into()),
            TripOn::Score(cusum) => Self::Score(Score::new(cusum).into()),
        }
    }

    pub(super) fn record(&mut self, failed: bool, slow: bool, now: Tick) {
        match self {
            Self::Streak(streak) if failed => *streak = streak.saturating_add(1),
            Self::Streak(streak) => *streak = 0,
            Self::Calls(window) => window.record(failed, slow),
            Self::Time(window) => window.record(failed, slow, now),
            Self::Average(average) => average.record(failed),
            Self::Score(score) if failed => score.fail(now),
            Self::Score(score) => score.record_successes(1),
        }
    }

    pub(super) fn record_successes(&mut self, n: u32, now: Tick) {
        match self {
            Self::Streak(streak) => *streak = 0,
            Self::Calls(window) => window.record_successes(n),
            Self::Time(window) => window.record_successes(n, now),
            Self::Average(average) => average.record_successes(n),
            Self::Score(score) => score.record_successes(n),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Streak(streak) => *streak = 0,
            Self::Calls(window) => window.clear(),
            Self::Time(window) => window.clear(),
            Self::Average(average) => average.value = Average::ONE,
            Self::Score(score) => score.clear(),
        }
    }

    /// The numbers that meet the condition, if it is met.
    pub(super) fn verdict(&self, condition: &TripOn) -> Option<Cause> {
        let cause = |condition| {
            let Tally { calls, failures, .. } = self.tally();
            Cause { condition, bad: failures, calls }
        };
        match (self, condition) {
            (Self::Streak(streak), TripOn::Consecutive(threshold)) => {
                (streak >= threshold).then(|| cause(Condition::ConsecutiveFailures))
            }
            (Self::Calls(window), TripOn::Window(rule)) => rule_met(rule, window.tally),
            (Self::Time(window), TripOn::Window(rule)) => rule_met(rule, window.sum),
            (Self::Average(average), TripOn::Average { threshold, .. }) => {
                average.below(threshold.as_basis_points()).then(|| cause(Condition::SuccessAverage))
            }
            (Self::Score(score), TripOn::Score(_)) => {
                score.is_above().then(|| cause(Condition::FailureScore))
            }
            _ => None,
        }
    }

    /// What successes do here; `soon_at_rest` if a few of them bring all the evidence to rest.
    pub(super) fn lull(&self, condition: &TripOn, soon_at_rest: bool) -> Lull {
        let (may_trip, settled) = match (self, condition) {
            (Self::Calls(window), TripOn::Window(rule)) => {
                (rule_may_be_met(rule, window.tally, window.size), window.is_settled())
            }
            // Calls grow old in it, so that new ones always change something.
            (Self::Time(window), TripOn::Window(rule)) => {
                (rule_may_be_met(rule, window.sum, u32::MAX), false)
            }
            (Self::Streak(streak), _) => (false, *streak == 0),
            (Self::Average(average), _) => (self.is_met(condition), average.is_settled()),
            (Self::Score(score), _) => (self.is_met(condition), score.is_settled()),
            (Self::Calls(_) | Self::Time(_), _) => (true, false),
        };
        match (may_trip, settled) {
            (false, true) => Lull::Nothing,
            (false, false) if !soon_at_rest => Lull::Adds,
            _ => Lull::Matters,
        }
    }

    /// Whether a few successes are enough that more of them change nothing.
    pub(super) fn is_soon_at_rest(&self) -> bool {
        match self {
            Self::Streak(_) => true,
            Self::Score(score) => score.is_soon_settled(),
            Self::Calls(_) | Self::Time(_) | Self::Average(_) => false,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        match self {
            Self::Streak(streak) => Tally { calls: *streak, failures: *streak, slow: 0 },
            Self::Calls(window) => window.tally,
            Self::Time(window) => window.sum,
            Self::Average(_) => Tally { calls: 0, failures: 0, slow: 0 },
            Self::Score(score) => score.tally,
        }
    }

    /// The failure rate of the newer half of a window less that of the older half, once the
    /// window holds enough calls and both halves hold some.
    pub(super) fn trend(&self, condition: &TripOn) -> Option<f64> {
        let TripOn::Window(rule) = condition else { return None };
        let (calls, [older, newer]) = match self {
            Self::Calls(window) => (window.tally.calls, window.halves()),
            Self::Time(window) => (window.sum.calls, window.halves()),
            Self::Streak(_) | Self::Average(_) | Self::Score(_) => return None,
        };
        if calls < rule.window.min_calls {
            return None;
        }
        Some(newer.failure_rate()? - older.failure_rate()?)
    }

    pub(super) fn is_clean(&self) -> bool {
        match self {
            Self::Streak(streak) => *streak == 0,
            Self::Calls(window) => window.tally.is_clean(),
            Self::Time(window) => window.sum.is_clean(),
            // Rounding keeps an average a hair below one for ever.
            Self::Average(average) => average.value >= Average::ONE / 1_000 * 999,
            Self::Score(score) => score.is_settled(),
        }
    }

    pub(super) fn has_shape_of(&self, old: &Self) -> bool {
        match (self, old) {
            (Self::Calls(new), Self::Calls(old)) => new.size == old.size,
            (Self::Average(new), Self::Average(old)) => new.keep == old.keep,
            (Self::Score(new), Self::Score(old)) => new.same_shape(old),
            _ => true,
        }
    }

    /// How far it looks back, among items of one kind.
    pub(super) fn knows(&self) -> u64 {
        match self {
            Self::Calls(window) => u64::from(window.tally.calls),
            Self::Average(average) => average.keep,
            Self::Streak(_) | Self::Time(_) | Self::Score(_) => 0,
        }
    }

    /// This item with what `old` knows, if they are of one kind.
    pub(super) fn heir_of(&self, old: &Self) -> Option<Self> {
        match (self, old) {
            (Self::Streak(_), Self::Streak(streak)) => Some(Self::Streak(*streak)),
            (Self::Calls(new), Self::Calls(old)) => Some(Self::Calls(new.heir_of(old).into())),
            (Self::Time(new), Self::Time(old)) => {
                new.same_shape(old).then(|| Self::Time(old.clone()))
            }
            (Self::Average(new), Self::Average(old)) => {
                Some(Self::Average(Average { value: old.value, ..**new }.into()))
            }
            (Self::Score(new), Self::Score(old)) => Some(Self::Score(new.heir_of(old)?.into())),
            _ => None,
        }
    }

    fn is_met(&self, condition: &TripOn) -> bool {
        self.verdict(condition).is_some()
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
