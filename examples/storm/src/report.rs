//! The outcome of a run.

use std::time::Duration;

use crate::claim::Claim;
use crate::figures::{Calls, Figures};
use crate::ledger::Ledger;
use crate::script::{Act, Script};
use crate::world::Side;

/// All figures of a run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) speed: f64,
    pub(crate) took: Duration,
    pub(crate) acts: Vec<ActReport>,
}

/// The figures of a phase, bare and protected.
#[derive(Debug)]
pub(crate) struct ActReport {
    pub(crate) act: Act,
    pub(crate) bare: Figures,
    pub(crate) protected: Figures,
}

impl Report {
    /// The report of a script; `calls` has an item for each of its acts, bare before protected.
    pub(crate) fn acts(ledger: &Ledger, script: &Script, calls: &[[Calls; 2]]) -> Vec<ActReport> {
        let report = |(act, [bare, protected]): (&Act, &[Calls; 2])| ActReport {
            act: *act,
            bare: Figures::of(ledger, act, Side::Bare, *bare),
            protected: Figures::of(ledger, act, Side::Protected, *protected),
        };
        script.acts.iter().zip(calls).map(report).collect()
    }

    /// Whether the protected shop gave in every phase what it owed.
    pub(crate) fn holds(&self) -> bool {
        self.acts.iter().all(|act| act.claims().all(|(_, holds)| holds))
    }
}

impl ActReport {
    /// The claims of the phase, and whether each holds.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (&'static Claim, bool)> {
        let Self { act, bare, protected } = self;
        act.phase.claims.iter().map(|claim| (claim, claim.holds(bare, protected)))
    }

    /// The figures of one side.
    pub(crate) const fn side(&self, side: Side) -> &Figures {
        match side {
            Side::Bare => &self.bare,
            Side::Protected => &self.protected,
        }
    }
}
