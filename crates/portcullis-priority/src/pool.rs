//! Desks without an owner. A desk lives for ever and is used again, so there are never more of them
//! than there were queues at a time.

use crate::config::QueueConfig;
use crate::desk::Desk;

#[cfg(not(all(test, any(loom, shuttle))))]
static POOL: std::sync::Mutex<Vec<&'static Desk>> = std::sync::Mutex::new(Vec::new());

/// A desk that nobody uses.
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) fn desk(config: &QueueConfig) -> &'static Desk {
    let used = crate::sync::lock(&POOL).pop();
    used.unwrap_or_else(|| Box::leak(Box::new(Desk::new(config))))
}

/// Puts a desk back that nobody uses any more.
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) fn put(desk: &'static Desk) {
    crate::sync::lock(&POOL).push(desk);
}

// The objects of a model belong to one execution of it, whose threads are all one to the machine.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) use modelled::{desk, put};

#[cfg(all(test, any(loom, shuttle)))]
pub(crate) mod modelled {
    use std::cell::{Cell, RefCell};

    use super::*;

    thread_local! {
        static POOL: RefCell<Vec<&'static Desk>> = const { RefCell::new(Vec::new()) };
        static FAULT: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Another execution begins.
    pub(crate) fn clear() {
        POOL.with_borrow_mut(Vec::clear);
        FAULT.set(None);
    }

    /// Panics if a desk came here that was not free.
    pub(crate) fn check() {
        if let Some(fault) = FAULT.get() {
            panic!("{fault}");
        }
    }

    pub(crate) fn desk(config: &QueueConfig) -> &'static Desk {
        // One that was not free is no desk for others; the end of the model says so.
        let used = if FAULT.get().is_some() { None } else { POOL.with_borrow_mut(Vec::pop) };
        used.unwrap_or_else(|| Box::leak(Box::new(Desk::new(config))))
    }

    pub(crate) fn put(desk: &'static Desk) {
        // It comes out of a drop, which is no place to panic.
        let fault = if desk.running() > 0 {
            Some("a desk falls free while a slot of it is held")
        } else if has(desk) {
            Some("a desk falls free twice")
        } else {
            None
        };
        // The first one is the cause of the others.
        FAULT.set(FAULT.get().or(fault));
        POOL.with_borrow_mut(|pool| pool.push(desk));
    }

    /// Whether it has fallen free and is not used again yet.
    pub(crate) fn has(desk: &'static Desk) -> bool {
        POOL.with_borrow(|pool| pool.iter().any(|other| std::ptr::eq(*other, desk)))
    }
}
