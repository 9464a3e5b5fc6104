//! Who retries along the path of a call, as a server hears it and tells it.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use breaker_core::RetryPath;
use http::{HeaderName, HeaderValue, Request, Response};
use portcullis_http::RetryMarksLayer;
use tower_layer::Layer;
use tower_service::Service;

/// A service made of a closure.
struct Does<F>(F);

impl<F, Fut> Service<Request<()>> for Does<F>
where
    F: FnMut(Request<()>) -> Fut,
    Fut: Future<Output = Result<Response<()>, Infallible>>,
{
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Fut {
        self.0(request)
    }
}

fn request(headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::new(());
    for &(name, value) in headers {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    request
}

/// The answer of this service beneath the layer, whose future is polled twice.
fn answer<F, Fut>(does: F, request: Request<()>) -> Response<()>
where
    F: FnMut(Request<()>) -> Fut,
    Fut: Future<Output = Result<Response<()>, Infallible>>,
{
    let mut service = RetryMarksLayer::new().layer(Does(does));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut future = pin!(service.call(request));
    assert_eq!(RetryPath::current(), None, "it is there for those inside only");
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert_eq!(RetryPath::current(), None);
    match future.poll(&mut cx) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending => panic!("it answers at the second poll"),
    }
}

async fn once_pending() {
    let mut first = true;
    std::future::poll_fn(|_| match std::mem::take(&mut first) {
        true => Poll::Pending,
        false => Poll::Ready(()),
    })
    .await;
}

#[test]
fn the_path_of_a_request_is_around_call_and_polls() {
    let most = RetryPath::attempt(100);
    for (headers, expected) in [
        (&[][..], RetryPath::attempt(1)),
        (&[("x-retry-attempt", "1")], RetryPath::attempt(1)),
        (&[("x-retry-attempt", " 3 ")], RetryPath::attempt(3)),
        (&[("x-should-retry", "false")], RetryPath::attempt(1).forbid()),
        (&[("x-should-retry", "true")], RetryPath::attempt(1)),
        (&[("x-retry-attempt", "0")], RetryPath::attempt(1)),
        (&[("x-retry-attempt", "-3")], RetryPath::attempt(1)),
        (&[("x-retry-attempt", "abc")], RetryPath::attempt(1)),
        (&[("x-retry-attempt", "3"), ("x-retry-attempt", "4")], RetryPath::attempt(4)),
        (&[("x-retry-attempt", "101")], most),
        (&[("x-retry-attempt", "99999999999999999999999")], most),
    ] {
        let does = |request: Request<()>| {
            assert_eq!(RetryPath::current(), Some(expected), "{headers:?}");
            let marked = request.extensions().get().copied();
            assert_eq!(marked, Some(expected).filter(|path| !path.may_retry()), "{headers:?}");
            async move {
                assert_eq!(RetryPath::current(), Some(expected));
                once_pending().await;
                assert_eq!(RetryPath::current(), Some(expected));
                Ok(Response::new(()))
            }
        };
        assert!(answer(does, request(headers)).headers().is_empty());
    }
}

#[test]
fn attempts_in_vain_are_told_with_the_failure() {
    for (spend, status, code, told) in [
        (true, 500, None, true),
        (true, 503, None, true),
        (true, 200, Some("14"), true),
        (true, 200, Some("0"), false),
        (true, 200, None, false),
        (true, 404, None, false),
        (false, 500, None, false),
        (false, 200, Some("14"), false),
    ] {
        for early in [true, false] {
            let does = |_| {
                let say = move || {
                    if spend {
                        RetryPath::spend();
                    }
                };
                if early {
                    say();
                }
                async move {
                    once_pending().await;
                    say();
                    let mut response = Response::builder().status(status);
                    if let Some(code) = code {
                        response = response.header("grpc-status", code);
                    }
                    Ok(response.body(()).expect("a response"))
                }
            };
            let answer = answer(does, request(&[]));
            let said = answer.headers().get("x-should-retry").map(HeaderValue::as_bytes);
            assert_eq!(said, told.then_some(&b"false"[..]), "{status} {code:?}");
        }
    }
}
