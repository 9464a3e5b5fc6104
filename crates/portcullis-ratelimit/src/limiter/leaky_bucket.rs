//! A bucket that leaks: [`LeakyBucket`].

use breaker_core::Tick;

use super::Limiter;
use super::token_bucket::{capacity, in_units_of, moment, still_owed};
use crate::terms::Terms;

/// A leaky bucket as a meter: it holds `burst` calls, starts empty, and loses `rate` calls per
/// second.
///
/// ```text
/// level = max(0, level - dt * rate);    admits when level + cost <= burst, then level += cost
/// ```
///
/// This is the continuous-state leaky bucket of ITU-T I.371: the [`TokenBucket`](super::TokenBucket)
/// seen from the other side, with the same decisions. It delays nobody; calls that wait their turn
/// are a matter of the layer. What it admits never lifts its level above the burst, not by a
/// fraction: level and leak are whole units of the [`Meter`](crate::Meter).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LeakyBucket {
    /// In units, when the meter showed `updated`.
    level: u64,
    updated: u64,
}

impl LeakyBucket {
    /// An empty bucket.
    #[must_use]
    pub const fn new() -> Self {
        Self { level: 0, updated: 0 }
    }

    /// How full it is, in calls, rounded up.
    #[must_use]
    pub const fn level(&self, terms: &Terms, now: Tick) -> u32 {
        let calls = self.level_at(terms.meter.at(now)).div_ceil(terms.meter.unit);
        if calls > u32::MAX as u64 { u32::MAX } else { calls as u32 }
    }

    /// At a reading before the last one, what has leaked since is not out yet.
    const fn level_at(&self, reading: u64) -> u64 {
        if reading < self.updated {
            self.level.saturating_add(self.updated - reading)
        } else {
            self.level.saturating_sub(reading - self.updated)
        }
    }
}

impl Limiter for LeakyBucket {
    fn ready_at(&self, terms: &Terms, now: Tick, cost: u32) -> Option<Tick> {
        let (cost, capacity) = (terms.meter.units(cost)?, capacity(terms));
        if cost > capacity {
            return None;
        }
        let level = self.level_at(terms.meter.at(now));
        if level.checked_add(cost)? <= capacity {
            return Some(now);
        }
        // All that is above the capacity has to leak first.
        let reading = self.updated.checked_add(self.level)?.checked_add(cost)? - capacity;
        moment(&terms.meter, reading)
    }

    fn take(&mut self, terms: &Terms, now: Tick, cost: u32) {
        let reading = terms.meter.at(now).max(self.updated);
        let cost = terms.meter.units(cost).unwrap_or(u64::MAX);
        self.level = self.level_at(reading).saturating_add(cost);
        self.updated = reading;
    }

    /// What it took leaves the bucket, as far as it has not leaked out by itself since.
    fn give_back(&mut self, terms: &Terms, now: Tick, taken: Tick, cost: u32) {
        let cost = still_owed(terms, now, taken, cost);
        // What was taken in advance lies behind `updated`: it is given back as well.
        let advance = cost.saturating_sub(self.level);
        self.level = self.level.saturating_sub(cost);
        self.updated = self.updated.saturating_sub(advance);
    }

    fn remaining(&self, terms: &Terms, now: Tick) -> u32 {
        let level = self.level_at(terms.meter.at(now));
        terms.meter.calls(capacity(terms).saturating_sub(level))
    }

    fn full_at(&self, terms: &Terms, now: Tick) -> Tick {
        let reading = self.updated.checked_add(self.level);
        let empty = reading.and_then(|reading| moment(&terms.meter, reading));
        empty.unwrap_or(Tick::MAX).max(now)
    }

    fn carry(&mut self, from: &Terms, to: &Terms, now: Tick) {
        let level = self.level_at(from.meter.at(now));
        self.level = in_units_of(&to.meter, &from.meter, level);
        self.updated = to.meter.at(now);
    }
}
