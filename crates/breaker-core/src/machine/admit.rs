//! Who is admitted, and what those are told who are not.

use super::probes::Arrival;
use super::{Machine, Phase, Refusal, Role, Ticket, bump};
use crate::clock::Tick;
use crate::config::CircuitBreakerConfig;
use crate::percent::Spread;
use crate::rejected::Reason;
use crate::state::{State, Transitions};
use crate::strategy::GateVerdict;

impl Machine {
    /// Asks for admission.
    ///
    /// # Errors
    /// A [`Refusal`], which says why and when to come back.
    pub fn admit(
        &mut self,
        config: &CircuitBreakerConfig,
        now: Tick,
        done: &mut Transitions,
    ) -> Result<Ticket, Refusal> {
        self.admit_past(GateVerdict::Admit, config, now, done)
    }

    /// Asks for admission, past a gate that has said whether the callee's dependencies are there.
    ///
    /// # Errors
    /// A [`Refusal`], which says why and when to come back.
    pub fn admit_past(
        &mut self,
        gate: GateVerdict,
        config: &CircuitBreakerConfig,
        now: Tick,
        done: &mut Transitions,
    ) -> Result<Ticket, Refusal> {
        self.advance(config, now, done);
        match self.state() {
            State::ForcedOpen => return Err(self.refused(self.shut_by_order().refusal(self.now))),
            State::ForcedClosed => return Ok(self.ticket(Role::Evidence)),
            State::Disabled => return Ok(self.ticket(Role::Bystander)),
            State::MetricsOnly | State::Closed | State::Open | State::HalfOpen => {}
        }
        if gate == GateVerdict::Admit && self.is_probe(config) {
            return Ok(self.ticket(Role::Trial));
        }
        let (retry_at, cause) = (self.retry_at(), self.past.cause);
        let refusal = match (gate, self.past.phase_mut()) {
            (_, Some(Phase::Open { until, .. })) if *until > self.now => Refusal {
                reason: Reason::Open,
                retry_after: retry_at.map(|at| at.since(self.now)),
                cause,
            },
            (GateVerdict::Refuse { retry_after }, _) => {
                Refusal { reason: Reason::Dependency, retry_after, cause: None }
            }
            // Not reached: what is due has happened, or was a probe.
            (GateVerdict::Admit, Some(Phase::Open { .. })) => {
                Refusal { reason: Reason::Open, retry_after: None, cause }
            }
            (GateVerdict::Admit, None | Some(Phase::Closed)) => {
                return Ok(self.ticket(Role::Evidence));
            }
            (GateVerdict::Admit, Some(Phase::HalfOpen(half_open))) => {
                match half_open.admit(config, self.now) {
                    Ok(()) => return Ok(self.ticket(Role::Trial)),
                    Err(reason) => Refusal {
                        reason,
                        retry_after: Some(half_open.wait(config, self.now)),
                        cause,
                    },
                }
            }
        };
        if self.lets_pass(config, refusal.reason) {
            return Ok(self.ticket(Role::Bystander));
        }
        Err(self.refused(refusal))
    }

    /// Whether an arrival just now is a probe, while the circuit is open.
    pub(super) fn is_probe(&mut self, config: &CircuitBreakerConfig) -> bool {
        match (self.past.phase_mut(), config.recovery.trickle()) {
            (Some(Phase::Open { until, probes: Some(probes), .. }), Some(rules))
                if *until <= self.now =>
            {
                match probes.arrive(rules, self.now, &mut self.chance) {
                    Arrival::Probe { next } => {
                        *until = next;
                        true
                    }
                    Arrival::TooEarly { due } => {
                        *until = due;
                        false
                    }
                }
            }
            _ => false,
        }
    }

    /// Whether a call that the rules refuse passes all the same: in shadow, or as part of the
    /// share that is not refused or not enforced.
    fn lets_pass(&mut self, config: &CircuitBreakerConfig, reason: Reason) -> bool {
        let enforced = self.past.forced.is_none() && self.enforce.pass(config.enforce);
        if !enforced {
            bump(&mut self.past.totals.would_refuse, true);
        }
        let leaks = |leak: &mut Spread| leak.pass(config.open_refusal_share.rest());
        let passes = !enforced || reason == Reason::Open && leaks(&mut self.past.leak);
        if passes {
            self.count_arrivals(1);
        }
        passes
    }
}
