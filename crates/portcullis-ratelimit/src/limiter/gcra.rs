//! Decided by the crate `governor`: [`Gcra`].

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use breaker_core::Tick;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::Limiter;
use crate::terms::Terms;

/// The generic cell rate algorithm (ITU-T I.371), decided by the crate `governor`.
///
/// ```text
/// T = 1 / rate, tau = (burst - 1) * T;    a call of cost n is admitted when
/// TAT + (n - 1) * T - tau <= now, then TAT = max(now, TAT) + n * T
/// ```
///
/// It keeps one word, the theoretical arrival time in nanoseconds, and decides as a
/// [`TokenBucket`](super::TokenBucket) does. `T` is a whole number of nanoseconds, rounded up here:
/// 3 calls per second become one in 333,333,334 ns, and 700 million per second become 500 million.
/// So choose it for rates whose calls are whole nanoseconds apart, and for rates that stay: after a
/// change of the rate it counts its debt as time, not as calls.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Gcra {
    word: u64,
}

impl Gcra {
    /// A full bucket.
    #[must_use]
    pub const fn new() -> Self {
        Self { word: 0 }
    }

    /// What governor says, and the word after it; else the moment from which it says yes.
    fn ask(&self, terms: &Terms, now: Tick, cost: NonZeroU32) -> Result<u64, Option<Tick>> {
        let interval = interval(terms);
        let burst = NonZeroU32::new(burst(terms)).ok_or(None)?;
        // What governor does not check: that its clock can show the next arrival.
        let added = interval.checked_mul(cost.get().into()).ok_or(None)?;
        self.word.max(now.as_nanos()).checked_add(added).ok_or(None)?;

        let quota = Quota::with_period(Duration::from_nanos(interval)).ok_or(None)?;
        let quota = quota.allow_burst(burst);
        // It takes what its clock shows at the beginning for zero.
        let shown = Shown(Cell::new(0));
        let limiter = Governor::new(quota, Word(Cell::new(self.word)), shown);
        limiter.clock().0.set(now.as_nanos());
        match limiter.check_n(cost) {
            Ok(Ok(())) => Ok(limiter.into_state_store().0.get()),
            Ok(Err(not_until)) => {
                Err(Some(Tick::from_nanos(not_until.earliest_possible().as_u64())))
            }
            Err(_insufficient) => Err(None),
        }
    }

    /// What it has admitted before its time, in nanoseconds.
    const fn debt(&self, now: Tick) -> u64 {
        self.word.saturating_sub(now.as_nanos())
    }
}

impl Limiter for Gcra {
    fn ready_at(&self, terms: &Terms, now: Tick, cost: u32) -> Option<Tick> {
        let Some(cost) = NonZeroU32::new(cost) else {
            // Governor knows no calls without a cost.
            let at = self.word.saturating_sub(interval(terms) * u64::from(burst(terms)));
            return Some(Tick::from_nanos(at).max(now));
        };
        match self.ask(terms, now, cost) {
            Ok(_) => Some(now),
            Err(at) => at,
        }
    }

    fn take(&mut self, terms: &Terms, now: Tick, cost: u32) {
        let Some(cost) = NonZeroU32::new(cost) else { return };
        self.word = self.ask(terms, now, cost).unwrap_or_else(|_| {
            // Not admissible: it is owed all the same.
            let added = interval(terms).saturating_mul(cost.get().into());
            self.word.max(now.as_nanos()).saturating_add(added)
        });
    }

    /// What it took leaves the bucket, as far as it has not leaked out by itself since.
    fn give_back(&mut self, terms: &Terms, now: Tick, taken: Tick, cost: u32) {
        let whole = interval(terms).saturating_mul(burst(terms).into());
        let passed = now.as_nanos().saturating_sub(taken.as_nanos());
        let owed = interval(terms).saturating_mul(cost.into()).min(whole.saturating_sub(passed));
        self.word = self.word.saturating_sub(owed);
    }

    fn remaining(&self, terms: &Terms, now: Tick) -> u32 {
        let whole = interval(terms) * u64::from(burst(terms));
        let showable = u64::MAX - self.word.max(now.as_nanos());
        let calls = whole.saturating_sub(self.debt(now)).min(showable) / interval(terms);
        // At most the burst.
        calls as u32
    }

    fn full_at(&self, _terms: &Terms, now: Tick) -> Tick {
        Tick::from_nanos(self.word).max(now)
    }

    fn carry(&mut self, from: &Terms, to: &Terms, now: Tick) {
        let debt = u128::from(self.debt(now)) * u128::from(interval(to));
        let debt = debt.div_ceil(u128::from(interval(from)));
        let debt = u64::try_from(debt).unwrap_or(u64::MAX);
        self.word = if debt == 0 { 0 } else { now.as_nanos().saturating_add(debt) };
    }
}

/// The nanoseconds from call to call, rounded up: never faster than the rate.
const fn interval(terms: &Terms) -> u64 {
    let rate = terms.rate;
    // A rate is at least one call in 1,000 seconds, and at most one in a nanosecond.
    (rate.period().as_nanos() as u64).div_ceil(rate.calls() as u64)
}

/// The burst, as far as its nanoseconds can be counted.
const fn burst(terms: &Terms) -> u32 {
    let countable = u64::MAX / interval(terms);
    if terms.burst as u64 > countable { countable as u32 } else { terms.burst }
}

type Governor = RateLimiter<NotKeyed, Word, Shown, NoOpMiddleware<Nanos>>;

/// A clock that shows what it is told.
struct Shown(Cell<u64>);

impl Clock for Shown {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.get())
    }
}

/// A word of nobody else.
struct Word(Cell<u64>);

impl StateStore for Word {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (said, next) = decide(Some(Nanos::new(self.0.get())))?;
        self.0.set(next.as_u64());
        Ok(said)
    }
}
