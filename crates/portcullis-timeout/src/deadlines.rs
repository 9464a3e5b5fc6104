//! Until when a request is of use: [`Deadlines`].

use breaker_core::Deadline;
use http::Request;

/// Reads the deadline of a request, and passes it on to the service inside.
#[diagnostic::on_unimplemented(
    message = "`{Self}` finds no deadline in the request `{Req}`",
    note = "a closure `|request: &Request<Body>| -> Option<Deadline>` goes to `.deadline_fn(..)`; \
            for a service that is not HTTP make the layer by its `generic(config)`"
)]
pub trait Deadlines<Req> {
    /// The deadline of this request, if it has one.
    fn read(&self, request: &Req) -> Option<Deadline>;

    /// Leaves it in the request, where there is room for it. While the call is polled,
    /// [`Deadline::current`] tells it in any case.
    fn pass(&self, request: &mut Req, deadline: Deadline) {
        let _ = (request, deadline);
    }
}

/// The [`Deadline`] in the extensions of a request, or that of the call which makes the request,
/// whichever is earlier.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromRequest;

impl<B> Deadlines<Request<B>> for FromRequest {
    #[inline]
    fn read(&self, request: &Request<B>) -> Option<Deadline> {
        let around = Deadline::current();
        match request.extensions().get::<Deadline>() {
            Some(deadline) => Some(deadline.or_before(around)),
            None => around,
        }
    }

    fn pass(&self, request: &mut Request<B>, deadline: Deadline) {
        if request.extensions().get() != Some(&deadline) {
            request.extensions_mut().insert(deadline);
        }
    }
}

/// The deadline of the call which makes the request: [`Deadline::current`].
#[derive(Clone, Copy, Debug, Default)]
pub struct FromScope;

impl<Req> Deadlines<Req> for FromScope {
    #[inline]
    fn read(&self, _: &Req) -> Option<Deadline> {
        Deadline::current()
    }
}

/// What a closure reads, or what is around the call, whichever is earlier.
#[derive(Clone, Copy, Debug)]
pub struct FromFn<F>(pub(crate) F);

impl<Req, F> Deadlines<Req> for FromFn<F>
where
    F: Fn(&Req) -> Option<Deadline>,
{
    #[inline]
    fn read(&self, request: &Req) -> Option<Deadline> {
        let around = Deadline::current();
        (self.0)(request).map_or(around, |deadline| Some(deadline.or_before(around)))
    }
}
