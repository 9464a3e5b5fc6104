//! What only circuits have to which something happened: [`Past`].

use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::outages::Outages;
use super::tuner::Learnt;
use super::{Forced, Phase};
use crate::clock::Tick;
use crate::percent::{Percent, Spread};
use crate::rejected::Cause;
use crate::state::{State, Totals};
use crate::window::Tally;

/// The part of a machine that a healthy circuit has no use for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Past {
    pub(super) phase: Phase,
    pub(super) forced: Option<Forced>,
    /// Consecutive openings, since the circuit was last closed.
    pub(super) openings: u32,
    pub(super) cause: Option<Cause>,
    /// The evidence that opened it, as long as it is open.
    pub(super) opened_by: Tally,
    pub(super) outages: Outages,
    /// What the tuner knows, where there is one.
    pub(super) learnt: Option<Learnt>,
    pub(super) last_slow: Option<Tick>,
    pub(super) leak: Spread,
    /// Those that are not counted in the machine itself.
    pub(super) totals: Totals,
    pub(super) refused_here: u64,
    pub(super) spent: [Duration; State::COUNT],
}

/// A past that takes no memory as long as there is none: a service may have very many circuits,
/// nearly all of which never open.
#[derive(Clone, Debug, Default)]
pub(super) struct Seldom(Option<Box<Past>>);

static NONE: Past = Past {
    phase: Phase::Closed,
    forced: None,
    openings: 0,
    cause: None,
    opened_by: Tally { calls: 0, failures: 0, slow: 0 },
    outages: Outages::NONE,
    learnt: None,
    last_slow: None,
    leak: Spread::new(Percent::ZERO),
    totals: Totals {
        successes: 0,
        failures: 0,
        ignored: 0,
        cancelled: 0,
        refused: 0,
        would_refuse: 0,
        would_open: 0,
        slow: 0,
        late: 0,
    },
    refused_here: 0,
    spent: [Duration::ZERO; State::COUNT],
};

impl Seldom {
    /// The phase, to be changed; `None` while nothing has happened yet, which is closed.
    pub(super) fn phase_mut(&mut self) -> Option<&mut Phase> {
        self.0.as_deref_mut().map(|past| &mut past.phase)
    }

    /// What the tuner knows, to be changed.
    pub(super) fn learnt_mut(&mut self) -> Option<&mut Learnt> {
        self.0.as_deref_mut()?.learnt.as_mut()
    }

    /// Past outages, to be changed, where there are any.
    pub(super) fn outages_mut(&mut self) -> Option<&mut Outages> {
        self.0.as_deref_mut().map(|past| &mut past.outages)
    }
}

impl Deref for Seldom {
    type Target = Past;

    fn deref(&self) -> &Past {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

/// Something happens: from now on there is a past.
impl DerefMut for Seldom {
    fn deref_mut(&mut self) -> &mut Past {
        self.0.get_or_insert_with(|| Box::new(NONE.clone()))
    }
}

impl PartialEq for Seldom {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Seldom {}

impl Hash for Seldom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}
