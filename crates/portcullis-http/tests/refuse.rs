//! S-CORE-09: what a refused caller gets.

use std::convert::Infallible;
use std::time::Duration;

use breaker_core::{Cause, Classify, Condition, Name, Outcome, Reason, Refuse, Rejected};
use bytes::Bytes;
use http::{Request, Response};
use portcullis_http::{Auto, BoxError, GrpcStatus, HttpOrGrpc, ProblemJson, refusal_of};
use serde_json::{Value, json};

const CAUSE: Cause = Cause { condition: Condition::FailureRate, bad: 12, calls: 20 };
const REJECTED: Rejected = Rejected::new(Name::new("payments"), Reason::Open)
    .with_retry_after(Duration::from_millis(3_870))
    .with_cause(CAUSE);
const REASONS: [(Reason, &str); 6] = [
    (Reason::Open, "open"),
    (Reason::NoTrialFree, "half_open"),
    (Reason::BelowShare, "half_open"),
    (Reason::ForcedOpen, "forced_open"),
    (Reason::Dependency, "open"),
    (Reason::NotReady, "open"),
];

fn request(content_type: &str) -> Request<()> {
    let builder = Request::builder().uri("https://shop.example/pay/7?card=1");
    builder.header("content-type", content_type).body(()).expect("a request")
}

fn refuse<R, B>(refuse: &R, request: &Request<()>, rejected: Rejected) -> Response<B>
where
    R: Refuse<Request<()>, Response<B>, Infallible>,
{
    let Ok(response) = refuse.refuse(request, rejected);
    response
}

fn header<'a, B>(response: &'a Response<B>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().expect("a visible header"))
}

fn body(response: &Response<String>) -> Value {
    serde_json::from_str(response.body()).expect("a JSON body")
}

#[test]
fn http_gets_a_503_with_retry_after_and_a_problem() {
    let response: Response<String> = refuse(&Auto::new(), &request("text/plain"), REJECTED);
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "retry-after"), Some("4"));
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
    assert_eq!(refusal_of(&response), Some(&REJECTED));
    let problem = "urn:portcullis:problems/circuit-open";
    assert_eq!(
        body(&response),
        json!({
            "type": problem,
            "title": "Service temporarily unavailable",
            "status": 503,
            "policy": "circuit_breaker",
            "detail": "the circuit is open; try again in 4 s",
            "instance": "/pay/7",
            "state": "open",
            "retry_after_ms": 3870,
        })
    );
}

#[test]
fn names_and_causes_are_told_on_request_only() {
    let exposing = Auto::new().expose_details(true);
    let response: Response<String> = refuse(&exposing, &request("text/plain"), REJECTED);
    let body = body(&response);
    assert_eq!(body["policy"], "payments");
    assert_eq!(body["detail"], REJECTED.to_string());

    let hidden: Response<String> = refuse(&Auto::new(), &request("text/plain"), REJECTED);
    assert!(!hidden.body().contains("payments"));
    assert!(!hidden.body().contains("12 of 20"));
    for grpc in [Auto::new().expose_details(true), Auto::new()] {
        let response: Response<()> = refuse(&grpc, &request("application/grpc"), REJECTED);
        let message = header(&response, "grpc-message").expect("a message");
        assert_eq!(message.contains("payments"), grpc == exposing);
    }
}

#[test]
fn the_wait_is_whole_seconds_rounded_up_and_at_least_one() {
    for (wait, secs, ms) in [
        (Duration::ZERO, "1", 0),
        (Duration::from_nanos(1), "1", 1),
        (Duration::from_secs(1), "1", 1_000),
        (Duration::from_millis(1_001), "2", 1_001),
        (Duration::from_secs(60), "60", 60_000),
    ] {
        let rejected = REJECTED.with_retry_after(wait);
        let response: Response<String> = refuse(&ProblemJson::new(), &request("a/b"), rejected);
        assert_eq!(header(&response, "retry-after"), Some(secs));
        assert_eq!(body(&response)["retry_after_ms"], ms);
    }
}

#[test]
fn who_waits_for_nobody_knows_what_is_told_to_wait_a_second() {
    let rejected = Rejected::new(Name::new("payments"), Reason::ForcedOpen);
    let http: Response<String> = refuse(&Auto::new(), &request("text/plain"), rejected);
    assert_eq!(header(&http, "retry-after"), Some("1"));
    assert_eq!(body(&http)["retry_after_ms"], 1_000);
    assert_eq!(body(&http)["detail"], "the circuit was forced open");
    let grpc: Response<()> = refuse(&Auto::new(), &request("application/grpc"), rejected);
    assert_eq!(header(&grpc, "grpc-retry-pushback-ms"), Some("1000"));
}

#[test]
fn every_reason_is_unavailable_and_tells_the_state() {
    for (reason, state) in REASONS {
        let rejected = Rejected::new(Name::new("payments"), reason);
        let http: Response<String> = refuse(&Auto::new(), &request("text/plain"), rejected);
        assert_eq!((http.status().as_u16(), &body(&http)["state"]), (503, &json!(state)));
        let grpc: Response<()> = refuse(&Auto::new(), &request("application/grpc"), rejected);
        assert_eq!(header(&grpc, "grpc-status"), Some("14"));
    }
}

#[test]
fn grpc_gets_a_trailers_only_unavailable() {
    let request = request("application/grpc+proto");
    let response: Response<String> = refuse(&Auto::new(), &request, REJECTED);
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), Some("application/grpc"));
    assert_eq!(header(&response, "grpc-status"), Some("14"));
    let message = "the circuit is open; try again in 4 s";
    assert_eq!(header(&response, "grpc-message"), Some(message));
    assert_eq!(header(&response, "grpc-retry-pushback-ms"), Some("3870"));
    assert!(!header(&response, "grpc-status-details-bin").expect("details").contains('='));
    assert_eq!(response.body(), "");
    assert_eq!(refusal_of(&response), Some(&REJECTED));
}

#[test]
fn grpc_web_gets_its_own_content_type_back() {
    let request = request("application/grpc-web+proto");
    let response: Response<()> = refuse(&Auto::new(), &request, REJECTED);
    assert_eq!(header(&response, "content-type"), Some("application/grpc-web+proto"));
    assert_eq!(header(&response, "grpc-status"), Some("14"));
}

#[test]
fn pinned_styles_do_not_look_at_the_content_type() {
    let http: Response<()> = refuse(&ProblemJson::new(), &request("application/grpc"), REJECTED);
    assert_eq!((http.status().as_u16(), header(&http, "grpc-status")), (503, None));
    let grpc: Response<()> = refuse(&GrpcStatus::new(), &request("text/plain"), REJECTED);
    assert_eq!((grpc.status().as_u16(), header(&grpc, "grpc-status")), (200, Some("14")));
    assert_eq!(header(&grpc, "content-type"), Some("application/grpc"));
}

#[test]
fn pinned_styles_keep_any_error_type() {
    struct Own;
    let http: Result<Response<()>, Own> = ProblemJson::new().refuse(&request("a/b"), REJECTED);
    assert!(http.is_ok_and(|response| response.status() == 503));
    let grpc: Result<Response<()>, BoxError> = GrpcStatus::new().refuse(&request("a/b"), REJECTED);
    assert!(grpc.is_ok_and(|response| response.status() == 200));
}

#[test]
fn a_service_with_boxed_errors_gets_the_refusal_as_an_error() {
    let result: Result<&str, BoxError> = Auto::new().refuse(&"any request", REJECTED);
    let error = result.expect_err("a refusal");
    assert_eq!(Rejected::find(&*error), Some(&REJECTED));
}

#[test]
fn bodies_are_filled_where_their_type_is_known() {
    let request = request("text/plain");
    let text: Response<String> = refuse(&Auto::new(), &request, REJECTED);
    let bytes: Response<Bytes> = refuse(&Auto::new(), &request, REJECTED);
    let vec: Response<Vec<u8>> = refuse(&Auto::new(), &request, REJECTED);
    assert_eq!(bytes.body(), text.body());
    assert_eq!(vec.body(), text.body().as_bytes());

    let unfilled: Response<Option<u8>> = refuse(&Auto::new(), &request, REJECTED);
    assert_eq!((unfilled.status().as_u16(), unfilled.body()), (503, &None));
    assert_eq!(header(&unfilled, "retry-after"), Some("4"));
    assert_eq!(header(&unfilled, "content-type"), None);
    assert_eq!(refusal_of(&unfilled), Some(&REJECTED));
}

#[cfg(feature = "axum")]
#[test]
fn the_body_of_axum_is_filled() {
    use http_body::Body as _;

    let response: Response<axum_core::body::Body> =
        refuse(&Auto::new(), &request("text/plain"), REJECTED);
    let text: Response<String> = refuse(&Auto::new(), &request("text/plain"), REJECTED);
    assert_eq!(response.body().size_hint().exact(), Some(text.body().len() as u64));
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
}

#[test]
fn a_strange_path_stays_inside_its_string() {
    let uri = "/a\"b%22,\"state\":\"closed\"".parse::<http::Uri>().expect("a path");
    let mut request = request("text/plain");
    *request.uri_mut() = uri;
    let response: Response<String> = refuse(&Auto::new(), &request, REJECTED);
    let body = body(&response);
    assert_eq!(body["instance"], request.uri().path());
    assert_eq!(body["state"], "open");
}

// S-CORE-08: what one gate says, the next one understands.
#[test]
fn refusals_are_no_evidence_for_the_classifier() {
    for content_type in ["text/plain", "application/grpc"] {
        let response: Response<()> = refuse(&Auto::new(), &request(content_type), REJECTED);
        let result: Result<_, &Infallible> = Ok(&response);
        assert_eq!(HttpOrGrpc.classify(result), Outcome::Ignored);
    }
}

// S-CORE-08: without the mark, as the next process sees it, the answer is overload with its wait.
#[test]
fn across_the_wire_a_refusal_is_overload() {
    for (content_type, wait) in [("text/plain", 4_000), ("application/grpc", 3_870)] {
        let mut response: Response<()> = refuse(&Auto::new(), &request(content_type), REJECTED);
        response.extensions_mut().clear();
        let retry_after = Some(Duration::from_millis(wait));
        let result: Result<_, &Infallible> = Ok(&response);
        assert_eq!(
            HttpOrGrpc.classify(result),
            Outcome::Failure(breaker_core::FailureKind::Overload { retry_after })
        );
    }
}
