//! The primitives of the concurrent shell. It takes them from here and from nowhere else, so that
//! model checkers can put their own in their place.

#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(all(test, loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard};

/// Takes the lock, also after a panic elsewhere.
///
/// What these locks guard is never left half-done: no code of the user's runs under them but `Eq`,
/// `Hash` and `Clone` of a key, which are asked before anything is changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
