//! What all circuits of one family share: [`Surroundings`].

use std::sync::Arc;

use super::arena::ARENA;
use crate::clock::Clock;
use crate::events::History;
use crate::observe::{Observe, Observers};
use crate::sync::{AtomicU32, Mutex, Ordering, lock};

/// Clock, observers and history of a family of circuits.
pub(crate) struct Surroundings {
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether that is the machine's own, which nobody need be asked for.
    pub(super) own_clock: bool,
    observers: Mutex<Observers>,
    pub(crate) history: Arc<History>,
    /// Whether there are observers at all, so that nobody takes a lock to find none.
    observed: AtomicU32,
}

impl Surroundings {
    pub(crate) fn new(clock: impl Clock + 'static) -> Self {
        Self {
            own_clock: crate::clock::is_monotonic(&clock),
            clock: Arc::new(clock),
            observers: Mutex::new(Observers::default()),
            history: Arc::new(History::new()),
            observed: AtomicU32::new(0),
        }
    }

    /// Has an observer told from now on, by all circuits of the family.
    pub(crate) fn observe(self: &Arc<Self>, observer: Arc<dyn Observe>) {
        {
            let mut observers = lock(&self.observers);
            *observers = observers.and(observer);
        }
        self.observed.store(1, Ordering::Release);
        // One that is made from here on sees it by itself.
        for slot in ARENA.slots() {
            slot.refresh(self);
        }
    }

    /// The observers, if there are any.
    pub(super) fn observers(&self) -> Option<Observers> {
        self.is_observed().then(|| lock(&self.observers).clone())
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.observed.load(Ordering::Acquire) != 0
    }
}
