//! What readings of the code have found.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use portcullis_breaker::CircuitBreakerLayer;
use portcullis_timeout::breaker_core::{
    About, CircuitBreakerConfig, Clock as _, Deadline, Event, EventKind, ManualClock, Observe,
    Percent, Rejected, Replay, State, TokioClock,
};
use portcullis_timeout::portcullis_http::CarryDeadlineLayer;
use portcullis_timeout::{
    AdaptiveTimeout, AdaptiveTimeoutLayer, AdaptiveTimeouts, HedgeConfig, HedgeLayer, TimeoutConfig,
};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tower_service::Service as _;

const CONFIG: TimeoutConfig = TimeoutConfig::new().named("search");

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn layer() -> AdaptiveTimeoutLayer {
    AdaptiveTimeoutLayer::with_clock(CONFIG, TokioClock::new())
}

async fn never(_: Request<()>) -> Result<Response<String>, Infallible> {
    pending().await
}

/// Writes down who is said to have ended a call.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Observe for Told {
    fn event(&self, event: &Event<'_>) {
        if matches!(event.kind, EventKind::Settled { .. } | EventKind::Cancelled { .. }) {
            self.0.lock().unwrap().push(event.circuit.to_string());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_uses_up_the_turn_of_its_task_is_given_up_all_the_same() {
    let timeout = AdaptiveTimeout::with_clock(CONFIG, TokioClock::new());
    // It always has something to do, so that tokio makes it pause in the midst of that.
    let busy = async {
        loop {
            tokio::task::coop::consume_budget().await;
        }
    };
    let mut run = pin!(timeout.run::<(), ()>(busy));
    for _ in 0..20 {
        if poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_ready())).await {
            return;
        }
        tokio::time::advance(ms(100)).await;
    }
    panic!("it goes on after twice its timeout");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_layer_is_gone_has_its_deadline_still() {
    let begin = TokioClock::new().now();
    let mut request = Request::new(());
    request.extensions_mut().insert(Deadline::after(begin, ms(50)));
    let call = layer().layer(service_fn(never)).oneshot(request);
    assert_eq!(call.await.expect("an answer").status(), 504);
    assert_eq!(TokioClock::new().now().since(begin), ms(50));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_layer_is_gone_is_told_of_by_its_name() {
    let told = Told::default();
    let service = layer().observe(told.clone()).layer(service_fn(never));
    let first = tokio::spawn(service.clone().oneshot(Request::new(())));
    let second = tokio::spawn(service.oneshot(Request::new(())));
    for call in [first, second] {
        let answer = call.await.expect("no panic").expect("an answer");
        let rejected = answer.extensions().get::<Rejected>().expect("it says so");
        assert_eq!(rejected.by().as_str(), "search");
    }
    assert_eq!(*told.0.lock().unwrap(), ["search", "search"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_key_gave_way_is_told_of_by_its_name() {
    let told = Told::default();
    let config = CONFIG.max_keys(1);
    let layer = AdaptiveTimeoutLayer::with_clock(config, TokioClock::new()).observe(told.clone());
    let layer = layer.keyed_fn(|_: &Request<()>| Some(0));
    let call = tokio::spawn(layer.layer(service_fn(never)).oneshot(Request::new(())));
    tokio::task::yield_now().await;
    for key in 1..1_000 {
        let _ = layer.timeouts().get(&key);
    }
    let answer = call.await.expect("no panic").expect("an answer");
    let rejected = answer.extensions().get::<Rejected>().expect("it says so");
    assert_eq!(rejected.by().as_str(), "search");
    assert_eq!(*told.0.lock().unwrap(), ["search"]);
}

#[test]
fn no_more_keys_have_a_timeout_than_were_allowed() {
    for most in [1, 2, 15, 17, 100, 1_000] {
        let timeouts = AdaptiveTimeouts::with_clock(CONFIG.max_keys(most), ManualClock::new());
        for key in 0..5_000_u32 {
            let _ = timeouts.get(&key);
        }
        assert!(timeouts.len() <= most as usize, "{} of {most}", timeouts.len());
    }
}

#[test]
fn a_reconfiguration_reaches_all_keys_though_an_observer_panics() {
    struct Panics;

    impl Observe for Panics {
        fn event(&self, _: &Event<'_>) {
            panic!("on purpose")
        }
    }

    let timeouts = AdaptiveTimeouts::with_clock(CONFIG, ManualClock::new());
    let all: Vec<_> = (0..100).map(|key| timeouts.get(&key)).collect();
    timeouts.observe(Panics);
    let fixed = TimeoutConfig::fixed(ms(70));
    let done = catch_unwind(AssertUnwindSafe(|| timeouts.reconfigure(fixed)));
    assert!(done.is_err(), "the panic goes on");
    assert!(all.iter().all(|timeout| timeout.timeout() == ms(70)));
}

const HEDGES: HedgeConfig = HedgeConfig::new()
    .min_delay(ms(500))
    .max_delay(ms(500))
    .initial(ms(500))
    .max_share(Percent::new(50));

#[tokio::test(start_paused = true)]
async fn a_second_attempt_says_how_long_somebody_waits_by_then() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let callee = {
        let seen = seen.clone();
        service_fn(move |request: Request<String>| {
            let said = request.headers().get("x-timeout-ms").expect("it is told");
            seen.lock().unwrap().push(said.to_str().expect("a text").to_owned());
            pending::<Result<Response<String>, Infallible>>()
        })
    };
    let hedges = HedgeLayer::with_clock(HEDGES, TokioClock::new());
    let config = TimeoutConfig::fixed(ms(10_000));
    let timeout = AdaptiveTimeoutLayer::with_clock(config, TokioClock::new());
    let carry = CarryDeadlineLayer::with_clock(TokioClock::new());
    let mut service = timeout.layer(hedges.layer(carry.layer(callee)));
    for left in ["10", "2000"] {
        let mut request = Request::new(String::new());
        request.headers_mut().insert("x-timeout-ms", left.parse().expect("a value"));
        assert_eq!(service.call(request).await.expect("an answer").status(), 504);
    }
    assert_eq!(*seen.lock().unwrap(), ["10", "2000", "1500"]);
}

/// Panics when it is to send a request again, once.
#[derive(Clone, Default)]
struct PanicsOnce(Arc<Mutex<bool>>);

impl Replay<u32> for PanicsOnce {
    type Kept = u32;

    fn keep(&self, request: &mut u32) -> Option<u32> {
        Some(*request)
    }

    fn again(&self, kept: &u32, _: u32) -> Option<u32> {
        let panicked = std::mem::replace(&mut *self.0.lock().unwrap(), true);
        assert!(panicked, "on purpose");
        Some(*kept)
    }

    fn about(&self, _: &u32) -> About {
        About::here()
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_that_panicked_before_it_was_made_costs_nothing() {
    let layer = HedgeLayer::generic(HEDGES).replay(PanicsOnce::default());
    let hedge = layer.handle();
    let slow = service_fn(|_: u32| async {
        tokio::time::sleep(ms(2_000)).await;
        Ok::<_, Infallible>(())
    });
    let service = layer.layer(slow);
    // Given up before its delay, it has earned half of a hedge.
    assert!(tokio::time::timeout(ms(10), service.clone().oneshot(1)).await.is_err());
    assert!(tokio::spawn(service.clone().oneshot(2)).await.is_err());
    assert!(service.oneshot(3).await.is_ok());
    assert_eq!((hedge.snapshot().hedged, hedge.snapshot().refused_by_share), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn callers_without_patience_open_no_circuit_and_a_callee_that_hangs_does() {
    for (takes, left, open) in
        [(20, 1, false), (20, 15, false), (9_000, 1, false), (9_000, 150, true)]
    {
        let breaker =
            CircuitBreakerLayer::with_clock(CircuitBreakerConfig::new(), TokioClock::new());
        let circuit = breaker.handle();
        let callee = service_fn(move |request: Request<()>| async move {
            let impatient = request.headers().contains_key("x-timeout-ms");
            tokio::time::sleep(ms(if impatient { takes } else { 20 })).await;
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let mut stack = breaker.layer(layer().layer(callee));
        for call in 0..200 {
            let mut request = Request::new(());
            if call >= 100 {
                request.headers_mut().insert("x-timeout-ms", left.into());
            }
            let _ = stack.ready().await.expect("ready").call(request).await;
        }
        assert_eq!(circuit.state() == State::Open, open, "{takes} ms, {left} ms");
    }
}

#[test]
fn whoever_writes_down_a_hedge_may_ask_it() {
    struct Asks(portcullis_timeout::Hedge);

    impl std::fmt::Write for Asks {
        fn write_str(&mut self, _: &str) -> std::fmt::Result {
            assert_eq!(self.0.snapshot().hedged, 0);
            Ok(())
        }
    }

    let hedge = HedgeLayer::new(HEDGES).handle();
    std::fmt::write(&mut Asks(hedge.clone()), format_args!("{hedge:?}")).expect("it is written");
}
