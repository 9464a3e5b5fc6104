//! A bucket of tokens: [`TokenBucket`], and what is decided on its word.

use breaker_core::Tick;

use super::{Decision, Limiter};
use crate::terms::{Meter, Terms};

/// A token bucket: it holds `burst` calls, starts full, and gains `rate` calls per second.
///
/// ```text
/// tokens = min(burst, tokens + dt * rate);    admits when tokens >= cost, then tokens -= cost
/// ```
///
/// Neither tokens nor a moment are kept, but one word: the reading of the [`Meter`] at which the
/// bucket is full again, with `tokens = burst - (word - reading)`. This is the theoretical arrival
/// time of the generic cell rate algorithm (ITU-T I.371, the virtual scheduling algorithm), counted
/// in units of the meter and not in nanoseconds, so that it stays true when the rate moves.
///
/// In any time `t`, at most `burst + rate * t` calls are admitted; a call that is given back within
/// it makes room for another. All arithmetic is whole, and what it cannot count is refused.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TokenBucket {
    word: u64,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub const fn new() -> Self {
        Self { word: FULL }
    }

    /// Sees to it that this many calls fit in beside what it holds.
    pub(crate) fn hold_back(&mut self, terms: &Terms, now: Tick, calls: u32) {
        let units = terms.meter.units(calls).unwrap_or(u64::MAX);
        self.word = self.word.max(terms.meter.at(now).saturating_add(units));
    }
}

impl Limiter for TokenBucket {
    fn ready_at(&self, terms: &Terms, now: Tick, cost: u32) -> Option<Tick> {
        let cost = terms.meter.units(cost)?;
        match decide(self.word, terms.meter.at(now), cost, capacity(terms)) {
            Ok(_) => Some(now),
            Err(reading) => moment(&terms.meter, reading?),
        }
    }

    fn take(&mut self, terms: &Terms, now: Tick, cost: u32) {
        let cost = terms.meter.units(cost).unwrap_or(u64::MAX);
        self.word = self.word.max(terms.meter.at(now)).saturating_add(cost);
    }

    /// What it took leaves the bucket, as far as it can still be in it: what is not, the bucket has
    /// gained by itself since.
    fn give_back(&mut self, terms: &Terms, now: Tick, taken: Tick, cost: u32) {
        self.word = given_back(self.word, still_owed(terms, now, taken, cost));
    }

    fn remaining(&self, terms: &Terms, now: Tick) -> u32 {
        terms.meter.calls(room(self.word, terms.meter.at(now), capacity(terms)))
    }

    fn full_at(&self, terms: &Terms, now: Tick) -> Tick {
        moment(&terms.meter, self.word).unwrap_or(Tick::MAX).max(now)
    }

    fn carry(&mut self, from: &Terms, to: &Terms, now: Tick) {
        let debt = self.word.saturating_sub(from.meter.at(now));
        self.word = match in_units_of(&to.meter, &from.meter, debt) {
            0 => FULL,
            debt => to.meter.at(now).saturating_add(debt),
        };
    }

    #[inline]
    fn admit(&mut self, terms: &Terms, now: Tick, cost: u32) -> Decision {
        let Some(cost) = terms.meter.units(cost) else { return Decision::Never };
        match decide(self.word, terms.meter.at(now), cost, capacity(terms)) {
            Ok(word) => {
                self.word = word;
                Decision::Admitted
            }
            Err(reading) => wait(&terms.meter, reading),
        }
    }
}

#[cold]
fn wait(meter: &Meter, reading: Option<u64>) -> Decision {
    match reading.and_then(|reading| moment(meter, reading)) {
        Some(at) => Decision::Wait(at),
        None => Decision::Never,
    }
}

// ===== on the plain word, for shells that keep it in an atomic =====

/// The word of a new bucket.
pub(crate) const FULL: u64 = 0;

/// The word after a call of this cost; else the reading at which the call is admissible, `None` if
/// it never is.
#[inline]
pub(crate) const fn decide(
    word: u64,
    reading: u64,
    cost: u64,
    capacity: u64,
) -> Result<u64, Option<u64>> {
    if cost > capacity {
        return Err(None);
    }
    let begin = if word > reading { word } else { reading };
    match begin.checked_add(cost) {
        None => Err(None),
        Some(next) if next - reading <= capacity => Ok(next),
        Some(next) => Err(Some(next - capacity)),
    }
}

/// The word after this much has been given back.
#[inline]
pub(crate) const fn given_back(word: u64, cost: u64) -> u64 {
    word.saturating_sub(cost)
}

/// What of a cost that was taken at the moment `taken` can still be owed, in units: whoever is owed
/// it has not been full since.
pub(crate) const fn still_owed(terms: &Terms, now: Tick, taken: Tick, cost: u32) -> u64 {
    let units = match terms.meter.units(cost) {
        Some(units) => units,
        None => u64::MAX,
    };
    let gained = terms.meter.at(now).saturating_sub(terms.meter.at(taken));
    let most = capacity(terms).saturating_sub(gained);
    if units < most { units } else { most }
}

/// How much is admitted at this reading.
#[inline]
pub(crate) const fn room(word: u64, reading: u64, capacity: u64) -> u64 {
    let free = capacity.saturating_sub(word.saturating_sub(reading));
    // What the meter cannot show any more, it cannot admit.
    let showable = u64::MAX - if word > reading { word } else { reading };
    if free < showable { free } else { showable }
}

/// The burst, in units: no more than can be counted.
#[inline]
pub(crate) const fn capacity(terms: &Terms) -> u64 {
    match terms.meter.units(terms.burst) {
        Some(units) => units,
        None => u64::MAX,
    }
}

/// The first moment at which the meter shows this much; `None` if time ends before.
#[inline]
pub(crate) const fn moment(meter: &Meter, reading: u64) -> Option<Tick> {
    let at = meter.when(reading);
    if meter.at(at) < reading { None } else { Some(at) }
}

/// What `debt` units of one meter are in units of another, rounded up: nothing is won by it.
pub(crate) const fn in_units_of(to: &Meter, from: &Meter, debt: u64) -> u64 {
    let units = (debt as u128 * to.unit as u128).div_ceil(from.unit as u128);
    if units > u64::MAX as u128 { u64::MAX } else { units as u64 }
}
