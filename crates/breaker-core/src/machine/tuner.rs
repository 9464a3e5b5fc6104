//! The tuner of the failure rate: learns what is usual, and moves the threshold towards it.
//!
//! Usual is an average over calls that weighs each by 1/200, the plain average before there are
//! as many. The target stands four standard deviations of a window above it, as on a control
//! chart for shares. Decisions fall at fixed moments, a minute apart, so that it does not matter
//! who looks in between, nor when successes are taken in.

use std::time::Duration;

use super::{Machine, Phase};
use crate::clock::Tick;
use crate::config::{CircuitBreakerConfig, Span, Trip, Tuner, WindowRule};
use crate::explain::Tuning;
use crate::percent::Percent;
use crate::state::Transitions;
use crate::window::{Lull, Tally};

/// A step of the tuner.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Adjustment {
    /// When it was due; it may have been noticed later.
    pub at: Tick,
    /// The threshold before.
    pub from: Percent,
    /// The threshold after.
    pub to: Percent,
    /// The failure rate that is usual.
    pub baseline: Percent,
    /// Whether `to` is in force, or only suggested.
    pub applied: bool,
}

/// What the tuner knows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Learnt {
    /// The usual failure rate, with 32 bits after the point: equal histories compare equal.
    baseline: u64,
    /// Calls that were learnt from, up to [`Self::MEMORY`].
    calls: u32,
    threshold: Percent,
    /// Whether that is another one than was configured.
    pub(super) moved: bool,
    next_look: Tick,
    frozen: bool,
}

impl Learnt {
    const ONE: u64 = 1 << 32;

    /// The average weighs a call by one in so many.
    const MEMORY: u32 = 200;

    /// Nothing is moved before so many calls.
    const FEWEST: u32 = 100;

    const BETWEEN_LOOKS: Duration = Duration::from_secs(60);
    const LOWEST: f64 = 0.2;
    const HIGHEST: f64 = 0.8;
    const HYSTERESIS: u16 = 500;
    const LONGEST_STEP: u16 = 1_000;

    /// A tuner that knows nothing yet; `None` where there is nothing to tune.
    pub(super) fn new(config: &CircuitBreakerConfig, now: Tick) -> Option<Self> {
        let (_, _, threshold) = config.tuned()?;
        let next_look = now.after(Self::BETWEEN_LOOKS);
        Some(Self { baseline: 0, calls: 0, threshold, moved: false, next_look, frozen: false })
    }

    /// The same, begun at another moment.
    pub(super) const fn begin(&mut self, now: Tick) {
        self.next_look = now.after(Self::BETWEEN_LOOKS);
    }

    /// Learns from one call.
    const fn record(&mut self, failed: bool) {
        if self.calls < Self::MEMORY {
            self.calls += 1;
        }
        let weight = self.calls as u64;
        if failed {
            self.baseline += (Self::ONE - self.baseline) / weight;
        } else {
            self.baseline -= self.baseline / weight;
        }
    }

    /// The same as learning from this many successes one by one.
    fn record_successes(&mut self, n: u32) {
        for _ in 0..n {
            if self.is_settled() {
                return;
            }
            self.record(false);
        }
    }

    /// Whether a success teaches nothing new: none fails, as near as rounding lets it come.
    const fn is_settled(&self) -> bool {
        self.calls == Self::MEMORY && self.baseline < Self::MEMORY as u64
    }

    /// Where the threshold belongs, for a window of `n` calls.
    fn target(&self, n: u32) -> Percent {
        let usual = self.baseline as f64 / Self::ONE as f64;
        let deviation = (usual * (1.0 - usual) / f64::from(n.max(1))).sqrt();
        let target = 4.0_f64.mul_add(deviation, usual).clamp(Self::LOWEST, Self::HIGHEST);
        Percent::basis_points((target * 10_000.0).round() as u16)
    }

    /// The threshold after one step, if there is reason for one.
    fn step(&self, n: u32) -> Option<Percent> {
        if self.frozen || self.calls < Self::FEWEST {
            return None;
        }
        let (from, to) = (self.threshold.as_basis_points(), self.target(n).as_basis_points());
        let step = from.abs_diff(to).min(Self::LONGEST_STEP);
        let stepped = if to > from { from + step } else { from - step };
        (from.abs_diff(to) >= Self::HYSTERESIS).then(|| Percent::basis_points(stepped))
    }

    /// Passes over all moments for a look up to `now`.
    fn skip(&mut self, now: Tick) {
        let behind = now.as_nanos().checked_sub(self.next_look.as_nanos());
        if let Some(behind) = behind {
            let between = Self::BETWEEN_LOOKS.as_nanos() as u64;
            let pass = (behind / between + 1).saturating_mul(between);
            self.next_look = self.next_look.after(Duration::from_nanos(pass));
        }
    }

    fn baseline(&self) -> Percent {
        Percent::basis_points((self.baseline * 10_000 / Self::ONE) as u16)
    }
}

impl Machine {
    /// Keeps the tuner from moving the threshold, or lets it go on. It learns all the same.
    pub fn freeze_tuner(
        &mut self,
        config: &CircuitBreakerConfig,
        frozen: bool,
        now: Tick,
        done: &mut Transitions,
    ) {
        self.advance(config, now, done);
        if let Some(learnt) = self.past.learnt_mut() {
            learnt.frozen = frozen;
        }
    }

    /// The trip conditions in force, where the tuner has moved a threshold.
    pub(super) fn tuned_trip(&self, config: &CircuitBreakerConfig) -> Option<Trip> {
        let learnt = self.past.learnt.filter(|_| config.tuner == Tuner::Apply)?;
        let (_, _, threshold) = config.tuned()?;
        (learnt.threshold != threshold).then(|| config.trip.with_first_rate(learnt.threshold))
    }

    /// Learns from a call that is in the evidence already.
    ///
    /// While failures are as frequent as half the threshold nothing is learnt: an outage must
    /// not become the norm.
    pub(super) fn learn(&mut self, config: &CircuitBreakerConfig, failed: bool) {
        let learns = self.tunes() && !self.in_trouble(config);
        if let Some(learnt) = self.past.learnt_mut().filter(|_| learns) {
            learnt.record(failed);
        }
    }

    /// Learns from `n` successes that are in the evidence already, where each of them teaches.
    pub(super) fn learn_successes(&mut self, n: u32) {
        let learns = self.tunes();
        if let Some(learnt) = self.past.learnt_mut().filter(|_| learns) {
            learnt.record_successes(n);
        }
    }

    /// Whether there is a tuner that learns nothing just now, but may from one of the next calls on.
    pub(super) fn learns_nothing(&self, config: &CircuitBreakerConfig) -> bool {
        self.tunes() && self.in_trouble(config)
    }

    /// What plain successes do to the evidence and the tuner, where `evidence` is what they do to
    /// the evidence alone, and until when that stands.
    pub(super) fn tuner_lull(
        &self,
        config: &CircuitBreakerConfig,
        evidence: (Lull, Option<Tick>),
    ) -> (Lull, Option<Tick>) {
        let (lull, until) = evidence;
        let Some(learnt) = self.past.learnt.filter(|_| self.tunes()) else { return evidence };
        let settled = learnt.is_settled() && !self.in_trouble(config);
        let least = if settled { Lull::Nothing } else { Lull::Adds };
        // In a window of time the target moves as calls leave it.
        let at_rest = settled
            && self.watched(config).is_some_and(|(_, rule, _)| match rule.window.span {
                Span::Calls(size) => learnt.step(size).is_none(),
                Span::Time { .. } => false,
            });
        let look = learnt.next_look;
        let until = if at_rest { until } else { Some(until.map_or(look, |end| end.min(look))) };
        (lull.max(least), until)
    }

    /// Lets the tuner decide, at each of its moments up to `until`; only while closed.
    pub(super) fn look(
        &mut self,
        config: &CircuitBreakerConfig,
        until: Tick,
        done: &mut Transitions,
    ) {
        if !self.tunes() {
            return;
        }
        while let Some(at) =
            self.past.learnt.map(|learnt| learnt.next_look).filter(|at| *at <= until)
        {
            self.evidence.advance(at);
            let Some((tally, rule, configured)) = self.watched(config) else { return };
            let n = match rule.window.span {
                Span::Calls(size) => size,
                Span::Time { .. } => tally.calls.max(rule.window.min_calls),
            };
            let Some(learnt) = self.past.learnt_mut() else { return };
            // Nothing changes by time alone any more.
            let still = tally.calls == 0 || matches!(rule.window.span, Span::Calls(_));
            let step = learnt.step(n);
            learnt.skip(if step.is_none() && still { until } else { at });
            let goes_on = learnt.next_look > at;
            if let Some(to) = step {
                let from = std::mem::replace(&mut learnt.threshold, to);
                learnt.moved = to != configured;
                let (baseline, applied) = (learnt.baseline(), config.tuner == Tuner::Apply);
                done.adjust(Adjustment { at, from, to, baseline, applied });
            }
            // At the end of time there is no next moment.
            if !goes_on {
                return;
            }
        }
    }

    /// What the tuner has to say, for a snapshot.
    pub(super) fn tuning(&self, config: &CircuitBreakerConfig) -> Option<Tuning> {
        let (learnt, (_, _, configured)) = (self.past.learnt?, config.tuned()?);
        let applied = config.tuner == Tuner::Apply;
        Some(Tuning {
            mode: config.tuner,
            configured,
            in_force: if applied { learnt.threshold } else { configured },
            suggested: learnt.threshold,
            baseline: (learnt.calls > 0).then(|| learnt.baseline as f64 / Learnt::ONE as f64),
            frozen: learnt.frozen,
        })
    }

    /// Begins anew where what is tuned, or how, has changed.
    pub(super) fn retune(&mut self, old: &CircuitBreakerConfig, new: &CircuitBreakerConfig) {
        let what = |config: &CircuitBreakerConfig| {
            (config.tuner, config.tuned().map(|(_, rule, rate)| (rule.window, rate)))
        };
        if what(old) != what(new) {
            let learnt = Learnt::new(new, self.now);
            if learnt.is_some() || self.past.learnt.is_some() {
                self.past.learnt = learnt;
            }
        }
    }

    /// When the tuner decides next.
    #[cfg(test)]
    pub(super) fn next_look(&self) -> Option<Tick> {
        self.past.learnt.map(|learnt| learnt.next_look)
    }

    /// Passes over what would have been decided up to `at`.
    pub(super) fn skip_looks(&mut self, at: Tick) {
        if let Some(learnt) = self.past.learnt_mut() {
            learnt.skip(at);
        }
    }

    /// Whether calls are those of every day: the circuit is closed, and by its own rules.
    fn tunes(&self) -> bool {
        self.past.learnt.is_some()
            && matches!(self.past.phase, Phase::Closed)
            && !self.custom
            && self.is_live()
    }

    fn in_trouble(&self, config: &CircuitBreakerConfig) -> bool {
        let Some((tally, _, configured)) = self.watched(config) else { return false };
        let threshold = match (config.tuner, &self.past.learnt) {
            (Tuner::Apply, Some(learnt)) => learnt.threshold,
            _ => configured,
        };
        // Twice the failures: half of an odd threshold is no whole hundredth of a percent.
        threshold.reached_by(tally.failures.saturating_mul(2), tally.calls)
    }

    /// The window whose threshold is tuned, with its counts.
    fn watched<'c>(
        &self,
        config: &'c CircuitBreakerConfig,
    ) -> Option<(Tally, &'c WindowRule, Percent)> {
        let (place, rule, rate) = config.tuned()?;
        Some((self.evidence.tallies()[place], rule, rate))
    }
}
