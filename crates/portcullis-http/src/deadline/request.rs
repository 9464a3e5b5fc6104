//! Until when the answer to a request is of use: [`from_request`].

use std::time::Duration;

use breaker_core::{Deadline, Tick};
use http::{Extensions, HeaderMap, Request};

use super::grpc_timeout_of;
use super::words::{timeout_ms_of, write};

/// Until when is the answer to this request of use to its caller?
///
/// [`from_request`] answers it for requests of `http`. So does a closure `Fn(&Req) ->
/// Option<Duration>` for any request, with the time that is left; it passes nothing on.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell the deadline of a request `{Req}`",
    note = "for a rule of your own: a closure `|request: &Req| -> Option<Duration>`, with the time \
            that is left"
)]
pub trait ReadDeadline<Req> {
    /// The deadline, where there is one. `now` is called where the request says how much time is
    /// left, and not otherwise: most requests do not cost a look at the clock.
    fn deadline(&self, request: &Req, now: impl FnOnce() -> Tick) -> Option<Deadline>;

    /// Tells those further in.
    fn pass_on(&self, request: &mut Req, deadline: Deadline, now: Tick) {
        let _ = (request, deadline, now);
    }
}

/// Reads the deadline of a request. The earliest of these counts:
///
/// 1. A [`Deadline`] in the extensions of the request.
/// 2. That of the call which makes the request, [`Deadline::current`].
/// 3. The time that is left by `grpc-timeout` or [`X_TIMEOUT_MS`](super::X_TIMEOUT_MS), from now on.
///    A header that is there twice, or says nonsense, is as if it were absent.
///
/// Anybody can write a header; whatever a stranger sends, it shortens his own call at most.
///
/// It is passed on in the extensions, and in the header that the protocol has: `grpc-timeout` where
/// the content type is one of gRPC, else `x-timeout-ms`.
///
/// ```
/// # use std::time::Duration;
/// # use breaker_core::{Deadline, Tick};
/// # use http::Request;
/// use portcullis_http::deadline::{self, ReadDeadline};
///
/// let request = Request::builder().header("x-timeout-ms", "250").body(()).unwrap();
/// let until = deadline::from_request().deadline(&request, || Tick::from_millis(1_000));
/// assert_eq!(until, Some(Deadline::at(Tick::from_millis(1_250))));
/// ```
#[must_use]
pub const fn from_request() -> RequestDeadline {
    RequestDeadline(())
}

/// What [`from_request`] makes.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestDeadline(());

impl<B> ReadDeadline<Request<B>> for RequestDeadline {
    fn deadline(&self, request: &Request<B>, now: impl FnOnce() -> Tick) -> Option<Deadline> {
        earliest(known(request.extensions()), said_in(request.headers()), now)
    }

    fn pass_on(&self, request: &mut Request<B>, deadline: Deadline, now: Tick) {
        request.extensions_mut().insert(deadline);
        write(request.headers_mut(), deadline.left(now));
    }
}

#[diagnostic::do_not_recommend]
impl<F, Req> ReadDeadline<Req> for F
where
    F: Fn(&Req) -> Option<Duration>,
{
    fn deadline(&self, request: &Req, now: impl FnOnce() -> Tick) -> Option<Deadline> {
        self(request).map(|left| Deadline::after(now(), left))
    }
}

/// The deadline that stands in the extensions or around the call, whichever is earlier.
pub(crate) fn known(extensions: &Extensions) -> Option<Deadline> {
    let assigned = extensions.get().copied();
    let around = Deadline::current();
    assigned.map_or(around, |assigned: Deadline| Some(assigned.or_before(around)))
}

/// The time that is left by what the headers say.
pub(crate) fn said_in(headers: &HeaderMap) -> Option<Duration> {
    [grpc_timeout_of(headers), timeout_ms_of(headers)].into_iter().flatten().min()
}

pub(crate) fn earliest(
    known: Option<Deadline>,
    said: Option<Duration>,
    now: impl FnOnce() -> Tick,
) -> Option<Deadline> {
    said.map_or(known, |left| Some(Deadline::after(now(), left).or_before(known)))
}
