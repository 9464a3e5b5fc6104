//! The rules of a circuit as plain data: no lock, no clock, no async.
//!
//! A [`Machine`] is told what happened and when; it answers, and says which [`Transition`]s took
//! place. It can be cloned, compared, hashed and walked exhaustively.

mod admit;
mod half_open;
mod lull;
mod operate;
mod outages;
mod past;
mod probes;
mod ramp;
mod report;
mod settle;
mod shell;
mod shut;
#[cfg(test)]
mod tests;
mod tuner;
#[cfg(test)]
mod walk;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Tick;
use crate::config::{CircuitBreakerConfig, OnStayElapsed};
use crate::pace::Chance;
use crate::percent::Spread;
use crate::rejected::{Cause, Condition, Reason};
use crate::state::{State, Transition, Transitions, Why};
use crate::window::{Evidence, Tally};

use self::past::Seldom;
use self::tuner::Learnt;
pub(crate) use crate::window::Lull;
pub(crate) use half_open::HalfOpen;
use half_open::Next;
pub use operate::{IllegalTransition, Override, Saved};
use probes::Probes;
pub use settle::{Advice, Settled};
pub use shut::Shut;
pub use tuner::Adjustment;

/// The state machine of one circuit.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Machine {
    /// Grows by one at every change of state.
    generation: u64,
    /// The latest moment that was seen: a clock that steps back changes nothing.
    now: Tick,
    /// When the visible state was entered.
    since: Tick,
    evidence: Evidence,
    last_failure: Option<Tick>,
    successes: u64,
    failures: u64,
    cancelled: u64,
    chance: Chance,
    enforce: Spread,
    /// Whether a strategy of the user's decides, instead of the configuration.
    custom: bool,
    past: Seldom,
}

/// The ordinary state, also under an operator's order.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Phase {
    Closed,
    /// `asked` is how long the callee, or a snapshot, asked for at least. With probes, `until` is
    /// when the next one is due.
    Open {
        since: Tick,
        until: Tick,
        /// When past outages let expect that callers may come back.
        hint: Option<Tick>,
        asked: Duration,
        probes: Option<Probes>,
    },
    HalfOpen(HalfOpen),
}

/// An operator's order that is in force.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Forced {
    state: State,
    until: Option<Tick>,
    reason: Arc<str>,
}

/// Proof of an admission: to be settled or cancelled once.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Ticket {
    generation: u64,
    role: Role,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Role {
    /// Its outcome is evidence.
    Evidence,
    /// Its outcome decides about recovery.
    Trial,
    /// Its outcome is counted in the totals only.
    Bystander,
}

/// A call that is not admitted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// When another attempt makes sense.
    pub retry_after: Option<Duration>,
    /// What opened the circuit.
    pub cause: Option<Cause>,
}

impl Machine {
    /// A closed circuit with no evidence, whose jitter is drawn from `chance`.
    #[must_use]
    pub fn new(config: &CircuitBreakerConfig, chance: Chance) -> Self {
        let mut machine = Self {
            generation: 0,
            now: Tick::ZERO,
            since: Tick::ZERO,
            evidence: Evidence::new(&config.trip),
            last_failure: None,
            successes: 0,
            failures: 0,
            cancelled: 0,
            chance,
            enforce: Spread::new(config.enforce),
            custom: false,
            past: Seldom::default(),
        };
        if let Some(learnt) = Learnt::new(config, Tick::ZERO) {
            machine.past.learnt = Some(learnt);
        }
        machine
    }

    /// The same machine, begun at another moment than the beginning of time.
    #[must_use]
    pub fn begun_at(mut self, now: Tick) -> Self {
        self.now = now;
        self.since = now;
        if let Some(learnt) = self.past.learnt_mut() {
            learnt.begin(now);
        }
        self
    }

    /// Lets time pass: all that is due by `now` happens, each thing at its own moment.
    pub fn advance(&mut self, config: &CircuitBreakerConfig, now: Tick, done: &mut Transitions) {
        self.now = self.now.max(now);
        let ends = self.past.forced.as_ref().and_then(|forced| forced.until);
        let ends = ends.filter(|ends| *ends <= self.now);
        if self.is_live() {
            // What is due in the shadow of an order is due before the order ends.
            let until = ends.unwrap_or(self.now);
            while self.step(config, until, done) {}
        }
        if let Some(at) = ends {
            self.end_order(Why::Expired, at, done);
            self.look(config, self.now, done);
        }
        // Also under an order: a window that is recorded into grows old.
        self.evidence.advance(self.now);
    }

    /// One change that is due by `now`; `false` if there is none.
    fn step(&mut self, config: &CircuitBreakerConfig, now: Tick, done: &mut Transitions) -> bool {
        match self.past.phase_mut() {
            // Open => HalfOpen
            Some(Phase::Open { until, .. })
                if *until <= now && config.recovery.trickle().is_none() =>
            {
                let at = *until;
                self.enter_half_open(config, Why::OpenPeriodElapsed, at, done);
            }
            // HalfOpen => (HalfOpen | Closed)
            Some(Phase::HalfOpen(half_open))
                if half_open.next_step().is_some_and(|at| at <= now) =>
            {
                let at = half_open.next_step().unwrap_or(now);
                match half_open.step(config, at) {
                    Next::Share { from, to } => done.push_share(from, to),
                    Next::Close => self.close(config, Why::RampCompleted, at, done),
                    Next::Stay | Next::Open(_) => return false,
                }
            }
            // HalfOpen => (Open | Closed)
            Some(Phase::HalfOpen(half_open)) => match half_open.deadline(config) {
                // HalfOpen => HalfOpen
                Some(at) if at <= now && half_open.is_quiet(config) => half_open.renew(),
                Some(at) if at <= now => match config.recovery.on_stay_elapsed() {
                    OnStayElapsed::Reopen => {
                        let tally = half_open.tally();
                        let cause = Cause {
                            condition: Condition::StayElapsed,
                            bad: tally.failures,
                            calls: tally.calls,
                        };
                        self.open(config, cause, None, at, done);
                    }
                    OnStayElapsed::Close => self.close(config, Why::StayElapsed, at, done),
                },
                _ => return false,
            },
            None | Some(Phase::Closed) => {
                self.look(config, now, done);
                return false;
            }
            Some(Phase::Open { .. }) => return false,
        }
        true
    }

    // (Closed | HalfOpen) => Open
    fn open(
        &mut self,
        config: &CircuitBreakerConfig,
        cause: Cause,
        retry_after: Option<Duration>,
        at: Tick,
        done: &mut Transitions,
    ) {
        self.past.opened_by = match cause.condition {
            // A ramp is judged over the last calls, not over those of its step.
            Condition::RampRelapsed => Tally { calls: cause.calls, failures: cause.bad, slow: 0 },
            _ => self.tally(),
        };
        let restored = cause.condition == Condition::Restored;
        if self.past.openings == 0 || restored {
            self.past.outages.begin((!restored).then_some(at));
        }
        self.past.openings = self.past.openings.saturating_add(1);
        // The callee may ask for more patience than we have by ourselves, up to the cap.
        let asked = retry_after.unwrap_or_default().min(config.open_period.longest_wait());
        let (probes, until) = match config.recovery.trickle() {
            Some(rules) => {
                let (probes, due) = Probes::new(rules, at, asked, &mut self.chance);
                (Some(probes), due)
            }
            None => {
                let period = config.open_period.wait(self.past.openings, &mut self.chance);
                (None, at.after(period.max(asked)))
            }
        };
        self.past.cause = Some(cause);
        self.past.leak = Spread::new(config.open_refusal_share.rest());
        if self.past.forced.is_some() {
            bump(&mut self.past.totals.would_open, true);
        }
        let hint = self.past.outages.hint(at, config.open_period.longest_wait());
        let phase = Phase::Open { since: at, until, hint, asked, probes };
        self.enter(phase, Why::Tripped(cause.condition), at, done);
    }

    // Open => HalfOpen
    fn enter_half_open(
        &mut self,
        config: &CircuitBreakerConfig,
        why: Why,
        at: Tick,
        done: &mut Transitions,
    ) {
        let proved = why == Why::ProbeSucceeded;
        let half_open = HalfOpen::new(config, self.custom, at, proved);
        self.enter(Phase::HalfOpen(half_open), why, at, done);
    }

    // any => Closed
    fn close(&mut self, config: &CircuitBreakerConfig, why: Why, at: Tick, done: &mut Transitions) {
        if matches!(why, Why::TrialsSucceeded | Why::RampCompleted | Why::Strategy) {
            self.past.outages.end(at, config);
        }
        match why {
            Why::Reset => self.evidence.clear(),
            _ => self.evidence.rearm(),
        }
        self.evidence.advance(at);
        self.past.openings = 0;
        self.past.cause = None;
        self.enter(Phase::Closed, why, at, done);
    }

    fn enter(&mut self, phase: Phase, why: Why, at: Tick, done: &mut Transitions) {
        let from = self.past.phase.state();
        self.past.phase = phase;
        let to = self.past.phase.state();
        let shadow = self.past.forced.is_some();
        self.changed(from, to, why, shadow, at, done);
    }

    fn changed(
        &mut self,
        from: State,
        to: State,
        why: Why,
        shadow: bool,
        at: Tick,
        done: &mut Transitions,
    ) {
        self.generation += 1;
        if !shadow {
            let stay = at.since(self.since);
            let spent = &mut self.past.spent[from.index()];
            *spent = spent.saturating_add(stay);
            self.since = at;
        }
        self.past.refused_here = 0;
        if matches!(self.past.phase, Phase::Closed) {
            self.skip_looks(at);
        }
        if !matches!(self.past.phase, Phase::Open { .. }) {
            self.past.opened_by = Tally::default();
        }
        let cause = self.past.cause;
        done.push(Transition { from, to, why, shadow, at, generation: self.generation, cause });
    }

    const fn ticket(&self, role: Role) -> Ticket {
        Ticket { generation: self.generation, role }
    }

    /// Whether the ordinary states take their course: always, but under orders that stop them.
    fn is_live(&self) -> bool {
        self.past.forced.as_ref().is_none_or(|forced| forced.state == State::MetricsOnly)
    }
}

impl Phase {
    const fn state(&self) -> State {
        match self {
            Self::Closed => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen(_) => State::HalfOpen,
        }
    }
}

/// Counts one more, if there is one; a full counter stays full.
const fn bump(counter: &mut u64, one_more: bool) {
    bump_by(counter, one_more as u32);
}

const fn bump_by(counter: &mut u64, more: u32) {
    *counter = counter.saturating_add(more as u64);
}
