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
async fn a_closure_reads_the_deadline_from_anything() {
    let layer = AdaptiveTimeoutLayer::with_clock(CONFIG, TokioClock::new());
    let layer = layer.deadline_fn(|request: &Request<()>| {
        let millis = request.headers().get("x-left")?.to_str().ok()?.parse().ok()?;
        Some(within(millis))
    });
    let mut asked = request();
    asked.headers_mut().insert("x-left", "70".parse().expect("a value"));
    let (_, after) = send(&mut layer.layer(Inner::new(Act::Never)), asked).await;
    assert_eq!(after, ms(70));
}

#[tokio::test(start_paused = true)]
async fn without_tower_the_deadline_around_a_future_counts() {
    let timeout = AdaptiveTimeout::with_clock(TimeoutConfig::new(), TokioClock::new());
    for (left, reason) in [(0, Reason::DeadlinePassed), (40, Reason::TimedOut)] {
        let around = within(left);
        let mut run = Box::pin(timeout.run(std::future::pending::<Result<(), ()>>()));
        let ended = poll_fn(|cx| around.scope(|| run.as_mut().poll(cx))).await;
        let Err(CallError::Refused(rejected)) = ended else { panic!("{ended:?}") };
        assert_eq!(rejected.reason(), reason);
    }
}
