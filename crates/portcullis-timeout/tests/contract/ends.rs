//! However a call ends, it is taken in once, or not at all.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Waker};

use http::{Request, Response};
use portcullis_timeout::breaker_core::{
    CallError, Clock as _, Event, EventKind, FailureKind, Observe, Outcome, Reason, Rejected,
    TokioClock,
};
use portcullis_timeout::portcullis_http::Auto;
use portcullis_timeout::{AdaptiveTimeout, AdaptiveTimeoutLayer, BoxError, TimeoutConfig};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{Act, CONFIG, Inner, Told, call, layer, ms, request};

// S-TIMEOUT-06
#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_dropped_and_answered_with_a_timeout() {
    let inner = Inner::new(Act::Never);
    let running = inner.running();
    let layer = layer();
    let mut service = layer.layer(inner);
    let (answer, after) = call(&mut service).await;
    assert_eq!((answer.status().as_u16(), after), (504, ms(1_000)));
    assert!(answer.headers().get("retry-after").is_none());
    let rejected = answer.extensions().get::<Rejected>().expect("it says so");
    assert_eq!((rejected.reason(), rejected.by().as_str()), (Reason::TimedOut, "search"));
    assert!(rejected.was_made());
    // The service, and what this test holds.
    assert_eq!(Arc::strong_count(&running), 2);
    let seen = layer.handle().snapshot();
    assert_eq!((seen.timed_out, seen.samples), (1, 1));
}

// S-TIMEOUT-06: the callee is let go before anybody hears of the timeout.
#[tokio::test(start_paused = true)]
async fn by_the_time_of_the_answer_the_callee_has_been_dropped() {
    let inner = Inner::new(Act::Never);
    let running = inner.running();
    let seen = Arc::downgrade(&running);
    let layer = layer().expire_fn(move |rejected: Rejected| {
        assert_eq!(seen.strong_count(), 2, "the service, and what this test holds");
        Ok::<_, Infallible>(Response::new(rejected.to_string()))
    });
    let mut service = layer.layer(inner);
    let (answer, _) = call(&mut service).await;
    assert_eq!(answer.body(), "call given up by search: no answer came in time");
    drop(running);
}

// S-TIMEOUT-06: a client that consumes its service has nothing left of the layer.
#[tokio::test(start_paused = true)]
async fn it_holds_also_where_nobody_has_the_layer_any_more() {
    let begin = TokioClock::new().now();
    let answer = layer().layer(Inner::new(Act::Never)).oneshot(request()).await;
    assert_eq!(answer.map(|answer| answer.status().as_u16()), Ok(504));
    assert_eq!(TokioClock::new().now().since(begin), ms(1_000));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_ready_at_once_is_no_sample() {
    let layer = layer();
    let mut service = layer.layer(Inner::new(Act::Answer(200)));
    for _ in 0..100 {
        assert_eq!(call(&mut service).await.0.status(), 200);
    }
    assert_eq!((layer.handle().snapshot().samples, layer.handle().timeout()), (0, ms(1_000)));
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_further_in_refuses_is_no_sample() {
    let layer = layer();
    let mut service = layer.layer(Inner::new(Act::RefuseAfter(300)));
    for _ in 0..10 {
        call(&mut service).await;
    }
    assert_eq!((layer.handle().snapshot().samples, layer.handle().timeout()), (0, ms(1_000)));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_comes_fast_says_nothing_and_a_slow_one_does() {
    let layer = layer();
    for (act, samples) in [
        (Act::After(20, 200), 10),
        (Act::After(1, 500), 10),
        (Act::After(40, 404), 20),
        (Act::After(60, 500), 30),
    ] {
        let mut service = layer.layer(Inner::new(act));
        for _ in 0..10 {
            call(&mut service).await;
        }
        assert_eq!(layer.handle().snapshot().samples, samples, "{act:?}");
    }
}

// S-TIMEOUT-04
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_was_cancelled() {
    let told = Told::default();
    let layer = layer().observe(told.clone());
    let mut service = layer.layer(Inner::new(Act::After(50, 200)));
    for _ in 0..10 {
        call(&mut service).await;
    }
    let service = layer.layer(Inner::new(Act::Never));
    for (after, samples) in [(20, 10), (80, 11)] {
        let waits = service.clone().oneshot(request());
        assert!(tokio::time::timeout(ms(after), waits).await.is_err());
        assert_eq!(layer.handle().snapshot().samples, samples, "after {after} ms");
    }
    // One that was never polled was not waited for.
    drop(service.clone().call_ready());
    assert_eq!(layer.handle().snapshot().given_up, 1);
    assert_eq!(layer.handle().snapshot().timed_out, 0);
    assert_eq!(told.all().last(), Some(&EventKind::Cancelled { elapsed: ms(80) }));
}

trait CallReady {
    type Future;
    fn call_ready(self) -> Self::Future;
}

impl<S: Service<Request<()>>> CallReady for S {
    type Future = S::Future;

    fn call_ready(mut self) -> S::Future {
        assert!(self.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
        self.call(request())
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_on_and_says_nothing() {
    let layer = layer();
    let mut service = layer.layer(Inner::new(Act::After(20, 200)));
    for _ in 0..10 {
        call(&mut service).await;
    }
    for act in [Act::PanicInCall, Act::PanicAfter(50)] {
        let inner = Inner::new(act);
        let running = inner.running();
        let service = layer.layer(inner);
        let ends = tokio::spawn(async move { service.oneshot(request()).await }).await;
        assert!(ends.is_err_and(|error| error.is_panic()), "{act:?}");
        assert_eq!((layer.handle().snapshot().samples, Arc::strong_count(&running)), (10, 1));
    }
}

/// Panics when it is told of the end of a call.
struct Shy;

impl Observe for Shy {
    fn event(&self, _: &Event<'_>) {
        panic!("as told");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_what_is_asked_or_told_goes_on_and_harms_nobody() {
    let layer = layer();
    let judge = |_: Result<&Response<String>, &Infallible>| -> Outcome { panic!("judge") };
    let judged = layer.clone().classify_fn(judge).layer(Inner::new(Act::After(50, 200)));
    assert!(tokio::spawn(judged.oneshot(request())).await.is_err());
    assert_eq!(layer.handle().snapshot().samples, 0, "it is not the callee's fault");
    let shy = layer.observe(Shy);
    for (calls, act) in [(1, Act::After(50, 200)), (2, Act::Never)] {
        assert!(tokio::spawn(shy.layer(Inner::new(act)).oneshot(request())).await.is_err());
        assert_eq!(shy.handle().snapshot().samples, calls, "{act:?}");
    }
    // A drop does not panic.
    let waits = shy.layer(Inner::new(Act::Never)).oneshot(request());
    let dropped = AssertUnwindSafe(tokio::time::timeout(ms(80), waits));
    assert!(dropped.0.await.is_err());
}

// S-TIMEOUT-01
#[tokio::test(start_paused = true)]
async fn whoever_watches_is_told_of_ends_and_of_changes() {
    let told = Told::default();
    let layer = layer().observe(told.clone());
    call(&mut layer.layer(Inner::new(Act::After(150, 200)))).await;
    call(&mut layer.layer(Inner::new(Act::Never))).await;
    let all = told.all();
    let changed = EventKind::TimeoutChanged { from: ms(1_000), to: ms(500) };
    assert!(all.contains(&changed), "{all:?}");
    let ends = all.iter().filter_map(|kind| match kind {
        EventKind::Settled { outcome, duration, .. } => Some((*outcome, *duration)),
        _ => None,
    });
    let timeout = Outcome::Failure(FailureKind::Timeout);
    assert_eq!(ends.collect::<Vec<_>>(), [(Outcome::Success, ms(150)), (timeout, ms(500))]);
}

#[tokio::test(start_paused = true)]
async fn a_service_of_any_kind_gets_an_error() {
    let layer = AdaptiveTimeoutLayer::generic(TimeoutConfig::fixed(ms(40)));
    let inner = service_fn(|_: u8| std::future::pending::<Result<u8, BoxError>>());
    let error = layer.layer(inner).oneshot(7).await.expect_err("it takes too long");
    assert_eq!(Rejected::find(&*error).map(Rejected::reason), Some(Reason::TimedOut));
    // A client of HTTP, too.
    let inner =
        service_fn(|_: Request<()>| std::future::pending::<Result<Response<()>, BoxError>>());
    let client = AdaptiveTimeoutLayer::new(TimeoutConfig::fixed(ms(40))).expire(Auto::new());
    let error = client.layer(inner).oneshot(request()).await.expect_err("it takes too long");
    assert_eq!(Rejected::find(&*error).map(Rejected::reason), Some(Reason::TimedOut));
}

// S-TIMEOUT-06
#[tokio::test(start_paused = true)]
async fn grpc_is_answered_in_its_own_words() {
    let mut grpc = request();
    grpc.headers_mut().insert("content-type", "application/grpc".parse().expect("a value"));
    let answer = layer().layer(Inner::new(Act::Never)).oneshot(grpc).await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["grpc-status"]),
        (200, &"4".parse().expect("a value"))
    );
    let pinned = layer().grpc().layer(Inner::new(Act::Never)).oneshot(request()).await;
    assert_eq!(pinned.expect("an answer").headers()["grpc-status"], "4");
    let pinned = layer().http().layer(Inner::new(Act::Never)).oneshot(request()).await;
    assert_eq!(pinned.expect("an answer").status(), 504);
}

// S-TIMEOUT-06
#[tokio::test(start_paused = true)]
async fn without_tower_it_is_the_same() {
    let timeout = AdaptiveTimeout::with_clock(CONFIG, TokioClock::new());
    let slow = async {
        tokio::time::sleep(ms(300)).await;
        Ok::<_, &str>(1)
    };
    assert_eq!(timeout.run(slow).await, Ok(1));
    assert_eq!(timeout.run(async { Err::<u8, _>("oops") }).await, Err(CallError::Failed("oops")));
    let never = timeout.run(std::future::pending::<Result<u8, &str>>()).await;
    let rejected = never.expect_err("it takes too long").refused().copied().expect("a timeout");
    assert_eq!((rejected.reason(), rejected.was_made()), (Reason::TimedOut, true));
    let seen = timeout.snapshot();
    assert_eq!((seen.samples, seen.timed_out), (2, 1));
}
