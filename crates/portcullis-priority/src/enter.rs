//! What a layer finds out about a request: [`Enter`].

use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use breaker_core::{Key, Prioritize, Priority};

use crate::handle::Call;

/// What a layer asks of a request before it gets a slot: how important it is, whose it is, and how
/// long its caller waits.
///
/// [`ByPriority`] asks for the first, [`FairBy`] adds the second, [`Within`] the third; for
/// [`Equal`] all are alike.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know how important the request `{Req}` is",
    note = "the default reads requests of `http`; a closure \
            `|request: &Request<Body>| -> Option<Priority>` goes to `.priority_fn(..)`, \
            one that tells users apart to `.fair_by_fn(..)`"
)]
pub trait Enter<Req> {
    /// Whether it tells calls apart by their priority. Where it does not, the calls that a call
    /// makes keep the priority of whatever it is part of.
    const WEIGHS: bool = true;

    /// What is known of the request.
    fn call(&self, request: &Req) -> Call;

    /// Tells whoever is further in how important the request is.
    fn mark(&self, request: &mut Req, priority: Priority) {
        let _ = (request, priority);
    }
}

/// All requests are alike.
#[derive(Clone, Copy, Debug, Default)]
pub struct Equal;

impl<Req> Enter<Req> for Equal {
    const WEIGHS: bool = false;

    #[inline]
    fn call(&self, _: &Req) -> Call {
        Call::new(Priority::NORMAL)
    }
}

/// Requests are as important as `P` says. Those of which it knows nothing are as important as the
/// call that makes them ([`Priority::current`]), or else normal.
#[derive(Clone, Copy)]
pub struct ByPriority<P>(pub(crate) P);

impl<Req, P: Prioritize<Req>> Enter<Req> for ByPriority<P> {
    #[inline]
    fn call(&self, request: &Req) -> Call {
        let priority = self.0.priority(request).or_else(Priority::current);
        Call::new(priority.unwrap_or_default())
    }

    #[inline]
    fn mark(&self, request: &mut Req, priority: Priority) {
        self.0.mark(request, priority);
    }
}

/// The same, and users take turns within a class.
#[derive(Clone, Copy)]
pub struct FairBy<E, F> {
    pub(crate) enter: E,
    pub(crate) user: F,
}

impl<Req, E, F> Enter<Req> for FairBy<E, F>
where
    E: Enter<Req>,
    F: Key<Req>,
    F::Key: Hash,
{
    const WEIGHS: bool = E::WEIGHS;

    fn call(&self, request: &Req) -> Call {
        let call = self.enter.call(request);
        match self.user.key(request) {
            Some(user) => call.user(user),
            None => call,
        }
    }

    fn mark(&self, request: &mut Req, priority: Priority) {
        self.enter.mark(request, priority);
    }
}

/// The same, and a closure says how long the caller waits.
#[derive(Clone, Copy)]
pub struct Within<E, F> {
    pub(crate) enter: E,
    pub(crate) remaining: F,
}

impl<Req, E, F> Enter<Req> for Within<E, F>
where
    E: Enter<Req>,
    F: Fn(&Req) -> Option<Duration>,
{
    const WEIGHS: bool = E::WEIGHS;

    fn call(&self, request: &Req) -> Call {
        let call = self.enter.call(request);
        match (self.remaining)(request) {
            Some(remaining) => call.remaining(remaining),
            None => call,
        }
    }

    fn mark(&self, request: &mut Req, priority: Priority) {
        self.enter.mark(request, priority);
    }
}

impl<P> fmt::Debug for ByPriority<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByPriority").finish_non_exhaustive()
    }
}

impl<E: fmt::Debug, F> fmt::Debug for FairBy<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairBy").field("enter", &self.enter).finish_non_exhaustive()
    }
}

impl<E: fmt::Debug, F> fmt::Debug for Within<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within").field("enter", &self.enter).finish_non_exhaustive()
    }
}
