//! The admission of one call: [`Permit`].

use std::fmt;
use std::time::Duration;

use super::tell::{Before, tell_settled};
use crate::clock::Tick;
use crate::observe::{EventKind, Interest};
use crate::outcome::{FailureKind, Outcome};
use crate::planted::planted;
use crate::slot::{Slot, Told, go_on};
use crate::state::State;

/// Proof that a call was admitted. It ends exactly once: with an outcome, or dropped.
///
/// A dropped permit is a cancelled call: by default it counts as a timeout if it was already
/// slow, and says nothing otherwise ([`OnDrop`](crate::OnDrop)). Dropping never panics, and waits
/// for nothing but the circuit's short lock.
///
/// A permit does not keep its circuit: one that outlives the last handle says nothing any more.
#[must_use = "a permit that is dropped is a cancelled call"]
pub struct Permit {
    admission: Admission,
}

/// What was admitted.
#[derive(Clone, Copy)]
pub(super) struct Admission {
    pub(super) slot: &'static Slot,
    /// The epoch and the role of the admission; [`ENDED`] once the call has ended.
    pub(super) word: u64,
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
        Self { admission: Admission { slot, word, began: UNKNOWN } }
    }

    /// A permit of the circuit that this thread remembers for a hash, if it admits.
    #[inline]
    pub(crate) fn seen(hash: u64) -> Option<Self> {
        Slot::admit_seen(hash).map(|(slot, epoch)| Self::new(slot, epoch))
    }

    /// Has the thread remember the circuit for this hash.
    pub(crate) fn remember(&self, hash: u64) {
        let Admission { slot, word, .. } = self.admission;
        slot.remember(hash, word);
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
        self.end(outcome);
    }

    /// The call ended. A permit that has ended says nothing any more.
    #[inline]
    pub fn end(&mut self, outcome: Outcome) {
        let Admission { slot, word, began } = self.admission;
        self.admission.word = ENDED;
        let plain = matches!(outcome, Outcome::Success);
        if !plain || !slot.success_at_once(word, known(began)) {
            end(slot, word, began, outcome);
        }
    }

    /// The call ended, and took `duration`.
    pub fn record_timed(mut self, outcome: Outcome, duration: Duration) {
        self.take().end(outcome, Some(duration));
    }

    /// Notes that the call takes time from now on, unless that is noted already.
    pub fn stamp(&mut self) {
        if self.admission.began == UNKNOWN {
            self.admission.began = self.admission.slot.now();
        }
    }

    /// How long the call has taken since it was stamped, or since the last lap; the time runs
    /// anew from the next stamp on.
    ///
    /// For calls that show signs of life: a body whose frames flow is not slow, however long it
    /// is.
    pub fn lap(&mut self) -> Duration {
        let began = self.admission.began();
        self.admission.began = UNKNOWN;
        began.map_or(Duration::ZERO, |began| self.admission.slot.now().since(began))
    }

    /// Does something that may panic, and hands on what it gave. A panic ends the call as a failure of kind
    /// [`Panic`](FailureKind::Panic), and goes on.
    ///
    /// Panics are told apart by position, not by `thread::panicking()`, which is wrong under
    /// `catch_unwind` and true during unrelated panics.
    #[inline]
    pub fn watch<T>(&mut self, act: impl FnOnce() -> T) -> T {
        self.watch_as(Outcome::Failure(FailureKind::Panic), act)
    }

    /// Does something whose panic means `outcome`: a classifier's is not the callee's fault.
    #[inline]
    pub fn watch_as<T>(&mut self, outcome: Outcome, act: impl FnOnce() -> T) -> T {
        let watch = Watch { permit: self, outcome: Some(outcome) };
        let answer = act();
        watch.end();
        answer
    }

    /// The call panicked, and that is known already: what an observer panics with ends here.
    pub fn panicked(mut self) {
        self.take().end_quietly(Outcome::Failure(FailureKind::Panic));
    }

    /// Ends the call while a panic is on its way.
    pub(super) fn give_up(&mut self) {
        self.take().end_quietly(Outcome::Ignored);
    }

    pub(super) const fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The admission, which ends by it for this permit.
    #[inline]
    const fn take(&mut self) -> Admission {
        let ended = Admission { word: ENDED, ..self.admission };
        std::mem::replace(&mut self.admission, ended)
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        let Admission { slot, word, began } = self.admission;
        if word != ENDED {
            self.admission.word = ENDED;
            cancel(slot, word, began);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Admission { slot, word, .. } = self.admission;
        let name = slot.look(|core| core.config.name).filter(|_| slot.knows(word));
        f.debug_struct("Permit").field("breaker", &name).finish_non_exhaustive()
    }
}

#[inline]
fn known(began: Tick) -> Option<Tick> {
    (began != UNKNOWN).then_some(began)
}

/// Ends a call by its parts: a permit whose address nobody knows can live in registers, and to
/// put three words together again costs more than the rest of a call.
#[cold]
#[inline(never)]
fn end(slot: &'static Slot, word: u64, began: Tick, outcome: Outcome) {
    Admission { slot, word, began }.end(outcome, None);
}

#[cold]
#[inline(never)]
fn end_quietly(slot: &'static Slot, word: u64, began: Tick, outcome: Outcome) {
    Admission { slot, word, began }.end_quietly(outcome);
}

#[cold]
#[inline(never)]
fn cancel(slot: &'static Slot, word: u64, began: Tick) {
    Admission { slot, word, began }.cancel();
}

// ===== impl Admission =====

impl Admission {
    fn began(self) -> Option<Tick> {
        known(self.began)
    }

    #[cold]
    fn end(self, outcome: Outcome, known: Option<Duration>) {
        let told = self.settle(outcome, known);
        self.slot.consult();
        go_on(told);
    }

    #[cold]
    fn end_quietly(self, outcome: Outcome) {
        let _quiet = self.settle(outcome, None);
        self.slot.consult();
    }

    /// Ends the call; hands back what an observer panicked with.
    fn settle(self, outcome: Outcome, known: Option<Duration>) -> Told {
        let Self { slot, word, .. } = self;
        if word == ENDED {
            return Ok(());
        }
        let began = self.began();
        let well = outcome == Outcome::Success;
        let license = slot.license();
        let timed = !well || known.is_some() || license.asks_when(began.is_some());
        let now = if timed { slot.now() } else { Tick::ZERO };
        let measured =
            began.filter(|_| !well || license.asks_how_long()).map(|began| now.since(began));
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

    /// Ends a call that was dropped.
    #[cold]
    fn cancel(self) {
        let Self { slot, word, .. } = self;
        let now = slot.now();
        let elapsed = self.began().map(|began| now.since(began));
        if planted("trial-leaks") {
            return;
        }
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

/// A permit while something is done that may panic.
struct Watch<'a> {
    permit: &'a mut Permit,
    outcome: Option<Outcome>,
}

impl Watch<'_> {
    #[inline]
    fn end(mut self) {
        self.outcome = None;
    }
}

impl Drop for Watch<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.filter(|_| !planted("panic-unseen")) {
            let Admission { slot, word, began } = self.permit.admission;
            self.permit.admission.word = ENDED;
            end_quietly(slot, word, began, outcome);
        }
    }
}
