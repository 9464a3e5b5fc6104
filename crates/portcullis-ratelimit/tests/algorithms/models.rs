//! The rules once more, as simple as can be: every call is kept, nothing is cleverly computed.

use portcullis_ratelimit::Terms;

/// What a walk compares a bucket with.
pub(crate) trait Model {
    /// Whether a call of this cost fits now.
    fn admits(&self, terms: &Terms, now: u64, cost: u32) -> bool;
    /// The most that a call may cost.
    fn most(&self, terms: &Terms) -> u32;
    fn take(&mut self, now: u64, cost: u32);
    /// It gives back only what was taken.
    fn give_back(&mut self, now: u64, taken: u64, cost: u32);
    /// From now on the rate is another one, in calls per second.
    fn rate(&mut self, now: u64, rate: u32);
}

/// The level of a bucket, in thousand-millionths of a call: a rate of so many calls per second
/// loses as many of them in a nanosecond.
pub(crate) struct Level {
    pub(crate) level: u128,
    at: u64,
    rate: u32,
    /// Since when the rate is what it is.
    since: u64,
}

/// The burst of all buckets in these tests.
pub(crate) const BURST: u128 = 10;

pub(crate) const CALL: u128 = 1_000_000_000;

impl Level {
    pub(crate) fn new(rate: u32) -> Self {
        Self { level: 0, at: 0, rate, since: 0 }
    }

    pub(crate) fn at(&self, now: u64) -> u128 {
        self.level.saturating_sub(u128::from(now - self.at) * u128::from(self.rate))
    }

    fn settle(&mut self, now: u64) {
        self.level = self.at(now);
        self.at = now;
    }
}

impl Model for Level {
    fn admits(&self, terms: &Terms, now: u64, cost: u32) -> bool {
        self.at(now) + u128::from(cost) * CALL <= u128::from(terms.burst()) * CALL
    }

    fn most(&self, terms: &Terms) -> u32 {
        terms.burst()
    }

    fn take(&mut self, now: u64, cost: u32) {
        self.settle(now);
        self.level += u128::from(cost) * CALL;
    }

    /// What has leaked out since cannot be owed any more, as far as it is known at this rate.
    fn give_back(&mut self, now: u64, taken: u64, cost: u32) {
        self.settle(now);
        let leaked = u128::from(now - taken.max(self.since)) * u128::from(self.rate);
        let owed = (u128::from(cost) * CALL).min((BURST * CALL).saturating_sub(leaked));
        self.level = self.level.saturating_sub(owed);
    }

    fn rate(&mut self, now: u64, rate: u32) {
        self.settle(now);
        (self.rate, self.since) = (rate, now);
    }
}

/// All calls that were ever taken, and not given back.
#[derive(Default)]
pub(crate) struct Calls(pub(crate) Vec<(u64, u32)>);

impl Calls {
    pub(crate) fn sum(&self, which: impl Fn(u64) -> bool) -> u128 {
        self.0.iter().filter(|(at, _)| which(*at)).map(|(_, cost)| u128::from(*cost)).sum()
    }

    fn give_back(&mut self, taken: u64, mut cost: u32) {
        for call in self.0.iter_mut().filter(|call| call.0 == taken) {
            let back = cost.min(call.1);
            (call.1, cost) = (call.1 - back, cost - back);
        }
    }
}

/// How much a window is taken to hold, times its length.
pub(crate) type Weigh = fn(&Calls, u64, u64) -> u128;

/// All calls, weighed by a rule.
pub(crate) struct Weighed(Calls, Weigh);

impl Weighed {
    pub(crate) fn new(weigh: Weigh) -> Self {
        Self(Calls::default(), weigh)
    }
}

/// What was taken since the last border.
pub(crate) fn fixed(calls: &Calls, now: u64, window: u64) -> u128 {
    calls.sum(|at| at / window == now / window) * u128::from(window)
}

/// What was taken in the last window, wherever it began.
pub(crate) fn log(calls: &Calls, now: u64, window: u64) -> u128 {
    calls.sum(|at| at + window > now) * u128::from(window)
}

/// What was taken since the last border, and what remains of the window before.
pub(crate) fn counter(calls: &Calls, now: u64, window: u64) -> u128 {
    let current = calls.sum(|at| at / window == now / window);
    let previous = calls.sum(|at| at / window + 1 == now / window);
    previous * u128::from(window - now % window) + current * u128::from(window)
}

impl Model for Weighed {
    fn admits(&self, terms: &Terms, now: u64, cost: u32) -> bool {
        let window = terms.window().as_nanos() as u64;
        let limit = u128::from(terms.limit()) * u128::from(window);
        (self.1)(&self.0, now, window) + u128::from(cost) * u128::from(window) <= limit
    }

    fn most(&self, terms: &Terms) -> u32 {
        terms.limit()
    }

    fn take(&mut self, now: u64, cost: u32) {
        self.0.0.push((now, cost));
    }

    fn give_back(&mut self, _now: u64, taken: u64, cost: u32) {
        self.0.give_back(taken, cost);
    }

    fn rate(&mut self, _now: u64, _rate: u32) {}
}
