//! S-CORE-08: the classifiers, as a layer asks them.

use std::convert::Infallible;
use std::error::Error;
use std::{fmt, io};

use breaker_core::{Classify, FailureKind, Name, Outcome, Reason, Rejected};
use http::Response;
use portcullis_http::{BoxError, ErrorChain, Failed, Grpc, Http, HttpOrGrpc, keep_refusal};

const REJECTED: Rejected = Rejected::new(Name::new("payments"), Reason::Open);

fn response(status: u16, headers: &[(&str, &str)]) -> Response<()> {
    let mut builder = Response::builder().status(status);
    for &(name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(()).expect("a response")
}

fn all(response: &Response<()>) -> [Outcome; 3] {
    let result: Result<_, &Infallible> = Ok(response);
    [HttpOrGrpc.classify(result), Http.classify(result), Grpc.classify(result)]
}

const TYPE: (&str, &str) = ("content-type", "application/grpc+proto");
const INTERNAL: Outcome = Outcome::Failure(FailureKind::Internal);

#[test]
fn the_content_type_chooses_between_http_and_grpc() {
    let grpc = response(200, &[TYPE, ("grpc-status", "13")]);
    assert_eq!(all(&grpc), [INTERNAL, Outcome::Success, INTERNAL]);
    let html = response(200, &[("grpc-status", "13")]);
    assert_eq!(all(&html), [Outcome::Success, Outcome::Success, INTERNAL]);
}

#[test]
fn a_grpc_head_without_a_status_is_a_success() {
    assert_eq!(all(&response(200, &[TYPE])), [Outcome::Success; 3]);
}

#[test]
fn a_proxy_that_answers_in_place_of_a_grpc_server_is_judged_by_http() {
    let overload = Outcome::Failure(FailureKind::Overload { retry_after: None });
    assert_eq!(all(&response(503, &[TYPE])), [overload; 3]);
    assert_eq!(all(&response(503, &[])), [overload; 3]);
}

#[test]
fn server_errors_count_and_client_errors_do_not_blame_the_callee() {
    assert_eq!(all(&response(500, &[])), [INTERNAL; 3]);
    let invalid = Outcome::Failure(FailureKind::InvalidRequest);
    assert_eq!(all(&response(404, &[])), [invalid; 3]);
}

// S-CORE-08: a timeout further in was a call, and the callee did not answer.
#[test]
fn an_answer_that_carries_a_timeout_is_a_failure_and_no_refusal() {
    let timeout = Rejected::new(Name::new("payments"), Reason::TimedOut);
    let answer = keep_refusal(timeout, response(200, &[TYPE, ("grpc-status", "0")]));
    assert_eq!(all(&answer), [Outcome::Failure(FailureKind::Timeout); 3]);
    assert_eq!(refuses(&answer), [false; 4]);
    let late = Rejected::new(Name::new("payments"), Reason::DeadlinePassed);
    let answer = keep_refusal(late, response(504, &[]));
    assert_eq!(all(&answer), [Outcome::Ignored; 3]);
    assert_eq!(refuses(&answer), [true; 4]);
}

// S-CORE-09: a refusal of an inner layer is no evidence.
#[test]
fn an_answer_that_carries_a_refusal_is_ignored() {
    assert_eq!(all(&keep_refusal(REJECTED, response(500, &[]))), [Outcome::Ignored; 3]);
}

#[test]
fn a_kind_in_the_extensions_goes_before_the_status() {
    let mut timeout = response(200, &[TYPE, ("grpc-status", "13")]);
    timeout.extensions_mut().insert(FailureKind::Timeout);
    assert_eq!(all(&timeout), [Outcome::Failure(FailureKind::Timeout); 3]);
    let refused = keep_refusal(REJECTED, timeout);
    assert_eq!(all(&refused), [Outcome::Ignored; 3]);
}

#[derive(Debug)]
enum Typed {
    Refused(Rejected),
    Database,
}

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("request timed out")
    }
}

impl Error for Typed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(rejected) => Some(rejected),
            Self::Database => None,
        }
    }
}

fn judged<C, E>(classify: &C, error: &E) -> Outcome
where
    C: Classify<Response<()>, E>,
{
    classify.classify(Err(error))
}

#[test]
fn boxed_errors_are_looked_into() {
    let refused = BoxError::from(Typed::Refused(REJECTED));
    assert_eq!(judged(&HttpOrGrpc, &refused), Outcome::Ignored);
    assert_eq!(judged(&Http, &refused), Outcome::Ignored);
    assert_eq!(judged(&Grpc, &refused), Outcome::Ignored);
    let timeout = BoxError::from(Typed::Database);
    assert_eq!(judged(&HttpOrGrpc, &timeout), Outcome::Failure(FailureKind::Timeout));
}

#[test]
fn typed_errors_are_looked_into_by_the_error_chain_only() {
    let refused = Typed::Refused(REJECTED);
    assert_eq!(judged(&HttpOrGrpc, &refused), Outcome::Failure(FailureKind::Connection));
    assert_eq!(judged(&ErrorChain, &refused), Outcome::Ignored);
    assert_eq!(judged(&ErrorChain, &Typed::Database), Outcome::Failure(FailureKind::Timeout));
    let head: Result<_, &Typed> = Ok(&response(500, &[]));
    assert_eq!(ErrorChain.classify(head), INTERNAL);
}

fn refuses(response: &Response<()>) -> [bool; 4] {
    let result: Result<_, &Typed> = Ok(response);
    [
        HttpOrGrpc.is_refusal(result),
        Http.is_refusal(result),
        Grpc.is_refusal(result),
        ErrorChain.is_refusal(result),
    ]
}

fn refused<E: 'static>(error: &E) -> [bool; 3] {
    let result: Result<&Response<()>, _> = Err(error);
    [HttpOrGrpc.is_refusal(result), Http.is_refusal(result), Grpc.is_refusal(result)]
}

// S-CORE-09: only the mark tells a refusal from a failure with the same status.
#[test]
fn an_answer_is_a_refusal_if_it_carries_one() {
    assert_eq!(refuses(&response(503, &[("retry-after", "4")])), [false; 4]);
    assert_eq!(refuses(&response(200, &[TYPE, ("grpc-status", "14")])), [false; 4]);
    assert_eq!(refuses(&keep_refusal(REJECTED, response(200, &[]))), [true; 4]);
}

// S-CORE-09
#[test]
fn an_error_is_a_refusal_if_one_is_in_it() {
    assert_eq!(refused(&REJECTED), [true; 3]);
    assert_eq!(refused(&BoxError::from(REJECTED)), [true; 3]);
    assert_eq!(refused(&BoxError::from(Typed::Refused(REJECTED))), [true; 3]);
    assert_eq!(refused(&io::Error::other(Typed::Refused(REJECTED))), [true; 3]);
    assert_eq!(refused(&Failed::new(FailureKind::Internal, REJECTED)), [true; 3]);
    assert_eq!(refused(&BoxError::from(Typed::Database)), [false; 3]);
    assert_eq!(refused(&io::Error::other("rate limit")), [false; 3]);
    assert_eq!(refused(&Typed::Refused(REJECTED)), [false; 3], "opens no type of the user's");
}

// S-CORE-09
#[test]
fn the_error_chain_finds_a_refusal_in_a_typed_error() {
    let refused = |error: &Typed| {
        let result: Result<&Response<()>, _> = Err(error);
        ErrorChain.is_refusal(result)
    };
    assert!(refused(&Typed::Refused(REJECTED)));
    assert!(!refused(&Typed::Database));
}
