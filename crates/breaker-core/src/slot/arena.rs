//! The stable memory in which circuits live: [`Arena`].
//!
//! A slot is never given back to the allocator, so that handles and permits can refer to it
//! without a reference count; it is used again once its circuit has no handle left. So there are
//! never more slots than there were circuits at a time, give or take those whose end has not been
//! noticed yet: where no slot is free, all are looked through before new ones are made.

use std::sync::{Mutex, PoisonError};

use super::Slot;

/// All slots, and those that are free.
pub(super) struct Arena(Mutex<Slots>);

struct Slots {
    /// In pieces, each as large as all before it, up to [`PIECE`].
    all: Vec<&'static [Slot]>,
    count: usize,
    free: Vec<&'static Slot>,
    /// So many slots, and it is worth looking for some that are free.
    look_at: usize,
}

/// The arena of the process.
pub(super) static ARENA: Arena = Arena::new();

/// With fewer slots than these nobody looks.
const FEW: usize = 64;

/// So many slots are made at once, at the most.
const PIECE: usize = 64;

impl Arena {
    const fn new() -> Self {
        Self(Mutex::new(Slots { all: Vec::new(), count: 0, free: Vec::new(), look_at: FEW }))
    }

    /// Ends circuits that ended unnoticed, if it is time to look for some.
    ///
    /// That runs the user's code, so it is done before any lock is taken.
    pub(super) fn make_room(&self) {
        if self.locked(|slots| slots.free.is_empty() && slots.count >= slots.look_at) {
            self.sweep();
        }
    }

    /// A slot in which no circuit lives.
    pub(super) fn take(&self) -> &'static Slot {
        self.locked(|slots| {
            loop {
                match slots.free.pop() {
                    Some(slot) => return slot,
                    None => slots.grow(),
                }
            }
        })
    }

    /// Takes back a slot whose circuit has ended.
    pub(super) fn give_back(&self, slot: &'static Slot) {
        self.locked(|slots| slots.free.push(slot));
    }

    /// All slots there are.
    pub(super) fn slots(&self) -> Vec<&'static Slot> {
        self.locked(|slots| slots.all.iter().copied().flatten().collect())
    }

    /// Forgets that a slot is free; how many times it was. A model checker's last for one execution.
    #[cfg(all(test, any(loom, shuttle)))]
    pub(super) fn forget(&self, slot: &Slot) -> usize {
        self.locked(|slots| {
            let before = slots.free.len();
            slots.free.retain(|free| !std::ptr::eq(*free, slot));
            before - slots.free.len()
        })
    }

    /// Looks for circuits that ended unnoticed. Since it is done again only at twice as many
    /// slots as are in use, its cost is spread over the circuits that are made.
    fn sweep(&self) {
        for slot in self.slots() {
            slot.end_if_unused();
        }
        self.locked(|slots| {
            let used = slots.count - slots.free.len();
            slots.look_at = FEW.max(slots.count).max(2 * used);
        });
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Slots) -> T) -> T {
        // Nothing in here is left half-done: a list is pushed to or popped from.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Slots {
    fn grow(&mut self) {
        let places = self.count..self.count + self.count.clamp(1, PIECE);
        let piece: Vec<_> = places.map(|place| Slot::vacant(place as u32)).collect();
        let piece: &'static [Slot] = Box::leak(piece.into());
        self.count += piece.len();
        self.all.push(piece);
        self.free.extend(piece.iter().rev());
    }
}
