//! What a refused caller gets.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use portcullis_priority::breaker_core::{Reason, Rejected};
use portcullis_priority::portcullis_http::{keep_refusal, refusal_of};
use portcullis_priority::{BoxError, Priority, Slot};
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{Act, CONFIG, Inner, Plain, call, layer_of, of, request, running};

/// A layer all of whose slots are taken, and that lets nobody wait.
fn full() -> (Plain, Vec<Slot>) {
    let layer = layer_of(CONFIG.capacity(0));
    let slots = (0..3).map(|_| layer.handle().try_acquire(Priority::NORMAL).expect("it is free"));
    let slots = slots.collect();
    (layer, slots)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("a text"))
}

// S-PRIO-08
#[test]
fn it_is_a_503_that_says_when_to_come_back_and_which_priority_was_weighed() {
    let (layer, slots) = full();
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    let refused = call(&mut service, of("low"));
    assert_eq!(refused.status(), 503);
    assert_eq!(header(refused.headers(), "retry-after"), "1");
    assert_eq!(header(refused.headers(), "content-type"), "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(refused.body()).expect("JSON");
    assert_eq!((&problem["status"], &problem["priority"]), (&503.into(), &"low".into()));
    assert_eq!(problem["retry_after_ms"], 1_000);
    let rejected = refusal_of(&refused).expect("it is marked");
    assert_eq!((rejected.reason(), rejected.by().as_str()), (Reason::AtLimit, "search"));
    assert_eq!(rejected.retry_after(), Some(Duration::from_secs(1)));
    drop(slots);
    assert!(call(&mut service, of("low")).headers().is_empty(), "nothing is added to an answer");
}

// S-PRIO-01
#[test]
fn whoever_is_below_the_minimum_is_refused_while_slots_are_free() {
    let layer = layer_of(CONFIG);
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    layer.handle().min_priority(Priority::NORMAL).expect("it fits");
    assert_eq!(call(&mut service, request()).status(), 200);
    let refused = call(&mut service, of("49"));
    assert_eq!(refused.status(), 503);
    let rejected = refusal_of(&refused).expect("it is marked");
    assert_eq!(rejected.reason(), Reason::BelowMinimum);
    assert_eq!(rejected.priority(), Some(Priority::new(49)));
    layer.handle().min_priority(Priority::BULK).expect("it fits");
    assert_eq!(call(&mut service, of("49")).status(), 200);
    assert_eq!((running(&layer.handle()), layer.handle().snapshot().shed), (0, 1));
}

#[test]
fn a_grpc_call_is_answered_in_grpc() {
    let (layer, _slots) = full();
    let mut request = request();
    let grpc = http::HeaderValue::from_static("application/grpc");
    request.headers_mut().insert("content-type", grpc);
    let refused = call(&mut layer.layer(Inner::new(Act::Answer(200))), request);
    assert_eq!((refused.status().as_u16(), header(refused.headers(), "grpc-status")), (200, "14"));
    assert_eq!(header(refused.headers(), "grpc-retry-pushback-ms"), "1000");
}

#[test]
fn the_rules_of_either_can_be_pinned() {
    let (layer, _slots) = full();
    let mut grpc = layer.clone().grpc().layer(Inner::new(Act::Answer(200)));
    assert_eq!(header(call(&mut grpc, request()).headers(), "grpc-status"), "14");
    let mut http = layer.http().layer(Inner::new(Act::Answer(200)));
    let mut request = request();
    let grpc = http::HeaderValue::from_static("application/grpc");
    request.headers_mut().insert("content-type", grpc);
    assert_eq!(call(&mut http, request).status(), 503);
}

#[test]
fn where_the_service_has_boxed_errors_the_refusal_is_one() {
    let (layer, _slots) = full();
    let inner = tower::service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, BoxError>(Response::new(String::new())))
    });
    let mut service = layer.layer(inner);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let Poll::Ready(Err(error)) = pin!(service.call(of("bulk"))).poll(cx) else {
        panic!("it is refused at once");
    };
    let rejected = Rejected::find(&*error).expect("it is in the error");
    assert_eq!(rejected.priority(), Some(Priority::BULK));
}

#[test]
fn a_closure_says_it_in_words_of_its_own() {
    let (layer, _slots) = full();
    let layer = layer.refuse_fn(|_: &Request<()>, rejected| {
        let text = format!("Please come back in {} s.", rejected.retry_after_secs().unwrap_or(0));
        Ok(keep_refusal(rejected, Response::new(text)))
    });
    let refused = call(&mut layer.layer(Inner::new(Act::Answer(200))), request());
    assert_eq!(refused.body(), "Please come back in 1 s.");
}
