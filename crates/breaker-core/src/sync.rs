//! The primitives of the concurrent shell. It takes them from here and from nowhere else, so that
//! a model checker can put its own in their place.

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering, fence},
};
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering, fence},
};
#[cfg(all(test, loom))]
pub(crate) use {
    crate::proofs::atomics::{AtomicU32, AtomicU64},
    loom::sync::{
        Mutex, MutexGuard,
        atomic::{Ordering, fence},
    },
};

/// Takes the lock, also after a panic elsewhere.
///
/// What these locks guard is never left half-done: the machine's own steps do not panic, and no
/// code of the user's runs under them but `Eq`, `Hash` and `Clone` of a key, whose map is changed
/// in an order that bears a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(test)]
    crate::proofs::hooks::count_lock();
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
