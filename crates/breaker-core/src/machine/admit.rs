//! Who is admitted, and what those are told who are not.

use super::shut::Shut;
use super::{Machine, Phase, Refusal, Role, Ticket, bump};
use crate::clock::Tick;
use crate::config::CircuitBreakerConfig;
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
        let refusal = match (gate, &mut self.phase) {
            (_, Phase::Open { until, .. }) => {
                Shut { until: *until, reason: Reason::Open, cause: self.cause }.refusal(self.now)
            }
            (GateVerdict::Refuse { retry_after }, _) => {
                Refusal { reason: Reason::Dependency, retry_after, cause: None }
            }
            (GateVerdict::Admit, Phase::Closed) => return Ok(self.ticket(Role::Evidence)),
            (GateVerdict::Admit, Phase::HalfOpen(half_open)) => {
                match half_open.admit(config, self.now) {
                    Ok(()) => return Ok(self.ticket(Role::Trial)),
                    Err(reason) => Refusal {
                        reason,
                        retry_after: Some(half_open.wait(config, self.now)),
                        cause: self.cause,
                    },
                }
            }
        };
        if self.lets_pass(config, refusal.reason) {
            return Ok(self.ticket(Role::Bystander));
        }
        Err(self.refused(refusal))
    }

    /// Whether a call that the rules refuse passes all the same: in shadow, or as part of the
    /// share that is not refused or not enforced.
    fn lets_pass(&mut self, config: &CircuitBreakerConfig, reason: Reason) -> bool {
        let enforced = self.forced.is_none() && self.enforce.pass(config.enforce);
        if !enforced {
            bump(&mut self.totals.would_refuse, true);
            return true;
        }
        reason == Reason::Open && self.leak.pass(config.open_refusal_share.rest())
    }
}
