//! What a map of circuits holds of each: [`Kept`].

use std::sync::Arc;
use std::time::Duration;

use super::{CircuitBreaker, Permit};
use crate::clock::Tick;
use crate::config::CircuitBreakerConfig;
use crate::slot::Slot;

/// A handle that is meant to stay, in the least room.
pub(crate) struct Kept(&'static Slot);

impl Kept {
    pub(super) fn new(slot: &'static Slot) -> Self {
        slot.cloned(true);
        Self(slot)
    }

    pub(crate) fn handle(&self) -> CircuitBreaker {
        self.0.cloned(false);
        CircuitBreaker { slot: self.0, keeps: false }
    }

    /// A permit, where that takes nothing but a look.
    pub(crate) fn acquire_at_once(&self) -> Option<Permit> {
        self.0.admit_at_once().map(|epoch| Permit::new(self.0, epoch))
    }

    /// Whether to forget it would lose nothing and nobody else has a handle.
    pub(crate) fn is_forgettable(
        &self,
        config: &Arc<CircuitBreakerConfig>,
        now: Tick,
        forget_after: Duration,
    ) -> bool {
        self.0.has_one_handle()
            && self.0.see(|core| {
                core.strategy().is_none()
                    && core.gate().is_none()
                    && Arc::ptr_eq(&core.config, config)
                    && core.machine.equals_new(now, forget_after)
            })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.dropped(true);
    }
}
