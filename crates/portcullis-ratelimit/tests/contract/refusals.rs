//! What a refused caller gets.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use portcullis_ratelimit::breaker_core::{Reason, Rejected};
use portcullis_ratelimit::portcullis_http::{keep_refusal, refusal_of};
use portcullis_ratelimit::{BoxError, RateLimitHeaders};
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{Act, Inner, call, layer, request};

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("a text"))
}

// S-RATE-09
#[test]
fn it_is_a_429_with_all_that_one_needs_to_come_back() {
    let (layer, clock) = layer();
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    let answers = [(); 4].map(|()| call(&mut service, request()));
    assert!(answers[2].headers().is_empty(), "an admitted call carries nothing");
    let refused = &answers[3];
    assert_eq!(refused.status(), 429);
    assert_eq!(header(refused.headers(), "retry-after"), "1");
    assert_eq!(header(refused.headers(), "ratelimit-policy"), "\"per-client\";q=10;w=1");
    assert_eq!(header(refused.headers(), "ratelimit"), "\"per-client\";r=0;t=1");
    assert_eq!(header(refused.headers(), "content-type"), "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(refused.body()).expect("JSON");
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["violated-policies"], serde_json::json!(["per-client"]));
    assert_eq!(problem["retry_after_ms"], 100);
    let rejected = refusal_of(refused).expect("it is marked");
    assert_eq!(rejected.reason(), Reason::RateLimited);
    assert_eq!(rejected.retry_after(), Some(Duration::from_millis(100)));
    clock.advance(Duration::from_millis(100));
    assert_eq!(call(&mut service, request()).status(), 200);
}

// S-RATE-09
#[test]
fn every_answer_may_tell_what_is_left() {
    let (layer, _) = layer();
    let headers = RateLimitHeaders::draft10().and_legacy().on_every_answer();
    let mut service = layer.headers(headers).layer(Inner::new(Act::Answer(200)));
    let answers = [(); 4].map(|()| call(&mut service, request()));
    let left = answers.each_ref().map(|answer| header(answer.headers(), "x-ratelimit-remaining"));
    assert_eq!(left, ["2", "1", "0", "0"]);
    assert_eq!(header(answers[0].headers(), "ratelimit"), "\"per-client\";r=2;t=1");
    assert_eq!(header(answers[3].headers(), "x-ratelimit-limit"), "10");
}

// S-RATE-09
#[test]
fn a_grpc_call_is_answered_in_grpc() {
    let (layer, _) = layer();
    let _ = layer.handle().try_acquire_n(3).expect("it begins full");
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    let mut request = request();
    let grpc = http::HeaderValue::from_static("application/grpc");
    request.headers_mut().insert("content-type", grpc);
    let refused = call(&mut service, request);
    assert_eq!((refused.status().as_u16(), header(refused.headers(), "grpc-status")), (200, "8"));
    assert_eq!(header(refused.headers(), "grpc-retry-pushback-ms"), "100");
}

// S-RATE-09
#[test]
fn where_the_service_has_boxed_errors_the_refusal_is_one() {
    let (layer, _) = layer();
    let _ = layer.handle().try_acquire_n(3).expect("it begins full");
    let inner = tower::service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, BoxError>(Response::new(String::new())))
    });
    let mut service = layer.layer(inner);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let Poll::Ready(Err(error)) = pin!(service.call(request())).poll(cx) else {
        panic!("it is refused at once");
    };
    let rejected = Rejected::find(&*error).expect("it is in the error");
    assert_eq!(rejected.quota().map(|quota| (quota.limit(), quota.remaining())), Some((10, 0)));
}

#[test]
fn a_closure_says_it_in_words_of_its_own() {
    let (layer, _) = layer();
    let _ = layer.handle().try_acquire_n(3).expect("it begins full");
    let layer = layer.refuse_fn(|_: &Request<()>, rejected| {
        let text = format!("Please come back in {} s.", rejected.retry_after_secs().unwrap_or(1));
        Ok(keep_refusal(rejected, Response::new(text)))
    });
    let refused = call(&mut layer.layer(Inner::new(Act::Answer(200))), request());
    assert_eq!(refused.body(), "Please come back in 1 s.");
}
