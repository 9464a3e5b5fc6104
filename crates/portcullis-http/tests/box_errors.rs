//! The layer that makes room for a refusal in the error.

use std::future::{Ready, ready};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use portcullis_http::{BoxError, BoxErrors};
use tower_layer::Layer;
use tower_service::Service;

/// Fails in the way that the request says.
#[derive(Clone)]
struct Client {
    ready: bool,
}

impl Service<bool> for Client {
    type Response = &'static str;
    type Error = io::Error;
    type Future = Ready<Result<&'static str, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        if self.ready { Poll::Ready(Ok(())) } else { Poll::Ready(Err(io::Error::other("gone"))) }
    }

    fn call(&mut self, fails: bool) -> Self::Future {
        ready(if fails { Err(io::Error::other("failed")) } else { Ok("answer") })
    }
}

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("not ready"),
    }
}

#[test]
fn answers_pass_and_errors_are_boxed() {
    let mut client = BoxErrors.layer(Client { ready: true });
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(client.poll_ready(&mut cx), Poll::Ready(Ok(()))));
    assert_eq!(now(client.call(false)).expect("an answer"), "answer");
    let error: BoxError = now(client.call(true)).expect_err("an error");
    assert_eq!(error.to_string(), "failed");
    assert!(error.is::<io::Error>(), "the error itself, not a wrapper");
}

#[test]
fn errors_of_readiness_are_boxed_too() {
    let mut client = BoxErrors.layer(Client { ready: false });
    match client.poll_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => assert_eq!(error.to_string(), "gone"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn boxed_errors_are_not_boxed_again() {
    let mut client = BoxErrors.layer(BoxErrors.layer(Client { ready: true }));
    let error = now(client.call(true)).expect_err("an error");
    assert!(error.is::<io::Error>());
}

#[test]
fn the_service_is_as_clone_and_send_as_the_one_beneath() {
    fn fits<T: Clone + Send + Sync + 'static>(_: &T) {}
    fits(&BoxErrors.layer(Client { ready: true }));
}
