//! The arithmetic of delays, in whole nanoseconds. Whatever a strategy cannot compute is the first
//! delay.

use std::time::Duration;

use breaker_core::{Chance, Percent, Tick};

use super::{DelayKind, Delays};
use crate::pattern::Pattern;

/// What a delay depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// The number of the attempt that failed; the first is 1.
    pub(crate) attempt: u32,
    /// The delay before it, if there was one.
    pub(crate) last: Option<Duration>,
    /// How much of the machine is in use, if that is known.
    pub(crate) usage: Option<Percent>,
    pub(crate) pattern: Option<Pattern>,
    /// How much the exponential, the Fibonacci and the decorrelated delay weigh in their mean.
    pub(crate) weights: [f64; 3],
}

impl Delays {
    /// The delay, and whether it has grown: whether, before jitter, it is longer than the first.
    pub(crate) fn draw(
        &self,
        kind: DelayKind,
        facts: &Facts,
        chance: &mut Chance,
    ) -> (Duration, bool) {
        let Some(delay) = self.capped(kind, facts, chance) else {
            return (self.initial, false);
        };
        let grown = delay > nanos(self.initial);
        let spread = if kind.is_spread() { delay } else { self.around(delay, chance.draw()) };
        (Duration::from_nanos(spread), grown)
    }

    /// What comes on top of a wait that all callers are told alike: up to a tenth of it, and nothing
    /// where delays are not spread.
    pub(crate) fn spread(&self, wait: Duration, chance: &mut Chance) -> Duration {
        let by_kind = self.kind.is_some_and(DelayKind::is_spread);
        if by_kind || self.jitter.as_basis_points() > 0 {
            Duration::from_nanos(chance.below((nanos(wait) / 10).saturating_add(1)))
        } else {
            Duration::ZERO
        }
    }

    /// The delay before jitter; `None` where it cannot be computed.
    pub(super) fn capped(
        &self,
        kind: DelayKind,
        facts: &Facts,
        chance: &mut Chance,
    ) -> Option<u64> {
        // No attempt has the number zero.
        let before = facts.attempt.checked_sub(1)?;
        let initial = nanos(self.initial) as f64;
        let linear = initial * f64::from(facts.attempt);
        let raw = match kind {
            DelayKind::Fixed => initial,
            DelayKind::Linear => linear,
            DelayKind::Exponential => self.exponential_nanos(before)?,
            DelayKind::Fibonacci => initial * fibonacci(facts.attempt),
            DelayKind::Random => return Some(chance.below(self.under_cap(linear)? + 1)),
            DelayKind::FullJitter => {
                let all = self.under_cap(self.exponential_nanos(before)?)?;
                return Some(chance.below(all + 1));
            }
            DelayKind::EqualJitter => {
                let all = self.under_cap(self.exponential_nanos(before)?)?;
                return Some(all / 2 + chance.below(all - all / 2 + 1));
            }
            DelayKind::Decorrelated => return Some(self.decorrelated_nanos(facts.last, chance)),
            DelayKind::ResourceSensitive => {
                let usage = facts.usage.map_or(0.0, Percent::fraction);
                self.exponential_nanos(before)? * (1.0 + usage)
            }
            DelayKind::Pattern => match facts.pattern {
                Some(pattern) => {
                    nanos(pattern.interval) as f64 * f64::from(before).mul_add(0.1, 1.0)
                }
                None => initial,
            },
            DelayKind::Adaptive => self.mean(before, facts, chance)?,
        };
        self.under_cap(raw)
    }

    /// A delay, shorter or longer by up to the jitter, and never above the cap: `at` is the place
    /// between the two ends, in 2^-64.
    pub(super) fn around(&self, delay: u64, at: u64) -> u64 {
        let share = u128::from(self.jitter.as_basis_points());
        let part = (u128::from(delay) * share / 10_000) as u64;
        let least = delay - part;
        let most = delay.saturating_add(part).min(nanos(self.cap));
        let width = u128::from(most.saturating_sub(least)) + 1;
        least + ((u128::from(at) * width) >> 64) as u64
    }

    fn exponential_nanos(&self, before: u32) -> Option<f64> {
        let factor = f64::from(self.factor) / 1_000.0;
        let times = i32::try_from(before).unwrap_or(i32::MAX);
        // Infinite where it is beyond all bounds, and so the cap.
        (factor >= 1.0).then(|| nanos(self.initial) as f64 * factor.powi(times))
    }

    fn decorrelated_nanos(&self, last: Option<Duration>, chance: &mut Chance) -> u64 {
        let (initial, cap) = (nanos(self.initial), nanos(self.cap));
        // Another strategy may have drawn a last delay that is shorter than the first.
        let longest = last.map_or(initial, |last| nanos(last).saturating_mul(3).max(initial));
        // Cut before it is drawn: else two of three would be the cap itself, once it is reached.
        initial + chance.below(longest.min(cap).saturating_sub(initial).saturating_add(1))
    }

    fn mean(&self, before: u32, facts: &Facts, chance: &mut Chance) -> Option<f64> {
        let parts = [
            self.under_cap(self.exponential_nanos(before)?)?,
            self.under_cap(nanos(self.initial) as f64 * fibonacci(facts.attempt))?,
            self.decorrelated_nanos(facts.last, chance),
        ];
        let all: f64 = facts.weights.iter().sum();
        let weights = if all == 0.0 { [1.0; 3] } else { facts.weights };
        let weighted = parts.iter().zip(weights).map(|(&part, weight)| part as f64 * weight);
        Some(weighted.sum::<f64>() / weights.iter().sum::<f64>())
    }

    /// Whole nanoseconds up to the cap; `None` for what is no time.
    fn under_cap(&self, raw: f64) -> Option<u64> {
        let cap = nanos(self.cap);
        (raw >= 0.0).then(|| (raw.min(cap as f64).round() as u64).min(cap))
    }
}

/// In whole nanoseconds; saturates.
fn nanos(duration: Duration) -> u64 {
    Tick::ZERO.after(duration).as_nanos()
}

/// 1, 1, 2, 3, 5: as far as 64 bits go, which is beyond any cap.
fn fibonacci(number: u32) -> f64 {
    let (mut this, mut next, mut left) = (1_u64, 1_u64, number.saturating_sub(1));
    while left > 0 && this < u64::MAX {
        (this, next) = (next, this.saturating_add(next));
        left -= 1;
    }
    this as f64
}
