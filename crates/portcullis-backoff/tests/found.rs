//! Bugs that were found once, each by its name.

use std::cell::Cell;
use std::future::{Future as _, ready};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use portcullis_backoff::breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Event, EventKind, Observe, Percent, RetryBudget,
    TokioClock,
};
use portcullis_backoff::portcullis_http::key;
use portcullis_backoff::{BackoffConfig, BackoffLayer, BoxError, Budget, Delays};
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_layer::Layer as _;

const CONFIG: BackoffConfig = BackoffConfig::new()
    .delays(Delays::fixed(Duration::from_millis(100)).jitter(Percent::ZERO))
    .budget(Budget::unlimited());

type Web = Request<()>;
type Page = Response<()>;

#[allow(clippy::large_types_passed_by_value, reason = "as the constructor takes it")]
fn layer(config: BackoffConfig) -> BackoffLayer {
    BackoffLayer::with_clock(config, TokioClock::new())
}

/// Answers 503 so many times, at each time after so long, and counts.
fn callee(
    sick: u32,
    takes: Duration,
) -> (impl Service<Web, Response = Page, Error = BoxError> + Clone, Rc<Cell<u32>>) {
    let calls = Rc::new(Cell::new(0));
    let seen = calls.clone();
    let service = service_fn(move |_: Web| {
        seen.set(seen.get() + 1);
        let status = if seen.get() <= sick { 503 } else { 200 };
        async move {
            if !takes.is_zero() {
                tokio::time::sleep(takes).await;
            }
            Ok(Response::builder().status(status).body(())?)
        }
    });
    (service, calls)
}

fn to(host: &str) -> Web {
    Request::get(format!("http://{host}/")).body(()).expect("a request")
}

async fn status<S>(service: &mut S, request: Web) -> u16
where
    S: Service<Web, Response = Page, Error = BoxError>,
{
    let answer = service.ready().await.expect("ready").call(request).await;
    answer.expect("an answer").status().as_u16()
}

// Calls were counted only while the budget wanted to hear of successes, which one by ratio never
// does: all that could be spent was the floor.
#[tokio::test(start_paused = true)]
async fn a_budget_by_ratio_counts_the_calls() {
    let (callee, calls) = callee(u32::MAX, Duration::ZERO);
    let budget = Budget::ratio(Percent::new(50), 0);
    let mut service = layer(CONFIG.budget(budget)).layer(callee);
    for _ in 0..10 {
        assert_eq!(status(&mut service, to("a.example")).await, 503);
    }
    assert_eq!(calls.get(), 15);
}

// The mark of a call leads nowhere when the layer has gone: the call was not repeated.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_used_once_and_gone_repeats_its_call() {
    let (callee, calls) = callee(2, Duration::from_millis(10));
    let service = ServiceBuilder::new().layer(layer(CONFIG)).service(callee);
    let answer = service.oneshot(to("a.example")).await.expect("an answer");
    assert_eq!((answer.status().as_u16(), calls.get()), (200, 3));
}

// The same where the handle and the layer go between two attempts: what was paid came back to nobody.
#[tokio::test(start_paused = true)]
async fn a_layer_that_goes_while_a_call_waits_leaves_it_its_target() {
    let budget = RetryBudget::with_clock(Budget::tokens(3, 0, 1, 1), TokioClock::new());
    let (callee, calls) = callee(u32::MAX, Duration::ZERO);
    let layer = layer(CONFIG).budget(&budget);
    let mut service = layer.layer(callee);
    let mut call = Box::pin(service.ready().await.expect("ready").call(to("a.example")));
    let tick = Duration::from_millis(50);
    assert!(tokio::time::timeout(tick, &mut call).await.is_err());
    drop((service, layer));
    assert!(tokio::time::timeout(2 * tick, &mut call).await.is_err());
    assert_eq!((calls.get(), budget.snapshot().refunded), (2, 0));
    drop(call);
    assert_eq!((budget.snapshot().taken, budget.snapshot().refunded), (2, 1));
}

// A target that gives way to another key is still that of the calls which are under way.
#[tokio::test(start_paused = true)]
async fn calls_are_repeated_though_their_key_has_given_way() {
    let (callee, calls) = callee(1, Duration::from_millis(10));
    let mut service = layer(CONFIG.max_keys(1)).keyed(key::host()).layer(callee);
    let first = service.ready().await.expect("ready").call(to("a.example"));
    for number in 0..100 {
        drop(service.ready().await.expect("ready").call(to(&format!("h{number}.example"))));
    }
    assert_eq!(calls.get(), 101);
    assert_eq!(first.await.expect("an answer").status(), 200);
}

// What was in force when a key was seen first was kept: its time began with the first failure.
#[tokio::test(start_paused = true)]
async fn a_longest_time_that_is_set_later_holds_from_the_beginning_of_a_call() {
    let longest = CONFIG.max_elapsed(Duration::from_millis(499));
    let takes = Duration::from_millis(400);
    let (sick, calls) = callee(u32::MAX, takes);
    let all = layer(CONFIG);
    all.handle().reconfigure(longest).expect("it fits");
    let _ = status(&mut all.layer(sick), to("a.example")).await;
    assert_eq!(calls.get(), 1, "a target that is new");
    let (callee, calls) = callee(u32::MAX, takes);
    let keyed = layer(CONFIG).keyed(key::host());
    let mut service = keyed.layer(callee);
    let _ = status(&mut service, to("a.example")).await;
    keyed.handle().reconfigure(longest).expect("it fits");
    let before = calls.get();
    let _ = status(&mut service, to("a.example")).await;
    assert_eq!(calls.get() - before, 1, "a key that is known");
}

/// Writes down what is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Observe for Told {
    fn event(&self, event: &Event<'_>) {
        let line = match event.kind {
            EventKind::Retried { attempt, .. } => format!("{attempt}: again"),
            EventKind::NotRetried { attempt, why, .. } => format!("{attempt}: {why}"),
            _ => return,
        };
        self.0.lock().expect("no panic").push(line);
    }
}

// It was told, and counted, that a call is made again whose body was gone.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_again_is_told_as_such() {
    let kept = Cell::new(false);
    let replay = move |_: &Web| (!kept.replace(true)).then(|| to("a.example"));
    let (callee, calls) = callee(u32::MAX, Duration::ZERO);
    let told = Told::default();
    let layer = layer(CONFIG).observe(told.clone());
    // A closure that is cloned begins anew, so the service is called itself.
    let mut service = layer.clone().clone_request_fn(replay).layer(callee);
    assert_eq!(status(&mut service, to("a.example")).await, 503);
    assert_eq!(*told.0.lock().expect("no panic"), ["1: not_kept"]);
    let snapshot = layer.handle().snapshot();
    assert_eq!((calls.get(), snapshot.retried, snapshot.given_up), (1, 0, 0));
    assert_eq!((snapshot.failed_fast, snapshot.delayed), (1, Duration::ZERO));
    assert_eq!((snapshot.budget.taken, snapshot.budget.refunded), (1, 1));
}

// A circuit that was watched before the keys, or before the budget, was forgotten with the target.
#[tokio::test(start_paused = true)]
async fn a_circuit_is_watched_whatever_is_said_after_it() {
    let circuit = CircuitBreaker::with_clock(CircuitBreakerConfig::new(), TokioClock::new());
    circuit.trip().expect("it is closed");
    let budget = RetryBudget::with_clock(Budget::unlimited(), TokioClock::new());
    let (callee, calls) = callee(u32::MAX, Duration::ZERO);
    let watching = || layer(CONFIG).watch(&circuit);
    let _ = status(&mut watching().keyed(key::host()).layer(callee.clone()), to("a")).await;
    assert_eq!(calls.get(), 1, "keyed later");
    let _ = status(&mut watching().budget(&budget).layer(callee.clone()), to("a")).await;
    assert_eq!(calls.get(), 2, "with a budget that was given later");
    // By the handle: for keys that are there, and those that are not yet.
    let layer = layer(CONFIG).keyed(key::host());
    let mut service = layer.layer(callee);
    let _ = status(&mut service, to("a")).await;
    assert_eq!(calls.get(), 7);
    layer.handle().watch(&circuit);
    let _ = status(&mut service, to("a")).await;
    let _ = status(&mut service, to("b")).await;
    assert_eq!(calls.get(), 9);
}

// Sixteen shards had a place each, however few keys were to be remembered.
#[tokio::test(start_paused = true)]
async fn no_more_keys_are_remembered_than_was_said() {
    for most in [1, 2, 17, 31] {
        let (callee, calls) = callee(u32::MAX, Duration::ZERO);
        let config = CONFIG.budget(Budget::tokens(1, 0, 1, 1)).max_keys(most);
        let mut service = layer(config).keyed(key::host()).layer(callee);
        for number in 0..2_000 {
            let _ = status(&mut service, to(&format!("h{number}"))).await;
        }
        // One retry for each key that has a place, and one for all others.
        assert_eq!(calls.get() - 2_000, most + 1, "{most}");
    }
}

// What has ended polled its inner future again.
#[tokio::test(start_paused = true)]
#[should_panic(expected = "a `ResponseFuture` was polled after it had ended")]
async fn a_call_that_was_not_repeated_does_not_poll_its_attempt_again() {
    let callee = service_fn(|_: Web| ready(Ok::<Page, BoxError>(Page::default())));
    let judge = |_: Result<&Page, &BoxError>| {
        portcullis_backoff::breaker_core::Outcome::Failure(
            portcullis_backoff::breaker_core::FailureKind::Internal,
        )
    };
    let mut service = layer(CONFIG).classify_fn(judge).layer(callee);
    let mut call = Box::pin(service.ready().await.expect("ready").call(to("a.example")));
    let _ = (&mut call).await;
    let _ = (&mut call).await;
}

/// Keeps the waits that are told.
#[derive(Clone, Default)]
struct Waits(Arc<Mutex<Vec<Duration>>>);

impl Observe for Waits {
    fn event(&self, event: &Event<'_>) {
        if let EventKind::Retried { delay, .. } = event.kind {
            self.0.lock().expect("no panic").push(*delay);
        }
    }
}

/// How many of these lie less than a millisecond below a second.
fn at_a_second(waits: &[Duration]) -> usize {
    let least = Duration::from_millis(999);
    waits.iter().filter(|wait| **wait > least).count()
}

// A delay was made longer after it had been spread, and cut at the cap: all clients met there.
#[tokio::test(start_paused = true)]
async fn clients_whose_limit_is_reached_do_not_meet_at_the_cap() {
    let second = Duration::from_secs(1);
    for delays in [Delays::exponential(second), Delays::full_jitter(second)] {
        let config = CONFIG.delays(delays.cap(second)).max_attempts(100).same_for_all_methods();
        let waits = Waits::default();
        let layer = layer(config.rate_limited_backoff(256)).observe(waits.clone());
        let limited = service_fn(|_: Web| async {
            Ok::<_, BoxError>(Response::builder().status(429).body(())?)
        });
        assert_eq!(status(&mut layer.layer(limited), to("a.example")).await, 429);
        let waits = waits.0.lock().expect("no panic");
        assert!(waits.iter().all(|wait| *wait <= second));
        assert_eq!(waits.len(), 99);
        assert!(at_a_second(&waits) < 20, "{} of 99", at_a_second(&waits));
    }
}

// Two of three decorrelated delays were the cap itself, once it was reached.
#[test]
fn decorrelated_delays_do_not_meet_at_the_cap() {
    let second = Duration::from_secs(1);
    let delays = Delays::decorrelated(second / 100).cap(second);
    let hosts = portcullis_backoff::Backoffs::new(delays);
    let waits: Vec<_> = (0..1_000).map(|_| hosts.failed(&"a.example")).collect();
    assert!(waits.iter().all(|wait| *wait <= second));
    assert!(at_a_second(&waits) < 100, "{} of 1000", at_a_second(&waits));
}

/// Refuses by an error, and names this wait.
fn refusal(wait: Duration) -> BoxError {
    use portcullis_backoff::breaker_core::{Name, Reason, Rejected};
    Rejected::new(Name::new("inner"), Reason::Open).with_retry_after(wait).into()
}

// A wait beyond the cap of hints was cut to it, and the call made while the circuit was still open.
#[tokio::test(start_paused = true)]
async fn a_refusal_for_longer_than_a_hint_may_be_is_not_repeated_sooner() {
    let config = CONFIG.retry_refusals(true).hint_cap(Duration::from_secs(60));
    for (wait, expected) in [(60, 5), (61, 1)] {
        let calls = Rc::new(Cell::new(0));
        let seen = calls.clone();
        let open = service_fn(move |_: Web| {
            seen.set(seen.get() + 1);
            ready(Err::<Page, _>(refusal(Duration::from_secs(wait))))
        });
        let mut service = layer(config).layer(open);
        let _ = service.ready().await.expect("ready").call(to("a.example")).await;
        assert_eq!(calls.get(), expected, "{wait}");
    }
}

// A second attempt that was refused further in had been paid for, though the callee never saw it.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_refused_further_in_is_given_back() {
    let budget = RetryBudget::with_clock(Budget::tokens(3, 0, 1, 1), TokioClock::new());
    let calls = Rc::new(Cell::new(0));
    let seen = calls.clone();
    let trips = service_fn(move |_: Web| {
        seen.set(seen.get() + 1);
        let refused = seen.get() > 1;
        let sick = Response::builder().status(503).body(()).map_err(BoxError::from);
        ready(if refused { Err(refusal(Duration::from_secs(1))) } else { sick })
    });
    let layer = layer(CONFIG).budget(&budget);
    let mut service = layer.layer(trips.clone());
    let answer = service.ready().await.expect("ready").call(to("a.example")).await;
    assert!(answer.is_err());
    assert_eq!((calls.get(), budget.balance()), (2, 3.0));
    let snapshot = budget.snapshot();
    assert_eq!((snapshot.taken, snapshot.refunded), (1, 1));
    calls.set(0);
    // Without Tower.
    let backoff = portcullis_backoff::Backoff::with_clock(
        CONFIG.budget(Budget::tokens(3, 0, 1, 1)),
        TokioClock::new(),
    );
    let answer = backoff.run_with(portcullis_backoff::portcullis_http::HttpOrGrpc, |_| {
        trips.clone().oneshot(to("a.example"))
    });
    assert!(answer.await.is_err());
    assert_eq!((calls.get(), backoff.budget().balance()), (2, 3.0));
}

// Of a service that is not HTTP a refusal was an error like any other: it was repeated at once, into
// an open circuit.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_repeated_where_all_errors_are_failures() {
    let calls = Rc::new(Cell::new(0));
    let seen = calls.clone();
    let open = service_fn(move |_: u8| {
        seen.set(seen.get() + 1);
        ready(Err::<(), _>(refusal(Duration::from_millis(10))))
    });
    let layer = BackoffLayer::generic(CONFIG);
    assert!(layer.layer(open.clone()).oneshot(1).await.is_err());
    assert_eq!((calls.get(), layer.handle().snapshot().failed), (1, 0));
    let layer = BackoffLayer::generic(CONFIG.retry_refusals(true));
    assert!(layer.layer(open).oneshot(1).await.is_err());
    assert_eq!(calls.get(), 4, "it names a wait");
}

// Only the first of several calls kept what belongs to a service that nobody else has.
#[tokio::test(start_paused = true)]
async fn every_call_of_a_service_that_is_gone_is_repeated() {
    let sick = Rc::new(Cell::new(true));
    let answer = move |request: Web| {
        let well = request.uri().host() == Some("well.example") || !sick.replace(false);
        let takes = Duration::from_millis(if well { 10 } else { 50 });
        async move {
            tokio::time::sleep(takes).await;
            Ok::<_, BoxError>(Response::builder().status(if well { 200 } else { 503 }).body(())?)
        }
    };
    let mut service = layer(CONFIG).layer(service_fn(answer));
    let one = service.ready().await.expect("ready").call(to("well.example"));
    let other = service.ready().await.expect("ready").call(to("sick.example"));
    drop(service);
    assert_eq!(one.await.expect("an answer").status(), 200);
    assert_eq!(other.await.expect("an answer").status(), 200);
}

/// Counts the patterns that are told.
#[derive(Clone, Default)]
struct Patterns(Arc<Mutex<u32>>);

impl Observe for Patterns {
    fn event(&self, event: &Event<'_>) {
        if let EventKind::PatternFound { .. } = event.kind {
            *self.0.lock().expect("no panic") += 1;
        }
    }
}

// A pattern that was found when the budget was used up was never told.
#[tokio::test(start_paused = true)]
async fn a_pattern_is_told_though_nothing_is_repeated() {
    let often = Rc::new(Cell::new(0));
    let turns = service_fn(move |_: Web| {
        often.set(often.get() + 1);
        let status = if often.get() % 2 == 0 { 200 } else { 503 };
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, BoxError>(Response::builder().status(status).body(())?)
        }
    });
    let told = Patterns::default();
    let layer = layer(CONFIG.budget(Budget::none())).observe(told.clone());
    let mut service = layer.layer(turns);
    for _ in 0..9 {
        let _ = status(&mut service, to("a.example")).await;
    }
    assert_eq!(*told.0.lock().expect("no panic"), 1);
}

// Where the alternative failed, too, nobody said so: whoever called began anew.
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_at_the_alternative_was_made_in_vain() {
    use portcullis_backoff::breaker_core::RetryPath;
    let answers = |status: u16| {
        service_fn(move |_: Web| async move {
            Ok::<_, BoxError>(Response::builder().status(status).body(())?)
        })
    };
    for (elsewhere, in_vain) in [(507, true), (200, false)] {
        let mut service =
            layer(CONFIG.exhausted_redirect(1)).redirect_to(answers(elsewhere)).layer(answers(507));
        let mut call = Box::pin(service.ready().await.expect("ready").call(to("a.example")));
        let mut path = RetryPath::attempt(1);
        let answer = std::future::poll_fn(|cx| path.scope(|| call.as_mut().poll(cx))).await;
        assert_eq!(answer.expect("an answer").status(), elsewhere);
        assert_eq!(path.is_spent(), in_vain, "{elsewhere}");
    }
}
