//! Requests of HTTP and gRPC, with the defaults of the layer.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use breaker_core::TokioClock;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use portcullis_http::replay::X_RETRY_ATTEMPT;
use portcullis_timeout::HedgeLayer;
use tower::service_fn;
use tower_layer::Layer;
use tower_service::Service;

use super::support::FIXED;

type Body = Full<Bytes>;

/// The attempts of a call whose first one takes two seconds, as the callee is told of them, and the
/// answer.
async fn attempts(request: Request<Body>, second: StatusCode) -> (Vec<String>, StatusCode) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let callee = {
        let seen = seen.clone();
        service_fn(move |request: Request<Body>| {
            let number = request.headers().get(X_RETRY_ATTEMPT);
            let number = number.map_or("first", |number| number.to_str().unwrap()).to_owned();
            let wait = if number == "first" { 2_000 } else { 10 };
            let status = if number == "first" { StatusCode::OK } else { second };
            seen.lock().unwrap().push(number);
            async move {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                let answer = Response::builder().status(status).body(Body::from("text"));
                Ok::<_, Infallible>(answer.expect("an answer"))
            }
        })
    };
    let mut service = HedgeLayer::with_clock(FIXED, TokioClock::new()).layer(callee);
    let (get, warm) = (Request::new(Body::default()), Duration::from_millis(10));
    // It is given up, but has earned its share.
    assert!(tokio::time::timeout(warm, service.call(get)).await.is_err());
    seen.lock().unwrap().clear();
    let answer = service.call(request).await.expect("an answer");
    let seen = seen.lock().unwrap().clone();
    (seen, answer.status())
}

fn request(method: Method) -> http::request::Builder {
    Request::builder().method(method).uri("/search")
}

#[tokio::test(start_paused = true)]
async fn methods_that_may_be_made_twice_are_and_others_never() {
    for (method, times) in [
        (Method::GET, 2),
        (Method::HEAD, 2),
        (Method::PUT, 2),
        (Method::DELETE, 2),
        (Method::POST, 1),
        (Method::PATCH, 1),
    ] {
        let sent = request(method.clone()).body(Body::from("text")).expect("a request");
        let (seen, _) = attempts(sent, StatusCode::OK).await;
        assert_eq!(seen, ["first", "2"][..times], "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_makes_a_post_one_that_may_be_made_twice_and_grpc_needs_it_always() {
    let post = request(Method::POST).header("idempotency-key", "a").body(Body::default());
    assert_eq!(attempts(post.expect("a request"), StatusCode::OK).await.0.len(), 2);
    let grpc = request(Method::GET).header("content-type", "application/grpc");
    let (seen, _) = attempts(grpc.body(Body::default()).expect("a request"), StatusCode::OK).await;
    assert_eq!(seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_of_somebody_else_is_not_sent_again() {
    let repeated = request(Method::GET).header(X_RETRY_ATTEMPT, "2").body(Body::default());
    assert_eq!(attempts(repeated.expect("a request"), StatusCode::OK).await.0, ["2"]);
    let marked = request(Method::GET).header("x-should-retry", "false").body(Body::default());
    assert_eq!(attempts(marked.expect("a request"), StatusCode::OK).await.0, ["first"]);
}

#[tokio::test(start_paused = true)]
async fn a_status_decides_which_answer_wins() {
    for (second, answered) in [
        (StatusCode::OK, StatusCode::OK),
        (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND),
        (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK),
        (StatusCode::INTERNAL_SERVER_ERROR, StatusCode::OK),
    ] {
        let get = request(Method::GET).body(Body::default()).expect("a request");
        let (seen, status) = attempts(get, second).await;
        assert_eq!((seen.len(), status), (2, answered), "{second}");
    }
}
