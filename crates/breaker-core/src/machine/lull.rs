//! Successes in bulk: when they may wait, and how they are taken in together.

#[cfg(test)]
mod tests;

use super::{Machine, Phase, Role, bump_by};
use crate::clock::Tick;
use crate::config::CircuitBreakerConfig;
use crate::outcome::Outcome;
use crate::state::{State, Transitions};
use crate::window::Lull;

impl Machine {
    /// What a plain success does from here, and until when (exclusive) that answer stands; `None`
    /// if time does not change it.
    ///
    /// Anything else that happens to the machine ends the answer, too.
    pub(crate) fn lull(&self, config: &CircuitBreakerConfig) -> (Lull, Option<Tick>) {
        if !self.is_at_rest() || self.custom {
            return (Lull::Matters, None);
        }
        let (lull, until) = self.tuner_lull(config, self.evidence_lull(config));
        match lull {
            Lull::Nothing if config.counts_successes() => (Lull::Adds, until),
            // To take in one by one what could wait is always right.
            Lull::Matters => (Lull::Matters, None),
            _ => (lull, until),
        }
    }

    /// Takes in `n` plain successes of the present generation: the same as to settle them one by
    /// one at the latest moment that was seen, but faster.
    pub(crate) fn settle_successes(
        &mut self,
        config: &CircuitBreakerConfig,
        n: u32,
        done: &mut Transitions,
    ) {
        if n == 0 {
            return;
        }
        let ticket = self.ticket(Role::Evidence);
        self.advance(config, self.now, done);
        let mut rest = n;
        // Each of these may open the circuit, and then those that follow are late; or it may be
        // the one from which on the tuner learns again.
        while rest > 0
            && ticket.generation == self.generation
            && (self.may_trip(config) || self.learns_nothing(config))
        {
            self.settle(config, ticket, Outcome::Success, None, self.now, done);
            rest -= 1;
        }
        if ticket.generation != self.generation {
            self.late_successes(rest);
        } else if self.state() != State::Disabled {
            bump_by(&mut self.successes, rest);
            if matches!(self.past.phase, Phase::Closed) && self.state() != State::ForcedOpen {
                self.evidence.record_successes(rest, self.now);
                self.learn_successes(rest);
            }
        }
    }

    /// Takes in `n` successes of an older generation: they decide nothing.
    pub(crate) fn late_successes(&mut self, n: u32) {
        if self.state() != State::Disabled {
            bump_by(&mut self.successes, n);
            bump_by(&mut self.past.totals.late, n);
        }
    }

    /// Whether a success may open the circuit.
    fn may_trip(&self, config: &CircuitBreakerConfig) -> bool {
        let judged = matches!(self.past.phase, Phase::Closed) && !self.custom && self.is_live();
        judged && self.evidence_lull(config).0 == Lull::Matters
    }

    fn evidence_lull(&self, config: &CircuitBreakerConfig) -> (Lull, Option<Tick>) {
        let tuned = self.tuned_trip(config);
        self.evidence.lull(tuned.as_ref().unwrap_or(&config.trip), self.now)
    }
}
