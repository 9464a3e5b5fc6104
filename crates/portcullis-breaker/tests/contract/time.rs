//! Time: what a call that hangs says, and when the clock is read.

use http::Response;
use portcullis_breaker::breaker_core::{OnDrop, Percent, State, Trip, Window};
use std::time::Duration;
use tower_layer::Layer as _;

use super::script::{Inner, Script, Step};
use super::support::{
    CONFIG, OPEN_PERIOD, SLOW, call, circuit, circuit_of, ended, half_open, layer_of, poll,
    poll_ready, request, start, totals,
};

const INSTANT: Duration = Duration::from_nanos(1);

#[test]
fn a_call_that_is_dropped_before_it_was_slow_says_nothing() {
    let (breaker, clock) = circuit();
    let mut service = layer_of(&breaker).layer(Inner::new(Script::hangs()));
    for cancelled in 1..=10 {
        let mut future = Box::pin(start(&mut service, request()));
        assert!(poll(future.as_mut()).is_pending());
        clock.advance(SLOW - INSTANT);
        assert!(poll(future.as_mut()).is_pending());
        drop(future);
        let totals = totals(&breaker);
        assert_eq!((totals.cancelled, totals.failures), (cancelled, 0));
    }
    assert_eq!(breaker.state(), State::Closed, "impatient callers open nothing");
}

#[test]
fn a_call_that_is_dropped_once_it_was_slow_is_a_failure() {
    let (breaker, clock) = circuit();
    let mut service = layer_of(&breaker).layer(Inner::new(Script::hangs()));
    for failures in 1..=3 {
        assert_eq!(breaker.state(), State::Closed);
        let mut future = Box::pin(start(&mut service, request()));
        assert!(poll(future.as_mut()).is_pending());
        clock.advance(SLOW);
        drop(future);
        let totals = totals(&breaker);
        assert_eq!((totals.cancelled, totals.failures), (0, failures));
    }
    assert_eq!(breaker.state(), State::Open, "who hangs cannot hide");
}

#[test]
fn a_hanging_trial_that_is_given_up_opens_the_circuit_again() {
    let (breaker, clock) = circuit();
    half_open(&breaker);
    let mut service = layer_of(&breaker).layer(Inner::new(Script::hangs()));
    let mut future = Box::pin(start(&mut service, request()));
    assert!(poll(future.as_mut()).is_pending());
    clock.advance(SLOW);
    drop(future);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.remaining), (State::Open, Some(OPEN_PERIOD)));
}

#[test]
fn what_a_dropped_call_says_can_be_chosen() {
    for (on_drop, failures) in [(OnDrop::Neutral, 0), (OnDrop::Failure, 1)] {
        let (breaker, clock) = circuit_of(CONFIG.on_drop(on_drop));
        let mut service = layer_of(&breaker).layer(Inner::new(Script::hangs()));
        let mut future = Box::pin(start(&mut service, request()));
        assert!(poll(future.as_mut()).is_pending());
        if on_drop == OnDrop::Neutral {
            clock.advance(SLOW * 100);
        }
        drop(future);
        assert_eq!(totals(&breaker).failures, failures);
        assert_eq!(ended(&breaker), 1);
    }
}

#[test]
fn a_call_that_was_never_polled_has_taken_no_time() {
    let (breaker, clock) = circuit();
    let mut service = layer_of(&breaker).layer(Inner::new(Script::hangs()));
    let future = start(&mut service, request());
    clock.advance(SLOW * 100);
    drop(future);
    assert_eq!((totals(&breaker).cancelled, totals(&breaker).failures), (1, 0));
}

#[test]
fn a_call_that_is_ready_at_once_reads_no_clock() {
    let (breaker, clock) = circuit();
    let mut service = layer_of(&breaker).layer(Inner::new(Script::answers(200)));
    let before = clock.reads();
    for _ in 0..100 {
        assert!(call(&mut service, request()).is_ok());
    }
    assert_eq!(clock.reads(), before);
    assert_eq!(totals(&breaker).successes, 100);
}

#[test]
fn a_call_that_waits_reads_the_clock_once() {
    let (breaker, clock) = circuit();
    let script = Script { answer: vec![Step::Wait; 5], ..Script::answers(200) };
    let mut service = layer_of(&breaker).layer(Inner::new(script));
    let before = clock.reads();
    assert!(call(&mut service, request()).is_ok());
    assert_eq!(clock.reads(), before + 1, "however often it is polled");
}

#[test]
fn a_refusal_of_an_open_circuit_reads_the_clock_once() {
    let (breaker, clock) = circuit();
    let mut service = layer_of(&breaker).layer(Inner::new(Script::never_ready()));
    breaker.trip().unwrap();
    let before = clock.reads();
    assert!(call(&mut service, request()).is_err());
    assert_eq!(clock.reads(), before + 1);
}

#[test]
fn slow_answers_are_evidence_where_the_configuration_says_so() {
    let half = Percent::new(50);
    let slow = CONFIG.trip(Trip::slow_rate(half, Window::last(4).min_calls(4)));
    let (breaker, clock) = circuit_of(slow);
    let script = Script { answer: vec![Step::Wait], ..Script::answers(200) };
    let mut service = layer_of(&breaker).layer(Inner::new(script));
    for wait in [Duration::ZERO, SLOW, SLOW - INSTANT, SLOW] {
        assert_eq!(breaker.state(), State::Closed);
        let mut future = Box::pin(start(&mut service, request()));
        assert!(poll(future.as_mut()).is_pending());
        clock.advance(wait);
        let answer = poll(future.as_mut());
        assert!(matches!(answer, std::task::Poll::Ready(Ok(response)) if is_good(&response)));
    }
    assert_eq!(breaker.state(), State::Open);
    assert!(poll_ready(&mut service).is_ready());
}

fn is_good<B>(response: &Response<B>) -> bool {
    response.status() == 200
}
