//! The priority of a call goes along to whatever it does.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::task::Poll;

use http::{Request, Response};
use portcullis_priority::breaker_core::TokioClock;
use portcullis_priority::portcullis_http::CarryPriorityLayer;
use portcullis_priority::{
    ConcurrencyLayer, ConcurrencyLimit, Priority, PriorityQueueLayer, QueueConfig,
};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_layer::Layer as _;

use super::support::{call, layer, of, request};

type Answer = Result<Response<String>, Infallible>;

/// A callee that answers with what the header and the extensions of a request say.
fn told(request: &Request<()>) -> Ready<Answer> {
    let header = request.headers().get("x-priority").map_or("-", |v| v.to_str().expect("a text"));
    let extension = request.extensions().get::<Priority>().map(ToString::to_string);
    let current = Priority::current().map(|priority| priority.to_string());
    let [extension, current] = [extension, current].map(|it| it.unwrap_or_else(|| "-".to_owned()));
    ready(Ok(Response::new(format!("{header} {extension} {current}"))))
}

// S-PRIO-07: in the extensions, and while the call is made and polled.
#[test]
fn whoever_is_further_in_knows_how_important_the_call_is() {
    let inner = service_fn(|request: Request<()>| told(&request));
    assert_eq!(call(&mut layer().layer(inner), of("bulk")).body(), "bulk bulk bulk");
    assert_eq!(call(&mut layer().layer(inner), of("critical")).body(), "critical normal normal");
    let polled = service_fn(|_: Request<()>| {
        poll_fn(|_| {
            let text = format!("{:?}", Priority::current().map(Priority::level));
            Poll::Ready(Answer::Ok(Response::new(text)))
        })
    });
    assert_eq!(call(&mut layer().layer(polled), of("30")).body(), "Some(30)");
    assert_eq!(Priority::current(), None, "and afterwards nobody does");
}

// S-PRIO-07: also after it waited.
#[tokio::test(start_paused = true)]
async fn so_it_is_after_a_wait() {
    let layer = PriorityQueueLayer::with_clock(QueueConfig::slots(1), TokioClock::new());
    let layer = layer.hold_to_head();
    let slot = layer.handle().try_acquire(Priority::NORMAL).expect("it is free");
    let inner = service_fn(|request: Request<()>| told(&request));
    let waits = tokio::spawn(layer.layer(inner).oneshot(of("low")));
    tokio::task::yield_now().await;
    drop(slot);
    let Ok(answer) = waits.await.expect("no panic");
    assert_eq!(answer.body(), "low low low");
}

// S-PRIO-07: a handler that calls another service, through a client with these layers.
#[test]
fn a_clients_layers_neither_raise_nor_lower_the_calls_of_a_handler() {
    let callee = service_fn(|request: Request<()>| told(&request));
    let bulkhead = ConcurrencyLayer::new(ConcurrencyLimit::new(9)).hold_to_head();
    let carry = CarryPriorityLayer::new();
    let bulkhead = ServiceBuilder::new().layer(bulkhead).layer(carry.clone()).service(callee);
    let queue = ServiceBuilder::new().layer(layer()).layer(carry).service(callee);
    let handler = service_fn(move |_: Request<()>| {
        let bodies = [call(&mut bulkhead.clone(), request()), call(&mut queue.clone(), request())];
        let headers = bodies.map(|body| body.body().split(' ').next().map(str::to_owned));
        ready(Answer::Ok(Response::new(headers.map(Option::unwrap_or_default).join(" "))))
    });
    let mut server = layer().layer(handler);
    for (asked, header) in [("0", "0 0"), ("30", "30 30"), ("normal", "50 50")] {
        assert_eq!(call(&mut server, of(asked)).body(), header, "{asked}");
    }
}

// S-PRIO-07: what a client says of a call of its own counts more than the call that it is made in.
#[test]
fn a_request_that_says_something_itself_is_believed() {
    let callee = service_fn(|request: Request<()>| told(&request));
    let queue = layer().layer(callee);
    let handler =
        service_fn(move |_: Request<()>| ready(Answer::Ok(call(&mut queue.clone(), of("low")))));
    assert_eq!(call(&mut layer().layer(handler), of("30")).body(), "low low low");
}
