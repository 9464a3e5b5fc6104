//! What an answer says about another attempt, as a layer asks for it.

use std::convert::Infallible;
use std::time::Duration;

use breaker_core::{Advice, Classify, FailureKind, Name, Reason, Rejected};
use http::{HeaderName, HeaderValue, Response};
use portcullis_http::{ErrorChain, Grpc, Http, HttpOrGrpc, MAX_RETRY_AFTER, keep_refusal};

fn response(status: u16, headers: &[(&'static str, &str)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status.try_into().expect("a status");
    for &(name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        response.headers_mut().append(HeaderName::from_static(name), value);
    }
    response
}

fn advice(response: &Response<()>) -> Advice {
    let result: Result<_, &Infallible> = Ok(response);
    let advice = HttpOrGrpc.advice(result);
    assert_eq!(Http.advice(result), advice);
    assert_eq!(Grpc.advice(result), advice);
    assert_eq!(ErrorChain.advice(result), advice);
    advice
}

fn wait(status: u16, headers: &[(&'static str, &str)]) -> Option<u64> {
    let advice = advice(&response(status, headers));
    assert!(!advice.never && !advice.unsent);
    advice.wait.map(|wait| u64::try_from(wait.as_millis()).expect("an hour at most"))
}

const HOUR: u64 = MAX_RETRY_AFTER.as_secs() * 1_000;

// S-RETRY-02
#[test]
fn every_failing_status_can_tell_the_wait() {
    for status in [408, 429, 500, 502, 503, 504, 507] {
        assert_eq!(wait(status, &[("retry-after", "7")]), Some(7_000), "{status}");
    }
}

// S-RETRY-02
#[test]
fn absurd_waits_are_cut_and_nonsense_is_none() {
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for (text, expected) in [
        ("99999999999999999999", Some(HOUR)),
        ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(HOUR)),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("\u{1F552}", None),
    ] {
        assert_eq!(wait(503, &[("retry-after", text), date]), expected, "{text:?}");
    }
    assert_eq!(wait(503, &[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]), None);
    assert_eq!(wait(429, &[("ratelimit", "\"a\";r=0;t=999999999999999")]), Some(HOUR));
    assert_eq!(wait(429, &[("x-ratelimit-reset", "99999999999999999999"), date]), Some(HOUR));
}

// S-RETRY-02
#[test]
fn of_several_waits_the_plainest_counts() {
    let retry_after = ("retry-after", "7");
    let push = ("grpc-retry-pushback-ms", "250");
    // RetryInfo of 1.5 s.
    let info = (
        "grpc-status-details-bin",
        "CA4aNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIKCggIARCAyrXuAQ",
    );
    let draft = ("ratelimit", "\"a\";r=0;t=12");
    let legacy = ("x-ratelimit-reset", "30");
    assert_eq!(wait(503, &[legacy, draft, info, push, retry_after]), Some(7_000));
    assert_eq!(wait(503, &[legacy, draft, info, push]), Some(250));
    assert_eq!(wait(503, &[legacy, draft, info]), Some(1_500));
    assert_eq!(wait(503, &[legacy, draft]), Some(12_000));
    assert_eq!(wait(503, &[legacy]), Some(30_000));
    assert_eq!(wait(503, &[]), None);
}

// RT-017: what a server says by its push-back (gRPC A6).
#[test]
fn a_push_back_says_when_or_that_never() {
    let pushed = |values: &[&str]| {
        let mut headers = vec![("content-type", "application/grpc"), ("grpc-status", "14")];
        headers.extend(values.iter().map(|value| ("grpc-retry-pushback-ms", *value)));
        let advice = advice(&response(200, &headers));
        (advice.never, advice.wait)
    };
    let after = |wait| (false, Some(Duration::from_millis(wait)));
    assert_eq!(pushed(&["250"]), after(250));
    assert_eq!(pushed(&["0"]), after(0));
    assert_eq!(pushed(&["2147483648"]), after(HOUR));
    assert_eq!(pushed(&["99999999999999999999"]), after(HOUR));
    for never in ["-1", "abc", "", "-2147483649", "1.5", "+5", "\u{FF11}"] {
        assert_eq!(pushed(&[never]), (true, None), "{never:?}");
    }
    assert_eq!(pushed(&["1", "1"]), (true, None), "two of them contradict each other");
}

#[test]
fn whoever_has_tried_in_vain_says_so() {
    let says = |value| advice(&response(500, &[("x-should-retry", value)])).never;
    assert!(says("false") && says(" False "));
    assert!(!says("true") && !says("") && !says("0") && !says("false, true"));
}

#[test]
fn a_refusal_inside_tells_its_own_wait_and_that_nothing_was_sent() {
    let rejected = Rejected::new(Name::new("payments"), Reason::Open);
    let answer = |rejected| keep_refusal(rejected, response(503, &[("retry-after", "9")]));
    let told = advice(&answer(rejected.with_retry_after(Duration::from_millis(5))));
    let wait = Some(Duration::from_millis(5));
    assert_eq!((told.wait, told.never, told.unsent), (wait, false, true));
    assert_eq!(advice(&answer(rejected)).wait, None, "the header is for strangers");
    let timeout = Rejected::new(Name::new("payments"), Reason::TimedOut);
    let told = advice(&keep_refusal(timeout, response(504, &[])));
    assert_eq!(told, Advice::NONE);
}

#[test]
fn a_kind_in_the_extensions_tells_its_wait() {
    let retry_after = Some(Duration::from_secs(2));
    let mut answer = response(500, &[("retry-after", "9")]);
    answer.extensions_mut().insert(FailureKind::Overload { retry_after });
    assert_eq!(advice(&answer).wait, retry_after);
}

#[test]
fn ten_thousand_headers_say_no_more_than_one() {
    let mut answer = response(503, &[]);
    for name in ["ratelimit", "retry-after", "x-should-retry"] {
        for _ in 0..10_000 {
            let _ = answer.headers_mut().try_append(name, HeaderValue::from_static("3"));
        }
    }
    let told = advice(&answer);
    assert_eq!((told.wait, told.never), (Some(Duration::from_secs(3)), false));
}
