//! S-CORE-09: what the caller of a call gets that took too long.

use std::convert::Infallible;

use breaker_core::{Expire, Name, Reason, Rejected};
use http::{Request, Response, StatusCode};
use portcullis_http::{Auto, BoxError, GrpcStatus, ProblemJson, refusal_of};

const LATE: Rejected = Rejected::new(Name::new("payments"), Reason::TimedOut);

fn request(content_type: &str) -> Request<()> {
    let builder = Request::builder().uri("https://shop.example/pay");
    builder.header("content-type", content_type).body(()).expect("a request")
}

fn expired<X>(expire: &X, content_type: &str) -> Response<String>
where
    X: Expire<Request<()>, Response<String>, Infallible>,
{
    let note = expire.note(&request(content_type));
    assert!(size_of::<X::Note>() <= 2, "it is kept for each call");
    let Ok(response) = expire.expire(note, LATE);
    assert_eq!(refusal_of(&response), Some(&LATE));
    response
}

#[test]
fn the_caller_is_answered_in_his_own_words() {
    let http = expired(&Auto::new(), "text/plain");
    assert_eq!((http.status().as_u16(), http.headers().get("retry-after")), (504, None));
    assert_eq!(http.headers()["content-type"], "application/problem+json");
    assert!(!http.body().contains("instance") && !http.body().contains("payments"));

    for (asked, answered) in [
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc-web-text+proto", "application/grpc-web-text+proto"),
    ] {
        let grpc = expired(&Auto::new(), asked);
        assert_eq!(grpc.status(), 200);
        assert_eq!(grpc.headers()["grpc-status"], "4");
        assert_eq!(grpc.headers()["content-type"], answered);
        assert_eq!(grpc.headers().get("grpc-retry-pushback-ms"), None);
    }
}

#[test]
fn pinned_styles_do_not_look_at_the_content_type() {
    assert_eq!(expired(&ProblemJson::new(), "application/grpc").status(), 504);
    assert_eq!(expired(&GrpcStatus::new(), "text/plain").headers()["grpc-status"], "4");
}

#[test]
fn the_status_of_a_timeout_can_be_chosen() {
    const UNAVAILABLE: Auto = Auto::new().timeouts_as(StatusCode::SERVICE_UNAVAILABLE);
    const REQUEST: ProblemJson = ProblemJson::new().timeouts_as(StatusCode::REQUEST_TIMEOUT);
    let answer = expired(&UNAVAILABLE, "text/plain");
    assert_eq!((answer.status().as_u16(), answer.headers().get("retry-after")), (503, None));
    assert_eq!(expired(&REQUEST, "text/plain").status(), 408);
}

#[test]
#[should_panic(expected = "400..=599")]
fn a_timeout_is_no_success() {
    let _ = Auto::new().timeouts_as(StatusCode::OK);
}

#[test]
fn a_service_with_boxed_errors_gets_the_timeout_as_an_error() {
    let expire = Auto::new();
    let () = Expire::<&str, &str, BoxError>::note(&expire, &"any request");
    let result: Result<&str, BoxError> = Expire::<&str, _, _>::expire(&expire, (), LATE);
    assert_eq!(Rejected::find(&*result.expect_err("a timeout")), Some(&LATE));
}
