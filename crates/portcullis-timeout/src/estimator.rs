//! How long a call may take, by how long calls took: [`Estimator`].

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
mod wanted;

use std::collections::VecDeque;
use std::time::Duration;

use breaker_core::Tick;

use crate::config::{TimeoutConfig, TimeoutStrategy};
use crate::histogram::Histogram;

/// How a call ended, and after how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sample {
    /// It was answered, well or not.
    Answered(Duration),
    /// It failed: a failure that comes fast says nothing of how long an answer takes.
    Failed(Duration),
    /// It was given up after this timeout.
    TimedOut(Duration),
    /// Its caller gave it up.
    Cancelled(Duration),
}

/// A timeout that moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Adjustment {
    /// When.
    pub at: Tick,
    /// The timeout before.
    pub from: Duration,
    /// The timeout from then on.
    pub to: Duration,
}

/// The timeout of one callee.
///
/// Percentiles, mean and deviation of the newest calls, with those that timed out taken as slower
/// than all others (they are censored: nobody knows by how much). Recording them as if they had taken
/// as long as the timeout would let it creep up with each of them.
#[derive(Clone, Debug)]
pub(crate) struct Estimator {
    config: TimeoutConfig,
    window: Histogram,
    timeout: Duration,
    /// Samples since it last moved.
    since: u32,
    /// Samples since it last grew for calls that timed out.
    since_growth: u32,
    /// What speaks for letting it grow: calls that timed out, less what answered ones outweigh.
    doubt: f64,
    /// Answers that stand out, one after the other.
    apart: [Duration; Self::NEW_LEVEL],
    standing_out: usize,
    /// Which of the last results were timeouts, the newest in the lowest bit.
    recent: u32,
    results: u32,
    history: VecDeque<Adjustment>,
    last: Option<Adjustment>,
    moved: u64,
}

impl Estimator {
    /// So many answers that stand out, one after the other, are no exception any more.
    const NEW_LEVEL: usize = 3;
    /// Before so many answers nothing stands out.
    const LEVEL: u32 = 5;

    pub(crate) fn new(config: TimeoutConfig) -> Self {
        Self {
            config,
            window: config.histogram(),
            timeout: config.initial,
            since: 0,
            since_growth: u32::MAX,
            doubt: 0.0,
            apart: [Duration::ZERO; Self::NEW_LEVEL],
            standing_out: 0,
            recent: 0,
            results: 0,
            history: VecDeque::new(),
            last: None,
            moved: 0,
        }
    }

    pub(crate) const fn config(&self) -> &TimeoutConfig {
        &self.config
    }

    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) const fn window(&self) -> &Histogram {
        &self.window
    }

    pub(crate) const fn last(&self) -> Option<Adjustment> {
        self.last
    }

    pub(crate) const fn moved(&self) -> u64 {
        self.moved
    }

    pub(crate) fn history(&self) -> impl Iterator<Item = Adjustment> {
        self.history.iter().copied()
    }

    /// The share of the calls in the window that did not time out; 1 where there are none.
    pub(crate) fn success_rate(&self) -> f64 {
        let calls = self.window.len().max(1);
        1.0 - f64::from(self.window.timed_out()) / f64::from(calls)
    }

    /// Whether more than a fifth of the last results were timeouts.
    pub(crate) const fn is_congested(&self) -> bool {
        self.results >= 5 && self.recent.count_ones() * 5 > self.results
    }

    /// Takes in how a call ended. Where that moves the timeout, it says from what to what. It is not
    /// lowered while the callee is `congested`: shorter timeouts make more retries.
    pub(crate) fn record(
        &mut self,
        now: Tick,
        sample: Sample,
        congested: bool,
    ) -> Option<Adjustment> {
        self.take_in(now, sample).then_some(())?;
        self.since = self.since.saturating_add(1);
        self.since_growth = self.since_growth.saturating_add(1);
        if self.since < self.config.adjust_every || self.config.strategy == TimeoutStrategy::Fixed {
            return None;
        }
        let wanted = self.wanted(congested)?;
        self.move_to(now, wanted)
    }

    /// Whether the sample says something that may move the timeout.
    fn take_in(&mut self, now: Tick, sample: Sample) -> bool {
        match sample {
            Sample::TimedOut(after) => {
                self.window.record_timed_out(now);
                self.result(true);
                // One that began under a shorter timeout is no evidence against the present one.
                if after >= self.timeout {
                    self.doubt += 1.0;
                }
                true
            }
            Sample::Cancelled(after) => {
                if self.exceeds_median(after) {
                    self.window.record_censored(now);
                }
                false
            }
            Sample::Failed(after) if !self.exceeds_median(after) => {
                self.result(false);
                false
            }
            Sample::Answered(after) | Sample::Failed(after) => {
                self.result(false);
                self.answered(now, after)
            }
        }
    }

    /// Whether a call that was waited for so long should have been answered. Anybody can write a
    /// deadline, and one that most answers do not keep says nothing of the callee.
    pub(crate) fn is_overdue(&self, after: Duration) -> bool {
        let percentile = self.window.quantile(self.config.part());
        after > percentile.or_else(|| self.window.median()).unwrap_or(self.config.min)
    }

    fn exceeds_median(&self, after: Duration) -> bool {
        self.window.median().is_some_and(|median| after > median)
    }

    const fn result(&mut self, timed_out: bool) {
        self.recent = self.recent << 1 | timed_out as u32;
        self.results = if self.results < u32::BITS { self.results + 1 } else { u32::BITS };
    }

    fn answered(&mut self, now: Tick, after: Duration) -> bool {
        self.doubt = (self.doubt - self.outweighs()).max(0.0);
        if !self.stands_out(after) {
            self.standing_out = 0;
            self.window.record(now, after);
            return true;
        }
        // Where one call more or less does not move the percentile, all calls have a rank: else those
        // that are slow now and then would never be allowed for.
        let ranked = self.one_is_lost_among_all();
        if ranked {
            self.window.record_rank(now, after);
        }
        self.apart[self.standing_out] = after;
        self.standing_out += 1;
        if self.standing_out < Self::NEW_LEVEL {
            return ranked;
        }
        self.standing_out = 0;
        for after in self.apart {
            if ranked {
                self.window.record_sum(after);
            } else {
                self.window.record(now, after);
            }
        }
        true
    }

    /// Whether it took longer than the mean and four deviations of the others.
    fn stands_out(&self, after: Duration) -> bool {
        let mean = self.window.mean().as_secs_f64();
        let std = self.window.std().as_secs_f64().max(mean / 20.0);
        self.window.finished() >= Self::LEVEL && after.as_secs_f64() > 4.0_f64.mul_add(std, mean)
    }

    /// Also when only half of the window is left.
    fn one_is_lost_among_all(&self) -> bool {
        let beyond = u64::from(10_000 - self.config.part());
        let calls = self.window.len().min(self.config.window / 2);
        u64::from(calls) * beyond >= 10_000
    }

    /// What an answered call weighs against one that timed out: twice as many timeouts as the
    /// percentile leaves are as many as there may be without doubt.
    fn outweighs(&self) -> f64 {
        let left = 2.0 * f64::from(10_000 - self.config.part()) / 10_000.0;
        if left < 0.5 { left / (1.0 - left) } else { 1.0 }
    }

    fn move_to(&mut self, now: Tick, wanted: Duration) -> Option<Adjustment> {
        let from = self.timeout;
        let to = self.config.step(from, wanted);
        if from == to {
            return None;
        }
        self.since = 0;
        self.timeout = to;
        let adjustment = Adjustment { at: now, from, to };
        self.note(adjustment);
        Some(adjustment)
    }

    fn note(&mut self, adjustment: Adjustment) {
        self.moved = self.moved.saturating_add(1);
        self.last = Some(adjustment);
        let room = self.config.history as usize;
        while self.history.len() >= room.max(1) {
            self.history.pop_front();
        }
        if room > 0 {
            self.history.push_back(adjustment);
        }
    }

    /// Puts another configuration in force. What is known of the calls stays, unless the window is
    /// another one; the timeout stays where it may, and a fixed one is what it says.
    pub(crate) fn reconfigure(&mut self, now: Tick, config: TimeoutConfig) -> Option<Adjustment> {
        let old = std::mem::replace(&mut self.config, config);
        if !old.same_window(&config) {
            self.window = config.histogram();
        }
        while self.history.len() > config.history as usize {
            self.history.pop_front();
        }
        let from = self.timeout;
        let fixed = config.strategy == TimeoutStrategy::Fixed;
        let to = if fixed { config.initial } else { from.clamp(config.min, config.max) };
        self.timeout = to;
        let adjustment = (from != to).then_some(Adjustment { at: now, from, to })?;
        self.note(adjustment);
        Some(adjustment)
    }

    /// Forgets all calls, and begins with the first timeout again.
    pub(crate) fn reset(&mut self, now: Tick) -> Option<Adjustment> {
        let (from, to) = (self.timeout, self.config.initial);
        *self = Self::new(self.config);
        (from != to).then_some(Adjustment { at: now, from, to })
    }
}
