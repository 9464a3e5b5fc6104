//! What does a refused caller get? [`Auto`], [`ProblemJson`], [`GrpcStatus`].

use std::convert::Infallible;

use breaker_core::{Refuse, Rejected};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response};

use crate::{BoxError, answer, fill, grpc};

/// The default: a response where the service has no errors, the boxed [`Rejected`] where it has.
///
/// Where the error is `Infallible` (axum, tonic's server), a request whose content type is gRPC
/// gets what [`GrpcStatus`] gives, all others what [`ProblemJson`] gives. Where it is `BoxError`
/// (clients), the caller finds the refusal with [`Rejected::find`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Auto {
    expose: bool,
}

impl Auto {
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

    fn answer<B1, B2>(self, request: &Request<B1>, rejected: Rejected) -> Response<B2>
    where
        B2: Default + 'static,
    {
        if grpc::is_grpc(request.headers()) {
            self.grpc().answer(request, rejected)
        } else {
            self.problem().answer(request, rejected)
        }
    }

    pub(crate) const fn grpc(self) -> GrpcStatus {
        GrpcStatus { expose: self.expose }
    }

    pub(crate) const fn problem(self) -> ProblemJson {
        ProblemJson { expose: self.expose }
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
        Ok(self.answer(request, rejected))
    }
}

#[diagnostic::do_not_recommend]
impl<Req, Res> Refuse<Req, Res, BoxError> for Auto {
    fn refuse(&self, _: &Req, rejected: Rejected) -> Result<Res, BoxError> {
        Err(rejected.into())
    }
}

/// Answers with 503, or 429 where the caller's quota is used up, with `Retry-After` and an RFC 9457
/// problem, whatever the error type.
///
/// A 429 carries the fields of [`RateLimitHeaders::draft10`](crate::RateLimitHeaders::draft10).
///
/// The body is filled where its type is known: `String`, `Vec<u8>`, `Bytes` and, with the feature
/// `axum`, axum's. Any other body stays as its `Default` made it, and there is no content type.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ProblemJson {
    expose: bool,
}

impl ProblemJson {
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

    /// The head, still without a content type, and the text for the body.
    pub(crate) fn parts(self, path: &str, rejected: Rejected) -> (Response<()>, String) {
        answer::problem(rejected, path, self.expose)
    }

    fn answer<B1, B2>(self, request: &Request<B1>, rejected: Rejected) -> Response<B2>
    where
        B2: Default + 'static,
    {
        let (head, text) = self.parts(request.uri().path(), rejected);
        let mut response = head.map(|()| B2::default());
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
        Ok(self.answer(request, rejected))
    }
}

/// Answers with gRPC's `UNAVAILABLE`, or `RESOURCE_EXHAUSTED` where the caller's quota is used up,
/// and the time to wait, whatever the error type.
///
/// All is in the head (a "trailers-only" answer): the status, the message, the push-back in
/// milliseconds, and the details RetryInfo, QuotaFailure (of a quota) and ErrorInfo. A call that
/// costs more than its quota ever holds gets a push-back of -1 and no RetryInfo.
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
    pub(crate) fn head(self, request: &HeaderMap, rejected: Rejected) -> Response<()> {
        answer::trailers_only(rejected, request, self.expose)
    }

    fn answer<B1, B2: Default>(self, request: &Request<B1>, rejected: Rejected) -> Response<B2> {
        self.head(request.headers(), rejected).map(|()| B2::default())
    }
}

impl<B1, B2, E> Refuse<Request<B1>, Response<B2>, E> for GrpcStatus
where
    B2: Default + 'static,
{
    fn refuse(&self, request: &Request<B1>, rejected: Rejected) -> Result<Response<B2>, E> {
        Ok(self.answer(request, rejected))
    }
}
