//! Readiness is that of the service inside.

use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use portcullis_priority::{BoxError, Priority};
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{Act, Inner, call, layer, request, running};

#[test]
fn the_instance_that_was_made_ready_is_called() {
    let mut service = layer().layer(Inner::new(Act::Answer(200)));
    // `Inner` panics where it is called without having been made ready.
    for _ in 0..5 {
        let response = call(&mut service, request());
        assert_eq!(response.status(), 200);
        service = service.clone();
    }
}

// S-PRIO-05
#[test]
fn nothing_is_taken_in_poll_ready() {
    let layer = layer();
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    let cx = &mut Context::from_waker(Waker::noop());
    for _ in 0..10 {
        let mut clone = service.clone();
        assert!(Service::<Request<()>>::poll_ready(&mut clone, cx).is_ready());
    }
    assert!(Service::<Request<()>>::poll_ready(&mut service, cx).is_ready());
    assert_eq!(running(&layer.handle()), 0);
}

#[test]
fn a_queue_without_a_free_slot_is_ready_and_refuses_in_the_call() {
    let layer = layer();
    layer.handle().min_priority(Priority::HIGH).expect("it fits");
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    assert_eq!(call(&mut service, request()).status(), 503);
}

/// Is never ready, or fails to be.
#[derive(Clone, Debug)]
struct Sick(Poll<Result<(), &'static str>>);

impl Service<Request<()>> for Sick {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<String>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.map(|ready| ready.map_err(Into::into))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        unreachable!("it was never ready")
    }
}

#[test]
fn pending_and_errors_of_the_service_inside_are_passed_on_and_take_nothing() {
    let layer = layer();
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(layer.layer(Sick(Poll::Pending)).poll_ready(cx).is_pending());
    let failed = layer.layer(Sick(Poll::Ready(Err("dead")))).poll_ready(cx);
    assert!(matches!(failed, Poll::Ready(Err(error)) if error.to_string() == "dead"));
    assert_eq!(running(&layer.handle()), 0);
}
