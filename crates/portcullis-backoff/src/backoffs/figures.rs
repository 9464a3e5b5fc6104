//! What is known of a key: [`BackoffFigures`].

use std::time::Duration;

use breaker_core::Tick;

use crate::delays::DelayKind;
use crate::record::{Record, Sequence};

/// What is known of a key at a moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BackoffFigures {
    /// Failures since the last success.
    pub attempts: u32,
    /// The last delay since the last success, before a hint of the callee.
    pub last_delay: Option<Duration>,
    /// The share of successes, in 0..=1, among the outcomes that are remembered; `None` where none
    /// is. A key is remembered from a failure on, until none is left within the window.
    pub success_rate: Option<f64>,
    /// The mean of all delays of the key, before hints of the callee; `None` before the first.
    pub mean_delay: Option<Duration>,
    kinds: [(f64, u32); DelayKind::ALL.len()],
}

impl BackoffFigures {
    pub(crate) fn new(seq: Sequence, record: &Record, now: Tick) -> Self {
        let kinds = DelayKind::ALL.map(|kind| match record.selector() {
            Some(selector) => (selector.effectiveness(kind, now), selector.uses(kind)),
            None => (0.5, 0),
        });
        Self {
            attempts: seq.attempts,
            last_delay: seq.last,
            success_rate: record.success_rate(now),
            mean_delay: record.mean_delay(),
            kinds,
        }
    }

    /// How effective a strategy was with this key, in 0..=1; 0.5 where nothing is known.
    #[must_use]
    pub const fn effectiveness(&self, kind: DelayKind) -> f64 {
        self.kinds[kind.index()].0
    }

    /// How many delays of this key were given by a strategy.
    #[must_use]
    pub const fn uses(&self, kind: DelayKind) -> u32 {
        self.kinds[kind.index()].1
    }
}
