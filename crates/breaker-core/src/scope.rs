//! What holds around the call that is polled on this thread: [`scoped`].

use std::cell::Cell;
use std::thread::LocalKey;

/// Where a thread keeps what holds around the call that it polls.
pub(crate) type Around<T> = LocalKey<Cell<Option<T>>>;

/// Runs a part of a call around which this holds, and puts back what was there before, also after a
/// panic.
pub(crate) fn scoped<T: Copy + 'static, R>(
    around: &'static Around<T>,
    value: T,
    part: impl FnOnce() -> R,
) -> R {
    let _restore = Restore { around, before: around.replace(Some(value)) };
    part()
}

struct Restore<T: Copy + 'static> {
    around: &'static Around<T>,
    before: Option<T>,
}

impl<T: Copy + 'static> Drop for Restore<T> {
    fn drop(&mut self) {
        self.around.set(self.before);
    }
}
