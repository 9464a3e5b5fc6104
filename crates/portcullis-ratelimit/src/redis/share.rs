//! What an admitted call holds: [`Share`].

use std::fmt;
use std::sync::Arc;

use breaker_core::{Name, Quota};

use super::leases::Place;
use super::shared::Shared;

/// What an admitted call took out of a shared quota.
///
/// Dropped, it is spent. A call that was not made after all gives it back.
#[must_use = "a share that is dropped is spent"]
pub struct Share {
    shared: Arc<Shared>,
    cost: u32,
    source: Source,
}

/// Where a share comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// Calls that were taken from the store.
    Lease { at: Place, lease: u64 },
    /// One call, taken from the store for a key without a place.
    Store,
    /// The part of this process, while the store is down.
    Own { at: Place },
    /// The same for keys without a place.
    Overflow { shard: u32 },
    /// Nothing was taken.
    Nothing,
}

impl Share {
    pub(super) const fn new(shared: Arc<Shared>, cost: u32, source: Source) -> Self {
        Self { shared, cost, source }
    }

    /// What the call costs.
    #[must_use]
    pub const fn cost(&self) -> u32 {
        self.cost
    }

    /// Whether the call was admitted without the store, because that gave no answer.
    #[must_use]
    pub const fn is_without_store(&self) -> bool {
        self.cost > 0
            && matches!(self.source, Source::Own { .. } | Source::Overflow { .. } | Source::Nothing)
    }

    /// The quota of the key, and what is left of it as far as this process knows; `None` where
    /// nothing is known.
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        match self.source {
            Source::Lease { at, .. } => self.shared.quota_at(at),
            Source::Store | Source::Own { .. } | Source::Overflow { .. } | Source::Nothing => None,
        }
    }

    pub(super) fn name(&self) -> Name {
        self.shared.config.name
    }

    /// Gives the cost back, for a call that was not made: to the lease that it was taken from, if
    /// that is still in force. Else it is lost.
    pub fn give_back(self) {
        self.undo();
    }

    /// The same, where the quota is still asked for. Once only.
    pub(super) fn undo(&self) {
        self.shared.give_back(self.cost, self.source);
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share")
            .field("cost", &self.cost)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
