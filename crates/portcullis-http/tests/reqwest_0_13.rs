//! S-CORE-08, S-CORE-09: the client reqwest, whose types are its own.
#![cfg(feature = "reqwest-0-13")]

use std::time::Duration;

use breaker_core::{
    Classify, Expire, FailureKind, Name, Outcome, Reason, Refuse, Rejected, Replay, Verb,
};
use portcullis_http::replay::clones;
use portcullis_http::{
    Auto, BoxError, ErrorChain, Grpc, GrpcStatus, Http, HttpOrGrpc, ProblemJson,
};
use reqwest::{Error, Method, Request, Response};

const REJECTED: Rejected = Rejected::new(Name::new("payments"), Reason::Open)
    .with_retry_after(Duration::from_millis(1_500));
const OVERLOAD: Outcome = Outcome::Failure(FailureKind::Overload { retry_after: None });

fn response(status: u16, headers: &[(&str, &str)]) -> Response {
    let mut builder = http::Response::builder().status(status);
    for &(name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body("").expect("a response").into()
}

fn request(content_type: &str) -> Request {
    let url = "https://shop.example/pay?card=1".parse().expect("a URL");
    let mut request = Request::new(Method::POST, url);
    let content_type = content_type.parse().expect("a header value");
    request.headers_mut().insert("content-type", content_type);
    request
}

/// An error that carries a status.
fn status_error(status: u16) -> Error {
    response(status, &[]).error_for_status().expect_err("an error status")
}

/// An error of a request that was never sent.
fn builder_error() -> Error {
    reqwest::Client::new().get("no url").build().expect_err("no URL")
}

fn all(result: Result<&Response, &Error>) -> [Outcome; 4] {
    [
        HttpOrGrpc.classify(result),
        Http.classify(result),
        Grpc.classify(result),
        ErrorChain.classify(result),
    ]
}

#[test]
fn responses_are_judged_by_the_same_tables() {
    assert_eq!(all(Ok(&response(200, &[]))), [Outcome::Success; 4]);
    assert_eq!(all(Ok(&response(503, &[]))), [OVERLOAD; 4]);
    let grpc = response(200, &[("content-type", "application/grpc"), ("grpc-status", "4")]);
    let timeout = Outcome::Failure(FailureKind::Timeout);
    assert_eq!(all(Ok(&grpc)), [timeout, Outcome::Success, timeout, timeout]);
    let mut refused = response(500, &[]);
    refused.extensions_mut().insert(REJECTED);
    assert_eq!(all(Ok(&refused)), [Outcome::Ignored; 4]);
}

// S-CORE-09
#[test]
fn refusals_are_known_from_failures() {
    let refusals = |result: Result<&Response, &Error>| {
        [
            HttpOrGrpc.is_refusal(result),
            Http.is_refusal(result),
            Grpc.is_refusal(result),
            ErrorChain.is_refusal(result),
        ]
    };
    let mut response = response(503, &[]);
    assert_eq!(refusals(Ok(&response)), [false; 4]);
    response.extensions_mut().insert(REJECTED);
    assert_eq!(refusals(Ok(&response)), [true; 4]);
    assert_eq!(refusals(Err(&status_error(503))), [false; 4]);
    assert_eq!(refusals(Err(&builder_error())), [false; 4], "not sent, but not refused either");
    let boxed = BoxError::from(REJECTED);
    assert!(HttpOrGrpc.is_refusal(Err::<&Response, _>(&boxed)));
}

#[test]
fn errors_tell_their_status_or_that_nothing_was_sent() {
    assert_eq!(all(Err(&status_error(503))), [OVERLOAD; 4]);
    let invalid = Outcome::Failure(FailureKind::InvalidRequest);
    assert_eq!(all(Err(&status_error(404))), [invalid; 4]);
    assert_eq!(all(Err(&builder_error())), [Outcome::Ignored; 4]);
}

#[test]
fn boxed_errors_of_the_client_are_looked_into() {
    let judged = |error: BoxError| {
        let result: Result<&Response, &BoxError> = Err(&error);
        HttpOrGrpc.classify(result)
    };
    assert_eq!(judged(status_error(503).into()), OVERLOAD);
    assert_eq!(judged(builder_error().into()), Outcome::Ignored);
    assert_eq!(judged(REJECTED.into()), Outcome::Ignored);
}

#[test]
fn a_client_with_its_own_error_gets_a_response() {
    let refused: Result<Response, Error> = Auto::new().refuse(&request("text/plain"), REJECTED);
    let refused = refused.expect("a response");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "2");
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert_eq!(refused.url().as_str(), "https://shop.example/pay?card=1");
    assert_eq!(refused.extensions().get(), Some(&REJECTED));
    assert_eq!(all(Ok(&refused)), [Outcome::Ignored; 4]);

    let grpc: Result<Response, Error> = Auto::new().refuse(&request("application/grpc"), REJECTED);
    assert_eq!(grpc.expect("a response").headers()["grpc-status"], "14");
}

#[test]
fn pinned_styles_answer_whatever_the_error_type() {
    let http: Result<Response, BoxError> = ProblemJson::new().refuse(&request("a/b"), REJECTED);
    assert_eq!(http.expect("a response").status(), 503);
    let grpc: Result<Response, BoxError> = GrpcStatus::new().refuse(&request("a/b"), REJECTED);
    assert_eq!(grpc.expect("a response").status(), 200);
}

#[test]
fn a_client_with_boxed_errors_gets_the_refusal_as_an_error() {
    let refused: Result<Response, BoxError> = Auto::new().refuse(&request("a/b"), REJECTED);
    assert_eq!(Rejected::find(&*refused.expect_err("an error")), Some(&REJECTED));
}

#[test]
fn a_client_whose_call_took_too_long_gets_a_response_with_its_url() {
    const LATE: Rejected = Rejected::new(Name::new("payments"), Reason::TimedOut);

    fn expired<X>(expire: &X, content_type: &str) -> (u16, bool)
    where
        X: Expire<Request, Response, Error>,
    {
        let note = expire.note(&request(content_type));
        let response = expire.expire(note, LATE).expect("a response");
        assert_eq!(response.url().as_str(), "https://shop.example/pay?card=1");
        assert_eq!(response.extensions().get(), Some(&LATE));
        let timeout = Outcome::Failure(FailureKind::Timeout);
        assert_eq!(all(Ok(&response)), [timeout; 4]);
        (response.status().as_u16(), response.headers().contains_key("grpc-status"))
    }

    assert_eq!(expired(&Auto::new(), "text/plain"), (504, false));
    assert_eq!(expired(&Auto::new(), "application/grpc"), (200, true));
    assert_eq!(expired(&ProblemJson::new(), "application/grpc"), (504, false));
    assert_eq!(expired(&GrpcStatus::new(), "text/plain"), (200, true));
}

// S-RETRY-02
#[test]
fn answers_of_the_client_advise_as_those_of_http_do() {
    let answer = response(500, &[("retry-after", "7"), ("x-should-retry", "false")]);
    let result: Result<_, &Error> = Ok(&answer);
    let advice = HttpOrGrpc.advice(result);
    assert_eq!((advice.wait, advice.never), (Some(Duration::from_secs(7)), true));
    assert_eq!([Http.advice(result), Grpc.advice(result), ErrorChain.advice(result)], [advice; 3]);
    let error = status_error(503);
    assert!(!HttpOrGrpc.advice(Err::<&Response, _>(&error)).unsent);
}

// S-RETRY-05
#[test]
fn a_request_of_the_client_is_sent_again_by_the_same_rules() {
    let mut request = request("text/plain");
    *request.body_mut() = Some("body".into());
    let kept = clones().keep(&mut request).expect("it is no stream");
    let about = Replay::<Request>::about(&clones(), &kept);
    assert_eq!((about.idempotent, about.verb), (false, Some(Verb::Post)));
    let again: Request = clones().again(&kept, 2).expect("it is no stream");
    assert_eq!(again.headers()["x-retry-attempt"], "2");
    assert_eq!(again.url(), request.url());
    assert_eq!(again.body().and_then(|body| body.as_bytes()), Some(&b"body"[..]));
    assert!(Replay::<Request>::about(&clones(), &again).repeated_elsewhere);
}

// A request whose address is none to `http` lost its deadline, and who else repeats it.
#[test]
fn what_is_known_of_a_request_does_not_depend_on_its_address() {
    use breaker_core::{Deadline, Tick};
    let url = format!("https://shop.example/{}", "a".repeat(70_000)).parse().expect("a URL");
    let mut request = Request::new(Method::GET, url);
    request.headers_mut().insert("x-should-retry", "false".parse().expect("a header value"));
    let kept = clones().keep(&mut request).expect("it has no stream");
    let deadline = Deadline::at(Tick::from_millis(7));
    let about = deadline.scope(|| Replay::<Request>::about(&clones(), &kept));
    assert_eq!((about.idempotent, about.verb), (true, Some(Verb::Get)));
    assert_eq!((about.deadline, about.repeated_elsewhere), (Some(deadline), true));
}
