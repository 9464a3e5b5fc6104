//! A recovery that climbs: how far it has come, and what moves it up and down.

use std::time::Duration;

use super::half_open::Next;
use crate::clock::{Tick, saturating_nanos};
use crate::config::{OnRelapse, Ramp, RampForm, RampSpeed};
use crate::percent::{Percent, Spread};
use crate::rejected::{Cause, Condition, Reason};
use crate::window::Tally;

/// Where a ramp stands.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct RampCourse {
    share: Percent,
    spread: Spread,
    /// The most calls in flight, where that is what grows.
    limit: Option<u32>,
    /// What a good window adds.
    step: Percent,
    /// How fast a ramp goes that has no such step, in thousandths of what was configured.
    tempo: u16,
    /// When the first call of this step was admitted.
    begun: Option<Tick>,
    /// When time has the next step, if that is what it takes.
    due: Option<Tick>,
    /// Calls that ended well since the ramp began or relapsed; at most those that are asked for.
    proofs: u32,
    /// What ended since the last change of the share.
    here: Tally,
    /// The last 20 that ended: a bit per call, newest first.
    recent: u32,
    recent_len: u32,
}

const RECENT: u32 = 20;
const RECENT_FAILURES: u32 = 5;
const LONGEST_STEP: Percent = Percent::new(25);
const SHORTEST_STEP: Percent = Percent::new(5);
const USUAL_TEMPO: u16 = 1_000;
const FASTEST: u16 = 2_500;
const SLOWEST: u16 = 500;
/// A step that fails again and again lasts 16 times as long at most.
const SLOWEST_STEP: u16 = 62;
/// Shares that grow by time do so in steps of this many basis points, and those that double in
/// quarters of a doubling: few enough to be told one by one.
const GRID: u16 = 500;
const QUARTER_OF_A_DOUBLING: u32 = 11_892;

impl RampCourse {
    pub(super) fn new(ramp: &Ramp, at: Tick, proved: bool) -> Self {
        let limit = match ramp.form {
            RampForm::SlowStart { .. } => Some(Ramp::FIRST_LIMIT),
            _ => None,
        };
        let share = ramp.base_percent();
        let mut course = Self {
            share,
            spread: Spread::new(share),
            limit,
            step: ramp.step,
            tempo: USUAL_TEMPO,
            begun: None,
            due: None,
            proofs: u32::from(proved),
            here: Tally::default(),
            recent: 0,
            recent_len: 0,
        };
        course.set_due(ramp, at);
        course
    }

    pub(super) const fn admit(&mut self, in_flight: u32) -> Result<(), Reason> {
        match self.limit {
            Some(limit) if in_flight >= limit => Err(Reason::NoTrialFree),
            None if !self.spread.pass(self.share) => Err(Reason::BelowShare),
            _ => Ok(()),
        }
    }

    pub(super) fn begin(&mut self, now: Tick) {
        self.begun.get_or_insert(now);
    }

    pub(super) fn settle(&mut self, ramp: &Ramp, failed: bool, slow: bool, now: Tick) -> Next {
        self.here.add(failed, slow);
        self.recent = (self.recent << 1 | u32::from(failed)) & ((1 << RECENT) - 1);
        self.recent_len = (self.recent_len + 1).min(RECENT);
        if failed {
            return self.relapse(ramp, now);
        }
        self.proofs = (self.proofs + 1).min(ramp.successes);
        match ramp.form {
            RampForm::Windows | RampForm::Steps(_) => self.after_a_success(ramp, now),
            RampForm::SlowStart { until } => self.grow(until),
            RampForm::Power { .. } | RampForm::Exponential { .. } => match self.due {
                Some(due) if due <= now => self.step(ramp, now),
                None if self.proofs >= ramp.successes => Next::Close,
                _ => Next::Stay,
            },
        }
    }

    // ----- by calls -----

    fn after_a_success(&mut self, ramp: &Ramp, now: Tick) -> Next {
        let Tally { calls, failures, .. } = self.here;
        let lasted = self.begun.map_or(Duration::ZERO, |begun| now.since(begun));
        let good = calls - failures >= self.needed(ramp)
            && !ramp.error_rate.exceeded_by(failures, calls)
            && lasted >= ramp.min_step_time;
        if !good {
            return Next::Stay;
        }
        let (from, to) = (self.share, self.above(ramp));
        self.hurry(ramp);
        match to {
            None => Next::Close,
            Some(to) => self.go_to(ramp, from, to, now),
        }
    }

    /// How many calls of this step have to end well.
    pub(super) fn needed(&self, ramp: &Ramp) -> u32 {
        match ramp.form {
            RampForm::Steps(_) => {
                let slower = u64::from(ramp.successes) * u64::from(USUAL_TEMPO);
                slower.div_ceil(u64::from(self.tempo)) as u32
            }
            RampForm::SlowStart { until } => until - self.limit.unwrap_or(until).min(until),
            RampForm::Windows | RampForm::Power { .. } | RampForm::Exponential { .. } => {
                ramp.successes
            }
        }
    }

    /// One call more in flight; told of at powers of two.
    fn grow(&mut self, until: u32) -> Next {
        let limit = self.limit.map_or(until, |limit| limit + 1);
        self.limit = Some(limit);
        self.share = Ramp::part_of(limit, until);
        if limit >= until {
            Next::Close
        } else if limit.is_power_of_two() {
            self.move_to(self.share);
            Next::Share { from: Ramp::part_of(limit / 2, until), to: self.share }
        } else {
            Next::Stay
        }
    }

    // ----- by time -----

    /// When the share moves on by time: not before a call has ended well, in this step too if any
    /// was admitted in it.
    pub(super) fn next_step(&self) -> Option<Tick> {
        let silent = self.begun.is_some() && self.here.calls == self.here.failures;
        self.due.filter(|_| self.proofs > 0 && !silent)
    }

    pub(super) fn step(&mut self, ramp: &Ramp, at: Tick) -> Next {
        self.hurry(ramp);
        let from = self.share;
        match self.above(ramp) {
            Some(to) => self.go_to(ramp, from, to, at),
            None if self.proofs >= ramp.successes => Next::Close,
            // All are admitted, but too few have ended well.
            None => self.go_to(ramp, from, Percent::FULL, at),
        }
    }

    fn set_due(&mut self, ramp: &Ramp, at: Tick) {
        let usual = match ramp.form {
            RampForm::Power { over, aggression_milli } => {
                let begin = if self.share <= ramp.base { Percent::ZERO } else { self.share };
                let end = self.above(ramp).unwrap_or(Percent::FULL);
                let when = |share| reached_after(over, aggression_milli, share);
                when(end).saturating_sub(when(begin))
            }
            RampForm::Exponential { doubling } => doubling / 4,
            RampForm::Windows | RampForm::Steps(_) | RampForm::SlowStart { .. } => return,
        };
        let nanos = u128::from(saturating_nanos(usual)) * u128::from(USUAL_TEMPO);
        let wait = Duration::from_nanos((nanos / u128::from(self.tempo)) as u64);
        let full = self.share == Percent::FULL;
        self.due = (!full).then(|| at.after(wait.max(ramp.min_step_time)));
    }

    // ----- up and down -----

    /// The share of the next step; `None` if the circuit closes instead.
    fn above(&self, ramp: &Ramp) -> Option<Percent> {
        let points = u32::from(self.share.as_basis_points());
        let next = match ramp.form {
            RampForm::Windows | RampForm::SlowStart { .. } => self.share.saturating_add(self.step),
            RampForm::Steps(shares) => return shares.above(self.share),
            RampForm::Power { .. } => {
                let beyond = self.share.as_basis_points() / GRID * GRID;
                Percent::basis_points(beyond).saturating_add(Percent::basis_points(GRID))
            }
            RampForm::Exponential { .. } => {
                let grown = (points * QUARTER_OF_A_DOUBLING / 10_000).max(points + 1);
                Percent::basis_points(grown.min(u32::from(Percent::ONE)) as u16)
            }
        };
        (next < Percent::FULL).then_some(next)
    }

    /// The share of the step before.
    fn below(&self, ramp: &Ramp) -> Percent {
        let lower = match ramp.form {
            RampForm::Windows | RampForm::Power { .. } => self.share.saturating_sub(ramp.step),
            RampForm::Steps(shares) => shares.below(self.share).unwrap_or(ramp.base),
            RampForm::Exponential { .. } => Percent::basis_points(self.share.as_basis_points() / 2),
            RampForm::SlowStart { until } => Ramp::part_of(self.limit.unwrap_or(0) / 2, until),
        };
        lower.max(ramp.base_percent())
    }

    /// What a failure leads to, judged over the last 20 calls.
    fn relapse(&mut self, ramp: &Ramp, now: Tick) -> Next {
        let (bad, calls) = (self.recent.count_ones(), self.recent_len);
        let cause = Cause { condition: Condition::RampRelapsed, bad, calls };
        let too_many = bad >= RECENT_FAILURES;
        let relapsed = ramp.error_rate.exceeded_by(bad, calls);
        self.slow_down(ramp, relapsed);
        let gives_up = self.is_at_base(ramp) || ramp.on_relapse == OnRelapse::Reopen;
        if too_many || relapsed && gives_up {
            return Next::Open(cause);
        }
        if !relapsed {
            return Next::Stay;
        }
        let (from, to) = (self.share, self.below(ramp));
        self.limit = self.limit.map(|limit| (limit / 2).max(Ramp::FIRST_LIMIT));
        self.proofs = 0;
        self.go_to(ramp, from, to, now)
    }

    fn is_at_base(&self, ramp: &Ramp) -> bool {
        match self.limit {
            Some(limit) => limit <= Ramp::FIRST_LIMIT,
            None => self.share <= ramp.base,
        }
    }

    fn go_to(&mut self, ramp: &Ramp, from: Percent, to: Percent, at: Tick) -> Next {
        self.move_to(to);
        self.set_due(ramp, at);
        Next::Share { from, to }
    }

    fn move_to(&mut self, share: Percent) {
        self.share = share;
        self.begun = None;
        self.here = Tally::default();
    }

    /// A step has been left; an adaptive ramp asks whether that was without a failure.
    fn hurry(&mut self, ramp: &Ramp) {
        if ramp.speed == RampSpeed::Adaptive {
            if self.here.failures == 0 {
                self.step = longer(self.step);
                self.tempo = (self.tempo + self.tempo / 2).min(FASTEST);
            }
        } else if self.tempo < USUAL_TEMPO {
            self.tempo = (self.tempo * 2).min(USUAL_TEMPO);
        }
    }

    fn slow_down(&mut self, ramp: &Ramp, relapsed: bool) {
        if ramp.speed == RampSpeed::Adaptive {
            self.step = shorter(self.step);
            self.tempo = (self.tempo / 2).max(SLOWEST);
        } else if relapsed && matches!(ramp.form, RampForm::Steps(_)) {
            self.tempo = (self.tempo / 2).max(SLOWEST_STEP);
        }
    }

    // ----- what is seen -----

    pub(super) const fn tally(&self) -> Tally {
        self.here
    }

    pub(super) const fn share(&self) -> Percent {
        self.share
    }

    pub(super) const fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// With times as distances, as far as they make a difference.
    #[cfg(test)]
    pub(super) fn age(&mut self, ramp: &Ramp, now: Tick) {
        let enough = |begun| now.since(begun).min(ramp.min_step_time);
        self.begun = self.begun.map(|begun| Tick::ZERO.after(enough(begun)));
        if let Some(due) = self.due {
            self.due = Some(Tick::ZERO.after(due.since(now)));
            // While time is waited for one success says as much as many.
            self.here.calls = self.here.failures + (self.here.calls - self.here.failures).min(1);
        }
        if self.recent == 0 && ramp.error_rate == Percent::ZERO {
            self.recent_len = 0;
        }
    }
}

/// The time at which `(t / over)^(1 / aggression)` reaches a share.
fn reached_after(over: Duration, aggression_milli: u16, share: Percent) -> Duration {
    if aggression_milli == 1_000 {
        return over * u32::from(share.as_basis_points()) / u32::from(Percent::ONE);
    }
    over.mul_f64(share.fraction().powf(f64::from(aggression_milli) / 1_000.0))
}

const fn longer(step: Percent) -> Percent {
    let grown = step.as_basis_points() + step.as_basis_points() / 2;
    if step.as_basis_points() >= LONGEST_STEP.as_basis_points() {
        step
    } else if grown < LONGEST_STEP.as_basis_points() {
        Percent::basis_points(grown)
    } else {
        LONGEST_STEP
    }
}

const fn shorter(step: Percent) -> Percent {
    let half = step.as_basis_points() / 2;
    if step.as_basis_points() <= SHORTEST_STEP.as_basis_points() {
        step
    } else if half > SHORTEST_STEP.as_basis_points() {
        Percent::basis_points(half)
    } else {
        SHORTEST_STEP
    }
}
