//! Any bytes as the headers by which one side tells the other of attempts and deadlines: nobody is
//! made to wait for ever, and no deadline grows on the way.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use breaker_core::{Classify, Deadline, ManualClock, Replay, RetryPath, Tick};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use portcullis_http::deadline::{self, ReadDeadline};
use portcullis_http::{CarryDeadlineLayer, HttpOrGrpc, MAX_RETRY_AFTER, RetryMarksLayer, replay};
use tower_layer::Layer;
use tower_service::Service;

const NAMES: [&str; 13] = [
    "retry-after",
    "date",
    "grpc-retry-pushback-ms",
    "grpc-status",
    "grpc-status-details-bin",
    "ratelimit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-should-retry",
    "x-retry-attempt",
    "grpc-timeout",
    "x-timeout-ms",
    "content-type",
];

/// How many lines a header can have of them. The first byte of a line says of which header it is.
pub(crate) fn run(bytes: &[u8]) -> usize {
    let mut headers = HeaderMap::new();
    for (name, value) in bytes.split(|byte| *byte == b'\n').filter_map(line) {
        headers.append(name, value);
    }
    let mut answer = Response::new(());
    *answer.headers_mut() = headers.clone();
    advised(&answer);
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    marked(request.clone());
    let lines = request.headers().len();
    timed(request);
    lines
}

fn line(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (&name, value) = line.split_first()?;
    let name = NAMES[usize::from(name) % NAMES.len()];
    Some((HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?))
}

fn lines<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?").trim()).collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// An answer of anybody: no wait is endless, and `never` is only heard where it is said.
fn advised(answer: &Response<()>) {
    let advice = HttpOrGrpc.advice(Ok::<_, &Infallible>(answer));
    assert!(advice.wait.is_none_or(|wait| wait <= MAX_RETRY_AFTER), "{advice:?}");
    assert!(!advice.unsent, "a stranger says that he has not heard us");
    let pushed = lines(answer.headers(), "grpc-retry-pushback-ms");
    let refuses = match &*pushed {
        [] => false,
        [one] => !is_number(one),
        _ => true,
    };
    let forbids = lines(answer.headers(), "x-should-retry")
        .iter()
        .any(|text| text.eq_ignore_ascii_case("false"));
    assert_eq!(advice.never, refuses || forbids, "{:?}", answer.headers());
}

/// A request of anybody: what it says of attempts is heard alike by both who ask.
fn marked(mut request: Request<()>) {
    let kept = replay::clones().keep(&mut request).expect("it can be cloned");
    let about = Replay::<Request<()>>::about(&replay::clones(), &kept);
    let future = pin!(RetryMarksLayer::new().layer(Paths).call(request));
    let Poll::Ready(Ok(answer)) = future.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it answers at once");
    };
    let path = answer.into_body();
    assert!((1..=100).contains(&path.number()), "{path:?}");
    assert_eq!(about.repeated_elsewhere, !path.may_retry());
    let again: Request<()> = replay::clones().again(&kept, 2).expect("it can be cloned");
    assert_eq!(lines(again.headers(), "x-retry-attempt"), ["2"]);
}

/// What goes out within a deadline says no more than is left, and no more than was said.
fn timed(request: Request<()>) {
    const LEFT: Duration = Duration::from_millis(1_500);

    let clock = ManualClock::new();
    let read = |request: &Request<()>| deadline::from_request().deadline(request, || Tick::ZERO);
    let said = read(&request);
    let until = Deadline::after(Tick::ZERO, LEFT);
    let mut carry = CarryDeadlineLayer::with_clock(clock).layer(Echo);
    let Ok(sent) = until.scope(|| carry.call(request)).into_inner();
    let heard = read(&sent).expect("there is a header");
    assert!(heard <= until.or_before(said), "{heard:?} of {said:?}");
}

/// Answers with the path that is around it.
struct Paths;

/// Answers with the request that is sent.
struct Echo;

impl Service<Request<()>> for Paths {
    type Response = Response<RetryPath>;
    type Error = Infallible;
    type Future = Ready<Result<Response<RetryPath>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(RetryPath::current().expect("it is around the call"))))
    }
}

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
