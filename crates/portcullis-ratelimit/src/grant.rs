//! An admission that can be given back: [`Grant`].

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use breaker_core::{FailureKind, Name, Outcome, Quota, Rejected, Tick};

/// An admission: the cost of the call has been taken.
///
/// Dropped, the cost stays taken: the call was made, however it ended. As long as it has not begun,
/// or where a layer further in refused it, [`give_back`](Self::give_back) undoes the admission.
#[must_use = "dropped, the call stays paid for; one that is not made is given back"]
pub struct Grant {
    home: Arc<dyn Home>,
    taken: Tick,
    cost: u32,
    // A `Place`, spread out: as a struct of its own it would take eight bytes more.
    index: u32,
    age: u32,
    shard: u16,
    /// Whether outcomes moved the rate when it was admitted.
    adjusts: bool,
}

mod sealed {
    /// Nobody else's admissions: they have to be ended once and no more.
    pub trait Sealed {}
}

pub(crate) use sealed::Sealed;

impl Sealed for Grant {}

/// What holds an admission, in the future of its call.
pub trait Admission: Sealed {
    /// Undoes the admission, once: the call was not made.
    #[doc(hidden)]
    fn undo(&self);

    /// Says how the call ended.
    fn record(self, outcome: Outcome);

    /// Whether it matters how the call ends.
    fn wants_outcome(&self) -> bool;

    /// The name of the limit, and what it grants, where that is known.
    fn quota(&self) -> Option<(Name, Quota)>;

    /// Runs a part of the call; a panic in it goes on, and is recorded where it matters.
    fn watch<T>(&self, part: impl FnOnce() -> T) -> T;
}

impl Admission for Grant {
    fn undo(&self) {
        Self::undo(self);
    }

    fn record(self, outcome: Outcome) {
        Self::record(self, outcome);
    }

    #[inline]
    fn wants_outcome(&self) -> bool {
        Self::wants_outcome(self)
    }

    fn quota(&self) -> Option<(Name, Quota)> {
        Some(Self::quota(self))
    }

    #[inline]
    fn watch<T>(&self, part: impl FnOnce() -> T) -> T {
        Self::watch(self, part)
    }
}

/// Where a bucket is kept.
pub(crate) trait Home: Send + Sync {
    /// Gives back what a call took.
    fn give_back(&self, place: Place, taken: Tick, cost: u32);

    /// Whether outcomes move the rate.
    fn adjusts(&self) -> bool;

    /// Takes in what a call said.
    fn record(&self, outcome: Outcome);

    /// The name of the limit, and what it grants.
    fn quota(&self, place: Place) -> (Name, Quota);

    /// What a call that waits does next.
    fn turn(&self, place: Place, who: (u64, u32), waker: &Waker) -> Turning;

    /// Takes a call out of the line that has given up.
    fn leave(&self, place: Place, number: u64);
}

/// What a call that waits does next, with what it needs to do it.
#[derive(Debug)]
pub(crate) enum Turning {
    /// It goes; its cost was taken at this moment.
    Go(Tick),
    /// It is refused.
    Refused(Rejected),
    /// It sleeps until it is woken, that long at most.
    Sleep(Duration),
}

/// Which of the buckets of a home.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) shard: u16,
    pub(crate) index: u32,
    /// Which of those that stood there one after the other.
    pub(crate) age: u32,
}

impl Place {
    pub(crate) const ONLY: Self = Self { shard: 0, index: 0, age: 0 };
}

impl Grant {
    #[inline]
    pub(crate) const fn new(
        home: Arc<dyn Home>,
        Place { shard, index, age }: Place,
        (taken, cost): (Tick, u32),
        adjusts: bool,
    ) -> Self {
        Self { home, taken, cost, index, age, shard, adjusts }
    }

    const fn place(&self) -> Place {
        Place { shard: self.shard, index: self.index, age: self.age }
    }

    /// What it cost.
    #[must_use]
    pub const fn cost(&self) -> u32 {
        self.cost
    }

    /// Undoes the admission: as if the call had not come.
    pub fn give_back(self) {
        self.undo();
    }

    /// The same, where the quota is still asked for. Once only.
    pub(crate) fn undo(&self) {
        self.home.give_back(self.place(), self.taken, self.cost);
    }

    /// Says how the call ended, which may move the rate; see [`Adjust`](crate::Adjust).
    pub fn record(self, outcome: Outcome) {
        self.home.record(outcome);
    }

    /// Whether it matters how the call ends.
    #[inline]
    #[must_use]
    pub const fn wants_outcome(&self) -> bool {
        self.adjusts
    }

    /// The name of the limit, what it grants and what is left of it by now.
    #[must_use]
    pub fn quota(&self) -> (Name, Quota) {
        self.home.quota(self.place())
    }

    /// Runs a part of the call; a panic in it is recorded, and goes on.
    #[inline]
    pub(crate) fn watch<T>(&self, part: impl FnOnce() -> T) -> T {
        if !self.adjusts {
            return part();
        }
        let mut watch = Watch { home: Some(&*self.home) };
        let value = part();
        watch.home = None;
        value
    }
}

/// Records a panic, unless it is called off before.
struct Watch<'a> {
    home: Option<&'a dyn Home>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some(home) = self.home {
            let panic = Outcome::Failure(FailureKind::Panic);
            // An observer that panics now would end the process: one panic is on its way already.
            let _ = catch_unwind(AssertUnwindSafe(|| home.record(panic)));
        }
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("cost", &self.cost).finish_non_exhaustive()
    }
}
