//! When a call is sent a second time: arithmetic, to which the time is handed in.

use std::time::Duration;

use breaker_core::Tick;

use super::config::HedgeConfig;
use crate::histogram::Histogram;

/// So many calls have to be measured before their percentile says anything.
const ENOUGH: u32 = 20;
/// The newest calls that are kept, at most.
const WINDOW: u32 = 4_000;
/// A half of them is forgotten when it is so old, and has so many.
const HALF_LIFE: Duration = Duration::from_secs(30);
const HALF: u32 = 100;
/// The delay is found anew after so many calls.
const ROUND: u32 = 16;
/// Where the tail begins with a jump, the delay is at most so many times what calls take at its foot.
const FOOT: u32 = 2;
/// A hedge costs so much credit, and no more than that of ten is saved up.
const COST: u32 = 10_000;
const MOST: u32 = 10 * COST;
/// What a call weighs in the share of those that lasted longer than their delay.
const WEIGHT: f64 = 0.02;
/// Where so many more of them do than the percentile says, it is not a tail any more.
const MARGIN: f64 = 0.15;
/// For so long after that there are no hedges.
const PAUSE: Duration = Duration::from_secs(10);

/// What is known of the calls to a callee, and what they have earned.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) config: HedgeConfig,
    latencies: Histogram,
    /// How many calls were measured since the delay was found.
    fresh: u32,
    delay: Option<Delay>,
    /// In hundredths of a percent of a hedge.
    credit: u32,
    /// The share of the calls that lasted longer than their delay; those of late weigh more.
    late: f64,
    paused_until: Tick,
    pub(crate) counts: Counts,
}

/// After how long a call is sent again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Delay {
    pub(crate) delay: Duration,
    /// What a call takes that is not slow.
    pub(crate) typical: Duration,
}

/// What has happened since the beginning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) hedged: u64,
    pub(crate) won: u64,
    pub(crate) over_share: u64,
    pub(crate) over_budget: u64,
    pub(crate) paused: u64,
    pub(crate) not_ready: u64,
}

/// Why a call that lasted longer than its delay was not sent again after all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Not {
    /// The budget does not pay.
    Paid,
    /// The service was not ready, or the request could not be made once more.
    Ready,
}

impl Rule {
    pub(crate) fn new(config: &HedgeConfig) -> Self {
        let mut rule = Self {
            config: *config,
            latencies: Histogram::new(WINDOW, HALF_LIFE, HALF),
            fresh: 0,
            delay: None,
            credit: 0,
            late: 0.0,
            paused_until: Tick::ZERO,
            counts: Counts::default(),
        };
        rule.find_delay();
        rule
    }

    /// Puts another configuration in force; what was measured stays.
    pub(crate) fn reconfigure(&mut self, config: &HedgeConfig) {
        self.config = *config;
        self.find_delay();
    }

    /// A call has begun to wait for its answer. It earns its share of a hedge.
    pub(crate) fn waits(&mut self) -> Option<Delay> {
        self.counts.calls += 1;
        let share = u32::from(self.config.max_share.as_basis_points());
        self.credit = (self.credit + share).min(MOST);
        self.delay
    }

    /// A call has lasted longer than its delay: whether it may be sent again.
    pub(crate) fn is_late(&mut self, now: Tick) -> bool {
        self.weigh(1.0);
        let expected = 1.0 - self.config.percentile.fraction();
        if self.late > expected + MARGIN {
            self.paused_until = now.after(PAUSE);
        }
        if now < self.paused_until {
            self.counts.paused += 1;
            return false;
        }
        let Some(rest) = self.credit.checked_sub(COST) else {
            self.counts.over_share += 1;
            return false;
        };
        self.credit = rest;
        true
    }

    /// It was not, for this reason.
    pub(crate) fn not_sent(&mut self, why: Not) {
        match why {
            Not::Paid => self.counts.over_budget += 1,
            Not::Ready => self.counts.not_ready += 1,
        }
        self.give_back();
    }

    /// It was sent again, and refused: so it was not.
    pub(crate) fn refused(&mut self) {
        self.counts.hedged = self.counts.hedged.saturating_sub(1);
        self.counts.not_ready += 1;
        self.give_back();
    }

    fn give_back(&mut self) {
        self.credit = (self.credit + COST).min(MOST);
    }

    /// A first attempt was answered, and no delay had passed. It may have had none, because of its
    /// deadline.
    pub(crate) fn in_time(&mut self, now: Tick, took: Duration) {
        if self.delay().is_none_or(|delay| took <= delay) {
            self.weigh(0.0);
        }
        self.measured(now, took);
    }

    /// A first attempt lasted at least so long. It is taken at that: what counts is that it stands
    /// above the delay, where it belongs. Without it the percentile would forget its own tail, find
    /// a shorter delay, and cut off more.
    pub(crate) fn measured(&mut self, now: Tick, took: Duration) {
        self.latencies.record(now, took);
        self.fresh += 1;
        if self.fresh >= ROUND || self.delay.is_none() {
            self.find_delay();
        }
    }

    fn weigh(&mut self, late: f64) {
        self.late = (late - self.late).mul_add(WEIGHT, self.late);
    }

    fn find_delay(&mut self) {
        self.fresh = 0;
        let HedgeConfig { min_delay, max_delay, initial, .. } = self.config;
        if self.latencies.len() < ENOUGH {
            self.delay = initial.map(|delay| Delay { delay, typical: Duration::ZERO });
            return;
        }
        let latencies = &self.latencies;
        let at = |points: u32| latencies.quantile(points).unwrap_or(max_delay);
        let percentile = u32::from(self.config.percentile.as_basis_points());
        let foot = (2 * percentile).saturating_sub(10_000).max(5_000);
        let delay = at(percentile).min(at(foot).saturating_mul(FOOT)).max(min_delay);
        self.delay = Some(Delay { delay: delay.min(max_delay), typical: at(5_000) });
    }

    pub(crate) const fn delay(&self) -> Option<Duration> {
        match self.delay {
            Some(found) => Some(found.delay),
            None => None,
        }
    }

    /// Whether there are no hedges for a while.
    pub(crate) fn is_paused(&self, now: Tick) -> bool {
        now < self.paused_until
    }
}
