//! The circuit as one would write it first: a machine, and each step taken as it comes.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Tick;
use crate::config::{CircuitBreakerConfig, StrategyKind};
use crate::explain::Snapshot;
use crate::machine::{Advice, Machine, Refusal, Ticket};
use crate::outcome::Outcome;
use crate::pace::Chance;
use crate::percent::Percent;
use crate::state::{State, Transitions};
use crate::strategy::{DependencyGate, GateVerdict, Strategy};

pub(super) struct Plain {
    pub(super) machine: Machine,
    pub(super) config: CircuitBreakerConfig,
    given: CircuitBreakerConfig,
    version: u64,
    strategy: Option<Rule>,
    pub(super) gate: Option<Gate>,
    pub(super) observed: bool,
    /// Whether each success since the beginning had to be counted.
    pub(super) counted: bool,
}

/// A strategy of the user's that looks at nothing but the evidence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) open_at: u32,
    pub(super) close_at: u32,
    pub(super) share: Percent,
    /// It panics at so many calls.
    pub(super) panics_at: u32,
}

impl Rule {
    fn ask<T>(&self, facts: &Snapshot, answer: T) -> T {
        if facts.tally.calls >= self.panics_at {
            // As a panic does, but without a word on the screen.
            resume_unwind(Box::new("planned"));
        }
        answer
    }
}

impl Strategy for Rule {
    fn open(&self, facts: &Snapshot) -> bool {
        self.ask(facts, facts.tally.failures >= self.open_at)
    }

    fn close(&self, facts: &Snapshot) -> bool {
        self.ask(facts, facts.tally.calls - facts.tally.failures >= self.close_at)
    }

    fn share(&self, facts: &Snapshot) -> Percent {
        self.ask(facts, self.share)
    }
}

/// A gate that is opened and shut by hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(pub(super) Arc<AtomicBool>);

impl DependencyGate for Gate {
    fn verdict(&self) -> GateVerdict {
        let retry_after = Some(Duration::from_secs(7));
        if self.0.load(Ordering::Relaxed) {
            GateVerdict::Refuse { retry_after }
        } else {
            GateVerdict::Admit
        }
    }
}

impl Plain {
    pub(super) fn new(config: CircuitBreakerConfig, seed: u64, now: Tick) -> Self {
        Self {
            machine: Machine::new(&config, Chance::seeded(seed)).begun_at(now),
            config,
            given: config,
            version: 0,
            strategy: None,
            gate: None,
            observed: false,
            counted: config.counts_successes(),
        }
    }

    pub(super) fn admit(&mut self, now: Tick) -> Result<Ticket, Refusal> {
        let verdict = self.gate.as_ref().map_or(GateVerdict::Admit, DependencyGate::verdict);
        self.step(now, |plain, done| plain.machine.admit_past(verdict, &plain.config, now, done))
    }

    /// Ends a call that began at `began`; `known` is how long it took, where somebody knows.
    pub(super) fn settle(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        began: Option<Tick>,
        known: Option<Duration>,
        now: Tick,
    ) {
        // Successes are timed only where somebody asks for their duration.
        let timed = outcome != Outcome::Success
            || !self.machine.is_at_rest()
            || self.observed
            || self.strategy.is_some()
            || self.config.judges_slow_calls();
        let measured = began.filter(|_| timed).map(|began| now.since(began));
        self.step(now, |plain, done| {
            let duration = known.or(measured);
            plain.machine.settle(&plain.config, ticket, outcome, duration, now, done)
        });
        self.consult(now);
    }

    pub(super) fn cancel(&mut self, ticket: Ticket, began: Option<Tick>, now: Tick) {
        let elapsed = began.map(|began| now.since(began));
        self.step(now, |plain, done| {
            plain.machine.cancel(&plain.config, ticket, elapsed, now, done)
        });
        self.consult(now);
    }

    pub(super) fn record(&mut self, outcome: Outcome, duration: Duration, now: Tick) {
        self.step(now, |plain, done| {
            plain.machine.record(&plain.config, outcome, Some(duration), now, done)
        });
        self.consult(now);
    }

    pub(super) fn unready(&mut self, outcome: Outcome, now: Tick) {
        self.step(now, |plain, done| plain.machine.unready(&plain.config, outcome, now, done));
        self.consult(now);
    }

    /// Lets time pass; all figures as they are then, before a strategy is asked what follows.
    pub(super) fn look(&mut self, now: Tick) -> Snapshot {
        self.step(now, |plain, done| {
            plain.machine.advance(&plain.config, now, done);
            plain.snapshot()
        })
    }

    pub(super) fn reconfigure(&mut self, config: CircuitBreakerConfig, now: Tick) {
        self.step(now, |plain, done| {
            plain.machine.reconfigure(&plain.config, &config, now, done);
            (plain.config, plain.given) = (config, config);
            plain.version += 1;
        });
    }

    pub(super) fn follow(&mut self, kind: StrategyKind, now: Tick) {
        let given = self.given;
        let config = if given.strategy_kind() == kind { given } else { given.strategy(kind) };
        self.step(now, |plain, done| plain.swap(config, None, now, done));
    }

    pub(super) fn obey(&mut self, rule: Rule, now: Tick) {
        self.step(now, |plain, done| plain.swap(plain.config, Some(rule), now, done));
    }

    fn swap(
        &mut self,
        config: CircuitBreakerConfig,
        rule: Option<Rule>,
        now: Tick,
        done: &mut Transitions,
    ) {
        self.machine.swap_strategy(&self.config, &config, rule.is_some(), now, done);
        (self.config, self.strategy) = (config, rule);
    }

    /// Does one step; the user's strategy names its first share when trials begin.
    pub(super) fn step<T>(
        &mut self,
        now: Tick,
        act: impl FnOnce(&mut Self, &mut Transitions) -> T,
    ) -> T {
        let mut done = Transitions::new();
        let answer = act(self, &mut done);
        if done.iter().any(|transition| transition.to == State::HalfOpen) {
            self.consult(now);
        }
        self.counted &= self.observed || self.config.counts_successes();
        answer
    }

    fn consult(&mut self, now: Tick) {
        let Some(rule) = self.strategy else { return };
        let facts = self.snapshot();
        let state = facts.shadow.unwrap_or(facts.state);
        let advice = catch_unwind(AssertUnwindSafe(|| Advice {
            open: matches!(state, State::Closed | State::HalfOpen) && rule.open(&facts),
            close: state == State::HalfOpen && rule.close(&facts),
            share: if state == State::HalfOpen { rule.share(&facts) } else { Percent::FULL },
        }));
        self.step(now, |plain, done| match advice {
            Ok(advice) => {
                let generation = facts.generation;
                plain.machine.advise(&plain.config, generation, advice, now, done);
            }
            Err(_) => plain.swap(plain.given, None, now, done),
        });
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.machine.snapshot(&self.config);
        snapshot.config_version = self.version;
        snapshot.strategy = self.strategy.as_ref().map(Strategy::name);
        snapshot.gated = self.gate.is_some();
        snapshot.successes_counted |= self.observed;
        snapshot
    }
}
