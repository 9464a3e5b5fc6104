//! What the callers of a limit get, refused or not.

use std::convert::Infallible;
use std::time::Duration;

use breaker_core::{Classify, FailureKind, Name, Outcome, Quota, Reason, Refuse, Rejected};
use http::{HeaderName, HeaderValue, Request, Response};
use portcullis_http::{Announce, AsRefused, Auto, HttpOrGrpc, RateLimitHeaders};
use proptest::prelude::{any, proptest};
use serde_json::{Value, json};

const QUOTA: Quota = Quota::new(100, Duration::from_secs(60), 0, Duration::from_secs(48));
const LIMITED: Rejected = Rejected::new(Name::new("per-client"), Reason::RateLimited)
    .with_retry_after(Duration::from_millis(11_200))
    .with_quota(QUOTA);
const TOO_HIGH: Rejected =
    Rejected::new(Name::new("per-client"), Reason::CostTooHigh).with_quota(QUOTA);
const DOWN: Rejected = Rejected::new(Name::new("per-client"), Reason::StoreDown)
    .with_retry_after(Duration::from_secs(2));

const FIELDS: [&str; 5] = [
    "ratelimit-policy",
    "ratelimit",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];
const DRAFT: [&str; 5] = ["\"per-client\";q=100;w=60", "\"per-client\";r=0;t=12", "", "", ""];

fn refuse(content_type: &str, rejected: Rejected) -> Response<String> {
    let request = Request::builder().uri("/pay").header("content-type", content_type);
    let Ok(response): Result<_, Infallible> =
        Auto::new().refuse(&request.body(()).expect("a request"), rejected);
    response
}

/// All values of a header, joined.
fn header<B>(response: &Response<B>, name: &str) -> String {
    let values = response.headers().get_all(name).into_iter();
    let values: Vec<_> = values.map(|value| value.to_str().expect("visible")).collect();
    values.join(", ")
}

fn fields<B>(response: &Response<B>) -> [String; 5] {
    FIELDS.map(|name| header(response, name))
}

fn body(response: &Response<String>) -> Value {
    serde_json::from_str(response.body()).expect("a JSON body")
}

// S-RATE-09
#[test]
fn a_used_up_quota_is_a_429_with_its_fields() {
    let response = refuse("text/plain", LIMITED);
    assert_eq!(response.status(), 429);
    assert_eq!(header(&response, "retry-after"), "12");
    assert_eq!(fields(&response), DRAFT);
    assert_eq!(
        body(&response),
        json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Quota used up",
            "status": 429,
            "detail": "the quota is used up; try again in 12 s",
            "instance": "/pay",
            "policy": "rate_limit",
            "state": "limited",
            "retry_after_ms": 11_200,
            "violated-policies": ["per-client"],
        })
    );
}

// S-RATE-09
#[test]
fn a_call_that_no_quota_holds_is_told_no_wait() {
    // Not even one that a careless limit has put in.
    for rejected in [TOO_HIGH, TOO_HIGH.with_retry_after(Duration::from_secs(3))] {
        let http = refuse("text/plain", rejected);
        assert_eq!(http.status(), 429);
        assert!(!http.headers().contains_key("retry-after"));
        assert_eq!(header(&http, "ratelimit"), "\"per-client\";r=0");
        let body = body(&http);
        assert_eq!(body.get("retry_after_ms"), None);
        assert_eq!(body["detail"], "the call costs more than the quota ever holds");
        assert_eq!(body["violated-policies"], json!(["per-client"]));
        let grpc = refuse("application/grpc", rejected);
        assert_eq!(header(&grpc, "grpc-status"), "8");
        assert_eq!(header(&grpc, "grpc-retry-pushback-ms"), "-1");
    }
}

// S-RATE-09
#[test]
fn a_store_that_is_down_is_our_fault_and_not_the_callers() {
    let mut http = refuse("text/plain", DOWN.with_quota(QUOTA));
    assert_eq!(http.status(), 503);
    RateLimitHeaders::draft10().and_legacy().refused(&mut http, &DOWN.with_quota(QUOTA));
    assert_eq!(header(&http, "retry-after"), "2");
    assert_eq!(fields(&http), [""; 5]);
    let body = body(&http);
    let problem = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
    assert_eq!(body["type"], problem);
    assert_eq!((&body["policy"], &body["state"]), (&json!("rate_limit"), &json!("store_down")));
    assert_eq!(body.get("violated-policies"), None);
    let grpc = refuse("application/grpc", DOWN);
    assert_eq!(header(&grpc, "grpc-status"), "14");
    assert_eq!(header(&grpc, "grpc-retry-pushback-ms"), "2000");
}

// S-RATE-09: the same callers, behind gRPC.
#[test]
fn a_used_up_quota_is_resource_exhausted_without_the_fields_of_http() {
    let mut response = refuse("application/grpc", LIMITED);
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "grpc-status"), "8");
    assert_eq!(header(&response, "grpc-message"), "the quota is used up; try again in 12 s");
    assert_eq!(header(&response, "grpc-retry-pushback-ms"), "11200");
    RateLimitHeaders::draft10().and_legacy().refused(&mut response, &LIMITED);
    assert_eq!(fields(&response), [""; 5]);
}

// S-RATE-09: what one process says, the next one understands, even without a wait.
#[test]
fn across_the_wire_a_used_up_quota_is_rate_limited() {
    for content_type in ["text/plain", "application/grpc"] {
        for rejected in [LIMITED, TOO_HIGH] {
            let mut response = refuse(content_type, rejected);
            let classify =
                |response: &Response<String>| HttpOrGrpc.classify(Ok::<_, &Infallible>(response));
            assert_eq!(classify(&response), Outcome::Ignored);
            response.extensions_mut().clear();
            let limited = Outcome::Failure(FailureKind::RateLimited);
            assert_eq!(classify(&response), limited, "{content_type}, {:?}", rejected.reason());
        }
    }
}

// S-RATE-09: the numbers of the catalogue.
#[test]
fn seconds_are_rounded_up_and_a_window_has_at_least_one() {
    let quota = |window, reset| {
        let quota = Quota::new(100, window, 37, reset);
        let mut response = Response::new(());
        RateLimitHeaders::draft10().on_every_answer().admitted(
            &mut response,
            &Name::new("c"),
            &quota,
        );
        [header(&response, "ratelimit-policy"), header(&response, "ratelimit")]
    };
    let (zero, nano) = (Duration::ZERO, Duration::from_nanos(1));
    assert_eq!(quota(zero, zero), ["\"c\";q=100;w=1", "\"c\";r=37;t=0"]);
    assert_eq!(quota(nano, nano), ["\"c\";q=100;w=1", "\"c\";r=37;t=1"]);
    let second = Duration::from_secs(1);
    assert_eq!(quota(second, second), ["\"c\";q=100;w=1", "\"c\";r=37;t=1"]);
    assert_eq!(quota(second + nano, second + nano), ["\"c\";q=100;w=2", "\"c\";r=37;t=2"]);
    let endless = LIMITED.with_retry_after(Duration::MAX);
    let state = header(&refuse("text/plain", endless), "ratelimit");
    assert_eq!(state, "\"per-client\";r=0;t=999999999999999", "structured fields end there");
}

// S-RATE-09: what a name holds stays inside its string.
#[test]
fn names_are_strings_of_structured_fields() {
    for (name, shown, listed) in [
        ("per client", "\"per client\"", "per client"),
        ("a\"b\\c", "\"a\\\"b\\\\c\"", "a\"b\\c"),
        ("søster\n\u{7f}", "\"s-ster--\"", "s-ster--"),
        ("\";q=1", "\"\\\";q=1\"", "\";q=1"),
    ] {
        let rejected = Rejected::new(Name::new(name), Reason::RateLimited).with_quota(QUOTA);
        let response = refuse("text/plain", rejected);
        assert_eq!(header(&response, "ratelimit"), format!("{shown};r=0;t=1"));
        assert_eq!(header(&response, "ratelimit-policy"), format!("{shown};q=100;w=60"));
        assert_eq!(body(&response)["violated-policies"], json!([listed]));
    }
}

// S-RATE-09
#[test]
fn a_style_takes_the_place_of_what_the_refusal_says() {
    let legacy = ["", "", "100", "0", "12"];
    let both = [DRAFT[0], DRAFT[1], "100", "0", "12"];
    for (style, expected) in [
        (RateLimitHeaders::draft10(), DRAFT),
        (RateLimitHeaders::legacy(), legacy),
        (RateLimitHeaders::draft10().and_legacy(), both),
        (RateLimitHeaders::draft10().and_legacy().on_every_answer(), both),
    ] {
        let mut response = refuse("text/plain", LIMITED);
        style.refused(&mut response, &LIMITED);
        assert_eq!(fields(&response), expected, "{style:?}");
    }
    let mut response = refuse("text/plain", LIMITED);
    AsRefused.refused(&mut response, &LIMITED);
    assert_eq!(fields(&response), DRAFT);
}

// S-RATE-09
#[test]
fn admitted_callers_are_told_on_request_only() {
    let of = |style: &dyn Announce<Response<()>>, content_type| {
        let mut response = Response::builder().header("content-type", content_type).body(());
        let response = response.as_mut().expect("a response");
        style.admitted(response, &Name::new("c"), &QUOTA);
        (style.wants_admitted(), fields(response))
    };
    let none = [""; 5].map(String::from);
    let draft10 = RateLimitHeaders::draft10();
    assert_eq!(of(&draft10, "a/b"), (false, none.clone()));
    assert_eq!(of(&AsRefused, "a/b"), (false, none.clone()));
    let all = draft10.and_legacy().on_every_answer();
    let told = ["\"c\";q=100;w=60", "\"c\";r=0;t=48", "100", "0", "48"].map(String::from);
    assert_eq!(of(&all, "a/b"), (true, told));
    assert_eq!(of(&all, "application/grpc+proto"), (true, none));
}

// S-RATE-09: a limit per client inside one for the house.
#[test]
fn stacked_limits_each_add_an_entry_and_the_tightest_is_the_legacy_one() {
    let style = RateLimitHeaders::draft10().and_legacy().on_every_answer();
    let minute = Duration::from_secs(60);
    let [roomy, tight] = [80, 3].map(|left| Quota::new(100, minute, left, minute));
    let (inner, outer) = (Name::new("inner"), Name::new("outer"));
    for (first, second, left) in [(&roomy, &tight, "3"), (&tight, &roomy, "3")] {
        let mut response = Response::new(());
        style.admitted(&mut response, &inner, first);
        style.admitted(&mut response, &outer, second);
        let [policy, state, limit, remaining, reset] = fields(&response);
        assert_eq!(policy, "\"inner\";q=100;w=60, \"outer\";q=100;w=60");
        let (first, second) = (first.remaining(), second.remaining());
        assert_eq!(state, format!("\"inner\";r={first};t=60, \"outer\";r={second};t=60"));
        assert_eq!([limit, remaining, reset], ["100", left, "60"]);
    }
}

#[test]
fn a_legacy_header_that_nobody_can_read_is_replaced() {
    let mut response = Response::builder().header("x-ratelimit-remaining", "many").body(());
    let response = response.as_mut().expect("a response");
    RateLimitHeaders::legacy().on_every_answer().admitted(response, &Name::new("c"), &QUOTA);
    assert_eq!(fields(response), ["", "", "100", "0", "48"]);
}

// A map of headers that grows beyond its bound panics.
#[test]
fn an_answer_full_of_headers_is_left_as_it_is() {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    let name = |n: usize| HeaderName::try_from(format!("x-{n}")).expect("a name");
    let mut number = 0;
    while headers.try_insert(name(number), HeaderValue::from(1)).is_ok() {
        number += 1;
    }
    let style = RateLimitHeaders::draft10().and_legacy().on_every_answer();
    style.admitted(&mut response, &Name::new("c"), &QUOTA);
    assert_eq!(fields(&response), [""; 5]);
}

proptest! {
    // S-RATE-09
    #[test]
    fn every_quota_has_headers_that_can_be_read(
        name in "\\PC{1,15}",
        limit in any::<u32>(),
        remaining in any::<u32>(),
        window in any::<Duration>(),
        reset in any::<Duration>(),
    ) {
        let quota = Quota::new(limit, window, remaining, reset);
        let mut response = Response::new(());
        let style = RateLimitHeaders::draft10().and_legacy().on_every_answer();
        style.admitted(&mut response, &Name::cut(&name), &quota);
        let [policy, state, limits, left, _] = fields(&response);
        assert!(policy.starts_with('"') && policy.contains(&format!("\";q={limit};w=")));
        assert!(state.contains(&format!("\";r={remaining};t=")));
        assert_eq!([limits, left], [limit.to_string(), remaining.to_string()]);
    }
}
