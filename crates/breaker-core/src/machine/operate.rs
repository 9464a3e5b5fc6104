//! What operators and configurations do to a circuit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Forced, HalfOpen, Learnt, Machine, Phase, Probes};
use crate::clock::Tick;
use crate::config::CircuitBreakerConfig;
use crate::rejected::{Cause, Condition};
use crate::state::{State, Transitions, Why};

/// Why an operator forces a state, and for how long at most.
///
/// ```
/// use breaker_core::Override;
/// use std::time::Duration;
///
/// let forever = Override::from("maintenance of the ledger");
/// let for_a_while = Override::new("deploy 42").for_at_most(Duration::from_secs(300));
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Override {
    reason: Arc<str>,
    ttl: Option<Duration>,
}

impl Override {
    /// The longest reason that is kept, in bytes.
    pub const MAX_REASON: usize = 256;

    /// For this reason, until it is released. A longer reason than 256 bytes is cut.
    pub fn new(reason: &str) -> Self {
        let mut end = reason.len().min(Self::MAX_REASON);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Self { reason: reason[..end].into(), ttl: None }
    }

    /// Ends by itself after this time. The circuit is closed then, with empty evidence, whatever
    /// it was before.
    pub const fn for_at_most(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

impl From<&str> for Override {
    fn from(reason: &str) -> Self {
        Self::new(reason)
    }
}

impl From<String> for Override {
    fn from(reason: String) -> Self {
        Self::new(&reason)
    }
}

/// A change of state that the rules do not know. Nothing was changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct IllegalTransition {
    /// The present state.
    pub from: State,
    /// The state that was asked for.
    pub to: State,
}

impl fmt::Display for IllegalTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "a circuit that is {from} cannot be made {to}; nothing was changed")
    }
}

impl std::error::Error for IllegalTransition {}

/// As much of a circuit as survives a restart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Saved {
    /// Closed, Open or HalfOpen.
    pub state: State,
    /// Consecutive openings.
    pub openings: u32,
    /// What is left of the open period.
    pub remaining: Duration,
}

impl Machine {
    /// Forces one of the operator's states. A second order of the same kind renews the first.
    ///
    /// # Errors
    /// When `state` is not an operator's state.
    pub fn force(
        &mut self,
        config: &CircuitBreakerConfig,
        state: State,
        order: Override,
        now: Tick,
        done: &mut Transitions,
    ) -> Result<(), IllegalTransition> {
        self.advance(config, now, done);
        let from = self.state();
        match state {
            State::Closed | State::Open | State::HalfOpen => {
                return Err(IllegalTransition { from, to: state });
            }
            State::MetricsOnly if from == State::MetricsOnly => {}
            // The shadow goes on from where the circuit stands; the trials that are out become
            // late, so they must not keep their places.
            State::MetricsOnly => match self.past.phase_mut() {
                Some(Phase::HalfOpen(half_open)) => {
                    *half_open = HalfOpen::new(config, self.custom, self.now, false);
                }
                Some(Phase::Open { probes: Some(probes), .. }) => probes.forget_those_out(),
                Some(Phase::Open { .. } | Phase::Closed) | None => {}
            },
            State::ForcedOpen | State::ForcedClosed | State::Disabled => {
                self.past.phase = Phase::Closed;
                self.past.cause = None;
                self.past.openings = 0;
            }
        }
        let until = order.ttl.map(|ttl| self.now.after(ttl));
        self.past.forced = Some(Forced { state, until, reason: order.reason });
        if from != state {
            self.changed(from, state, Why::Forced, false, self.now, done);
        }
        Ok(())
    }

    /// Ends an operator's order, if there is one: back to Closed, with empty evidence.
    pub fn release(&mut self, config: &CircuitBreakerConfig, now: Tick, done: &mut Transitions) {
        self.advance(config, now, done);
        if self.past.forced.is_some() {
            self.end_order(Why::Released, self.now, done);
        }
    }

    /// Begins anew: Closed, with empty evidence, a generation of its own, and the thresholds of the
    /// configuration.
    pub fn reset(&mut self, config: &CircuitBreakerConfig, now: Tick, done: &mut Transitions) {
        self.advance(config, now, done);
        self.past.learnt = Learnt::new(config, self.now);
        if self.past.forced.is_some() {
            self.end_order(Why::Reset, self.now, done);
        } else if self.state() != State::Closed {
            self.close(config, Why::Reset, self.now, done);
        } else {
            // Calls that began before must not fill the new evidence.
            self.generation += 1;
            self.evidence.clear();
        }
    }

    /// Opens the circuit as failures would; it recovers by itself.
    ///
    /// # Errors
    /// When the circuit is neither closed nor half-open.
    pub fn trip(
        &mut self,
        config: &CircuitBreakerConfig,
        now: Tick,
        done: &mut Transitions,
    ) -> Result<(), IllegalTransition> {
        self.advance(config, now, done);
        let from = self.state();
        if !matches!(from, State::Closed | State::HalfOpen) {
            return Err(IllegalTransition { from, to: State::Open });
        }
        let tally = self.tally();
        let cause = Cause { condition: Condition::Forced, bad: tally.failures, calls: tally.calls };
        self.open(config, cause, None, self.now, done);
        Ok(())
    }

    /// Ends the open period at once.
    ///
    /// # Errors
    /// When the circuit is not open.
    pub fn attempt_reset(
        &mut self,
        config: &CircuitBreakerConfig,
        now: Tick,
        done: &mut Transitions,
    ) -> Result<(), IllegalTransition> {
        self.advance(config, now, done);
        let from = self.state();
        if from != State::Open {
            return Err(IllegalTransition { from, to: State::HalfOpen });
        }
        self.enter_half_open(config, Why::AttemptReset, self.now, done);
        Ok(())
    }

    /// Takes up what an earlier process knew. An open period is never longer than the longest
    /// one of the configuration, and one that is over leads to HalfOpen; or to a probe, where
    /// those are how the circuit recovers.
    ///
    /// # Errors
    /// When the circuit is not closed, or the saved state is an operator's.
    pub fn restore(
        &mut self,
        config: &CircuitBreakerConfig,
        saved: Saved,
        now: Tick,
        done: &mut Transitions,
    ) -> Result<(), IllegalTransition> {
        self.advance(config, now, done);
        let (from, to) = (self.state(), saved.state);
        let ordinary = matches!(to, State::Closed | State::Open | State::HalfOpen);
        if from != State::Closed || !ordinary {
            return Err(IllegalTransition { from, to });
        }
        if to == State::Closed {
            return Ok(());
        }
        let cause = Cause { condition: Condition::Restored, bad: 0, calls: 0 };
        self.past.openings = saved.openings.saturating_sub(1);
        self.open(config, cause, None, self.now, done);
        let rest = match to {
            State::Open => saved.remaining.min(config.open_period.longest_wait()),
            _ => Duration::ZERO,
        };
        if let Some(Phase::Open { since, until, asked, probes, .. }) = self.past.phase_mut() {
            *until = since.after(rest);
            *asked = rest;
            if let Some(probes) = probes {
                probes.first_at(*until);
            }
        }
        self.advance(config, now, done);
        Ok(())
    }

    /// Goes on under another configuration: the state stays, evidence is carried over where its
    /// shape allows, running timers are computed anew.
    pub fn reconfigure(
        &mut self,
        old: &CircuitBreakerConfig,
        new: &CircuitBreakerConfig,
        now: Tick,
        done: &mut Transitions,
    ) {
        self.advance(old, now, done);
        if old.trip != new.trip {
            self.evidence = self.evidence.reshape(&new.trip);
        }
        if let Some(outages) = self.past.outages_mut() {
            outages.keep(new);
        }
        self.retune(old, new);
        let openings = self.past.openings;
        let longest = new.open_period.longest_wait();
        if let Phase::Open { since, .. } = self.past.phase {
            let expected = self.past.outages.hint(since, longest);
            if let Some(Phase::Open { hint, .. }) = self.past.phase_mut() {
                *hint = expected;
            }
        }
        match self.past.phase_mut() {
            None | Some(Phase::Closed) => {}
            Some(Phase::Open { since, until, asked, probes, .. }) => {
                if let Some(rules) = new.recovery.trickle() {
                    let since = *since;
                    match probes {
                        // Sooner, perhaps, but not later, nor before the callee asked for.
                        Some(probes) => {
                            let asked = probes.not_before().min(self.now.after(longest));
                            let next = self.now.after(rules.longest_interval()).max(asked);
                            *until = (*until).min(next);
                        }
                        None => {
                            let (fresh, due) = Probes::new(rules, since, *asked, &mut self.chance);
                            (*probes, *until) = (Some(fresh), due.max(self.now));
                        }
                    }
                } else if old.open_period != new.open_period || old.recovery.trickle().is_some() {
                    let period = new.open_period.wait(openings, &mut self.chance);
                    let period = period.max((*asked).min(longest));
                    // It cannot have ended before it was in force.
                    *until = since.after(period).max(self.now);
                }
            }
            Some(Phase::HalfOpen(half_open)) if half_open.fits(old, new, self.custom) => {
                let next = half_open.judge(new);
                self.follow(new, next, None, done);
            }
            Some(Phase::HalfOpen(half_open)) => {
                *half_open = half_open.restarted(new, self.custom, self.now);
            }
        }
        self.advance(new, now, done);
    }

    /// Goes on under another strategy: a user's (`custom`), or that of `new`. Half-open begins
    /// its trials anew; calls that are out settle in the same generation.
    pub fn swap_strategy(
        &mut self,
        old: &CircuitBreakerConfig,
        new: &CircuitBreakerConfig,
        custom: bool,
        now: Tick,
        done: &mut Transitions,
    ) {
        self.reconfigure(old, new, now, done);
        self.custom = custom;
        self.skip_looks(self.now);
        if let Some(Phase::HalfOpen(half_open)) = self.past.phase_mut() {
            *half_open = half_open.restarted(new, custom, self.now);
        }
    }

    // (ForcedOpen | ForcedClosed | Disabled | MetricsOnly) => Closed
    pub(super) fn end_order(&mut self, why: Why, at: Tick, done: &mut Transitions) {
        let from = self.state();
        self.past.forced = None;
        self.past.phase = Phase::Closed;
        self.evidence.clear();
        self.past.openings = 0;
        self.past.cause = None;
        self.changed(from, State::Closed, why, false, at, done);
    }
}
