//! What a proof moves by hand: the time of the process, and which thread it is.
//!
//! All of it belongs to the thread that runs the test. A model checker runs its threads as
//! coroutines of one thread, so that they share the time.

use std::cell::Cell;

thread_local! {
    static NANOS: Cell<Option<u64>> = const { Cell::new(None) };
    static LOCKS: Cell<u64> = const { Cell::new(0) };
}

/// The time of the process, where it is moved by hand.
pub(crate) fn nanos() -> Option<u64> {
    NANOS.get()
}

/// Moves the time of the process.
pub(crate) fn set_nanos(nanos: u64) {
    NANOS.set(Some(nanos));
}

/// Counts a lock that is taken.
pub(crate) fn count_lock() {
    LOCKS.set(LOCKS.get() + 1);
}

/// How many locks this thread has taken.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn locks() -> u64 {
    LOCKS.get()
}
