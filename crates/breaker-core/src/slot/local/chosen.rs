//! Threads that a proof makes up.

use std::cell::Cell;

use super::{Local, of_thread};

#[cfg(loom)]
use loom::thread_local;
#[cfg(shuttle)]
use shuttle::thread_local;

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "not all of these macros know it")]
    static CHOSEN: Cell<Option<&'static Local>> = Cell::new(None);
}

pub(super) fn local() -> Option<&'static Local> {
    CHOSEN.with(Cell::get)
}

/// From here on this is the thread that runs.
pub(crate) fn be(local: &'static Local) {
    CHOSEN.with(|chosen| chosen.set(Some(local)));
}

/// Another thread.
pub(crate) fn thread() -> &'static Local {
    Box::leak(Box::new(Local::new(of_thread::table())))
}

/// This thread is over.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn end(local: &Local) {
    local.end();
}
