//! S-CORE-07: an observer that panics harms neither the circuit nor the callee.

use std::sync::atomic::{AtomicBool, Ordering};

use http_body::Body as _;
use portcullis_breaker::breaker_core::{Event, EventKind, Interest, Observe, State};
use tower_layer::Layer as _;

use super::script::{Inner, Script, scripted_panic};
use super::support::{
    OPEN_PERIOD, assert_sound, call, circuit, context, ended, half_open, layer_of, panics, poll,
    request, start, totals,
};

/// Panics at the first event of this kind.
struct PanicsAt(Interest, AtomicBool);

impl Observe for PanicsAt {
    fn interest(&self) -> Interest {
        self.0
    }

    fn event(&self, event: &Event<'_>) {
        let telling = !matches!(event.kind, EventKind::Refused(_));
        if telling && self.1.swap(false, Ordering::Relaxed) {
            scripted_panic()
        }
    }
}

#[test]
fn a_panic_of_the_observer_at_the_end_of_a_call_passes_and_changes_nothing() {
    for at_body_end in [false, true] {
        let (breaker, _) = circuit();
        let layer = layer_of(&breaker).observe(PanicsAt(Interest::CALLS, true.into()));
        half_open(&breaker);
        let inner = Inner::new(Script::answers(200));
        let panicked = if at_body_end {
            let mut service = layer.clone().judge_at_end_of_body().layer(inner.clone());
            let response = call(&mut service, request()).expect("an answer");
            let mut body = Box::pin(response.into_body());
            panics(|| body.as_mut().poll_frame(&mut context()))
        } else {
            panics(|| call(&mut layer.layer(inner.clone()), request()))
        };
        assert!(panicked);
        // The call was good, whoever stumbled over it.
        assert_eq!((breaker.state(), totals(&breaker).successes), (State::Closed, 1));
        assert_sound(&breaker, layer.layer(inner));
    }
}

#[test]
fn a_panic_of_the_observer_at_admission_passes_and_frees_the_trial() {
    for interest in [Interest::STEPS, Interest::CHANGES] {
        let (breaker, clock) = circuit();
        breaker.trip().unwrap();
        let layer = layer_of(&breaker).observe(PanicsAt(interest, true.into()));
        let inner = Inner::new(Script::answers(200));
        let remote = inner.remote();
        let mut service = layer.layer(inner);
        // The next call is the one that finds the open period over.
        clock.advance(OPEN_PERIOD);
        assert!(panics(|| call(&mut service, request())));
        assert_eq!((breaker.state(), remote.calls()), (State::HalfOpen, 0));
        assert_eq!(totals(&breaker).failures, 0);
        assert_sound(&breaker, service);
    }
}

#[test]
fn a_panic_of_the_observer_at_a_refusal_passes() {
    struct AtRefusals;
    impl Observe for AtRefusals {
        fn event(&self, _: &Event<'_>) {
            scripted_panic()
        }
    }
    let (breaker, _) = circuit();
    breaker.trip().unwrap();
    let inner = Inner::new(Script::answers(200));
    let remote = inner.remote();
    let mut service = layer_of(&breaker).observe(AtRefusals).layer(inner);
    assert!(panics(|| call(&mut service, request())));
    assert_eq!((totals(&breaker).refused, ended(&breaker), remote.calls()), (1, 0, 0));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_panic_of_the_observer_ends_where_a_call_is_dropped() {
    let (breaker, _) = circuit();
    let layer = layer_of(&breaker).observe(PanicsAt(Interest::CALLS, true.into()));
    half_open(&breaker);
    let inner = Inner::new(Script::hangs());
    let remote = inner.remote();
    let mut service = layer.layer(inner);
    let mut future = Box::pin(start(&mut service, request()));
    assert!(poll(future.as_mut()).is_pending());
    drop(future);
    assert_eq!((totals(&breaker).cancelled, breaker.state()), (1, State::HalfOpen));
    remote.script(Script::answers(200));
    assert_sound(&breaker, service);
}

#[test]
fn two_panics_of_one_call_are_one_failure_and_no_abort() {
    // The observer panics while the panic of the inner future unwinds.
    for script in [Script::call_panics(), Script::future_panics()] {
        let (breaker, _) = circuit();
        let layer = layer_of(&breaker).observe(PanicsAt(Interest::CALLS, true.into()));
        let mut service = layer.layer(Inner::new(script));
        assert!(panics(|| call(&mut service, request())));
        assert_eq!((totals(&breaker).failures, ended(&breaker)), (1, 1));
    }
}

#[test]
fn an_observers_panic_is_no_cancelled_call() {
    use portcullis_breaker::breaker_core::OnDrop;
    let (breaker, clock) =
        super::support::circuit_of(super::support::CONFIG.on_drop(OnDrop::Failure));
    breaker.trip().unwrap();
    let layer = layer_of(&breaker).observe(PanicsAt(Interest::STEPS, true.into()));
    let mut service = layer.layer(Inner::new(Script::answers(200)));
    clock.advance(OPEN_PERIOD);
    assert!(panics(|| call(&mut service, request())));
    assert_eq!(totals(&breaker).failures, 0);
}
