//! The primitives of the concurrent shell. It takes them from here and from nowhere else, so that
//! model checkers can put their own in their place.

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
#[cfg(all(test, loom))]
pub(crate) use {
    crate::models::atomics::{AtomicU32, AtomicU64},
    loom::sync::{Mutex, MutexGuard, atomic::Ordering},
};

/// Takes the lock, also after a panic elsewhere.
///
/// What these locks guard is never left half-done: no code of the user's runs under them but a
/// [`LimitAlgorithm`](crate::LimitAlgorithm), and what it changes is its own.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
