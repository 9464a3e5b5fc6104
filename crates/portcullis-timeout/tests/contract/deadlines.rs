//! A request is of use until its deadline.

use std::convert::Infallible;
use std::future::poll_fn;
use std::task::Poll;

use http::{Request, Response};
use portcullis_timeout::breaker_core::{
    CallError, Clock as _, Deadline, EventKind, Reason, Rejected, TokioClock,
};
use portcullis_timeout::{AdaptiveTimeout, AdaptiveTimeoutLayer, TimeoutConfig};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;

use super::support::{Act, CONFIG, Inner, Told, layer, ms, request, send};

/// So many milliseconds from now.
fn within(millis: u64) -> Deadline {
    Deadline::after(TokioClock::new().now(), ms(millis))
}

fn until(deadline: Deadline) -> Request<()> {
    let mut request = request();
    request.extensions_mut().insert(deadline);
    request
}

// S-TIMEOUT-01
#[tokio::test(start_paused = true)]
async fn a_call_waits_no_longer_than_its_deadline() {
    let layer = layer();
    let mut service = layer.layer(Inner::new(Act::Never));
    let (answer, after) = send(&mut service, until(within(300))).await;
    assert_eq!((answer.status().as_u16(), after), (504, ms(300)));
    // It says of the callee only that it takes longer than that, and is no timeout of ours.
    let seen = layer.handle().snapshot();
    assert_eq!((seen.timed_out, seen.timeout), (0, ms(1_000)));
    let (_, after) = send(&mut service, until(within(9_000))).await;
    assert_eq!(after, ms(1_000));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_is_not_made() {
    let told = Told::default();
    let layer = layer().observe(told.clone());
    let inner = Inner::new(Act::Answer(200));
    let mut service = layer.layer(inner.clone());
    let (answer, _) = send(&mut service, until(within(0))).await;
    assert_eq!((answer.status().as_u16(), inner.calls()), (504, 0));
    let rejected = *answer.extensions().get::<Rejected>().expect("it says so");
    assert_eq!((rejected.reason(), rejected.was_made()), (Reason::DeadlinePassed, false));
    assert_eq!(
        (told.all(), layer.handle().snapshot().samples),
        (vec![EventKind::Refused(rejected)], 0)
    );
    assert_eq!(send(&mut service, until(within(1))).await.0.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_earlier_one_of_request_and_scope_counts() {
    let mut service = layer().layer(Inner::new(Act::Never));
    for (around, inside, expected) in [(200, 300, 200), (300, 200, 200)] {
        let (around, asked) = (within(around), until(within(inside)));
        let mut sent = Box::pin(send(&mut service, asked));
        let (_, after) = poll_fn(|cx| around.scope(|| sent.as_mut().poll(cx))).await;
        assert_eq!(after, ms(expected));
    }
    let mut sent = Box::pin(send(&mut service, request()));
    let around = within(100);
    let (_, after) = poll_fn(|cx| around.scope(|| sent.as_mut().poll(cx))).await;
    assert_eq!(after, ms(100));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_further_in_knows_the_deadline() {
    let inner = service_fn(|request: Request<()>| {
        let extension = request.extensions().get::<Deadline>().copied();
        let called = Deadline::current();
        poll_fn(move |_| {
            let all = extension == called && called == Deadline::current();
            let text = format!("{} {all}", called.is_some());
            Poll::Ready(Ok::<_, Infallible>(Response::new(text)))
        })
    });
    let service = layer().layer(inner);
    let answer = service.clone().oneshot(until(within(50))).await;
    assert_eq!(answer.map(Response::into_body), Ok("true true".to_owned()));
    let mut sent = Box::pin(service.clone().oneshot(request()));
    let around = within(50);
    let answer = poll_fn(|cx| around.scope(|| sent.as_mut().poll(cx))).await;
    assert_eq!(answer.map(Response::into_body), Ok("true true".to_owned()));
    let answer = service.oneshot(request()).await;
    assert_eq!(answer.map(Response::into_body), Ok("false true".to_owned()));
    assert_eq!(Deadline::current(), None);
}

#[tokio::test(start_paused = true)]
async fn a_closure_reads_from_anything_how_long_somebody_waits() {
    let layer = AdaptiveTimeoutLayer::with_clock(CONFIG, TokioClock::new());
    let layer = layer.remaining_fn(|request: &Request<()>| {
        let millis = request.headers().get("x-left")?.to_str().ok()?.parse().ok()?;
        Some(ms(millis))
    });
    for (around, left, expected) in [(9_000, "70", 70), (60, "70", 60), (60, "nonsense", 60)] {
        let mut asked = request();
        asked.headers_mut().insert("x-left", left.parse().expect("a value"));
        let (around, mut service) = (within(around), layer.layer(Inner::new(Act::Never)));
        let mut sent = Box::pin(send(&mut service, asked));
        let (_, after) = poll_fn(|cx| around.scope(|| sent.as_mut().poll(cx))).await;
        assert_eq!(after, ms(expected), "{left}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_says_in_a_header_counts() {
    for (name, value, status, expected) in [
        ("x-timeout-ms", "80", 504, 80),
        ("x-timeout-ms", "0", 504, 0),
        ("x-timeout-ms", "nonsense", 504, 1_000),
        ("x-timeout-ms", "9000", 504, 1_000),
        ("grpc-timeout", "90m", 504, 90),
    ] {
        let mut asked = request();
        asked.headers_mut().insert(name, value.parse().expect("a value"));
        let inner = Inner::new(Act::Never);
        let (answer, after) = send(&mut layer().layer(inner.clone()), asked).await;
        assert_eq!((answer.status().as_u16(), after), (status, ms(expected)), "{name}: {value}");
        assert_eq!(inner.calls(), u32::from(expected > 0));
    }
}

#[tokio::test(start_paused = true)]
async fn those_further_in_are_told_no_more_than_the_timeout() {
    let inner = service_fn(|request: Request<()>| {
        let left = request.extensions().get::<Deadline>().copied();
        let left = left.map(|at| at.left(TokioClock::new().now()));
        let headers = request.headers();
        let text = format!("{left:?} {:?}", headers.get("x-timeout-ms"));
        std::future::ready(Ok::<_, Infallible>(Response::new(text)))
    });
    for (left, expected) in
        [("300", "Some(300ms) Some(\"300\")"), ("4000", "Some(1s) Some(\"1000\")")]
    {
        let mut asked = request();
        asked.headers_mut().insert("x-timeout-ms", left.parse().expect("a value"));
        let answer = layer().layer(inner).oneshot(asked).await;
        assert_eq!(answer.map(Response::into_body), Ok(expected.to_owned()));
    }
    let answer = layer().layer(inner).oneshot(request()).await;
    assert_eq!(answer.map(Response::into_body), Ok("None None".to_owned()), "nobody waits less");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_layer_is_gone_has_its_timeout_still() {
    let call = layer().layer(Inner::new(Act::Never)).oneshot(request());
    let begin = TokioClock::new().now();
    assert_eq!(call.await.expect("an answer").status(), 504);
    assert_eq!(TokioClock::new().now().since(begin), ms(1_000));
}

#[tokio::test(start_paused = true)]
async fn without_tower_the_deadline_around_a_future_counts() {
    let timeout = AdaptiveTimeout::with_clock(TimeoutConfig::new(), TokioClock::new());
    let reasons = [(0, Reason::DeadlinePassed), (40, Reason::CutShort), (140, Reason::TimedOut)];
    for (left, reason) in reasons {
        let around = within(left);
        let mut run = Box::pin(timeout.run(std::future::pending::<Result<(), ()>>()));
        let ended = poll_fn(|cx| around.scope(|| run.as_mut().poll(cx))).await;
        let Err(CallError::Refused(rejected)) = ended else { panic!("{ended:?}") };
        assert_eq!(rejected.reason(), reason);
    }
}
