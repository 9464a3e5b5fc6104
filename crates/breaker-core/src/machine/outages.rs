//! How long past outages lasted, and what that says about the present one.
//!
//! An outage lasts from the first opening to the close that trials brought about. One that an
//! operator or a clock ended says nothing about the callee and is not kept, nor is one that was
//! restored from an earlier process, since nobody knows when it began.

use std::time::Duration;

use crate::clock::Tick;
use crate::config::CircuitBreakerConfig;
use crate::explain::{RecoveryEstimate, RecoveryInterval};
use crate::percent::Percent;

/// Nothing is allocated before the first outage has ended.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Outages {
    /// In whole milliseconds, oldest first.
    past: Vec<u32>,
    began: Option<Tick>,
}

impl Outages {
    /// With fewer past outages than this nothing is said.
    const FEWEST: usize = 3;

    pub(super) const NONE: Self = Self { past: Vec::new(), began: None };

    /// An outage begins; `None` if it began before anybody here knew of it.
    pub(super) const fn begin(&mut self, at: Option<Tick>) {
        self.began = at;
    }

    /// The present outage is over: the callee is well.
    pub(super) fn end(&mut self, at: Tick, config: &CircuitBreakerConfig) {
        let Some(began) = self.began.take() else { return };
        let millis = at.since(began).as_millis();
        self.past.push(u32::try_from(millis).unwrap_or(u32::MAX));
        self.keep(config);
    }

    /// Forgets those that are more than the configuration asks for.
    pub(super) fn keep(&mut self, config: &CircuitBreakerConfig) {
        let too_many = self.past.len().saturating_sub(usize::from(config.outage_history));
        self.past.drain(..too_many);
    }

    /// What the past says, at `now`; `down` while an outage lasts.
    pub(super) fn estimate(&self, down: bool, now: Tick) -> Option<RecoveryEstimate> {
        if self.past.len() < Self::FEWEST {
            return None;
        }
        let mut all: Vec<_> =
            self.past.iter().map(|millis| Duration::from_millis(u64::from(*millis))).collect();
        all.sort_unstable();
        let elapsed = self.began.filter(|_| down).map(|began| now.since(began));
        let (remaining, interval) = match elapsed {
            Some(elapsed) => rest(&all, elapsed),
            None => (None, None),
        };
        Some(RecoveryEstimate {
            outages: all.len() as u32,
            median: median(&all)?,
            // The smallest that nine tenths do not exceed.
            p90: all[(all.len() * 9).div_ceil(10) - 1],
            remaining,
            interval,
        })
    }

    /// When callers may well come back, as seen from an opening at `since`: after three quarters
    /// of what is probably left, and no later than after the longest open period.
    ///
    /// Not after all of it, or the hint would feed itself: where everybody obeys, no trial is made
    /// before, and the outage lasts at least as long as the hint. So a hint that was too long is
    /// shorter by a quarter the next time.
    pub(super) fn hint(&self, since: Tick, longest: Duration) -> Option<Tick> {
        let rest = self.estimate(true, since)?.remaining?;
        Some(since.after((rest / 4 * 3).min(longest)))
    }
}

/// What is left of an outage that has lasted for `elapsed`, if it is like those that were longer.
fn rest(sorted: &[Duration], elapsed: Duration) -> (Option<Duration>, Option<RecoveryInterval>) {
    let longer = &sorted[sorted.partition_point(|outage| *outage <= elapsed)..];
    let remaining = median(longer).map(|median| median.saturating_sub(elapsed));
    (remaining, interval(longer, elapsed))
}

/// Between the k-th shortest and the k-th longest of m lies the next one with probability
/// (m + 1 - 2k) / (m + 1), whatever the distribution. The largest k that leaves at least four
/// fifths, or the whole range where m is too small for that.
fn interval(sorted: &[Duration], elapsed: Duration) -> Option<RecoveryInterval> {
    let m = sorted.len();
    let k = ((m + 1) / 10).max(1);
    if m < Outages::FEWEST {
        return None;
    }
    Some(RecoveryInterval {
        shortest: sorted[k - 1] - elapsed,
        longest: sorted[m - k] - elapsed,
        confidence: Percent::basis_points(((m + 1 - 2 * k) * 10_000 / (m + 1)) as u16),
    })
}

fn median(sorted: &[Duration]) -> Option<Duration> {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        return Some(sorted[middle]);
    }
    let (low, high) = (sorted.get(middle.checked_sub(1)?)?, sorted.get(middle)?);
    Some((*low + *high) / 2)
}
