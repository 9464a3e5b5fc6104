//! What is in force for all buckets of a limit: [`Terms`] and the [`Meter`] in it.

use std::time::Duration;

use breaker_core::Tick;

use crate::rate::Rate;

/// What is in force for all buckets of one limit: the rate, the burst, the window.
///
/// A rate that moves changes the terms and no bucket, however many there are: see [`Meter`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    pub(crate) rate: Rate,
    pub(crate) burst: u32,
    pub(crate) window: Duration,
    /// How many calls a window holds at the present rate.
    pub(crate) limit: u32,
    pub(crate) meter: Meter,
}

impl Terms {
    /// The terms of a limit that begins at `now`. `fastest` is the fastest rate that
    /// [`at_rate`](Self::at_rate) will ever be given.
    #[must_use]
    pub const fn new(rate: Rate, fastest: Rate, burst: u32, window: Duration, now: Tick) -> Self {
        let meter = Meter::new(rate, fastest, now);
        Self { rate, burst, window, limit: rate.in_window(window), meter }
    }

    /// The same terms with another rate from `now` on. What was gained up to now was gained at the
    /// old rate.
    #[must_use]
    pub const fn at_rate(mut self, rate: Rate, now: Tick) -> Self {
        self.meter = self.meter.at_rate(rate, now);
        self.limit = rate.in_window(self.window);
        self.rate = rate;
        self
    }

    /// The rate in force.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// The most that a bucket holds.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// The length of a window.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// How many calls a window holds at the present rate: the rate times the window, rounded down,
    /// and at least one.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// What turns time into calls.
    #[must_use]
    pub const fn meter(&self) -> &Meter {
        &self.meter
    }
}

/// A clock that runs as fast as the rate is high: it shows what a bucket that never overflows would
/// have gained since the beginning.
///
/// A bucket keeps a reading of this clock and nothing else. When the rate changes, the clock changes
/// its speed and the readings stay true: so the change costs the same for one bucket and for a
/// million, and what was gained before it was gained at the old rate.
///
/// A reading counts in units, so many to a call that the fastest rate gains 64 of them in a
/// nanosecond. It is exact to the unit for four years without a change of rate, and ends after nine
/// years at the fastest rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Meter {
    /// Units to a call.
    pub(crate) unit: u64,
    /// When the rate last changed.
    pub(crate) since: Tick,
    /// What it showed then.
    pub(crate) shown: u64,
    /// Units per nanosecond, times two to the [`SHIFT`](Self::SHIFT), rounded up: a call is gained
    /// when it is due, and not one unit later.
    pub(crate) speed: u64,
}

impl Meter {
    const SHIFT: u32 = 57;
    /// Units per nanosecond at the fastest rate.
    const FASTEST: u128 = 64;

    const fn new(rate: Rate, fastest: Rate, now: Tick) -> Self {
        let fastest = if rate.is_above(fastest) { rate } else { fastest };
        let unit = Self::FASTEST * fastest.period().as_nanos() / fastest.calls() as u128;
        let meter = Self { unit: unit as u64, since: now, shown: 0, speed: 0 };
        Self { speed: meter.speed_of(rate), ..meter }
    }

    const fn at_rate(self, rate: Rate, now: Tick) -> Self {
        // Who read the clock first may come second: what was gained since is not gained twice.
        let late = now.as_nanos() < self.since.as_nanos();
        let since = if late { self.since } else { now };
        Self { since, shown: self.at(since), speed: self.speed_of(rate), ..self }
    }

    const fn speed_of(&self, rate: Rate) -> u64 {
        // 46 bits, 30 bits and 57 bits: what is too much for the product is shifted afterwards.
        let units = self.unit as u128 * rate.calls() as u128;
        let nanos = rate.period().as_nanos();
        let whole = (units / nanos) << Self::SHIFT;
        let rest = ((units % nanos) << Self::SHIFT).div_ceil(nanos);
        let speed = whole + rest;
        if speed > u64::MAX as u128 { u64::MAX } else { speed as u64 }
    }

    /// What it shows at a moment, in units. Before its beginning it shows what it showed then: a
    /// clock that steps back gains nothing.
    #[inline]
    #[must_use]
    pub const fn at(&self, now: Tick) -> u64 {
        let nanos = now.as_nanos().saturating_sub(self.since.as_nanos());
        let gained = (nanos as u128 * self.speed as u128) >> Self::SHIFT;
        if gained > u64::MAX as u128 { u64::MAX } else { self.shown.saturating_add(gained as u64) }
    }

    /// The first moment at which it shows at least this much.
    #[must_use]
    pub const fn when(&self, reading: u64) -> Tick {
        let to_gain = reading.saturating_sub(self.shown) as u128;
        let nanos = (to_gain << Self::SHIFT).div_ceil(self.speed as u128);
        let nanos = if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 };
        Tick::from_nanos(self.since.as_nanos().saturating_add(nanos))
    }

    /// So many calls, in units; `None` for more than it can count.
    #[inline]
    #[must_use]
    pub const fn units(&self, calls: u32) -> Option<u64> {
        self.unit.checked_mul(calls as u64)
    }

    /// So many units, in whole calls.
    #[must_use]
    pub const fn calls(&self, units: u64) -> u32 {
        let calls = units / self.unit;
        if calls > u32::MAX as u64 { u32::MAX } else { calls as u32 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn terms(rate: Rate, fastest: Rate) -> Terms {
        Terms::new(rate, fastest, 10, Duration::from_secs(1), Tick::ZERO)
    }

    // S-RATE-01: exact counts, whatever the rate.
    #[test]
    fn a_call_is_gained_to_the_nanosecond_when_it_is_due() {
        for rate in [3, 7, 500, 1_000, 65_537, 999_983, 1_000_000_000].map(Rate::per_second) {
            for fastest in [rate, rate.max(Rate::per_second(1_000))] {
                let meter = terms(rate, fastest).meter;
                for calls in [1_u64, 2, 3, 1_000, 999_983] {
                    let nanos = u128::from(calls) * rate.period().as_nanos();
                    let due = nanos.div_ceil(u128::from(rate.calls())) as u64;
                    let gained = |nanos| meter.at(Tick::from_nanos(nanos)) / meter.unit;
                    assert_eq!((gained(due - 1), gained(due)), (calls - 1, calls), "{rate}");
                    assert_eq!(meter.when(calls * meter.unit).as_nanos(), due, "{rate}");
                }
            }
        }
    }

    // S-RATE-06: tokens are settled at the old rate up to now.
    #[test]
    fn what_was_gained_before_a_change_was_gained_at_the_old_rate() {
        let slow = Rate::per_second(10);
        let before = terms(slow, Rate::per_second(1_000));
        let second = |n: u64| Tick::from_millis(1_000 * n);
        let after = before.at_rate(Rate::per_second(1_000), second(2));
        let gained = |at| after.meter.at(at) / after.meter.unit;
        assert_eq!((gained(second(2)), gained(second(3))), (20, 1_020));
        assert_eq!((before.limit(), after.limit()), (10, 1_000));
        assert_eq!(after.meter.at(second(1)), after.meter.at(second(2)));
        assert_eq!(after.at_rate(slow, second(3)).meter.at(second(4)) / after.meter.unit, 1_030);
    }

    #[test]
    fn a_change_that_comes_late_gains_nothing_twice() {
        let second = |n: u64| Tick::from_millis(1_000 * n);
        let ten = Rate::per_second(10);
        let change = terms(ten, ten).at_rate(Rate::per_second(5), second(2));
        let late = change.at_rate(ten, second(1));
        let gained = |at| late.meter.at(at) / late.meter.unit;
        assert_eq!((gained(second(2)), gained(second(3))), (20, 30));
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let end = Tick::from_nanos(u64::MAX);
        for rate in [Rate::per_second(1_000_000_000), Rate::new(1, Duration::from_secs(1_000))] {
            let terms = terms(rate, Rate::per_second(1_000_000_000));
            let late = terms.at_rate(rate, end).meter;
            assert!(
                late.at(end) == terms.meter.at(end) && late.when(u64::MAX) >= end.max(late.since)
            );
        }
    }

    proptest! {
        #[test]
        fn when_is_the_first_moment_that_shows_so_much(
            rate in 1_u32..=1_000_000_000, fastest in 1_u32..=1_000_000_000,
            since in 0_u64..1 << 50, reading in 0_u64..1 << 56, step in any::<u32>(),
        ) {
            let (rate, fastest) = (Rate::per_second(rate), Rate::per_second(fastest));
            let terms = terms(rate, fastest).at_rate(fastest.min(rate), Tick::from_nanos(since));
            let meter = terms.meter;
            let when = meter.when(reading);
            // Some readings are shown only after the end of time.
            if when == Tick::MAX {
                return Ok(());
            }
            assert!(meter.at(when) >= reading);
            if when > meter.since {
                assert!(meter.at(Tick::from_nanos(when.as_nanos() - 1)) < reading);
            }
            let later = Tick::from_nanos(when.as_nanos().saturating_add(step.into()));
            assert!(meter.at(later) >= meter.at(when));
        }
    }
}
