//! What each thread notes for itself, so that threads do not share what they write.
//!
//! A thread has one [`Table`] with a few places. A place belongs to one circuit at a time; the
//! thread alone writes there, by plain loads and stores, and who holds the circuit's lock reads.
//! Places change hands under the lock, and tables outlive their threads to be used again, so the
//! memory is bounded by the peak of threads, not by circuits.

#[cfg(test)]
pub(crate) mod chosen;

use std::cell::Cell;
use std::fmt;
use std::ptr;

use super::Slot;
use super::license::{License, Pending};
use crate::clock::Moment;
use crate::planted::planted;
use crate::sync::{AtomicU64, Ordering};

/// The places of one thread, readable by others.
pub(crate) struct Table([Place; PLACES]);

/// What one thread notes about one circuit.
#[derive(Default)]
pub(super) struct Place {
    /// A [`Pending`].
    pub(super) pending: AtomicU64,
    /// Handles that were cloned here, in the upper half, and dropped here, in the lower one.
    pub(super) handles: AtomicU64,
}

/// How many circuits a thread can note for at a time; few under test, so that they get into each
/// other's way.
pub(super) const PLACES: usize = if cfg!(test) { 2 } else { 64 };

/// How many times a circuit must come to a taken place until it gets it.
const PATIENCE: u8 = 8;

const CLONED: u64 = 1 << 32;
const DROPPED: u64 = 1;
/// Either half is about to overflow.
const FULL: u64 = 1 << 63 | 1 << 31;

/// The thread's own side of its table.
pub(crate) struct Local {
    table: &'static Table,
    owners: [Cell<Option<&'static Slot>>; PLACES],
    /// Until when successes may be noted, where that depends on the time.
    until: [Cell<Option<Moment>>; PLACES],
    knocks: Cell<u8>,
    seen: [Cell<Seen>; SEEN],
}

/// Where the circuit of a key was found last, and the epoch in which it admitted.
#[derive(Clone, Copy, Default)]
struct Seen {
    hash: u64,
    epoch: u64,
    slot: Option<&'static Slot>,
}

/// How many keys a thread remembers.
const SEEN: usize = 128;

impl Table {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Place::default()))
    }

    #[inline]
    pub(super) const fn place(&self, place: usize) -> &Place {
        &self.0[place % PLACES]
    }
}

impl Local {
    pub(super) fn new(table: &'static Table) -> Self {
        let owners = std::array::from_fn(|_| Cell::new(None));
        let until = std::array::from_fn(|_| Cell::new(None));
        let seen = std::array::from_fn(|_| Cell::default());
        Self { table, owners, until, knocks: Cell::new(0), seen }
    }

    pub(super) const fn table(&self) -> &'static Table {
        self.table
    }

    /// The place of this circuit, if it has one here.
    #[inline]
    fn place_of(&self, slot: &Slot) -> Option<&'static Place> {
        let place = slot.place();
        match self.owners[place].get() {
            Some(owner) if ptr::eq(owner, slot) => Some(&self.table.0[place]),
            _ => None,
        }
    }

    /// Notes a plain success under `license`; `false` where the lock has to be taken for it.
    #[inline]
    pub(super) fn success(&self, slot: &Slot, license: License) -> bool {
        let until = &self.until[slot.place()];
        self.note(slot, |pending| {
            let any = planted("epoch-unseen") && pending.count() > 0;
            let more = pending.success(if any { License(pending.kind()) } else { license })?;
            let in_time =
                !license.has(License::UNTIL) || until.get()?.is_to_come() || planted("end-unseen");
            in_time.then_some(if license.has(License::IDLE) { pending } else { more })
        })
    }

    /// Notes until when successes may be noted about this circuit, which has a place here.
    pub(super) fn set_until(&self, slot: &Slot, until: Option<Moment>) {
        self.until[slot.place()].set(until);
    }

    /// Notes a refusal under `license`; `false` where the lock has to be taken for it.
    #[inline]
    pub(super) fn refusal(&self, slot: &Slot, license: License) -> bool {
        self.note(slot, |pending| pending.refusal(license))
    }

    #[inline]
    fn note(&self, slot: &Slot, one_more: impl FnOnce(Pending) -> Option<Pending>) -> bool {
        let Some(place) = self.place_of(slot) else { return false };
        // Nobody else writes here while the place is ours, so this need not be one step.
        let pending = Pending(place.pending.load(Ordering::Relaxed));
        let Some(more) = one_more(pending) else { return false };
        place.pending.store(more.0, Ordering::Release);
        true
    }

    /// Notes that a handle was cloned; `false` where the lock has to be taken for it.
    #[inline]
    pub(super) fn cloned(&self, slot: &Slot) -> bool {
        self.count(slot, CLONED)
    }

    /// Notes that a handle was dropped; `false` where the lock has to be taken for it.
    #[inline]
    pub(super) fn dropped(&self, slot: &Slot) -> bool {
        self.count(slot, DROPPED)
    }

    #[inline]
    fn count(&self, slot: &Slot, one: u64) -> bool {
        let Some(place) = self.place_of(slot) else { return false };
        let handles = place.handles.load(Ordering::Relaxed);
        if (handles + one) & FULL != 0 {
            return false;
        }
        place.handles.store(handles + one, Ordering::Release);
        true
    }

    /// The circuit of the key with this hash, and the permit that it gives, if it admits as it did
    /// when it was remembered. An epoch belongs to one circuit, so none that has ended is found.
    #[inline]
    pub(super) fn seen(&self, hash: u64) -> Option<(&'static Slot, u64)> {
        let seen = self.seen[hash as usize % SEEN].get();
        let slot = seen.slot.filter(|_| seen.hash == hash)?;
        let permit = slot.admit_at_once()?;
        (permit == seen.epoch).then_some((slot, permit))
    }

    /// Remembers where a key was found, and the permit that it got.
    pub(super) fn remember(&self, hash: u64, slot: &'static Slot, epoch: u64) {
        self.seen[hash as usize % SEEN].set(Seen { hash, epoch, slot: Some(slot) });
    }

    /// Gives the circuit a place here, unless another has a better claim to it.
    pub(super) fn seat(&self, slot: &'static Slot) -> bool {
        let owner = &self.owners[slot.place()];
        match owner.get() {
            Some(present) if ptr::eq(present, slot) => return true,
            Some(present) => {
                let knocks = self.knocks.get().wrapping_add(1);
                self.knocks.set(knocks);
                if knocks % PATIENCE != 0 {
                    return false;
                }
                present.leave(self.table);
            }
            None => {}
        }
        slot.enter(self.table);
        owner.set(Some(slot));
        true
    }
}

impl Local {
    /// A thread that ends leaves its places to others.
    fn end(&self) {
        for slot in self.owners.iter().filter_map(Cell::take) {
            slot.leave(self.table);
        }
        give_back(self.table);
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

#[cfg(not(all(test, any(loom, shuttle))))]
mod of_thread {
    use super::{Local, Table};
    use crate::sync::{Mutex, lock};

    /// Tables of threads that have ended.
    static SPARE: Mutex<Vec<&'static Table>> = Mutex::new(Vec::new());

    thread_local! {
        static LOCAL: Local = Local::new(table());
    }

    pub(super) fn table() -> &'static Table {
        let spare = lock(&SPARE).pop();
        spare.unwrap_or_else(|| Box::leak(Box::new(Table::new())))
    }

    pub(super) fn give_back(table: &'static Table) {
        lock(&SPARE).push(table);
    }

    /// Does something with what this thread notes; `None` where the thread is ending.
    #[inline]
    pub(crate) fn with_local<T>(act: impl FnOnce(&Local) -> T) -> Option<T> {
        #[cfg(test)]
        if let Some(local) = super::chosen::local() {
            return Some(act(local));
        }
        LOCAL.try_with(act).ok()
    }
}

/// Under a model checker each thread chooses a table of its own, or does without.
#[cfg(all(test, any(loom, shuttle)))]
mod of_thread {
    use super::{Local, Table};

    pub(super) const fn give_back(_: &'static Table) {}

    pub(super) fn table() -> &'static Table {
        Box::leak(Box::new(Table::new()))
    }

    pub(crate) fn with_local<T>(act: impl FnOnce(&Local) -> T) -> Option<T> {
        super::chosen::local().map(act)
    }
}

use of_thread::give_back;
pub(crate) use of_thread::with_local;
