//! What does this answer say about the callee? [`HttpOrGrpc`], [`Http`], [`Grpc`], [`ErrorChain`].

use std::error::Error;

use breaker_core::{Advice, Classify, FailureKind, Outcome, Rejected};
use http::{Extensions, HeaderMap, Response, StatusCode};

use crate::error::{self, outcome_of_any, outcome_of_error};
use crate::{advice, grpc, outcome_of_grpc, outcome_of_status};

/// The default: looks at the content type, then judges as [`Grpc`] or as [`Http`] does.
///
/// An answer that carries a [`Rejected`] in its extensions is no evidence, unless the call [was
/// made](Rejected::was_made) and timed out. One that carries a [`FailureKind`] is a failure of that
/// kind: so a handler can say what its status cannot.
///
/// Of another attempt an answer speaks by `Retry-After`, by the push-back of gRPC and its RetryInfo,
/// by `RateLimit` (and `X-RateLimit-Reset`) where nothing is left, and by `x-should-retry: false`;
/// no wait over [`MAX_RETRY_AFTER`](crate::MAX_RETRY_AFTER) is believed. That a call did not get as
/// far as the callee is known of refusals, and of errors without a connection.
///
/// Of errors it knows `BoxError`, [`Rejected`], [`Failed`](crate::Failed) and `io::Error`, and
/// judges them as [`outcome_of_error`] does. An error of any other type is a connection failure:
/// to look inside a type of your own there is [`ErrorChain`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HttpOrGrpc;

impl<B, E: 'static> Classify<Response<B>, E> for HttpOrGrpc {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        result.map_or_else(outcome_of_any, |response| Head::of(response).http_or_grpc())
    }

    fn is_refusal(&self, result: Result<&Response<B>, &E>) -> bool {
        result.map_or_else(error::is_refusal, |response| Head::of(response).is_refusal())
    }

    fn advice(&self, result: Result<&Response<B>, &E>) -> Advice {
        result.map_or_else(advice::of_any, |response| advice::of_head(&Head::of(response)))
    }
}

/// Judges by the HTTP status alone, as [`outcome_of_status`] does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Http;

impl<B, E: 'static> Classify<Response<B>, E> for Http {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        result.map_or_else(outcome_of_any, |response| Head::of(response).http())
    }

    fn is_refusal(&self, result: Result<&Response<B>, &E>) -> bool {
        result.map_or_else(error::is_refusal, |response| Head::of(response).is_refusal())
    }

    fn advice(&self, result: Result<&Response<B>, &E>) -> Advice {
        result.map_or_else(advice::of_any, |response| advice::of_head(&Head::of(response)))
    }
}

/// Judges by the gRPC status, as [`outcome_of_grpc`] does, whatever the content type.
///
/// A head without a gRPC status is judged by its HTTP status: so a proxy's 503 is a failure.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Grpc;

impl<B, E: 'static> Classify<Response<B>, E> for Grpc {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        result.map_or_else(outcome_of_any, |response| Head::of(response).grpc())
    }

    fn is_refusal(&self, result: Result<&Response<B>, &E>) -> bool {
        result.map_or_else(error::is_refusal, |response| Head::of(response).is_refusal())
    }

    fn advice(&self, result: Result<&Response<B>, &E>) -> Advice {
        result.map_or_else(advice::of_any, |response| advice::of_head(&Head::of(response)))
    }
}

/// [`HttpOrGrpc`] for services with an error type of their own, looked at with all its sources.
///
/// It finds a [`Rejected`] that an inner layer put into a variant of your error, provided that
/// the variant gives it as its `source`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ErrorChain;

impl<B, E: Error + 'static> Classify<Response<B>, E> for ErrorChain {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        result.map_or_else(
            |error| outcome_of_error(error),
            |response| Head::of(response).http_or_grpc(),
        )
    }

    fn is_refusal(&self, result: Result<&Response<B>, &E>) -> bool {
        result.map_or_else(
            |error| error::holds_refusal(error),
            |response| Head::of(response).is_refusal(),
        )
    }

    fn advice(&self, result: Result<&Response<B>, &E>) -> Advice {
        result.map_or_else(
            |error| advice::of_error(error),
            |response| advice::of_head(&Head::of(response)),
        )
    }
}

/// The head of an answer, be it http's or a client's own.
pub(crate) struct Head<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) extensions: &'a Extensions,
}

impl<'a> Head<'a> {
    fn of<B>(response: &'a Response<B>) -> Self {
        Self {
            status: response.status(),
            headers: response.headers(),
            extensions: response.extensions(),
        }
    }

    pub(crate) fn http_or_grpc(&self) -> Outcome {
        if grpc::is_grpc(self.headers) { self.grpc() } else { self.http() }
    }

    pub(crate) fn http(&self) -> Outcome {
        self.typed().unwrap_or_else(|| outcome_of_status(self.status, self.headers))
    }

    pub(crate) fn grpc(&self) -> Outcome {
        if !self.headers.contains_key(grpc::STATUS) {
            return self.http();
        }
        self.typed().unwrap_or_else(|| outcome_of_grpc(self.headers))
    }

    /// Whether the call was not made: a timeout is evidence, although it carries a [`Rejected`].
    pub(crate) fn is_refusal(&self) -> bool {
        self.extensions.get().is_some_and(|rejected: &Rejected| !rejected.was_made())
    }

    fn typed(&self) -> Option<Outcome> {
        if let Some(rejected) = self.extensions.get::<Rejected>() {
            return Some(rejected.outcome());
        }
        self.extensions.get::<FailureKind>().map(|&kind| Outcome::Failure(kind))
    }
}
