//! What is told of a step: put together under the lock, and only for those who want it.

use std::time::Duration;

use crate::machine::{Refusal, Settled};
use crate::observe::{EventKind, Interest};
use crate::outcome::Outcome;
use crate::rejected::Rejected;
use crate::slot::{Core, News};
use crate::state::State;

/// What an update starts from.
#[derive(Clone, Copy)]
pub(super) struct Before {
    state: State,
    failures: u32,
}

impl Before {
    pub(super) fn of(core: &Core) -> Self {
        Self { state: core.machine.state(), failures: core.machine.tally().failures }
    }
}

pub(super) fn rejected(core: &Core, refusal: Refusal) -> Rejected {
    let mut rejected = Rejected::new(core.config.name, refusal.reason);
    if let Some(wait) = refusal.retry_after {
        rejected = rejected.with_retry_after(wait);
    }
    match refusal.cause {
        Some(cause) => rejected.with_cause(cause),
        None => rejected,
    }
}

pub(super) fn refuse(core: &Core, refusal: Refusal, news: &mut News, wanted: Interest) -> Rejected {
    let rejected = rejected(core, refusal);
    news.add(wanted, || EventKind::Refused(rejected), Interest::REFUSALS);
    rejected
}

pub(super) fn checked(core: &Core, admitted: bool) -> EventKind {
    let machine = &core.machine;
    EventKind::Checked {
        state: machine.state(),
        failures: machine.tally().failures,
        since_failure: machine.since_failure(),
        trials_in_flight: machine.trials_in_flight(),
        admitted,
    }
}

pub(super) fn tell_settled(
    core: &Core,
    outcome: Outcome,
    settled: Settled,
    duration: Duration,
    before: Before,
    news: &mut News,
    wanted: Interest,
) {
    core.note_share(settled.share, news);
    if core.machine.state() == State::Disabled {
        return;
    }
    let Settled { counted, slow, late, .. } = settled;
    news.add(
        wanted,
        || EventKind::Settled { outcome, counted, duration, slow, late },
        Interest::CALLS,
    );
    news.add(
        wanted,
        || EventKind::Updated {
            from: before.state,
            to: core.machine.state(),
            failures_before: before.failures,
            failures_after: core.machine.tally().failures,
            trials_in_flight: core.machine.trials_in_flight(),
        },
        Interest::STEPS,
    );
}
