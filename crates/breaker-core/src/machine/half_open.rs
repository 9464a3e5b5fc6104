//! The half-open state: who is admitted on trial, and what the trials say.

use std::time::Duration;

use crate::clock::Tick;
use crate::config::{
    CircuitBreakerConfig, OnRelapse, OnStayElapsed, Ramp, RampSpeed, Recovery, Trials, Verdict,
};
use crate::outcome::Counted;
use crate::percent::{Percent, Spread};
use crate::rejected::{Cause, Condition, Reason};
use crate::window::Tally;

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct HalfOpen {
    /// When the first trial of this stay (with a ramp: of this step) was admitted, or the first
    /// one since it was renewed.
    first: Option<Tick>,
    in_flight: u32,
    course: Course,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Course {
    /// So many trials; `taken` are those admitted and not given back.
    Slots {
        taken: u32,
        tally: Tally,
    },
    Ramp(RampCourse),
    /// A share that the user's strategy names.
    Shared {
        share: Percent,
        spread: Spread,
        tally: Tally,
    },
}

/// Where a ramp stands.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct RampCourse {
    /// When the first call of this step was admitted, for the shortest step time.
    begun: Option<Tick>,
    share: Percent,
    spread: Spread,
    step: Percent,
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

/// What a settled trial leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    Stay,
    Share { from: Percent, to: Percent },
    Close,
    Open(Cause),
}

impl HalfOpen {
    pub(super) fn new(config: &CircuitBreakerConfig, custom: bool) -> Self {
        let course = match &config.recovery {
            _ if custom => {
                let share = Ramp::new().base;
                Course::Shared { share, spread: Spread::new(share), tally: Tally::default() }
            }
            Recovery::Trials(_) => Course::Slots { taken: 0, tally: Tally::default() },
            Recovery::Ramp(ramp) => Course::Ramp(RampCourse::new(ramp)),
        };
        Self { first: None, in_flight: 0, course }
    }

    /// The same stay under other rules: it begins anew, with the trials that are still out.
    pub(super) fn restarted(&self, config: &CircuitBreakerConfig, custom: bool, now: Tick) -> Self {
        let mut fresh = Self::new(config, custom);
        fresh.in_flight = self.in_flight;
        if let Course::Slots { taken, .. } = &mut fresh.course {
            *taken = self.in_flight;
        }
        // They may hang and hold all places, so the stay must have an end even if none has been
        // admitted in the present step.
        if self.in_flight > 0 {
            fresh.first = self.first.or(Some(now));
        }
        fresh
    }

    /// Whether this course is one that the configuration asks for.
    pub(super) const fn fits(&self, config: &CircuitBreakerConfig, custom: bool) -> bool {
        match &self.course {
            Course::Slots { .. } => !custom && matches!(config.recovery, Recovery::Trials(_)),
            Course::Ramp(_) => !custom && matches!(config.recovery, Recovery::Ramp(_)),
            Course::Shared { .. } => custom,
        }
    }

    pub(super) fn admit(&mut self, config: &CircuitBreakerConfig, now: Tick) -> Result<(), Reason> {
        match (&mut self.course, &config.recovery) {
            (Course::Slots { taken, .. }, Recovery::Trials(trials)) => {
                if *taken >= trials.permitted || self.in_flight >= trials.permitted {
                    return Err(Reason::NoTrialFree);
                }
                *taken += 1;
            }
            (
                Course::Ramp(RampCourse { share, spread, .. })
                | Course::Shared { share, spread, .. },
                _,
            ) => {
                if !spread.pass(*share) {
                    return Err(Reason::BelowShare);
                }
            }
            // A reconfiguration restarts the course, so that the two never differ.
            (Course::Slots { .. }, Recovery::Ramp(_)) => return Err(Reason::NoTrialFree),
        }
        self.take(now);
        Ok(())
    }

    fn take(&mut self, now: Tick) {
        self.in_flight = self.in_flight.saturating_add(1);
        self.first.get_or_insert(now);
        if let Course::Ramp(course) = &mut self.course {
            course.begun.get_or_insert(now);
        }
    }

    /// Takes a trial that nobody asked for, as an explicit recording does; `false` if none is
    /// free.
    pub(super) fn admit_recording(&mut self, config: &CircuitBreakerConfig, now: Tick) -> bool {
        match self.course {
            Course::Slots { .. } => self.admit(config, now).is_ok(),
            Course::Ramp(_) | Course::Shared { .. } => {
                self.take(now);
                true
            }
        }
    }

    /// Gives a trial back that said nothing.
    pub(super) fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Course::Slots { taken, .. } = &mut self.course {
            *taken = taken.saturating_sub(1);
        }
    }

    pub(super) fn settle(
        &mut self,
        config: &CircuitBreakerConfig,
        counted: Counted,
        slow: bool,
        now: Tick,
    ) -> Next {
        let failed = match counted {
            Counted::Ignored => {
                self.give_back();
                return Next::Stay;
            }
            Counted::Success => false,
            Counted::Failure => true,
        };
        self.in_flight = self.in_flight.saturating_sub(1);
        match (&mut self.course, &config.recovery) {
            (Course::Slots { tally, .. }, _) => {
                tally.add(failed, slow);
                self.judge(config)
            }
            (Course::Ramp(course), Recovery::Ramp(ramp)) => {
                let begun = course.begun.unwrap_or(now);
                let next = course.settle(ramp, failed, slow, now.since(begun));
                if let Next::Share { .. } = next {
                    self.first = None;
                }
                next
            }
            (Course::Shared { tally, .. }, _) => {
                tally.add(failed, slow);
                Next::Stay
            }
            (Course::Ramp(_), Recovery::Trials(_)) => Next::Stay,
        }
    }

    /// What the trials so far say, also after the rules were changed.
    pub(super) fn judge(&self, config: &CircuitBreakerConfig) -> Next {
        match (&self.course, &config.recovery) {
            (Course::Slots { tally, .. }, Recovery::Trials(trials)) => verdict(trials, *tally),
            _ => Next::Stay,
        }
    }

    /// The share that the user's strategy names from now on.
    pub(super) fn set_share(&mut self, named: Percent, now: Tick) -> Next {
        match &mut self.course {
            Course::Shared { share, .. } if *share != named => {
                let from = std::mem::replace(share, named);
                // It may be nothing, so the stay must have an end even if nobody is admitted.
                self.first.get_or_insert(now);
                Next::Share { from, to: named }
            }
            _ => Next::Stay,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        match &self.course {
            Course::Slots { tally, .. } | Course::Shared { tally, .. } => *tally,
            Course::Ramp(course) => course.here,
        }
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) const fn share(&self) -> Option<Percent> {
        match &self.course {
            Course::Slots { .. } => None,
            Course::Ramp(RampCourse { share, .. }) | Course::Shared { share, .. } => Some(*share),
        }
    }

    /// When this stay has lasted too long; never before a first trial.
    pub(super) fn deadline(&self, config: &CircuitBreakerConfig) -> Option<Tick> {
        self.first.map(|first| first.after(config.recovery.max_stay()))
    }

    /// Whether a stay that is over proves nothing against the callee: no trial is out that could
    /// hang, and none has failed. Then it begins anew, with what is known so far; else a callee
    /// that is well but seldom called would never be found well.
    ///
    /// A strategy of the user's may admit nobody at all, so its stay ends in any case.
    pub(super) fn is_quiet(&self, config: &CircuitBreakerConfig) -> bool {
        let reopens = config.recovery.on_stay_elapsed() == OnStayElapsed::Reopen;
        let custom = matches!(self.course, Course::Shared { .. });
        reopens && !custom && self.in_flight == 0 && self.tally().failures == 0
    }

    /// The stay counts from the next trial.
    pub(super) const fn renew(&mut self) {
        self.first = None;
    }

    /// The same stay, begun as long after the beginning of time as it has lasted by now.
    #[cfg(test)]
    pub(super) fn with_age(&self, now: Tick, config: &CircuitBreakerConfig) -> Self {
        let age = |tick: Tick| now.since(tick);
        let mut aged = self.clone();
        aged.first = self.first.map(|first| Tick::ZERO.after(age(first)));
        if let (Course::Ramp(course), Recovery::Ramp(ramp)) = (&mut aged.course, &config.recovery) {
            // A step that is old enough is as good as one that is older.
            let enough = |begun| age(begun).min(ramp.min_step_time);
            course.begun = course.begun.map(|begun| Tick::ZERO.after(enough(begun)));
        }
        aged
    }

    /// How long a refused caller should wait: a second, or what is left of the stay.
    pub(super) fn wait(&self, config: &CircuitBreakerConfig, now: Tick) -> Duration {
        let rest = self.deadline(config).map_or(Duration::MAX, |deadline| deadline.since(now));
        rest.min(Duration::from_secs(1))
    }
}

fn verdict(trials: &Trials, tally: Tally) -> Next {
    let Tally { calls, failures, slow } = tally;
    let failed = Cause { condition: Condition::TrialFailed, bad: failures, calls };
    match trials.verdict {
        Verdict::AllSucceed { .. } if failures > 0 => Next::Open(failed),
        Verdict::AllSucceed { successes } if calls >= successes => Next::Close,
        Verdict::AllSucceed { .. } => Next::Stay,
        Verdict::Rate { failures: rate, slow: slow_rate } => {
            // Certain as soon as the trials that are still to come cannot change it.
            let all = trials.permitted.max(calls);
            let rest = all - calls;
            let too_slow = |slow| slow_rate.is_some_and(|rate| rate.reached_by(slow, all));
            if rate.reached_by(failures, all) {
                Next::Open(failed)
            } else if too_slow(slow) {
                Next::Open(Cause { condition: Condition::SlowCallRate, bad: slow, calls })
            } else if !rate.reached_by(failures + rest, all) && !too_slow(slow + rest) {
                Next::Close
            } else {
                Next::Stay
            }
        }
    }
}

// ===== impl RampCourse =====

impl RampCourse {
    const fn new(ramp: &Ramp) -> Self {
        Self {
            begun: None,
            share: ramp.base,
            spread: Spread::new(ramp.base),
            step: ramp.step,
            here: Tally { calls: 0, failures: 0, slow: 0 },
            recent: 0,
            recent_len: 0,
        }
    }

    fn settle(&mut self, ramp: &Ramp, failed: bool, slow: bool, stay: Duration) -> Next {
        self.here.add(failed, slow);
        self.recent = (self.recent << 1 | u32::from(failed)) & ((1 << RECENT) - 1);
        self.recent_len = (self.recent_len + 1).min(RECENT);
        if failed {
            return self.relapse(ramp);
        }
        let Tally { calls, failures, .. } = self.here;
        let good = calls - failures >= ramp.successes
            && !ramp.error_rate.exceeded_by(failures, calls)
            && stay >= ramp.min_step_time;
        if !good {
            return Next::Stay;
        }
        let (from, to) = (self.share, self.share.saturating_add(self.step));
        if ramp.speed == RampSpeed::Adaptive && failures == 0 {
            self.step = longer(self.step);
        }
        self.go_to(to);
        if to == Percent::FULL { Next::Close } else { Next::Share { from, to } }
    }

    /// What a failure leads to, judged over the last 20 calls.
    fn relapse(&mut self, ramp: &Ramp) -> Next {
        if ramp.speed == RampSpeed::Adaptive {
            self.step = shorter(self.step);
        }
        let (bad, calls) = (self.recent.count_ones(), self.recent_len);
        let cause = Cause { condition: Condition::RampRelapsed, bad, calls };
        let too_many = bad >= RECENT_FAILURES;
        let relapsed = ramp.error_rate.exceeded_by(bad, calls);
        let at_base = self.share <= ramp.base;
        let gives_up = at_base || ramp.on_relapse == OnRelapse::Reopen;
        if too_many || relapsed && gives_up {
            return Next::Open(cause);
        }
        if !relapsed {
            return Next::Stay;
        }
        let (from, to) = (self.share, self.share.saturating_sub(ramp.step).max(ramp.base));
        self.go_to(to);
        Next::Share { from, to }
    }

    fn go_to(&mut self, share: Percent) {
        self.share = share;
        self.begun = None;
        self.here = Tally::default();
    }
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
