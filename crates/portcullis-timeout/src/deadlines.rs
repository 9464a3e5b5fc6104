//! Until when a request is of use, where it does not say so itself: [`FromScope`], [`Remaining`].

use std::time::Duration;

use breaker_core::{Deadline, Tick};
use portcullis_http::deadline::ReadDeadline;

/// The deadline of the call which makes the request: [`Deadline::current`].
#[derive(Clone, Copy, Debug, Default)]
pub struct FromScope;

impl<Req> ReadDeadline<Req> for FromScope {
    #[inline]
    fn deadline(&self, _: &Req, _: impl FnOnce() -> Tick) -> Option<Deadline> {
        Deadline::current()
    }
}

/// The time that is left by what a closure says, or the deadline around the call, whichever is
/// earlier.
#[derive(Clone, Copy, Debug)]
pub struct Remaining<F>(pub(crate) F);

impl<Req, F> ReadDeadline<Req> for Remaining<F>
where
    F: Fn(&Req) -> Option<Duration>,
{
    #[inline]
    fn deadline(&self, request: &Req, now: impl FnOnce() -> Tick) -> Option<Deadline> {
        let around = Deadline::current();
        (self.0)(request)
            .map_or(around, |left| Some(Deadline::after(now(), left).or_before(around)))
    }
}
