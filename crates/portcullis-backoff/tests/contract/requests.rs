//! Which requests are sent again, and what with.

use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use portcullis_backoff::breaker_core::RetryPath;
use portcullis_backoff::portcullis_http::replay::Idempotent;
use portcullis_backoff::{BoxError, replay};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::support::{Act, CONFIG, Callee, Web, call, get, layer, layer_of, of, status};

/// A POST fails so, having been changed so; how often was it made?
async fn posted(act: Act, change: impl FnOnce(&mut Web)) -> usize {
    let (callee, mut request) = (Callee::new(act), of(Method::POST));
    change(&mut request);
    let _ = call(&mut layer().layer(callee.clone()), request).await;
    callee.calls()
}

// S-RETRY-05
#[tokio::test(start_paused = true)]
async fn a_post_is_made_again_only_where_that_does_no_harm() {
    assert_eq!(posted(Act::Answer(504), |_| ()).await, 1);
    assert_eq!(posted(Act::Fails(ErrorKind::ConnectionReset), |_| ()).await, 1);
    assert_eq!(posted(Act::Fails(ErrorKind::ConnectionRefused), |_| ()).await, 2, "never sent");
    let key = |request: &mut Web| {
        request.headers_mut().insert("idempotency-key", "8e03978e".parse().expect("a value"));
    };
    assert_eq!(posted(Act::Answer(504), key).await, 2);
    let empty = |request: &mut Web| {
        request.headers_mut().insert("idempotency-key", "".parse().expect("a value"));
    };
    assert_eq!(posted(Act::Answer(504), empty).await, 1);
    let marked = |request: &mut Web| {
        let _ = request.extensions_mut().insert(Idempotent);
    };
    assert_eq!(posted(Act::Answer(504), marked).await, 2);
    assert_eq!(posted(Act::Answer(404), key).await, 1);
}

// S-RETRY-05
#[tokio::test(start_paused = true)]
async fn a_closure_says_what_else_may_be_made_twice() {
    let layer = layer().idempotent_fn(|request: &Web| request.body() == "search");
    for (body, calls) in [("search", 2), ("order", 1)] {
        let callee = Callee::new(Act::Answer(504));
        let request = Request::post("/").body(body.to_owned()).expect("a request");
        assert_eq!(status(&mut layer.layer(callee.clone()), request).await, 504);
        assert_eq!(callee.calls(), calls, "{body}");
    }
}

// S-RETRY-05: of gRPC the method says nothing.
#[tokio::test(start_paused = true)]
async fn a_grpc_call_is_made_again_only_where_that_is_said() {
    let grpc = || {
        let mut request = of(Method::POST);
        request.headers_mut().insert("content-type", "application/grpc".parse().expect("a value"));
        request
    };
    let unavailable = Act::SaysGrpc("14");
    let callee = Callee::new(unavailable);
    assert_eq!(status(&mut layer().layer(callee.clone()), grpc()).await, 200);
    assert_eq!(callee.calls(), 1);
    let callee = Callee::new(unavailable);
    let marked = layer().idempotent_fn(|_: &Web| true);
    assert_eq!(status(&mut marked.layer(callee.clone()), grpc()).await, 200);
    assert_eq!(callee.calls(), 3);
}

// S-RETRY-01: a repetition says which one it is.
#[tokio::test(start_paused = true)]
async fn attempts_are_numbered_and_otherwise_the_same() {
    let callee = Callee::new(Act::Answer(503));
    assert_eq!(status(&mut layer().layer(callee.clone()), get()).await, 503);
    let seen = callee.seen();
    let numbers: Vec<_> = seen.iter().map(|it| it.attempt).collect();
    assert_eq!(numbers, [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
    assert!(seen.iter().all(|it| it.body == "text"));
}

// S-RETRY-01: one of all who could repeat a call does.
#[tokio::test(start_paused = true)]
async fn what_somebody_else_repeats_is_left_to_him() {
    for (name, value) in [("x-retry-attempt", "2"), ("x-should-retry", "false")] {
        let (callee, mut request) = (Callee::new(Act::Answer(503)), get());
        request.headers_mut().insert(name, value.parse().expect("a value"));
        assert_eq!(status(&mut layer().layer(callee.clone()), request).await, 503);
        assert_eq!(callee.calls(), 1, "{name}");
    }
    for (mut path, calls, spent) in
        [(RetryPath::attempt(1), 5, true), (RetryPath::attempt(2), 1, false)]
    {
        let callee = Callee::new(Act::Answer(503));
        let mut service = layer().layer(callee.clone());
        let mut call = Box::pin(call(&mut service, get()));
        let answer = std::future::poll_fn(|cx| path.scope(|| call.as_mut().poll(cx))).await;
        assert!(answer.is_ok());
        assert_eq!((callee.calls(), path.is_spent()), (calls, spent));
    }
}

// S-RETRY-01: what is told from further in goes on up.
#[tokio::test(start_paused = true)]
async fn a_callee_that_has_tried_in_vain_is_passed_on_to_those_above() {
    for (act, spent) in [
        (Act::Says(503, "x-should-retry", "false"), true),
        (Act::Says(503, "x-should-retry", "true"), true),
        (Act::Answer(404), false),
    ] {
        let mut path = RetryPath::attempt(1);
        let mut service = layer().layer(Callee::new(act));
        let mut call = Box::pin(call(&mut service, get()));
        let answer = std::future::poll_fn(|cx| path.scope(|| call.as_mut().poll(cx))).await;
        assert!(answer.is_ok());
        assert_eq!(path.is_spent(), spent, "{act:?}");
    }
}

// ===== bodies =====

type Boxed = UnsyncBoxBody<Bytes, BoxError>;

/// A body of these frames, which does not know its length.
struct Stream(Vec<&'static str>);

impl Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.0.remove(0).as_bytes())))))
    }
}

/// Sends such a body to a server that reads it and says 503; how often, and what, did that read?
async fn streamed(limit: usize, frames: Vec<&'static str>) -> (Result<u16, String>, Vec<String>) {
    let read = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = read.clone();
    let callee = service_fn(move |request: Request<Boxed>| {
        let seen = seen.clone();
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            seen.lock().expect("no panic").push(String::from_utf8_lossy(&body).into_owned());
            let refused = std::io::Error::from(ErrorKind::ConnectionReset);
            Err::<Response<()>, BoxError>(refused.into())
        }
    });
    let replay = replay::bodies(Boxed::new).limit(limit);
    let mut service = layer().replay(replay).layer(callee);
    let request = Request::put("/").body(Boxed::new(Stream(frames))).expect("a request");
    let answer = service.ready().await.expect("ready").call(request).await;
    let answer = answer.map(|answer| answer.status().as_u16()).map_err(|error| {
        error.downcast::<std::io::Error>().map(|it| it.kind().to_string()).expect("the callee's")
    });
    let read = read.lock().expect("no panic").clone();
    (answer, read)
}

// S-RETRY-05
#[tokio::test(start_paused = true)]
async fn a_body_is_kept_while_it_is_sent() {
    let (answer, read) = streamed(64, vec!["one, ", "two, ", "three"]).await;
    assert_eq!(read, ["one, two, three"; 2]);
    assert_eq!(answer, Err("connection reset".to_owned()));
}

// S-RETRY-05
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_too_long_is_sent_once_and_whole() {
    let (answer, read) = streamed(9, vec!["one, ", "two, ", "three"]).await;
    assert_eq!(read, ["one, two, three"]);
    assert_eq!(answer, Err("connection reset".to_owned()), "the error is the callee's own");
}

// S-RETRY-05
#[tokio::test(start_paused = true)]
async fn what_was_not_kept_is_sent_once_and_the_error_is_the_callees_own() {
    let callee = Callee::new(Act::Fails(ErrorKind::ConnectionRefused));
    let nothing = layer_of(CONFIG).clone_request_fn(|_: &Web| None);
    let error = call(&mut nothing.layer(callee.clone()), get()).await.expect_err("refused");
    let io = error.downcast::<std::io::Error>().expect("it is in no other");
    assert_eq!((io.kind(), callee.calls()), (ErrorKind::ConnectionRefused, 1));
}
