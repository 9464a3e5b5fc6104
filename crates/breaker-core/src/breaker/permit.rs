//! The admission of one call: [`Permit`], and the [`PanicGuard`] around code that may panic.

use std::fmt;
use std::time::Duration;

use super::tell::{Before, tell_settled};
use crate::clock::Tick;
use crate::observe::{EventKind, Interest};
use crate::outcome::{FailureKind, Outcome};
use crate::slot::{Slot, Told, go_on};
use crate::state::State;

/// Proof that a call was admitted. It ends exactly once: with an outcome, or dropped.
///
/// A dropped permit is a cancelled call: by default it counts as a timeout if it was already
/// slow, and says nothing otherwise ([`OnDrop`](crate::OnDrop)). Dropping never panics and never
/// blocks.
#[must_use = "a permit that is dropped is a cancelled call"]
pub struct Permit {
    slot: &'static Slot,
    /// The epoch and the role of the admission; [`ENDED`] once the call has ended.
    word: u64,
    /// When the call began, or [`UNKNOWN`].
    began: Tick,
}

/// No epoch is zero.
const ENDED: u64 = 0;

/// No call begins at the end of time.
const UNKNOWN: Tick = Tick::MAX;

impl Permit {
    #[inline]
    pub(crate) const fn new(slot: &'static Slot, word: u64) -> Self {
        Self { slot, word, began: UNKNOWN }
    }

    /// The call ended well.
    #[inline]
    pub fn success(self) {
        self.record(Outcome::Success);
    }

    /// The call failed.
    pub fn failure(self, kind: FailureKind) {
        self.record(Outcome::Failure(kind));
    }

    /// The call ended.
    #[inline]
    pub fn record(mut self, outcome: Outcome) {
        let plain = matches!(outcome, Outcome::Success);
        if plain && self.slot.success_at_once(self.word, self.began()) {
            self.word = ENDED;
        } else {
            self.record_slowly(outcome, None);
        }
    }

    /// The call ended, and took `duration`.
    pub fn record_timed(mut self, outcome: Outcome, duration: Duration) {
        self.record_slowly(outcome, Some(duration));
    }

    #[cold]
    fn record_slowly(&mut self, outcome: Outcome, known: Option<Duration>) {
        let told = self.settle(outcome, known);
        self.slot.consult();
        go_on(told);
    }

    /// Notes that the call takes time from now on, unless that is noted already.
    pub fn stamp(&mut self) {
        if self.began == UNKNOWN {
            self.began = self.slot.now();
        }
    }

    /// How long the call has taken since it was stamped, or since the last lap; the time runs
    /// anew from the next stamp on.
    ///
    /// For calls that show signs of life: a body whose frames flow is not slow, however long it
    /// is.
    pub fn lap(&mut self) -> Duration {
        let began = self.began();
        self.began = UNKNOWN;
        began.map_or(Duration::ZERO, |began| self.slot.now().since(began))
    }

    /// Puts the permit around a piece of code that may panic.
    #[inline]
    pub fn guard(self) -> PanicGuard {
        self.guard_as(Outcome::Failure(FailureKind::Panic))
    }

    /// Puts the permit around a piece of code whose panic means `outcome`.
    #[inline]
    pub fn guard_as(self, outcome: Outcome) -> PanicGuard {
        PanicGuard { permit: Some(self), outcome }
    }

    pub(super) const fn slot(&self) -> &'static Slot {
        self.slot
    }

    pub(super) const fn word(&self) -> u64 {
        self.word
    }

    #[inline]
    fn began(&self) -> Option<Tick> {
        (self.began != UNKNOWN).then_some(self.began)
    }

    /// Ends the permit; hands back what an observer panicked with.
    fn settle(&mut self, outcome: Outcome, known: Option<Duration>) -> Told {
        let word = std::mem::replace(&mut self.word, ENDED);
        if word == ENDED {
            return Ok(());
        }
        let (slot, began) = (self.slot, self.began());
        let well = outcome == Outcome::Success;
        let timed = !well || slot.times_successes(began.is_some());
        let now = if timed { slot.now() } else { Tick::ZERO };
        let measured = began.filter(|_| timed).map(|began| now.since(began));
        let duration = known.or(measured);
        let stepped = slot.step_quietly(|inner, done, news, wanted| {
            let ticket = inner.ticket(word);
            let (Some(ticket), Some(core)) = (ticket, inner.core()) else { return };
            let before = Before::of(core);
            let settled = core.machine.settle(&core.config, ticket, outcome, duration, now, done);
            let duration = duration.unwrap_or_default();
            tell_settled(core, outcome, settled, duration, before, news, wanted);
        });
        if well {
            slot.begin_to_note();
        }
        stepped.told
    }

    /// Ends the permit of a call that was dropped.
    #[cold]
    fn cancel(&mut self) {
        let word = std::mem::replace(&mut self.word, ENDED);
        let (slot, began) = (self.slot, self.began());
        let now = slot.now();
        let elapsed = began.map(|began| now.since(began));
        // A drop must not panic: what an observer panicked with ends here.
        let _quiet = slot.step_quietly(|inner, done, news, wanted| {
            let ticket = inner.ticket(word);
            let (Some(ticket), Some(core)) = (ticket, inner.core()) else { return };
            let before = Before::of(core);
            let settled = core.machine.cancel(&core.config, ticket, elapsed, now, done);
            let elapsed = elapsed.unwrap_or_default();
            match settled {
                Some(settled) => {
                    let timeout = Outcome::Failure(FailureKind::Timeout);
                    tell_settled(core, timeout, settled, elapsed, before, news, wanted);
                }
                None if core.machine.state() == State::Disabled => {}
                None => news.add(wanted, || EventKind::Cancelled { elapsed }, Interest::CALLS),
            }
        });
        slot.consult();
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if self.word != ENDED {
            self.cancel();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.slot.look(|core| core.config.name).filter(|_| self.slot.knows(self.word));
        f.debug_struct("Permit").field("breaker", &name).finish_non_exhaustive()
    }
}

/// A permit around a piece of code that may panic: dropped without being released, it records
/// the panic.
///
/// Panics are told apart by position, not by `thread::panicking()`, which is wrong under
/// `catch_unwind` and true during unrelated panics.
#[derive(Debug)]
#[must_use = "dropped at once it records a panic"]
pub struct PanicGuard {
    permit: Option<Permit>,
    outcome: Outcome,
}

impl PanicGuard {
    /// The code has ended without a panic: the permit goes on.
    #[inline]
    pub fn release(mut self) -> Permit {
        match self.permit.take() {
            Some(permit) => permit,
            None => unreachable!("a guard holds its permit until it is released"),
        }
    }
}

impl Drop for PanicGuard {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut permit) = self.permit.take() {
            // Already panicking: what an observer panics with ends here.
            let _ = permit.settle(self.outcome, None);
            permit.slot.consult();
        }
    }
}
