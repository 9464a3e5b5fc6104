//! What the concurrent shell asks of the machine, so that it can answer without the lock.

use super::{Machine, Role, Ticket};

impl Machine {
    /// Counts refusals that were given in an older generation.
    pub(crate) fn refused_before(&mut self, n: u64) {
        self.past.totals.refused = self.past.totals.refused.saturating_add(n);
    }
}

/// For the proofs: each success counts in the machine, and not in each shell.
#[cfg(all(test, not(any(loom, shuttle))))]
impl Machine {
    pub(crate) const fn successes_mut(&mut self) -> &mut u64 {
        &mut self.successes
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
