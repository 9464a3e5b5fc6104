//! The lock of the concurrent shell.

pub(crate) use std::sync::{Mutex, MutexGuard};

/// Takes the lock, also after a panic elsewhere.
///
/// What these locks guard is never left half-done: no code of the user's runs under them but `Eq`,
/// `Hash` and `Clone` of a key, which are asked before anything is changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
