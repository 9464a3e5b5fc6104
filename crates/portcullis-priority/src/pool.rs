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

// The objects of a model belong to one execution of it.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn desk(config: &QueueConfig) -> &'static Desk {
    Box::leak(Box::new(Desk::new(config)))
}

#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn put(_: &'static Desk) {}
