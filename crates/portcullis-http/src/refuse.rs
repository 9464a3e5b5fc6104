//! What does a refused caller get? [`Auto`], [`ProblemJson`], [`GrpcStatus`].

use std::convert::Infallible;

use breaker_core::{Refuse, Rejected};
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};

use crate::answer::Style;
use crate::{BoxError, Dialect, answer, fill};

/// The default: a response where the service has no errors, the boxed [`Rejected`] where it has.
///
/// Where the error is `Infallible` (axum, tonic's server), a request whose content type is gRPC
/// gets what [`GrpcStatus`] gives, all others what [`ProblemJson`] gives. Where it is `BoxError`
/// (clients), the caller finds the refusal with [`Rejected::find`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Auto {
    style: Style,
}

impl Auto {
    /// Tells strangers no names.
    #[must_use]
    pub const fn new() -> Self {
        Self { style: STYLE }
    }

    /// Whether answers tell who refused and what opened the circuit. By default they do not.
    #[must_use]
    pub const fn expose_details(mut self, expose: bool) -> Self {
        self.style.expose = expose;
        self
    }

    /// The HTTP status of a timeout, and of a deadline that has passed; default 504. Another one that
    /// fits is 503, where this service is no gateway.
    ///
    /// # Panics
    /// Where it is no status of a failure: not in 400..=599. In a constant it does not compile then.
    #[must_use]
    pub const fn timeouts_as(mut self, status: StatusCode) -> Self {
        assert!(matches!(status.as_u16(), 400..=599), "the status of a failure is in 400..=599");
        self.style.timeouts_as = Some(status);
        self
    }

    pub(crate) fn answer<B>(
        self,
        kind: Dialect,
        path: Option<&str>,
        rejected: Rejected,
    ) -> Response<B>
    where
        B: Default + 'static,
    {
        if kind.is_grpc() {
            self.grpc().answer(kind, rejected)
        } else {
            self.problem().answer(path, rejected)
        }
    }

    pub(crate) const fn grpc(self) -> GrpcStatus {
        GrpcStatus { expose: self.style.expose }
    }

    pub(crate) const fn problem(self) -> ProblemJson {
        ProblemJson { style: self.style }
    }
}

#[diagnostic::do_not_recommend]
impl<B1, B2> Refuse<Request<B1>, Response<B2>, Infallible> for Auto
where
    B2: Default + 'static,
{
    fn refuse(
        &self,
        request: &Request<B1>,
        rejected: Rejected,
    ) -> Result<Response<B2>, Infallible> {
        Ok(self.answer(Dialect::of(request.headers()), Some(request.uri().path()), rejected))
    }
}

#[diagnostic::do_not_recommend]
impl<Req, Res> Refuse<Req, Res, BoxError> for Auto {
    fn refuse(&self, _: &Req, rejected: Rejected) -> Result<Res, BoxError> {
        Err(rejected.into())
    }
}

/// Answers with 503, or 429 where the caller's quota is used up, with `Retry-After` and an RFC 9457
/// problem, whatever the error type. A timeout is a 504 without `Retry-After`.
///
/// A 429 carries the fields of [`RateLimitHeaders::draft10`](crate::RateLimitHeaders::draft10).
///
/// The body is filled where its type is known: `String`, `Vec<u8>`, `Bytes` and, with the feature
/// `axum`, axum's. Any other body stays as its `Default` made it, and there is no content type.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ProblemJson {
    style: Style,
}

impl ProblemJson {
    /// Tells strangers no names.
    #[must_use]
    pub const fn new() -> Self {
        Self { style: STYLE }
    }

    /// Whether answers tell who refused and what opened the circuit. By default they do not.
    #[must_use]
    pub const fn expose_details(mut self, expose: bool) -> Self {
        self.style.expose = expose;
        self
    }

    /// The HTTP status of a timeout, and of a deadline that has passed; default 504. Another one that
    /// fits is 503, where this service is no gateway.
    ///
    /// # Panics
    /// Where it is no status of a failure: not in 400..=599. In a constant it does not compile then.
    #[must_use]
    pub const fn timeouts_as(mut self, status: StatusCode) -> Self {
        assert!(matches!(status.as_u16(), 400..=599), "the status of a failure is in 400..=599");
        self.style.timeouts_as = Some(status);
        self
    }

    /// The head, still without a content type, and the text for the body.
    pub(crate) fn parts(self, path: Option<&str>, rejected: Rejected) -> (Response<()>, String) {
        answer::problem(rejected, path, self.style)
    }

    pub(crate) fn answer<B>(self, path: Option<&str>, rejected: Rejected) -> Response<B>
    where
        B: Default + 'static,
    {
        let (head, text) = self.parts(path, rejected);
        let mut response = head.map(|()| B::default());
        if fill::fill(response.body_mut(), text) {
            response.headers_mut().insert(CONTENT_TYPE, answer::PROBLEM_TYPE);
        }
        response
    }
}

impl<B1, B2, E> Refuse<Request<B1>, Response<B2>, E> for ProblemJson
where
    B2: Default + 'static,
{
    fn refuse(&self, request: &Request<B1>, rejected: Rejected) -> Result<Response<B2>, E> {
        Ok(self.answer(Some(request.uri().path()), rejected))
    }
}

/// Answers with gRPC's `UNAVAILABLE`, or `RESOURCE_EXHAUSTED` where the caller's quota is used up,
/// and the time to wait, whatever the error type.
///
/// All is in the head (a "trailers-only" answer): the status, the message, the push-back in
/// milliseconds, and the details RetryInfo, QuotaFailure (of a quota) and ErrorInfo. A call that
/// costs more than its quota ever holds gets a push-back of -1 and no RetryInfo. A timeout is a
/// `DEADLINE_EXCEEDED`, with neither of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GrpcStatus {
    expose: bool,
}

impl GrpcStatus {
    /// Tells strangers no names.
    #[must_use]
    pub const fn new() -> Self {
        Self { expose: false }
    }

    /// Whether answers tell who refused and what opened the circuit. By default they do not.
    #[must_use]
    pub const fn expose_details(mut self, expose: bool) -> Self {
        self.expose = expose;
        self
    }

    /// The head, which is all there is.
    pub(crate) fn head(self, kind: Dialect, rejected: Rejected) -> Response<()> {
        answer::trailers_only(rejected, kind, self.expose)
    }

    pub(crate) fn answer<B: Default>(self, kind: Dialect, rejected: Rejected) -> Response<B> {
        self.head(kind, rejected).map(|()| B::default())
    }
}

impl<B1, B2, E> Refuse<Request<B1>, Response<B2>, E> for GrpcStatus
where
    B2: Default + 'static,
{
    fn refuse(&self, request: &Request<B1>, rejected: Rejected) -> Result<Response<B2>, E> {
        Ok(self.answer(Dialect::of(request.headers()), rejected))
    }
}

const STYLE: Style = Style { expose: false, timeouts_as: None };
