//! Who is admitted, and what those are told who are not.

use super::{Machine, Phase, Refusal, Role, Ticket, bump};
use crate::clock::Tick;
use crate::config::CircuitBreakerConfig;
use crate::percent::Percent;
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
            State::ForcedOpen => return Err(self.refused(self.forced_refusal(self.now))),
            State::ForcedClosed => return Ok(self.ticket(Role::Evidence)),
            State::Disabled => return Ok(self.ticket(Role::Bystander)),
            State::MetricsOnly | State::Closed | State::Open | State::HalfOpen => {}
        }
        let refusal = match (gate, &mut self.phase) {
            (_, Phase::Open { until, .. }) => {
                let retry_after = Some(until.since(self.now));
                Refusal { reason: Reason::Open, retry_after, cause: self.cause }
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

    /// The refusal that an arrival would surely get just now, without asking for admission.
    ///
    /// `None` also where it would depend on the arrival: trials, shares, shadow.
    #[must_use]
    pub fn known_refusal(&self, config: &CircuitBreakerConfig, now: Tick) -> Option<Refusal> {
        let now = self.now.max(now);
        match (&self.forced, &self.phase) {
            (Some(forced), _) => {
                let stands = forced.until.is_none_or(|until| now < until);
                (forced.state == State::ForcedOpen && stands).then(|| self.forced_refusal(now))
            }
            (None, Phase::Open { until, .. }) => {
                let all =
                    config.enforce == Percent::FULL && config.open_refusal_share == Percent::FULL;
                (all && now < *until).then(|| Refusal {
                    reason: Reason::Open,
                    retry_after: Some(until.since(now)),
                    cause: self.cause,
                })
            }
            _ => None,
        }
    }

    /// Counts a refusal that was given by [`known_refusal`](Self::known_refusal) or by a gate.
    pub const fn refused(&mut self, refusal: Refusal) -> Refusal {
        bump(&mut self.totals.refused, true);
        bump(&mut self.refused_here, true);
        refusal
    }

    fn forced_refusal(&self, now: Tick) -> Refusal {
        let until = self.forced.as_ref().and_then(|forced| forced.until);
        Refusal {
            reason: Reason::ForcedOpen,
            retry_after: until.map(|until| until.since(now)),
            cause: None,
        }
    }
}
