//! Until when every arrival is surely refused, so that nobody need ask the machine meanwhile.

use super::{Machine, Phase, Refusal};
use crate::clock::Tick;
use crate::config::CircuitBreakerConfig;
use crate::percent::Percent;
use crate::rejected::{Cause, Reason};
use crate::state::State;

/// A time in which every arrival is refused in the same way.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Shut {
    /// Every arrival before this moment is refused; [`Tick::MAX`] where no end is known.
    pub until: Tick,
    /// The moment that refusals point to: no earlier than `until`.
    pub retry_at: Option<Tick>,
    /// Why.
    pub reason: Reason,
    /// What opened the circuit.
    pub cause: Option<Cause>,
}

impl Shut {
    /// What an arrival at `now` is told.
    #[must_use]
    pub fn refusal(&self, now: Tick) -> Refusal {
        let Self { retry_at, reason, cause, .. } = *self;
        Refusal { reason, retry_after: retry_at.map(|at| at.since(now)), cause }
    }
}

impl Machine {
    /// Until when every arrival is surely refused, whatever else arrives or ends, unless an
    /// operator or another configuration intervenes; `None` where it depends on the arrival:
    /// trials, shares, shadow.
    ///
    /// A shell may refuse by itself meanwhile, without asking, if it brings the number of its
    /// refusals home by [`refuse_many`](Self::refuse_many) before the next thing that it does.
    #[must_use]
    pub fn open_until(&self, config: &CircuitBreakerConfig) -> Option<Shut> {
        match (&self.past.forced, &self.past.phase) {
            (Some(forced), _) => (forced.state == State::ForcedOpen).then(|| self.shut_by_order()),
            (None, Phase::Open { until, .. }) => {
                let all =
                    config.enforce == Percent::FULL && config.open_refusal_share == Percent::FULL;
                let (reason, cause) = (Reason::Open, self.past.cause);
                all.then(|| Shut { until: *until, retry_at: self.retry_at(), reason, cause })
            }
            _ => None,
        }
    }

    /// The refusal that an arrival would surely get just now, without asking for admission.
    ///
    /// `None` also where it would depend on the arrival: trials, shares, shadow.
    #[must_use]
    pub fn known_refusal(&self, config: &CircuitBreakerConfig, now: Tick) -> Option<Refusal> {
        let now = self.now.max(now);
        self.open_until(config).filter(|shut| now < shut.until).map(|shut| shut.refusal(now))
    }

    /// Counts a refusal that was given by [`known_refusal`](Self::known_refusal) or by a gate.
    pub fn refused(&mut self, refusal: Refusal) -> Refusal {
        self.refuse_many(1);
        refusal
    }

    /// Counts `n` refusals that were given as [`open_until`](Self::open_until) said: the same as
    /// if each of them had asked for admission at its time.
    pub fn refuse_many(&mut self, n: u64) {
        self.past.totals.refused = self.past.totals.refused.saturating_add(n);
        self.past.refused_here = self.past.refused_here.saturating_add(n);
        self.count_arrivals(n);
    }

    /// Counts arrivals while the circuit is open, which tell how often to probe.
    pub(super) fn count_arrivals(&mut self, n: u64) {
        if let Some(Phase::Open { probes: Some(probes), .. }) = self.past.phase_mut() {
            probes.count(n);
        }
    }

    /// An order that ends at the end of time ends never.
    pub(super) fn shut_by_order(&self) -> Shut {
        let until = self.past.forced.as_ref().and_then(|forced| forced.until);
        let retry_at = until.filter(|until| *until < Tick::MAX);
        let until = until.unwrap_or(Tick::MAX);
        Shut { until, retry_at, reason: Reason::ForcedOpen, cause: None }
    }
}
