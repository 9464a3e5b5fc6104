//! What circuits let through: [`Pass`].

use breaker_core::{Class, Reason, State as CircuitState};

/// What circuits let through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pass {
    pub(crate) least: Class,
    pub(crate) reason: Reason,
    /// Only some critical calls at a time.
    pub(crate) bounded: bool,
}

impl Pass {
    pub(crate) const ALL: Self = Self { least: Class::Bulk, reason: Reason::Open, bounded: false };

    pub(crate) const fn of(circuit: CircuitState) -> Self {
        match circuit {
            CircuitState::Open | CircuitState::ForcedOpen => {
                Self { least: Class::Critical, reason: Reason::Open, bounded: true }
            }
            CircuitState::HalfOpen => {
                Self { least: Class::High, reason: Reason::BelowShare, bounded: false }
            }
            _ => Self::ALL,
        }
    }
}
