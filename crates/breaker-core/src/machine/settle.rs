//! How calls end: settled, cancelled, recorded without a permit, or judged by a user's strategy.

use std::time::Duration;

use super::half_open::Next;
use super::{Machine, Phase, Role, Ticket, bump};
use crate::clock::Tick;
use crate::config::{CircuitBreakerConfig, OnDrop};
use crate::outcome::{Counted, FailureKind, Outcome};
use crate::percent::Percent;
use crate::rejected::{Cause, Condition};
use crate::state::{State, Transitions, Why};

/// What became of an outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Settled {
    /// How it counted.
    pub counted: Counted,
    /// Whether the call was slow.
    pub slow: bool,
    /// Whether it belonged to an older generation, and so decided nothing.
    pub late: bool,
    /// The admitted share before and after, where it changed.
    pub share: Option<(Percent, Percent)>,
}

/// What a strategy of the user's says: the answers to its three questions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain answers")]
pub struct Advice {
    /// Open now?
    pub open: bool,
    /// Close now?
    pub close: bool,
    /// Which share of the calls passes while half-open?
    pub share: Percent,
}

impl Machine {
    /// Ends an admitted call that took `duration`, where that is known.
    pub fn settle(
        &mut self,
        config: &CircuitBreakerConfig,
        ticket: Ticket,
        outcome: Outcome,
        duration: Option<Duration>,
        now: Tick,
        done: &mut Transitions,
    ) -> Settled {
        self.advance(config, now, done);
        let counted = config.count_as.outcome(outcome);
        let slow = duration.is_some_and(|duration| duration >= config.slow_call_duration);
        let late = ticket.generation != self.generation;
        let mut settled = Settled { counted, slow, late, share: None };
        if self.state() == State::Disabled {
            return settled;
        }
        self.count(settled);
        if !late {
            let retry_after = match outcome {
                Outcome::Failure(FailureKind::Overload { retry_after }) => retry_after,
                _ => None,
            };
            settled.share = self.take_in(config, ticket.role, settled, retry_after, done);
        }
        settled
    }

    /// Ends an admitted call that was dropped after `elapsed`; `None` if that says nothing.
    pub fn cancel(
        &mut self,
        config: &CircuitBreakerConfig,
        ticket: Ticket,
        elapsed: Option<Duration>,
        now: Tick,
        done: &mut Transitions,
    ) -> Option<Settled> {
        let slow = elapsed.is_some_and(|elapsed| elapsed >= config.slow_call_duration);
        let failure = match config.on_drop {
            OnDrop::SlowIsFailure => slow,
            OnDrop::Neutral => false,
            OnDrop::Failure => true,
        };
        if failure {
            let timeout = Outcome::Failure(FailureKind::Timeout);
            return Some(self.settle(config, ticket, timeout, elapsed, now, done));
        }
        self.advance(config, now, done);
        if self.state() != State::Disabled {
            bump(&mut self.cancelled, true);
            self.give_back(ticket);
        }
        None
    }

    /// Takes in an outcome for which nobody asked admission. In half-open it counts as a trial if
    /// one is free, and while open as a probe if one is due.
    pub fn record(
        &mut self,
        config: &CircuitBreakerConfig,
        outcome: Outcome,
        duration: Option<Duration>,
        now: Tick,
        done: &mut Transitions,
    ) -> Settled {
        self.advance(config, now, done);
        let now = self.now;
        let role = match self.past.phase_mut() {
            None | Some(Phase::Closed) => Role::Evidence,
            Some(Phase::HalfOpen(half_open)) => {
                if half_open.admit_recording(config, now) {
                    Role::Trial
                } else {
                    Role::Bystander
                }
            }
            Some(Phase::Open { .. }) => self.recorded_while_open(config),
        };
        let ticket = self.ticket(role);
        self.settle(config, ticket, outcome, duration, now, done)
    }

    fn recorded_while_open(&mut self, config: &CircuitBreakerConfig) -> Role {
        if self.is_probe(config) {
            return Role::Trial;
        }
        self.count_arrivals(1);
        Role::Bystander
    }

    /// Takes in that the callee could not even be made ready: evidence, but never a trial.
    pub fn unready(
        &mut self,
        config: &CircuitBreakerConfig,
        outcome: Outcome,
        now: Tick,
        done: &mut Transitions,
    ) -> Settled {
        self.advance(config, now, done);
        let role = match self.past.phase {
            Phase::Closed => Role::Evidence,
            Phase::HalfOpen(_) | Phase::Open { .. } => Role::Bystander,
        };
        let ticket = self.ticket(role);
        self.settle(config, ticket, outcome, None, now, done)
    }

    /// Takes in what a strategy of the user's says about the facts of `generation`.
    ///
    /// Only legal edges follow; advice about an older generation changes nothing.
    pub fn advise(
        &mut self,
        config: &CircuitBreakerConfig,
        generation: u64,
        advice: Advice,
        now: Tick,
        done: &mut Transitions,
    ) -> Option<(Percent, Percent)> {
        self.advance(config, now, done);
        if generation != self.generation || !self.custom || !self.is_live() {
            return None;
        }
        let tally = self.tally();
        let cause =
            Cause { condition: Condition::Strategy, bad: tally.failures, calls: tally.calls };
        let now = self.now;
        match self.past.phase_mut() {
            // Closed => Open, HalfOpen => Open
            None | Some(Phase::Closed | Phase::HalfOpen(_)) if advice.open => {
                self.open(config, cause, None, now, done);
            }
            // HalfOpen => Closed
            Some(Phase::HalfOpen(_)) if advice.close => {
                self.close(config, Why::Strategy, now, done);
            }
            Some(Phase::HalfOpen(half_open)) => {
                if let Next::Share { from, to } = half_open.set_share(advice.share, now) {
                    return Some((from, to));
                }
            }
            Some(Phase::Closed | Phase::Open { .. }) | None => {}
        }
        None
    }

    fn count(&mut self, settled: Settled) {
        let Settled { counted, slow, late, .. } = settled;
        match counted {
            Counted::Success => bump(&mut self.successes, true),
            Counted::Failure => bump(&mut self.failures, true),
            Counted::Ignored => bump(&mut self.past.totals.ignored, true),
        }
        if matches!(counted, Counted::Failure) {
            self.last_failure = Some(self.now);
        }
        if slow {
            self.past.last_slow = Some(self.now);
        }
        if slow || late {
            bump(&mut self.past.totals.slow, slow);
            bump(&mut self.past.totals.late, late);
        }
    }

    /// Feeds the evidence or the trials, and draws the consequence.
    fn take_in(
        &mut self,
        config: &CircuitBreakerConfig,
        role: Role,
        settled: Settled,
        retry_after: Option<Duration>,
        done: &mut Transitions,
    ) -> Option<(Percent, Percent)> {
        let Settled { counted, slow, .. } = settled;
        let says_something = counted != Counted::Ignored && self.state() != State::ForcedOpen;
        match (role, self.past.phase_mut()) {
            (Role::Evidence, None | Some(Phase::Closed)) if says_something => {
                self.evidence.record(counted == Counted::Failure, slow, self.now);
                if self.custom || !self.is_live() {
                    return None;
                }
                self.learn(config, counted == Counted::Failure);
                let tuned = self.tuned_trip(config);
                let trip = tuned.as_ref().unwrap_or(&config.trip);
                // Closed => Open
                if let Some(cause) = self.evidence.verdict(trip) {
                    self.open(config, cause, retry_after, self.now, done);
                }
                None
            }
            (Role::Trial, Some(Phase::HalfOpen(half_open))) => {
                let next = half_open.settle(config, counted, slow, self.now);
                self.follow(config, next, retry_after, done)
            }
            (Role::Trial, Some(Phase::Open { .. })) => {
                self.end_probe(config, counted, retry_after, done);
                None
            }
            _ => None,
        }
    }

    /// Ends a probe.
    fn end_probe(
        &mut self,
        config: &CircuitBreakerConfig,
        counted: Counted,
        retry_after: Option<Duration>,
        done: &mut Transitions,
    ) {
        let now = self.now;
        let Some(Phase::Open { since, until, probes: Some(probes), .. }) = self.past.phase_mut()
        else {
            return;
        };
        match counted {
            Counted::Ignored => probes.give_back(),
            Counted::Failure => {
                probes.fail(*since, now);
                let asked = retry_after.unwrap_or_default().min(config.open_period.longest_wait());
                probes.put_off(now.after(asked));
                *until = (*until).max(now.after(asked));
            }
            // Another configuration, which knows no probes, is in force meanwhile.
            Counted::Success if config.recovery.trickle().is_none() => probes.give_back(),
            Counted::Success => {
                // Open => HalfOpen
                self.enter_half_open(config, Why::ProbeSucceeded, now, done);
                if config.recovery.ramp().is_none() && !self.custom {
                    // HalfOpen => Closed
                    self.close(config, Why::TrialsSucceeded, now, done);
                }
            }
        }
    }

    // HalfOpen => (HalfOpen | Closed | Open)
    pub(super) fn follow(
        &mut self,
        config: &CircuitBreakerConfig,
        next: Next,
        retry_after: Option<Duration>,
        done: &mut Transitions,
    ) -> Option<(Percent, Percent)> {
        let by_ramp = config.recovery.ramp().is_some();
        let why = if by_ramp { Why::RampCompleted } else { Why::TrialsSucceeded };
        match next {
            Next::Stay => {}
            Next::Share { from, to } => return Some((from, to)),
            Next::Close => self.close(config, why, self.now, done),
            Next::Open(cause) => self.open(config, cause, retry_after, self.now, done),
        }
        None
    }

    fn give_back(&mut self, ticket: Ticket) {
        if ticket.generation != self.generation || ticket.role != Role::Trial {
            return;
        }
        match self.past.phase_mut() {
            Some(Phase::HalfOpen(half_open)) => half_open.give_back(),
            Some(Phase::Open { probes: Some(probes), .. }) => probes.give_back(),
            Some(Phase::Open { .. } | Phase::Closed) | None => {}
        }
    }
}
