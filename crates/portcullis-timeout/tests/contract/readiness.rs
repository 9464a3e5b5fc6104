//! Readiness is that of the service inside.

use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use portcullis_timeout::BoxError;
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{Act, Inner, call, layer};

#[tokio::test(start_paused = true)]
async fn the_instance_that_was_made_ready_is_called() {
    let inner = Inner::new(Act::Answer(200));
    let mut service = layer().layer(inner.clone());
    // `Inner` panics where it is called without having been made ready.
    for _ in 0..5 {
        assert_eq!(call(&mut service).await.0.status(), 200);
        service = service.clone();
    }
    assert_eq!(inner.calls(), 5);
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
fn pending_and_errors_of_the_service_inside_are_passed_on() {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(layer().layer(Sick(Poll::Pending)).poll_ready(cx).is_pending());
    let failed = layer().layer(Sick(Poll::Ready(Err("dead")))).poll_ready(cx);
    assert!(matches!(failed, Poll::Ready(Err(error)) if error.to_string() == "dead"));
}
