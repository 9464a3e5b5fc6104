//! `poll_ready`: of whom it is asked, and what its failures say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use http::Response;
use portcullis_breaker::CircuitBreaker;
use portcullis_breaker::breaker_core::{GateVerdict, Reason, State};
use tower_layer::Layer as _;
use tower_service::Service;

use super::script::{Inner, Script, ScriptBody, Step};
use super::support::{
    OPEN_PERIOD, Oops, call, circuit, ended, finish, half_open, layer_of, panics, poll_ready,
    request, totals,
};

fn rejected(answer: &Result<Response<ScriptBody>, Oops>) -> (Reason, String) {
    let Err(Oops::Refused(rejected)) = answer else { panic!("it was not refused") };
    (rejected.reason(), rejected.by().to_string())
}

fn is_good(answer: &Result<Response<ScriptBody>, Oops>) -> bool {
    answer.as_ref().is_ok_and(|response| response.status() == 200)
}

#[test]
fn the_readied_instance_is_the_one_that_is_called() {
    let (breaker, _) = circuit();
    let inner = Inner::new(Script { ready: vec![Step::Wait; 2], ..Script::answers(200) });
    let remote = inner.remote();
    let mut service = layer_of(&breaker).layer(inner);
    assert!(poll_ready(&mut service).is_pending());
    assert!(poll_ready(&mut service).is_pending());
    assert_eq!(poll_ready(&mut service), Poll::Ready(Ok(())));
    // What every user of a shared service does: keep a clone, call the one that is ready.
    let clone = service.clone();
    let mut readied = std::mem::replace(&mut service, clone);
    assert!(is_good(&finish(readied.call(request()))));
    assert_eq!((remote.asked(), remote.calls()), (3, 1));
    // Asking again and again is allowed.
    assert!(is_good(&call(&mut service, request())));
    assert!(is_good(&call(&mut readied, request())));
}

#[test]
fn a_clone_shares_the_circuit_and_not_the_readiness() {
    let (breaker, _) = circuit();
    let inner = Inner::new(Script::answers(200));
    let remote = inner.remote();
    let mut service = layer_of(&breaker).layer(inner);
    assert_eq!(poll_ready(&mut service), Poll::Ready(Ok(())));
    let mut clone = service.clone();
    let refused = rejected(&finish(clone.call(request())));
    assert_eq!(refused, (Reason::NotReady, "payments".to_owned()));
    assert_eq!(remote.calls(), 0);
    assert!(is_good(&finish(service.call(request()))));
}

#[test]
fn a_call_without_poll_ready_is_refused_by_the_circuit_and_counted() {
    let (breaker, _) = circuit();
    let mut service = layer_of(&breaker).layer(Inner::new(Script::answers(200)));
    assert_eq!(rejected(&finish(service.call(request()))).0, Reason::NotReady);
    assert!(is_good(&call(&mut service, request())));
    // Readiness is used up by the call.
    let refused = rejected(&finish(service.call(request())));
    assert_eq!(refused, (Reason::NotReady, "payments".to_owned()));
    assert_eq!((totals(&breaker).refused, ended(&breaker)), (2, 1));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn readiness_errors_of_three_clones_open_the_circuit() {
    let (breaker, _) = circuit();
    let service = layer_of(&breaker).layer(Inner::new(Script::fails_to_be_ready()));
    for failures in 1..=3 {
        assert_eq!(breaker.state(), State::Closed);
        let mut clone = service.clone();
        // Passed on unchanged.
        assert_eq!(poll_ready(&mut clone), Poll::Ready(Err(Oops::Broken)));
        assert_eq!(totals(&breaker).failures, failures);
    }
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_readiness_error_is_recorded_once_per_readied_instance() {
    let (breaker, _) = circuit();
    let inner = Inner::new(Script::fails_to_be_ready());
    let remote = inner.remote();
    let mut service = layer_of(&breaker).layer(inner);
    for _ in 0..10 {
        assert_eq!(poll_ready(&mut service), Poll::Ready(Err(Oops::Broken)));
    }
    assert_eq!((remote.asked(), totals(&breaker).failures), (10, 1));
    assert_eq!(breaker.state(), State::Closed);
    // It failed, so it is not ready.
    assert_eq!(rejected(&finish(service.call(request()))).0, Reason::NotReady);
    // The next readiness is another one.
    assert_eq!(poll_ready(&mut service), Poll::Ready(Err(Oops::Broken)));
    assert_eq!(totals(&breaker).failures, 2);
}

#[test]
fn an_instance_that_recovers_can_fail_again() {
    let (breaker, _) = circuit();
    let ready = vec![Step::Fail, Step::Give, Step::Fail, Step::Wait, Step::Fail];
    let mut service = layer_of(&breaker).layer(Inner::new(Script { ready, ..Script::default() }));
    assert!(matches!(poll_ready(&mut service), Poll::Ready(Err(_))));
    assert_eq!(poll_ready(&mut service), Poll::Ready(Ok(())));
    assert!(matches!(poll_ready(&mut service), Poll::Ready(Err(_))));
    // What was pending has tried again.
    assert!(poll_ready(&mut service).is_pending());
    assert!(matches!(poll_ready(&mut service), Poll::Ready(Err(_))));
    assert_eq!(totals(&breaker).failures, 3);
}

#[test]
fn a_readiness_error_is_never_a_trial() {
    let (breaker, _) = circuit();
    let inner = Inner::new(Script::fails_to_be_ready());
    let remote = inner.remote();
    let service = layer_of(&breaker).layer(inner);
    half_open(&breaker);
    for _ in 0..5 {
        let mut clone = service.clone();
        assert_eq!(poll_ready(&mut clone), Poll::Ready(Err(Oops::Broken)));
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.trials_in_flight), (State::HalfOpen, 0));
    assert_eq!((snapshot.tally.calls, snapshot.totals.failures), (0, 5));
    remote.script(Script::answers(200));
    assert!(is_good(&call(&mut service.clone(), request())));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn an_open_circuit_refuses_at_once_although_the_inner_service_is_never_ready() {
    let (breaker, _) = circuit();
    let inner = Inner::new(Script::never_ready());
    let remote = inner.remote();
    let mut service = layer_of(&breaker).layer(inner);
    assert!(poll_ready(&mut service).is_pending());
    breaker.trip().unwrap();
    assert_eq!(poll_ready(&mut service), Poll::Ready(Ok(())));
    assert_eq!(rejected(&finish(service.call(request()))).0, Reason::Open);
    assert_eq!((remote.asked(), remote.calls()), (1, 0));
    assert_eq!(totals(&breaker).refused, 1, "once, and when it is given");
}

#[test]
fn a_circuit_that_is_forced_open_refuses_at_once() {
    let (breaker, _) = circuit();
    let mut service = layer_of(&breaker).layer(Inner::new(Script::never_ready()));
    breaker.force_open("maintenance");
    assert_eq!(poll_ready(&mut service), Poll::Ready(Ok(())));
    assert_eq!(rejected(&finish(service.call(request()))).0, Reason::ForcedOpen);
}

#[test]
fn an_instance_that_was_told_ready_while_open_refuses_although_trials_are_free_by_now() {
    let (breaker, clock) = circuit();
    let inner = Inner::new(Script::answers(200));
    let remote = inner.remote();
    let mut service = layer_of(&breaker).layer(inner);
    breaker.trip().unwrap();
    assert_eq!(poll_ready(&mut service), Poll::Ready(Ok(())));
    clock.advance(OPEN_PERIOD);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(rejected(&finish(service.call(request()))).0, Reason::Open);
    assert_eq!((remote.asked(), breaker.snapshot().trials_in_flight), (0, 0));
    // Asked again, it becomes ready in earnest, and its call is the trial.
    assert!(is_good(&call(&mut service, request())));
    assert_eq!((remote.asked(), breaker.state()), (1, State::Closed));
}

#[test]
fn readiness_takes_nothing_from_the_circuit() {
    let (breaker, _) = circuit();
    let service = layer_of(&breaker).layer(Inner::new(Script::answers(200)));
    half_open(&breaker);
    // Many are ready, and one trial is free: whoever calls gets it.
    let mut readied: Vec<_> = (0..10).map(|_| service.clone()).collect();
    for instance in &mut readied {
        assert_eq!(poll_ready(instance), Poll::Ready(Ok(())));
    }
    assert_eq!(breaker.snapshot().trials_in_flight, 0);
    readied.truncate(2);
    let (mut first, mut second) = (readied.remove(0), readied.remove(0));
    let trial = first.call(request());
    assert_eq!(breaker.snapshot().trials_in_flight, 1);
    assert_eq!(rejected(&finish(second.call(request()))).0, Reason::NoTrialFree);
    assert!(is_good(&finish(trial)));
}

#[test]
fn a_circuit_that_opens_between_readiness_and_call_refuses() {
    let (breaker, _) = circuit();
    let inner = Inner::new(Script::answers(200));
    let remote = inner.remote();
    let mut service = layer_of(&breaker).layer(inner);
    assert_eq!(poll_ready(&mut service), Poll::Ready(Ok(())));
    breaker.trip().unwrap();
    assert_eq!(rejected(&finish(service.call(request()))).0, Reason::Open);
    assert_eq!(remote.calls(), 0);
}

#[test]
fn a_panic_in_poll_ready_passes_and_says_nothing() {
    let (breaker, _) = circuit();
    let script = Script { ready: vec![Step::Panic], ..Script::answers(200) };
    let mut service = layer_of(&breaker).layer(Inner::new(script));
    assert!(panics(|| poll_ready(&mut service)));
    assert_eq!(ended(&breaker), 0);
    assert_eq!(rejected(&finish(service.call(request()))).0, Reason::NotReady);
    assert!(is_good(&call(&mut service, request())));
}

#[test]
fn the_service_inside_is_within_reach() {
    let mut service = layer_of(&CircuitBreaker::new(super::support::CONFIG))
        .layer(Inner::new(Script::answers(200)));
    assert_eq!(service.get_ref().remote().asked(), 0);
    assert!(poll_ready(service.get_mut()).is_ready());
    assert_eq!(service.into_inner().remote().asked(), 1);
}

#[test]
fn the_wait_of_an_order_is_counted_from_now() {
    use portcullis_breaker::breaker_core::Override;
    let (breaker, clock) = circuit();
    let mut service = layer_of(&breaker).layer(Inner::new(Script::never_ready()));
    breaker.force_open(Override::new("x").for_at_most(OPEN_PERIOD));
    clock.advance(OPEN_PERIOD / 2);
    let Err(Oops::Refused(r)) = call(&mut service, request()) else { panic!() };
    assert_eq!(r.retry_after(), Some(OPEN_PERIOD / 2));
}

#[test]
fn a_gate_that_admits_takes_no_instant_refusal_away() {
    let (breaker, _) = circuit();
    let inner = Inner::new(Script::never_ready());
    let remote = inner.remote();
    let mut service = layer_of(&breaker).layer(inner);
    breaker.set_dependency_gate(|| GateVerdict::Admit);
    assert!(poll_ready(&mut service).is_pending());
    breaker.trip().unwrap();
    for (forced, reason) in [(false, Reason::Open), (true, Reason::ForcedOpen)] {
        if forced {
            breaker.force_open("maintenance");
        }
        assert_eq!(poll_ready(&mut service), Poll::Ready(Ok(())));
        assert_eq!(rejected(&finish(service.call(request()))).0, reason);
    }
    assert_eq!((remote.asked(), remote.calls()), (1, 0));
}

#[test]
fn a_client_that_keeps_failing_to_connect_opens_the_circuit() {
    // Each attempt waits for its connection first, as a client of one connection does.
    let (breaker, _) = circuit();
    let ready = [Step::Wait, Step::Fail].repeat(3);
    let mut service = layer_of(&breaker).layer(Inner::new(Script { ready, ..Script::default() }));
    for failures in 1..=3 {
        assert_eq!(breaker.state(), State::Closed);
        assert!(poll_ready(&mut service).is_pending());
        assert!(matches!(poll_ready(&mut service), Poll::Ready(Err(_))));
        assert_eq!(totals(&breaker).failures, failures);
    }
    assert_eq!(breaker.state(), State::Open);
}

struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_for_a_stuck_service_is_woken_and_refused_when_the_circuit_opens() {
    let (breaker, _) = circuit();
    let inner = Inner::new(Script { ready: vec![Step::Wait; 100], ..Script::answers(200) });
    let mut service = layer_of(&breaker).layer(inner);
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let waker = Waker::from(counter.clone());
    let mut cx = Context::from_waker(&waker);
    for _ in 0..3 {
        assert!(Service::<http::Request<()>>::poll_ready(&mut service, &mut cx).is_pending());
    }
    assert_eq!(counter.0.load(Ordering::SeqCst), 0);
    breaker.force_open("maintenance");
    assert_eq!(counter.0.load(Ordering::SeqCst), 1, "woken once, however often it was polled");
    assert_eq!(poll_ready(&mut service), Poll::Ready(Ok(())));
    assert_eq!(rejected(&finish(service.call(request()))).0, Reason::ForcedOpen);
    // Released, it waits for the inner service again.
    breaker.release();
    assert!(poll_ready(&mut service).is_pending());
    // One that is dropped while it waits is nobody's business.
    drop(service);
    breaker.force_open("again");
}
