//! What is asked of a desk, and what it answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use breaker_core::{EventKind, Priority, Rejected, Tick};

use crate::desk::Taken;
use crate::queue::Left;

/// What is to be done once the lock is let go: wakers and observers are code of others.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(super) wakers: Vec<Waker>,
    /// A waker that is used no more: to drop one may drop a task.
    pub(super) old: Option<Waker>,
    pub(super) left: Vec<Left>,
    pub(crate) refused: Option<Rejected>,
    /// Whether somebody wants to hear what happens.
    pub(crate) told: bool,
    pub(crate) events: Vec<EventKind>,
}

impl Out {
    pub(crate) fn new(told: bool) -> Self {
        Self { told, ..Self::default() }
    }

    pub(crate) fn tell(&mut self, event: impl FnOnce() -> EventKind) {
        if self.told {
            self.events.push(event());
        }
    }

    pub(crate) fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            // One that panics must not leave the others asleep.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

/// What a call is told that asks for a slot.
pub(crate) enum Entered {
    Takes(Taken),
    /// It waits on this seat, until then at the latest.
    Waits(u32, Tick),
    Refused(Rejected),
}

/// What a call is told that waits.
pub(crate) enum Turn {
    Takes(Taken, Tick),
    Refused(Rejected),
    /// Until then at the latest.
    Waits(Tick),
}

/// A call that asks for a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    pub(crate) priority: Priority,
    pub(crate) cohort: u8,
    pub(crate) remaining: Option<Duration>,
    pub(crate) may_wait: bool,
}
