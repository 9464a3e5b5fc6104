//! What the concurrent shell asks of the machine, so that it can answer without the lock.

use super::{Machine, Phase, Role, Ticket};
use crate::clock::Tick;
use crate::config::CircuitBreakerConfig;
use crate::percent::Percent;
use crate::rejected::{Cause, Reason};
use crate::state::State;

/// The refusal that every arrival gets before a moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Standing {
    pub(crate) until: Tick,
    /// When another attempt makes sense, where that is known.
    pub(crate) retry_at: Option<Tick>,
    pub(crate) reason: Reason,
    pub(crate) cause: Option<Cause>,
}

impl Machine {
    /// What every arrival is told from now on, and until when.
    pub(crate) fn standing(&self, config: &CircuitBreakerConfig) -> Option<Standing> {
        match (&self.forced, &self.phase) {
            (Some(forced), _) => (forced.state == State::ForcedOpen).then(|| Standing {
                until: forced.until.unwrap_or(Tick::MAX),
                retry_at: forced.until,
                reason: Reason::ForcedOpen,
                cause: None,
            }),
            (None, &Phase::Open { until, .. }) => {
                let all =
                    config.enforce == Percent::FULL && config.open_refusal_share == Percent::FULL;
                let retry_at = Some(until);
                all.then_some(Standing { until, retry_at, reason: Reason::Open, cause: self.cause })
            }
            _ => None,
        }
    }

    /// Counts refusals that were given by [`standing`](Self::standing); `late` are those of an
    /// older generation.
    pub(crate) const fn refuse_many(&mut self, n: u64, late: bool) {
        self.totals.refused = self.totals.refused.saturating_add(n);
        if !late {
            self.refused_here = self.refused_here.saturating_add(n);
        }
    }
}

/// For the proofs: each success counts in the machine, and not in each shell.
#[cfg(all(test, not(any(loom, shuttle))))]
impl Machine {
    pub(crate) const fn totals_mut(&mut self) -> &mut crate::state::Totals {
        &mut self.totals
    }
}

impl Ticket {
    /// What `role_bits` says of a ticket of this generation.
    pub(crate) const fn of(generation: u64, bits: u64) -> Self {
        let role = match bits & 3 {
            0 => Role::Evidence,
            1 => Role::Trial,
            _ => Role::Bystander,
        };
        Self { generation, role }
    }

    /// The role in two bits; evidence is 0.
    pub(crate) const fn role_bits(self) -> u64 {
        match self.role {
            Role::Evidence => 0,
            Role::Trial => 1,
            Role::Bystander => 2,
        }
    }
}
