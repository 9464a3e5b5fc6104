//! The arithmetic of a bucket that is one moment: [`Gcra`].

use std::time::Duration;

use breaker_core::{Quota, Tick};

use crate::rate::Rate;

/// What is in force for a bucket that is kept as one moment: the one at which it will be full (the
/// theoretical arrival time of the generic cell rate algorithm).
///
/// Moments are counted in parts of a nanosecond, [`Rate::calls`] parts to one, so that the interval
/// between two calls is a whole number of them: no rounding adds up, whatever the rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Gcra {
    /// Parts between two calls.
    step: u128,
    /// Parts of a nanosecond.
    per: u128,
    burst: u32,
}

/// When a bucket will be full, in parts of a nanosecond of the local clock.
pub(super) type Moment = u128;

impl Gcra {
    pub(super) const fn new(rate: Rate, burst: u32) -> Self {
        Self { step: rate.period().as_nanos(), per: rate.calls() as u128, burst }
    }

    /// The part of one process among `instances`: a burst of at least one.
    pub(super) const fn among(self, instances: u32) -> Self {
        let burst = self.burst / instances;
        let burst = if burst == 0 { 1 } else { burst };
        Self { step: self.step * instances as u128, per: self.per, burst }
    }

    pub(super) const fn burst(&self) -> u32 {
        self.burst
    }

    /// The first moment at which a call is admitted if no other is meanwhile.
    pub(super) fn ready(&self, full: Moment, cost: u32) -> Tick {
        let parts = (full + self.cost(cost)).saturating_sub(self.cost(self.burst));
        Tick::from_nanos(self.nanos(parts))
    }

    /// When it is full after a call of this cost.
    pub(super) fn take(&self, full: Moment, now: Tick, cost: u32) -> Moment {
        full.max(self.at(now)) + self.cost(cost)
    }

    pub(super) const fn give_back(&self, full: Moment, cost: u32) -> Moment {
        full.saturating_sub(self.cost(cost))
    }

    pub(super) fn is_full(&self, full: Moment, now: Tick) -> bool {
        full <= self.at(now)
    }

    /// The quota with what is left of it; `held` calls beyond the bucket are left, too.
    pub(super) fn quota(&self, full: Moment, now: Tick, held: u32) -> Quota {
        let used = full.saturating_sub(self.at(now));
        let free = self.cost(self.burst).saturating_sub(used) / self.step;
        let free = u32::try_from(free).unwrap_or(u32::MAX);
        let window = self.nanos(self.cost(self.burst));
        let reset = self.nanos(used);
        let left = free.saturating_add(held).min(self.burst);
        Quota::new(self.burst, Duration::from_nanos(window), left, Duration::from_nanos(reset))
    }

    /// The moment that lies so much after `now`: microseconds, and parts of one, of which
    /// [`Interval::per`] make one.
    pub(super) fn beyond(&self, now: Tick, micros: u64, parts: u64, per: u64) -> Moment {
        let whole = u128::from(micros) * 1_000 * self.per;
        let rest = (u128::from(parts) * 1_000 * self.per).div_ceil(u128::from(per));
        self.at(now) + whole + rest
    }

    const fn cost(&self, calls: u32) -> u128 {
        self.step * calls as u128
    }

    const fn at(&self, now: Tick) -> Moment {
        now.as_nanos() as u128 * self.per
    }

    /// Rounded up: who comes then does not come too early.
    fn nanos(&self, parts: u128) -> u64 {
        u64::try_from(parts.div_ceil(self.per)).unwrap_or(u64::MAX)
    }
}

/// The time between two calls as the store counts it: microseconds, and parts of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Interval {
    pub(super) whole: u64,
    pub(super) part: u64,
    /// How many parts make a microsecond.
    pub(super) per: u64,
}

impl Interval {
    /// The largest whole number up to which a double holds all of them.
    const EXACT: u64 = 1 << 53;

    /// The longest time in which an empty bucket may become full: 366 days.
    pub(super) const LONGEST: Duration = Duration::from_secs(366 * 86_400);

    pub(super) const fn new(rate: Rate) -> Self {
        let nanos = rate.period().as_nanos() as u64;
        let per = rate.calls() as u64 * 1_000;
        let common = gcd(nanos, per);
        let (micros, per) = (nanos / common, per / common);
        Self { whole: micros / per, part: micros % per, per }
    }

    /// The largest burst that is counted exactly, and is full again within 366 days.
    pub(super) const fn largest_burst(self) -> u32 {
        let exact = Self::EXACT / self.per - 1;
        let micros = Self::LONGEST.as_micros();
        let timely =
            micros * self.per as u128 / (self.whole as u128 * self.per as u128 + self.part as u128);
        let most = if timely < exact as u128 { timely } else { exact as u128 };
        if most > MOST_BURST as u128 { MOST_BURST } else { most as u32 }
    }
}

/// The largest burst of any limit.
pub(super) const MOST_BURST: u32 = 1_000_000_000;

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    // S-RATE-01
    #[test]
    fn three_calls_a_second_are_thirds_of_a_second_apart_for_ever() {
        let gcra = Gcra::new(Rate::per_second(3), 1);
        let mut full = 0;
        for call in 0..3_000_u32 {
            let ready = gcra.ready(full, 1);
            assert_eq!(ready.as_nanos(), (u64::from(call) * 1_000_000_000).div_ceil(3));
            // Taken a little late, it still counts from when it was due only if it was full.
            full = gcra.take(full, Tick::ZERO, 1);
        }
    }

    #[test]
    fn an_interval_of_the_store_is_exact() {
        let third = Interval::new(Rate::per_second(3));
        assert_eq!(third, Interval { whole: 333_333, part: 1, per: 3 });
        let fast = Interval::new(Rate::per_second(1_000_000_000));
        assert_eq!(fast, Interval { whole: 0, part: 1, per: 1_000 });
        assert_eq!(third.largest_burst(), 94_867_200);
        assert_eq!(fast.largest_burst(), 1_000_000_000);
        let odd = Interval::new(Rate::per_second(999_999_937));
        assert_eq!(odd.largest_burst(), 9_007_198);
        assert_eq!(Interval::new(Rate::new(1, Duration::from_secs(1_000))).largest_burst(), 31_622);
    }

    #[test]
    fn a_part_of_a_bucket_is_never_less_than_one_call() {
        let whole = Gcra::new(Rate::per_second(10), 50);
        assert_eq!(whole.among(4).burst(), 12);
        assert_eq!(whole.among(100).burst(), 1);
        let full = whole.among(4).take(0, Tick::ZERO, 12);
        assert_eq!(whole.among(4).ready(full, 1), Tick::from_millis(400));
    }

    #[test]
    fn what_the_store_says_is_a_moment_of_the_local_clock() {
        let gcra = Gcra::new(Rate::per_second(3), 2);
        let now = Tick::from_millis(5);
        // Two calls taken: full after two thirds of a second.
        let full = gcra.beyond(now, 666_666, 2, 3);
        assert_eq!(full, gcra.take(0, now, 2));
        assert_eq!(gcra.ready(full, 1).since(now), Duration::from_nanos(333_333_334));
        assert_eq!(gcra.quota(full, now, 0).remaining(), 0);
        assert_eq!(gcra.quota(full, now.after(Duration::from_millis(334)), 0).remaining(), 1);
    }
}
