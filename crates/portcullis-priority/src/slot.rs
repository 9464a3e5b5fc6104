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
    fate: Fate,
    timed: Option<Timed>,
}

/// What it means for the call if its slot is dropped now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Cancelled,
    Panicked,
    /// Nothing: it has been said how the call ended.
    Ended,
}

/// What is kept of a call whose end matters.
struct Timed {
    home: Arc<Home>,
    started: Tick,
}

impl Slot {
    #[inline]
    pub(crate) const fn new(desk: &'static Desk, taken: Taken, priority: Priority) -> Self {
        Self { desk, taken, priority, fate: Fate::Cancelled, timed: None }
    }

    /// The same, of a call whose end matters, and which began then.
    #[inline]
    pub(crate) fn timed(self, home: &Arc<Home>, started: Option<Tick>) -> Self {
        let mut slot = self;
        slot.timed = Some(Timed::new(home, started));
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
        self.not_made();
    }

    /// Says that the call was not made.
    #[inline]
    pub(crate) fn not_made(&mut self) {
        self.end(End::NotMade);
    }

    #[inline]
    fn end(&mut self, end: End) {
        if let Some(timed) = &self.timed {
            if std::mem::replace(&mut self.fate, Fate::Ended) != Fate::Ended {
                timed.end(self.priority, end);
            }
        }
    }

    /// Runs a part of the call; a panic in it says nothing of the callee's load, and goes on.
    #[inline]
    pub(crate) fn watch<T>(&mut self, part: impl FnOnce() -> T) -> T {
        let fate = std::mem::replace(&mut self.fate, Fate::Panicked);
        let value = part();
        self.fate = fate;
        value
    }

    /// Gives the slot back: what dropping it does. Where this is called, the slot need not be
    /// written to memory first.
    #[inline(always)]
    #[allow(clippy::mem_forget, reason = "its parts are given back in its place")]
    pub(crate) fn release(mut self) {
        let Self { desk, taken, priority, fate, .. } = self;
        let timed = self.timed.take();
        std::mem::forget(self);
        give_back(desk, taken, priority, fate, timed);
    }
}

impl Timed {
    #[inline(never)]
    fn new(home: &Arc<Home>, started: Option<Tick>) -> Self {
        let started = started.unwrap_or_else(|| home.now());
        Self { home: home.clone(), started }
    }

    #[cold]
    fn end(&self, priority: Priority, end: End) {
        self.home.record(self.started, priority.class(), end);
    }
}

impl Drop for Slot {
    #[inline]
    fn drop(&mut self) {
        give_back(self.desk, self.taken, self.priority, self.fate, self.timed.take());
    }
}

/// Gives a slot back, in its parts.
#[inline(always)]
fn give_back(
    desk: &'static Desk,
    taken: Taken,
    priority: Priority,
    fate: Fate,
    timed: Option<Timed>,
) {
    if timed.is_some() || taken.bounded {
        give_more_back(desk, taken, priority, fate, timed);
    } else if desk.give_back(taken) {
        hand_over(desk);
    }
}

/// Gives back what is more than a number.
#[cold]
fn give_more_back(
    desk: &'static Desk,
    taken: Taken,
    priority: Priority,
    fate: Fate,
    timed: Option<Timed>,
) {
    let end = match fate {
        Fate::Cancelled => Some(End::Says(Verdict::Cancelled)),
        Fate::Panicked => Some(End::of(Outcome::Failure(FailureKind::Panic))),
        Fate::Ended => None,
    };
    if let (Some(timed), Some(end)) = (&timed, end) {
        quietly(|| timed.end(priority, end));
    }
    let late = planted("unbinds-late");
    if taken.bounded && !late {
        desk.unbind();
    }
    if desk.give_back(taken) {
        hand_over(desk);
    }
    if taken.bounded && late {
        desk.unbind();
    }
    if let Some(timed) = timed {
        quietly(move || timed.home.finished(priority));
    }
}

/// Does something that may reach an observer. Its panics stay here: a drop must not panic.
#[cold]
pub(crate) fn quietly(work: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(work));
}

/// Looks at the queue, after a slot was given back.
#[cold]
fn hand_over(desk: &'static Desk) {
    quietly(|| match desk.home().upgrade() {
        Some(home) => home.stir(),
        // Nobody waits at a queue that nobody has.
        None => {
            if desk.falls_free() {
                pool::put(desk);
            }
        }
    });
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("priority", &self.priority).finish_non_exhaustive()
    }
}
