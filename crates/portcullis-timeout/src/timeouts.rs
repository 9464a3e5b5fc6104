//! Whose timeout a request has: one for all, or one per key.

use std::fmt;
use std::hash::Hash;

use breaker_core::{Key, Rejected, Tick};

use crate::handle::AdaptiveTimeout;
use crate::keyed::AdaptiveTimeouts;
use crate::watch::Timing;

/// Where a layer finds the timeout of a request.
///
/// [`ForAll`] is one timeout for all requests, [`PerKey`] one per key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` finds no timeout for the request `{Req}`",
    note = "the key was made for another kind of request: see `.keyed(key)` and `.keyed_fn(f)`"
)]
pub trait Timeouts<Req> {
    /// The timeout of this request.
    fn timing(&self, request: &Req) -> Timing;

    /// The present moment.
    fn now(&self) -> Tick;

    /// Refuses a call whose deadline has passed.
    fn too_late(&self, now: Tick) -> Rejected;
}

/// One timeout for all requests.
#[derive(Clone, Debug)]
pub struct ForAll(pub(crate) AdaptiveTimeout);

impl<Req> Timeouts<Req> for ForAll {
    #[inline]
    fn timing(&self, _: &Req) -> Timing {
        self.0.timing(self.0.home.is_alone())
    }

    fn now(&self) -> Tick {
        self.0.home.now()
    }

    fn too_late(&self, now: Tick) -> Rejected {
        let home = &self.0.home;
        home.company().too_late(home.name(), now)
    }
}

/// One timeout per key; requests without a key share one.
#[derive(Clone)]
pub struct PerKey<F, K> {
    pub(crate) key: F,
    pub(crate) timeouts: AdaptiveTimeouts<K>,
}

impl<Req, F, K> Timeouts<Req> for PerKey<F, K>
where
    F: Key<Req, Key = K>,
    K: Clone + Eq + Hash,
{
    #[inline]
    fn timing(&self, request: &Req) -> Timing {
        self.timeouts.timing(self.key.key(request).as_ref())
    }

    fn now(&self) -> Tick {
        self.timeouts.unmatched().home.now()
    }

    fn too_late(&self, now: Tick) -> Rejected {
        let home = &self.timeouts.unmatched().home;
        home.company().too_late(home.name(), now)
    }
}

/// Without the key, so that a closure is no hindrance.
impl<F, K> fmt::Debug for PerKey<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}
