//! The half-open state: who is admitted on trial, and what the trials say.

use std::time::Duration;

use super::ramp::RampCourse;
use crate::clock::Tick;
use crate::config::{CircuitBreakerConfig, OnStayElapsed, Ramp, Trials, Verdict};
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

/// What a settled trial leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    Stay,
    Share { from: Percent, to: Percent },
    Close,
    Open(Cause),
}

impl HalfOpen {
    /// Begun at `at`; `proved` if a call has just ended well.
    pub(super) fn new(config: &CircuitBreakerConfig, custom: bool, at: Tick, proved: bool) -> Self {
        let course = match config.recovery.ramp() {
            _ if custom => {
                let share = Ramp::new().base;
                Course::Shared { share, spread: Spread::new(share), tally: Tally::default() }
            }
            Some(ramp) => Course::Ramp(RampCourse::new(ramp, at, proved)),
            None => Course::Slots { taken: 0, tally: Tally::default() },
        };
        Self { first: None, in_flight: 0, course }
    }

    /// The same stay under other rules: it begins anew, with the trials that are still out.
    pub(super) fn restarted(&self, config: &CircuitBreakerConfig, custom: bool, now: Tick) -> Self {
        let mut fresh = Self::new(config, custom, now, false);
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

    /// Whether a course that began under `old` goes on under `new`.
    pub(super) fn fits(
        &self,
        old: &CircuitBreakerConfig,
        new: &CircuitBreakerConfig,
        custom: bool,
    ) -> bool {
        let (old, ramp) = (old.recovery.ramp(), new.recovery.ramp());
        match &self.course {
            Course::Slots { .. } => !custom && ramp.is_none(),
            Course::Ramp(_) => {
                !custom && ramp.is_some() && old.map(Ramp::form) == ramp.map(Ramp::form)
            }
            Course::Shared { .. } => custom,
        }
    }

    pub(super) fn admit(&mut self, config: &CircuitBreakerConfig, now: Tick) -> Result<(), Reason> {
        match &mut self.course {
            Course::Slots { taken, .. } => {
                // A reconfiguration restarts the course, so that rules and course never differ.
                let permitted = config.recovery.trials().map_or(0, |trials| trials.permitted);
                if *taken >= permitted || self.in_flight >= permitted {
                    return Err(Reason::NoTrialFree);
                }
                *taken += 1;
            }
            Course::Ramp(course) => course.admit(self.in_flight)?,
            Course::Shared { share, spread, .. } => {
                if !spread.pass(*share) {
                    return Err(Reason::BelowShare);
                }
            }
        }
        self.take(now);
        Ok(())
    }

    fn take(&mut self, now: Tick) {
        self.in_flight = self.in_flight.saturating_add(1);
        self.first.get_or_insert(now);
        if let Course::Ramp(course) = &mut self.course {
            course.begin(now);
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
        match (&mut self.course, config.recovery.ramp()) {
            (Course::Slots { tally, .. }, _) => {
                tally.add(failed, slow);
                self.judge(config)
            }
            (Course::Ramp(course), Some(ramp)) => {
                let next = course.settle(ramp, failed, slow, now);
                self.moved(next, now)
            }
            (Course::Shared { tally, .. }, _) => {
                tally.add(failed, slow);
                Next::Stay
            }
            (Course::Ramp(_), None) => Next::Stay,
        }
    }

    /// What the trials so far say, also after the rules were changed.
    pub(super) fn judge(&self, config: &CircuitBreakerConfig) -> Next {
        match (&self.course, config.recovery.trials()) {
            (Course::Slots { tally, .. }, Some(trials)) => verdict(trials, *tally),
            _ => Next::Stay,
        }
    }

    /// When time moves a ramp on, if nothing else happens.
    pub(super) fn next_step(&self) -> Option<Tick> {
        match &self.course {
            Course::Ramp(course) => course.next_step(),
            _ => None,
        }
    }

    /// Lets time move the ramp on at `at`, when its next step is due.
    pub(super) fn step(&mut self, config: &CircuitBreakerConfig, at: Tick) -> Next {
        match (&mut self.course, config.recovery.ramp()) {
            (Course::Ramp(course), Some(ramp)) => {
                let next = course.step(ramp, at);
                self.moved(next, at)
            }
            _ => Next::Stay,
        }
    }

    /// A new step has a stay of its own.
    fn moved(&mut self, next: Next, now: Tick) -> Next {
        if let Next::Share { .. } = next {
            // Those of the step before may hang and hold all places of a limit in flight.
            let held = self.in_flight > 0 && self.limit().is_some();
            self.first = held.then_some(now);
        }
        next
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
            Course::Ramp(course) => course.tally(),
        }
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) const fn share(&self) -> Option<Percent> {
        match &self.course {
            Course::Slots { .. } => None,
            Course::Ramp(course) => Some(course.share()),
            Course::Shared { share, .. } => Some(*share),
        }
    }

    /// The most calls in flight, where that is what grows.
    pub(super) const fn limit(&self) -> Option<u32> {
        match &self.course {
            Course::Ramp(course) => course.limit(),
            _ => None,
        }
    }

    /// How many calls of a step have to end well.
    pub(super) fn needed(&self, config: &CircuitBreakerConfig) -> Option<u32> {
        match (&self.course, config.recovery.ramp()) {
            (Course::Ramp(course), Some(ramp)) => Some(course.needed(ramp)),
            _ => None,
        }
    }

    /// When this stay has lasted too long; never before a first trial, nor where a call has ended
    /// well and only time is missing.
    pub(super) fn deadline(&self, config: &CircuitBreakerConfig) -> Option<Tick> {
        let waits = self.next_step().is_some();
        self.first.filter(|_| !waits).map(|first| first.after(config.recovery.max_stay()))
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
        let mut aged = self.clone();
        aged.first = self.first.map(|first| Tick::ZERO.after(now.since(first)));
        if let (Course::Ramp(course), Some(ramp)) = (&mut aged.course, config.recovery.ramp()) {
            course.age(ramp, now);
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
