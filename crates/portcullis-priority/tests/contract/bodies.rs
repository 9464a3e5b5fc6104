//! A slot is held to the end of the body, or to the head.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame};
use portcullis_priority::breaker_core::{ManualClock, Name, Reason, Rejected};
use portcullis_priority::portcullis_http::{Held, JudgedBody, keep_refusal};
use portcullis_priority::{PriorityQueueLayer, Slot};
use tower::service_fn;
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{CONFIG, call, request, running};

/// What a body does when it is polled.
#[derive(Clone, Copy, Debug)]
enum Part {
    Data,
    Trailers,
    Pending,
    Breaks,
    Panics,
}

/// A body of these parts, which does not know its length.
#[derive(Clone, Debug, Default)]
struct Parts(VecDeque<Part>);

impl Body for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match self.0.pop_front() {
            None => None,
            Some(Part::Pending) => return Poll::Pending,
            Some(Part::Data) => Some(Ok(Frame::data(Bytes::from_static(b"data")))),
            Some(Part::Trailers) => Some(Ok(Frame::trailers(HeaderMap::new()))),
            Some(Part::Breaks) => Some(Err(io::ErrorKind::ConnectionReset.into())),
            Some(Part::Panics) => panic!("as told"),
        })
    }
}

type HeldBody = JudgedBody<Parts, Held<Slot>>;

/// A layer, and the answer of a service behind it whose body has these parts.
fn answered(parts: &[Part], change: fn(&mut Response<Parts>)) -> (PriorityQueueLayer, HeldBody) {
    let layer = PriorityQueueLayer::with_clock(CONFIG, ManualClock::new());
    let parts = Parts(parts.iter().copied().collect());
    let inner = service_fn(move |_: Request<()>| {
        let mut response = Response::new(parts.clone());
        change(&mut response);
        ready(Ok::<_, Infallible>(response))
    });
    let body = call(&mut layer.layer(inner), request()).into_body();
    (layer, body)
}

fn poll(body: &mut HeldBody) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

// S-PRIO-05
#[test]
fn the_slot_is_held_until_the_body_says_that_there_is_no_more() {
    let (layer, mut body) = answered(&[Part::Data, Part::Pending, Part::Data], |_| ());
    for _ in 0..3 {
        assert_eq!(running(&layer.handle()), 1);
        let _ = poll(&mut body);
    }
    assert_eq!(running(&layer.handle()), 1, "it does not know that this was the last");
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    assert_eq!(running(&layer.handle()), 0, "while the body is still there");
}

// S-PRIO-05: who knows the end sooner gives the slot back sooner.
#[test]
fn the_last_byte_or_the_trailers_are_the_end() {
    let (layer, mut body) = answered(&[Part::Data, Part::Data], |response| {
        response.headers_mut().insert("content-length", 8.into());
    });
    let _ = poll(&mut body);
    assert_eq!(running(&layer.handle()), 1);
    let _ = poll(&mut body);
    assert_eq!(running(&layer.handle()), 0);
    let (layer, mut body) = answered(&[Part::Trailers], |_| ());
    let _ = poll(&mut body);
    assert_eq!(running(&layer.handle()), 0);
}

// S-PRIO-05
#[test]
fn a_body_that_is_dropped_breaks_or_panics_gives_the_slot_back() {
    let (layer, mut body) = answered(&[Part::Data, Part::Pending], |_| ());
    let _ = (poll(&mut body), poll(&mut body));
    drop(body);
    assert_eq!(running(&layer.handle()), 0);
    let (layer, mut body) = answered(&[Part::Breaks], |_| ());
    let _ = poll(&mut body);
    assert_eq!(running(&layer.handle()), 0, "broken");
    let (layer, mut body) = answered(&[Part::Panics], |_| ());
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(poll(&mut body))));
    assert!(panicked.is_err(), "it goes on");
    assert_eq!(running(&layer.handle()), 0, "panicked");
}

// S-PRIO-05: a failure's body takes as long as any other.
#[test]
fn an_answer_that_says_it_failed_holds_its_slot_as_well() {
    let (layer, body) = answered(&[Part::Data], |response| {
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    });
    assert_eq!(running(&layer.handle()), 1);
    drop(body);
    assert_eq!(running(&layer.handle()), 0);
}

// S-ADV-02
#[test]
fn the_body_of_a_refusal_from_further_in_holds_none() {
    let (layer, body) = answered(&[Part::Data], |response| {
        let rejected = Rejected::new(Name::new("further in"), Reason::Open);
        *response = keep_refusal(rejected, std::mem::take(response));
    });
    assert_eq!(running(&layer.handle()), 0);
    drop(body);
}

// S-PRIO-05
#[test]
fn an_answer_without_a_body_ends_with_its_head() {
    let no_content = |response: &mut Response<Parts>| {
        *response.status_mut() = http::StatusCode::NO_CONTENT;
    };
    let (layer, body) = answered(&[Part::Data], no_content);
    assert_eq!(running(&layer.handle()), 0);
    drop(body);
    let layer = PriorityQueueLayer::with_clock(CONFIG, ManualClock::new());
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Parts([Part::Data].into()))))
    });
    let head = Request::builder().method(Method::HEAD).body(()).expect("a request");
    let _answer = call(&mut layer.layer(inner), head);
    assert_eq!(running(&layer.handle()), 0);
}

// S-PRIO-05
#[test]
fn a_slot_that_is_held_to_the_head_is_free_while_the_body_is_sent() {
    let layer = PriorityQueueLayer::with_clock(CONFIG, ManualClock::new()).hold_to_head();
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Parts([Part::Data].into()))))
    });
    let mut service = layer.layer(inner);
    let answer: Response<Parts> = call(&mut service, request());
    assert_eq!((running(&layer.handle()), answer.body().0.len()), (0, 1));
    let _ =
        Service::<Request<()>>::poll_ready(&mut service, &mut Context::from_waker(Waker::noop()));
}

// S-PRIO-02: the next one in the queue gets the slot when the body has ended.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_body_lets_the_next_call_begin() {
    use tower::ServiceExt as _;
    let config = portcullis_priority::QueueConfig::slots(1);
    let layer = PriorityQueueLayer::with_clock(config, ManualClock::new());
    let service = layer.layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Parts([Part::Data].into()))))
    }));
    let Ok(first) = service.clone().oneshot(request()).await;
    let second = tokio::spawn(service.oneshot(request()));
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    let mut body = first.into_body();
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(_)))));
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    let Ok(second) = second.await.expect("no panic");
    assert_eq!(running(&layer.handle()), 1);
    drop((body, second));
    assert_eq!(running(&layer.handle()), 0);
}
