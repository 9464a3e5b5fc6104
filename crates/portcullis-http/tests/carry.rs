//! What a call tells the services that it calls of its priority.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll, Waker};

use breaker_core::{Prioritize, Priority};
use http::{HeaderName, HeaderValue, Request};
use portcullis_http::{CarryPriorityLayer, priority};
use tower_layer::Layer;
use tower_service::Service;

/// Answers with the request that it got.
#[derive(Clone)]
struct Echo;

impl Service<Request<()>> for Echo {
    type Response = Request<()>;
    type Error = Infallible;
    type Future = Ready<Result<Request<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        ready(Ok(request))
    }
}

fn request(headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    request
}

fn sent_by(layer: &CarryPriorityLayer, request: Request<()>) -> Request<()> {
    let mut service = layer.layer(Echo);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let mut future = service.call(request);
    match Future::poll(std::pin::Pin::new(&mut future), cx) {
        Poll::Ready(Ok(request)) => request,
        Poll::Pending => panic!("it answers at once"),
    }
}

/// The lines of `x-priority` that were sent.
fn sent(request: Request<()>) -> Vec<String> {
    let sent = sent_by(&CarryPriorityLayer::new(), request);
    let lines = sent.headers().get_all("x-priority").into_iter();
    lines.map(|line| line.to_str().expect("a text").to_owned()).collect()
}

// S-PRIO-07
#[test]
fn a_call_takes_the_priority_along_under_which_it_is_made() {
    assert_eq!(Priority::HIGH.scope(|| sent(request(&[]))), ["75"]);
    assert_eq!(Priority::new(42).scope(|| sent(request(&[]))), ["42"]);
    let grpc = request(&[("content-type", "application/grpc")]);
    assert_eq!(Priority::BULK.scope(|| sent(grpc)), ["0"]);
    assert_eq!(sent(request(&[])), [""; 0], "nobody has said anything");
}

// S-PRIO-07
#[test]
fn what_was_put_into_the_request_comes_first() {
    let assigned = || {
        let mut request = request(&[]);
        request.extensions_mut().insert(Priority::LOW);
        request
    };
    assert_eq!(sent(assigned()), ["25"]);
    assert_eq!(Priority::HIGH.scope(|| sent(assigned())), ["25"]);
}

// S-PRIO-07
#[test]
fn no_service_speaks_louder_than_its_caller() {
    for (said, expected) in [
        ("low", "low"),
        ("50", "50"),
        ("normal", "normal"),
        ("51", "50"),
        ("critical", "50"),
        // The callee would take these for absent, and so for normal.
        ("urgent", "50"),
        ("", "50"),
    ] {
        let request = request(&[("x-priority", said)]);
        assert_eq!(Priority::NORMAL.scope(|| sent(request)), [expected], "{said:?}");
    }
    let twice = request(&[("x-priority", "bulk"), ("x-priority", "bulk")]);
    assert_eq!(Priority::LOW.scope(|| sent(twice)), ["25"]);
    let alone = request(&[("x-priority", "critical")]);
    assert_eq!(sent(alone), ["critical"], "without a caller there is nothing to compare with");
}

// S-PRIO-07: what one service writes the next one reads.
#[test]
fn a_callee_that_trusts_the_sender_serves_it_by_the_same_priority() {
    let name = HeaderName::from_static("x-importance");
    let rules = priority::from_request().trusted_fn(|_: &Request<()>| true);
    for layer in
        [CarryPriorityLayer::new(), CarryPriorityLayer::default().header_name(name.clone())]
    {
        let other = format!("{layer:?}").contains("x-importance");
        for level in 0..=100 {
            let level = Priority::new(level);
            let mut request = level.scope(|| sent_by(&layer, request(&[])));
            if other {
                assert_eq!(rules.priority(&request), None);
                let value = request.headers_mut().remove(&name).expect("the header");
                request.headers_mut().insert("x-priority", value);
            }
            assert_eq!(rules.priority(&request), Some(level));
        }
    }
}

// S-PRIO-07
#[test]
fn a_request_with_as_many_headers_as_there_can_be_goes_out_without_the_priority() {
    let mut full = Request::new(());
    let mut number = 0;
    while full
        .headers_mut()
        .try_insert(
            HeaderName::try_from(format!("x-{number}")).expect("a name"),
            HeaderValue::from_static("1"),
        )
        .is_ok()
    {
        number += 1;
    }
    assert_eq!(Priority::HIGH.scope(|| sent(full)), [""; 0]);
}
