//! Whether the threshold of the failure rate follows what is usual: [`Tuner`].

use super::{CircuitBreakerConfig, StrategyKind, Trip, TripOn, WindowRule};
use crate::percent::Percent;

/// Whether a circuit tunes the threshold of its failure rate.
///
/// The tuner learns the usual failure rate b: a moving average that weighs each call by 1/200,
/// not fed while the circuit is not closed, nor while the failures in the window reach half the
/// threshold, so that an outage does not become the norm. Once a minute, from 100 such calls on,
/// it compares the threshold with a target, b + 4 sqrt(b (1 - b) / n) within 20 % to 80 %, for a
/// window of n calls: four standard deviations above the usual, as on a control chart for shares
/// (Shewhart, "Economic Control of Quality of Manufactured Product", 1931). Where they are 5 %
/// apart or more it moves the threshold, by 10 % at most.
///
/// It tunes the first failure rate of the [`Trip`], and nothing else: a failure count beside it,
/// the minimum of calls and consecutive failures stay as they are. Another threshold, window or
/// mode by `reconfigure` begins anew from there, and so does `reset`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Tuner {
    /// The threshold is that of the configuration.
    #[default]
    Off,
    /// So it is, but events and snapshots tell where the tuner would have it.
    Suggest,
    /// The tuner moves it.
    Apply,
}

impl Tuner {
    /// The word in configurations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Suggest => "suggest",
            Self::Apply => "apply",
        }
    }

    /// What becomes of it when another strategy is taken: the adaptive one brings its own along.
    pub(super) const fn under(self, old: StrategyKind, new: StrategyKind) -> Self {
        match (old, new) {
            (_, StrategyKind::Adaptive) => Self::Apply,
            (StrategyKind::Adaptive, _) => Self::Off,
            _ => self,
        }
    }
}

impl CircuitBreakerConfig {
    /// What is tuned: the place among the conditions, the rule, and its failure rate.
    pub(crate) fn tuned(&self) -> Option<(usize, &WindowRule, Percent)> {
        if self.tuner == Tuner::Off { None } else { self.trip.first_rate() }
    }
}

impl Trip {
    /// The first condition with a failure rate: its place, its rule, and the rate.
    pub(crate) fn first_rate(&self) -> Option<(usize, &WindowRule, Percent)> {
        self.conditions().enumerate().find_map(|(place, condition)| match condition {
            TripOn::Window(rule) => rule.failure_rate.map(|rate| (place, rule, rate)),
            _ => None,
        })
    }

    /// The same, but the first failure rate is another.
    pub(crate) fn with_first_rate(mut self, rate: Percent) -> Self {
        let first = self.conditions_mut().find_map(|condition| match condition {
            TripOn::Window(rule) => rule.failure_rate.as_mut(),
            _ => None,
        });
        if let Some(first) = first {
            *first = rate;
        }
        self
    }
}
