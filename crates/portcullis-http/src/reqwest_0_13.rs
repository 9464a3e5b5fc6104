//! The client reqwest 0.13, whose requests, responses and errors are types of its own.

use std::any::Any;
use std::error::Error;

use breaker_core::{
    About, Advice, Classify, Deadline, Expire, Outcome, Refuse, Rejected, Replay, Tick,
};
use http::header::CONTENT_TYPE;
use reqwest::{Request, Response, ResponseBuilderExt as _, Url};

use crate::classify::Head;
use crate::deadline::{self, ReadDeadline, RequestDeadline};
use crate::error::{self, outcome_of_any, outcome_of_error};
use crate::replay::{self, Clones};
use crate::{
    Auto, Dialect, ErrorChain, Grpc, GrpcStatus, Http, HttpOrGrpc, ProblemJson, advice, answer,
    grpc, outcome_of_status,
};

/// What an error of the client says, where it knows more than its message.
pub(crate) fn outcome(link: &(dyn Error + 'static)) -> Option<Outcome> {
    let error: &reqwest::Error = link.downcast_ref()?;
    if error.is_builder() {
        // The request was never sent.
        return Some(Outcome::Ignored);
    }
    // `error_for_status` has dropped the headers.
    Some(outcome_of_status(error.status()?, &http::HeaderMap::new()))
}

/// Whether the client had no connection to send the request on.
pub(crate) fn is_unsent(link: &(dyn Error + 'static)) -> bool {
    link.downcast_ref().is_some_and(reqwest::Error::is_connect)
}

/// The client's error as an error with sources.
pub(crate) fn error(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    let error: &reqwest::Error = error.downcast_ref()?;
    Some(error)
}

fn head(response: &Response) -> Head<'_> {
    Head {
        status: response.status(),
        headers: response.headers(),
        extensions: response.extensions(),
    }
}

fn carries_refusal(response: &Response) -> bool {
    head(response).is_refusal()
}

impl<E: 'static> Classify<Response, E> for HttpOrGrpc {
    fn classify(&self, result: Result<&Response, &E>) -> Outcome {
        result.map_or_else(outcome_of_any, |response| head(response).http_or_grpc())
    }

    fn is_refusal(&self, result: Result<&Response, &E>) -> bool {
        result.map_or_else(error::is_refusal, carries_refusal)
    }

    fn advice(&self, result: Result<&Response, &E>) -> Advice {
        result.map_or_else(advice::of_any, |response| advice::of_head(&head(response)))
    }
}

impl<E: 'static> Classify<Response, E> for Http {
    fn classify(&self, result: Result<&Response, &E>) -> Outcome {
        result.map_or_else(outcome_of_any, |response| head(response).http())
    }

    fn is_refusal(&self, result: Result<&Response, &E>) -> bool {
        result.map_or_else(error::is_refusal, carries_refusal)
    }

    fn advice(&self, result: Result<&Response, &E>) -> Advice {
        result.map_or_else(advice::of_any, |response| advice::of_head(&head(response)))
    }
}

impl<E: 'static> Classify<Response, E> for Grpc {
    fn classify(&self, result: Result<&Response, &E>) -> Outcome {
        result.map_or_else(outcome_of_any, |response| head(response).grpc())
    }

    fn is_refusal(&self, result: Result<&Response, &E>) -> bool {
        result.map_or_else(error::is_refusal, carries_refusal)
    }

    fn advice(&self, result: Result<&Response, &E>) -> Advice {
        result.map_or_else(advice::of_any, |response| advice::of_head(&head(response)))
    }
}

impl<E: Error + 'static> Classify<Response, E> for ErrorChain {
    fn classify(&self, result: Result<&Response, &E>) -> Outcome {
        result
            .map_or_else(|error| outcome_of_error(error), |response| head(response).http_or_grpc())
    }

    fn is_refusal(&self, result: Result<&Response, &E>) -> bool {
        result.map_or_else(|error| error::holds_refusal(error), carries_refusal)
    }

    fn advice(&self, result: Result<&Response, &E>) -> Advice {
        result.map_or_else(
            |error| advice::of_error(error),
            |response| advice::of_head(&head(response)),
        )
    }
}

/// A client whose error cannot carry a refusal gets a response, as a server would send it.
#[diagnostic::do_not_recommend]
impl Refuse<Request, Response, reqwest::Error> for Auto {
    fn refuse(&self, request: &Request, rejected: Rejected) -> Result<Response, reqwest::Error> {
        if grpc::is_grpc(request.headers()) {
            self.grpc().refuse(request, rejected)
        } else {
            self.problem().refuse(request, rejected)
        }
    }
}

impl<E> Refuse<Request, Response, E> for ProblemJson {
    fn refuse(&self, request: &Request, rejected: Rejected) -> Result<Response, E> {
        Ok(self.respond(request.url(), Some(request.url().path()), rejected))
    }
}

impl<E> Refuse<Request, Response, E> for GrpcStatus {
    fn refuse(&self, request: &Request, rejected: Rejected) -> Result<Response, E> {
        Ok(self.respond(request.url(), Dialect::of(request.headers()), rejected))
    }
}

impl ProblemJson {
    fn respond(self, url: &Url, path: Option<&str>, rejected: Rejected) -> Response {
        let (mut head, text) = self.parts(path, rejected);
        head.headers_mut().insert(CONTENT_TYPE, answer::PROBLEM_TYPE);
        response(url, head.map(|()| text))
    }
}

impl GrpcStatus {
    fn respond(self, url: &Url, kind: Dialect, rejected: Rejected) -> Response {
        response(url, self.head(kind, rejected).map(|()| String::new()))
    }
}

/// What the answer to a request of the client needs, when the request is gone.
#[derive(Clone, Debug)]
pub struct Asked {
    url: Url,
    kind: Dialect,
}

impl Asked {
    fn of(request: &Request) -> Self {
        Self { url: request.url().clone(), kind: Dialect::of(request.headers()) }
    }
}

#[diagnostic::do_not_recommend]
impl Expire<Request, Response, reqwest::Error> for Auto {
    type Note = Asked;

    fn note(&self, request: &Request) -> Asked {
        Asked::of(request)
    }

    fn expire(&self, asked: Asked, rejected: Rejected) -> Result<Response, reqwest::Error> {
        let Asked { url, kind } = asked;
        Ok(if kind.is_grpc() {
            self.grpc().respond(&url, kind, rejected)
        } else {
            self.problem().respond(&url, Some(url.path()), rejected)
        })
    }
}

impl<E> Expire<Request, Response, E> for ProblemJson {
    type Note = Asked;

    fn note(&self, request: &Request) -> Asked {
        Asked::of(request)
    }

    fn expire(&self, Asked { url, .. }: Asked, rejected: Rejected) -> Result<Response, E> {
        Ok(self.respond(&url, Some(url.path()), rejected))
    }
}

impl<E> Expire<Request, Response, E> for GrpcStatus {
    type Note = Asked;

    fn note(&self, request: &Request) -> Asked {
        Asked::of(request)
    }

    fn expire(&self, Asked { url, kind }: Asked, rejected: Rejected) -> Result<Response, E> {
        Ok(self.respond(&url, kind, rejected))
    }
}

/// The extensions of the client's request cannot be reached: a repetition has its number in a header
/// only.
impl Replay<Request> for Clones {
    type Kept = Request;

    fn keep(&self, request: &mut Request) -> Option<Request> {
        request.try_clone()
    }

    fn again(&self, kept: &Request, attempt: u32) -> Option<Request> {
        let mut request = kept.try_clone()?;
        if attempt > 1 {
            replay::number(request.headers_mut(), attempt);
        }
        Some(request)
    }

    fn about(&self, kept: &Request) -> About {
        // By this way its extensions can be read; not so where the address is none to `http`.
        let request = kept.try_clone().and_then(|request| http::Request::try_from(request).ok());
        let extensions = request.map(|request| request.into_parts().0.extensions);
        replay::about(kept.method(), kept.headers(), &extensions.unwrap_or_default())
    }
}

/// The extensions of the client's request cannot be reached, so its headers count and what stands
/// around the call.
impl ReadDeadline<Request> for RequestDeadline {
    fn deadline(&self, request: &Request, now: impl FnOnce() -> Tick) -> Option<Deadline> {
        deadline::earliest(Deadline::current(), deadline::said_in(request.headers()), now)
    }

    fn pass_on(&self, request: &mut Request, deadline: Deadline, now: Tick) {
        deadline::write(request.headers_mut(), deadline.left(now));
    }
}

/// The client's response remembers what was asked; without it, it would show a made-up address.
fn response(url: &Url, answer: http::Response<String>) -> Response {
    let (mut parts, body) = answer.into_parts();
    let asked = http::Response::builder().url(url.clone()).body(());
    if let Ok(asked) = asked {
        parts.extensions.extend(asked.into_parts().0.extensions);
    }
    Response::from(http::Response::from_parts(parts, body))
}
