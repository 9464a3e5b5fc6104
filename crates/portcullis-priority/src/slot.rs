//! A slot that a call holds: [`Slot`].

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use breaker_core::{FailureKind, Outcome, Priority, Tick};

use crate::desk::{Desk, Taken};
use crate::home::{End, Home};
use crate::limit::Verdict;
use crate::planted::planted;
use crate::pool;

/// One of the slots of a queue, for as long as it is held.
///
/// Dropped, it is given back, and handed over to the first who waits for it. Where the limit
/// follows the callee, [`answered`](Self::answered) says how the call ended; a slot that is dropped
/// without it belonged to a call that was cancelled.
#[must_use = "dropped, the slot is free again"]
pub struct Slot {
    desk: &'static Desk,
    taken: Taken,
    priority: Priority,
    timed: Option<Timed>,
}

/// What is kept of a call whose end matters.
struct Timed {
    home: Arc<Home>,
    /// When it began, unless it has ended already.
    started: Option<Tick>,
}

impl Slot {
    #[inline]
    pub(crate) const fn new(desk: &'static Desk, taken: Taken, priority: Priority) -> Self {
        Self { desk, taken, priority, timed: None }
    }

    /// The same, of a call whose end matters.
    pub(crate) fn timed(self, home: Arc<Home>, started: Tick) -> Self {
        let mut slot = self;
        slot.timed = Some(Timed { home, started: Some(started) });
        slot
    }

    /// How important the call is.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// Whether it matters how the call ends.
    #[inline]
    #[must_use]
    pub const fn wants_outcome(&self) -> bool {
        self.timed.is_some()
    }

    /// Says how the call ended. The slot is held on: until the body of the answer has been sent, for
    /// example.
    pub fn answered(&mut self, outcome: Outcome) {
        self.end(End::of(outcome));
    }

    /// Gives the slot back as if the call had not been made: somebody further in refused it.
    pub fn give_back(mut self) {
        self.end(End::NotMade);
    }

    fn end(&mut self, end: End) {
        let priority = self.priority;
        let Some(timed) = &mut self.timed else { return };
        if let Some(started) = timed.started.take() {
            timed.home.record(started, priority, end);
        }
    }

    /// Runs a part of the call; a panic in it says nothing of the callee's load, and goes on.
    #[inline]
    pub(crate) fn watch<T>(&mut self, part: impl FnOnce() -> T) -> T {
        if self.timed.is_none() {
            return part();
        }
        let watch = Watch(Some(self));
        let value = part();
        watch.release();
        value
    }
}

struct Watch<'a>(Option<&'a mut Slot>);

impl Watch<'_> {
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.answered(Outcome::Failure(FailureKind::Panic));
        }
    }
}

impl Drop for Slot {
    #[inline]
    fn drop(&mut self) {
        if self.timed.is_some() {
            quietly(|| self.end(End::Says(Verdict::Cancelled)));
        }
        let late = planted("unbinds-late");
        if self.taken.bounded && !late {
            self.desk.unbind();
        }
        if self.desk.give_back(self.taken) {
            quietly(|| self.hand_over());
        }
        if self.taken.bounded && late {
            self.desk.unbind();
        }
        if let Some(timed) = &self.timed {
            quietly(|| timed.home.finished(self.priority));
        }
    }
}

/// Does something that may reach an observer. Its panics stay here: a drop must not panic.
#[cold]
pub(crate) fn quietly(work: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(work));
}

impl Slot {
    /// Looks at the queue, after the slot was given back.
    fn hand_over(&self) {
        match self.desk.home().upgrade() {
            Some(home) => home.stir(),
            // Nobody waits at a queue that nobody has.
            None => {
                if self.desk.falls_free() {
                    pool::put(self.desk);
                }
            }
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("priority", &self.priority).finish_non_exhaustive()
    }
}
