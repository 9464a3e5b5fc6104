//! The circuit without Tower: futures, closures, fallbacks, classifiers, and typed refusals.

mod common;

use std::error::Error;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use breaker_core::{
    AsError, CallError, Classify, ErrorsAreFailures, FailureKind, Name, Outcome, Reason, Refuse,
    Rejected, State,
};
use common::{CORE, TOUCHY, circuit, fail, half_open, millis, secs, succeed};

type Failed = Result<u32, &'static str>;

fn broken() -> Failed {
    resume_unwind(Box::new(17_u8))
}

/// S-CORE-12: an async call, its value and its error.
#[tokio::test]
async fn run_gives_what_the_future_gives_and_refuses_without_touching_it() {
    let (breaker, _) = circuit(TOUCHY);
    assert_eq!(breaker.run(async { Failed::Ok(7) }).await, Ok(7));
    assert_eq!(breaker.run(async { Failed::Err("no") }).await, Err(CallError::Failed("no")));
    let untouched = std::future::poll_fn(|_| -> std::task::Poll<Failed> {
        panic!("a refused future is not polled")
    });
    let refusal = breaker.run(untouched).await.unwrap_err();
    assert_eq!(refusal.refused().unwrap().reason(), Reason::Open);
    assert_eq!(refusal.failed(), None);
}

/// S-CORE-12: the sync form.
#[test]
fn call_does_the_same_for_a_closure() {
    let (breaker, _) = circuit(TOUCHY);
    assert_eq!(breaker.call(|| Failed::Ok(7)), Ok(7));
    assert_eq!(breaker.call(|| Failed::Err("no")), Err(CallError::Failed("no")));
    assert!(matches!(breaker.call(|| Failed::Ok(7)), Err(CallError::Refused(_))));
}

/// S-CORE-12: a fallback value answers, and the failure is recorded all the same.
#[tokio::test]
async fn a_fallback_is_given_for_a_failure_and_for_a_refusal() {
    let (breaker, _) = circuit(TOUCHY);
    assert_eq!(breaker.run_or(1, async { Failed::Err("no") }).await, 1);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.run_or(2, async { Failed::Ok(7) }).await, 2);
    assert_eq!(breaker.call_or(3, || Failed::Ok(7)), 3);
    assert_eq!(breaker.snapshot().totals.failures, 1);
    let (well, _) = circuit(TOUCHY);
    assert_eq!(well.call_or(4, || Failed::Err("no")), 4);
    assert_eq!(well.state(), State::Open);
}

/// S-CORE-08: a classifier sees values and errors, and says what they mean.
#[tokio::test]
async fn a_classifier_decides_what_a_result_means() {
    let odd_is_bad = |result: Result<&u32, &&str>| match result {
        Ok(n) if n % 2 == 1 => Outcome::Failure(FailureKind::Internal),
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Ignored,
    };
    let (breaker, _) = circuit(TOUCHY);
    assert!(breaker.run_judged(odd_is_bad, async { Failed::Err("not our fault") }).await.is_err());
    assert_eq!(breaker.call_judged(odd_is_bad, || Failed::Ok(2)), Ok(2));
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.run_judged(odd_is_bad, async { Failed::Ok(3) }).await, Ok(3));
    assert_eq!(breaker.state(), State::Open);
}

/// S-CORE-08: the plainest classifier, and kinds read from messages.
#[test]
fn errors_are_failures_and_messages_name_kinds() {
    let plain = ErrorsAreFailures;
    assert_eq!(Classify::<u32, &str>::classify(&plain, Ok(&1)), Outcome::Success);
    let unknown = Outcome::Failure(FailureKind::Unknown);
    assert_eq!(Classify::<u32, &str>::classify(&plain, Err(&"no")), unknown);
    for (message, kind) in [
        ("Rate LIMIT hit", Some(FailureKind::RateLimited)),
        ("429 Too Many Requests", Some(FailureKind::RateLimited)),
        ("resource exhausted: out of memory", Some(FailureKind::ResourceExhausted)),
        ("Out of memory", Some(FailureKind::ResourceExhausted)),
        ("tcp: Connection refused", Some(FailureKind::Connection)),
        ("invalid argument", Some(FailureKind::InvalidRequest)),
        ("it broke", None),
    ] {
        assert_eq!(FailureKind::from_message(message), kind, "{message}");
    }
}

/// S-CORE-07: the panic of a future reaches the caller unchanged, counts once, frees the slot.
#[tokio::test]
async fn a_panicking_future_is_one_failure_and_its_panic_goes_on() {
    let (breaker, clock) = half_open(CORE.permitted_calls(1));
    let task = breaker.clone();
    let panicking = async move {
        tokio::task::yield_now().await;
        broken()
    };
    let joined = tokio::spawn(async move { task.run(panicking).await }).await;
    assert_eq!(joined.unwrap_err().into_panic().downcast_ref(), Some(&17_u8));
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.totals.failures), (State::Open, 1));
    assert_eq!((snapshot.totals.cancelled, snapshot.trials_in_flight), (0, 0));
    clock.advance(secs(120));
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-07: the same for a closure.
#[test]
fn a_panicking_closure_is_one_failure_and_its_panic_goes_on() {
    let (breaker, _) = circuit(TOUCHY);
    let call = || breaker.call(broken);
    let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&17_u8));
    assert_eq!((breaker.state(), breaker.snapshot().totals.failures), (State::Open, 1));
}

/// S-CORE-07, S-CORE-08, threat T13: a classifier that panics is not the callee's fault.
#[tokio::test]
async fn threat_t13_a_panicking_classifier_is_ignored_and_its_panic_goes_on() {
    let (breaker, _) = half_open(TOUCHY.permitted_calls(1));
    let broken = |_: Result<&u32, &&str>| -> Outcome { panic!("no idea") };
    let call = || breaker.call_judged(broken, || Failed::Err("no"));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    let run = breaker.clone();
    let task = async move { run.run_judged(broken, async { Failed::Ok(1) }).await };
    assert!(tokio::spawn(task).await.unwrap_err().is_panic());
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.totals.ignored), (State::HalfOpen, 2));
    assert_eq!(snapshot.totals.failures + snapshot.totals.cancelled, 0);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-07: a future that is dropped before its first poll has not asked at all; one that was
/// pending gives its slot back.
#[tokio::test]
async fn a_dropped_future_gives_its_slot_back() {
    let (breaker, clock) = half_open(CORE.permitted_calls(1));
    drop(breaker.run(pending::<Failed>()));
    assert_eq!(breaker.snapshot().totals.cancelled, 0);
    for (waits, state) in [(millis(9_999), State::HalfOpen), (secs(10), State::Open)] {
        let mut run = Box::pin(breaker.run(pending::<Failed>()));
        assert!(futures_poll(run.as_mut()));
        assert!(breaker.try_acquire().is_err());
        clock.advance(waits);
        drop(run);
        assert_eq!(breaker.state(), state, "dropped after {waits:?}");
    }
}

/// Polls once; `true` if it is still pending.
fn futures_poll(future: std::pin::Pin<&mut impl Future>) -> bool {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
}

/// R15: everything follows the runtime's clock where it is given that clock.
#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn with_tokios_clock_the_circuit_follows_paused_time() {
    use breaker_core::{CircuitBreaker, TokioClock};
    let breaker = CircuitBreaker::with_clock(TOUCHY, TokioClock::new());
    let hangs = breaker.run(pending::<Failed>());
    assert!(tokio::time::timeout(secs(10), hangs).await.is_err());
    assert_eq!(breaker.state(), State::Open, "a call that hung for 10 s is a failure");
    tokio::time::advance(secs(60)).await;
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// S-CORE-09: a refusal says who, why, with which numbers, and when to come back.
#[test]
fn a_refusal_is_a_typed_value_with_the_remaining_wait() {
    let (breaker, clock) = circuit(CORE.named("ledger"));
    fail(&breaker, 5);
    clock.advance(millis(500));
    let refusal = breaker.try_acquire().unwrap_err();
    assert_eq!((refusal.by().as_str(), refusal.state()), ("ledger", "open"));
    assert_eq!(refusal.retry_after(), Some(millis(59_500)));
    assert_eq!(refusal.retry_after_secs(), Some(60));
    assert_eq!(refusal.cause().unwrap().bad, 5);
    assert_eq!(
        refusal.to_string(),
        "call refused by ledger: the circuit is open, because 5 calls in a row failed; try again \
         in 59.5s"
    );
}

/// S-CORE-09: whole seconds are rounded up, and never zero.
#[test]
fn retry_after_is_in_whole_seconds_rounded_up() {
    let refusal = Rejected::new(Name::new("x"), Reason::Open);
    assert_eq!(refusal.retry_after_secs(), None);
    for (nanos, secs) in [(0, 1), (1, 1), (1_000_000_000, 1), (1_000_000_001, 2)] {
        let refusal = refusal.with_retry_after(Duration::from_nanos(nanos));
        assert_eq!(refusal.retry_after_secs(), Some(secs), "{nanos} ns");
    }
    let longest = refusal.with_retry_after(Duration::MAX);
    assert_eq!(longest.retry_after_secs(), Some(u64::MAX));
}

#[derive(Debug)]
struct Outer(Rejected);

impl std::fmt::Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("outer")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl From<Rejected> for Outer {
    fn from(rejected: Rejected) -> Self {
        Self(rejected)
    }
}

/// S-CORE-09: the refusal is found again in any chain of errors, and becomes the service's own.
#[test]
fn a_refusal_is_found_in_a_chain_of_errors() {
    let rejected = Rejected::new(Name::new("x"), Reason::NoTrialFree);
    let answer: Result<(), Outer> = AsError.refuse(&(), rejected);
    let error = answer.unwrap_err();
    assert_eq!(Rejected::find(&error), Some(&rejected));
    assert_eq!(Rejected::find(&CallError::<Outer>::Refused(rejected)), Some(&rejected));
    assert_eq!(Rejected::find(&CallError::Failed(error)), Some(&rejected));
    assert_eq!(Rejected::find(&std::io::Error::other("other")), None);
    let refuse = |n: &u32, _: Rejected| -> Failed { Ok(*n) };
    assert_eq!(refuse.refuse(&5, rejected), Ok(5));
}

/// S-CORE-09: a chain of errors says each thing once.
#[test]
fn a_call_error_and_its_source_do_not_repeat_each_other() {
    let rejected = Rejected::new(Name::new("x"), Reason::Open);
    for (error, texts) in [
        (CallError::Failed(std::io::Error::other("boom")), ["the call failed", "boom"]),
        (
            CallError::Refused(rejected),
            ["the circuit refused the call", "call refused by x: the circuit is open"],
        ),
    ] {
        let source = error.source().expect("what lies beneath");
        assert_eq!([error.to_string(), source.to_string()], texts);
        assert!(source.source().is_none());
    }
}
