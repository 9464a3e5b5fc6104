//! Where the state of a circuit lives: [`Slot`].
//!
//! A slot is stable memory, used by one circuit after the other. A call on a healthy circuit only
//! reads it: the [`License`] says that the arrival is admitted, and at the end that a success says
//! nothing, or that it may be noted by thread and taken in later. Whatever else happens takes the
//! lock and goes through the machine, which then issues the license anew.
//!
//! ```text
//!  license ── ADMITS ──> permit with its epoch          REFUSES ──> until, cause, name: no lock
//!     |                        |                            |
//!     |                 success, same epoch            noted by thread
//!     |                  IDLE: nothing                      |
//!     |                  ADDS: noted by thread ─────────────┤
//!     |                        | anything else              |
//!     └──── issued by ──── lock: fold what is noted, step the machine, write history, publish
//! ```

mod arena;
mod around;
mod claims;
mod inner;
mod license;
mod local;
mod look;
#[cfg(all(test, loom))]
mod models;
mod names;
#[cfg(all(test, shuttle))]
mod schedules;
mod step;
mod words;

use std::fmt;

use crate::name::Name;
use crate::planted::planted;
use crate::state::Transitions;
use crate::sync::{AtomicU32, Mutex, Ordering, lock};

use arena::ARENA;
pub(crate) use around::Surroundings;
pub(crate) use inner::Core;
use inner::Inner;
pub(crate) use license::License;
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) use local::Local;
#[cfg(test)]
pub(crate) use local::chosen;
use local::{PLACES, Table, with_local};
pub(crate) use step::{News, Told, go_on};
use words::Words;

/// The place of one circuit.
pub(crate) struct Slot {
    words: Words,
    /// Handles that are meant to stay.
    keepers: AtomicU32,
    inner: Mutex<Inner>,
    /// Its place in the tables of threads.
    place: u32,
}

// ===== who lives here =====

impl Slot {
    /// A slot in which no circuit lives.
    fn vacant(place: u32) -> Self {
        Self {
            words: Words::default(),
            keepers: AtomicU32::new(0),
            inner: Mutex::new(Inner::default()),
            place,
        }
    }

    /// Looks for slots whose circuits ended unnoticed, where it is time to; before
    /// [`with`](Self::with), and outside of all locks, since what ends there is the user's.
    pub(crate) fn make_room() {
        ARENA.make_room();
    }

    /// A slot in which this circuit lives, with one handle that is meant to stay.
    pub(crate) fn with(core: Core) -> &'static Self {
        let slot = ARENA.take();
        slot.begin(core);
        slot
    }

    fn begin(&self, core: Core) {
        let mut inner = lock(&self.inner);
        // What threads have noted of an earlier circuit goes with it.
        inner.fold(self.place(), &mut Transitions::new());
        inner.era.begin(&core.machine);
        inner.core = Some(core);
        inner.count_handle(1);
        self.keepers.store(1, Ordering::Relaxed);
        // No license of an earlier circuit is gone on with.
        self.words.withdraw();
        self.publish(&mut inner);
    }

    /// One handle more; one that is meant to stay, if `keeps`.
    #[inline]
    pub(crate) fn cloned(&'static self, keeps: bool) {
        if keeps && self.keepers.fetch_add(1, Ordering::AcqRel) == 0 {
            self.orphan();
        }
        if with_local(|local| local.cloned(self)) != Some(true) {
            self.count_slowly(1);
        }
    }

    /// One handle less.
    #[inline]
    pub(crate) fn dropped(&'static self, kept: bool) {
        // First, as long as this handle counts: then the slot may be another circuit's.
        if kept && !planted("keeper-goes-last") {
            self.keeps_no_more();
        }
        if with_local(|local| local.dropped(self)) != Some(true) {
            self.count_slowly(-1);
        }
        if kept && planted("keeper-goes-last") {
            self.keeps_no_more();
        }
        // Without one that is meant to stay, each that goes may be the last.
        if self.words.license().has(License::ORPHANED) {
            self.end_if_unused();
        }
    }

    fn keeps_no_more(&self) {
        if self.keepers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.orphan();
        }
    }

    #[cold]
    fn count_slowly(&'static self, by: i64) {
        let seated = with_local(|local| local.seat(self).then(|| local.table())).flatten();
        let mut inner = lock(&self.inner);
        inner.count_handle(by);
        if let Some(table) = seated {
            // It may have been full.
            inner.collect_handles(self.place(), table);
        }
    }

    /// Notes whether there is a handle that is meant to stay.
    #[cold]
    fn orphan(&self) {
        self.publish(&mut lock(&self.inner));
    }

    /// Issues the license that follows from the machine's state, and from the handles there are.
    fn publish(&self, inner: &mut Inner) {
        let orphaned = self.keepers.load(Ordering::Acquire) == 0;
        self.words.publish(inner, orphaned);
    }

    /// Ends the circuit if it has no handle left.
    #[cold]
    fn end_if_unused(&'static self) {
        if let Some(ended) = self.end() {
            ARENA.give_back(self);
            // The clock, observers and strategies in it are the user's code: not under the lock.
            drop(ended);
        }
    }

    fn end(&self) -> Option<Core> {
        let mut inner = lock(&self.inner);
        if inner.core.is_none() || inner.handles(self.place()) > 0 {
            return None;
        }
        self.words.withdraw();
        inner.core.take()
    }

    /// For the proofs: one handle less, and nobody notices.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn lose_handle(&self) {
        lock(&self.inner).count_handle(-1);
    }

    /// Whether there is one handle only.
    pub(crate) fn has_one_handle(&self) -> bool {
        lock(&self.inner).handles(self.place()) == 1
    }

    /// Its place in the tables of threads.
    const fn place(&self) -> usize {
        self.place as usize % PLACES
    }

    fn enter(&self, table: &'static Table) {
        lock(&self.inner).enter(table);
    }

    fn leave(&self, table: &'static Table) {
        lock(&self.inner).leave(self.place(), table);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Copied out first: who writes may ask the circuit.
        let seen = self.look(|core| {
            let partition = core.partition.as_deref().map(Name::cut);
            (core.config.name, core.machine.state(), partition)
        });
        let mut text = f.debug_struct("CircuitBreaker");
        if let Some((name, state, partition)) = seen {
            text.field("name", &name).field("state", &state).field("partition", &partition);
        }
        text.finish_non_exhaustive()
    }
}
