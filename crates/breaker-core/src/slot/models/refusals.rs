//! Refusals that are read without the lock: each is one that the circuit has given.

use std::time::Duration;

use super::{BASE, PERIOD, circuit, fail, prove, set_time, spawn};
use crate::config::{Trip, Window};
use crate::machine::Override;
use crate::rejected::{Reason, Rejected};
use crate::state::State;

const LATER: Duration = Duration::from_millis(500);

fn is_of_the_open_circuit(rejected: &Rejected) -> bool {
    let cause = rejected.cause().map(|cause| (cause.bad, cause.calls));
    let told = (rejected.reason(), rejected.retry_after(), cause);
    told == (Reason::Open, Some(PERIOD), Some((1, 1)))
}

fn is_of_the_order(rejected: &Rejected) -> bool {
    let told = (rejected.reason(), rejected.retry_after(), rejected.cause());
    told == (Reason::ForcedOpen, Some(LATER), None)
}

#[test]
fn a_refusal_is_never_made_of_two() {
    prove("torn refusal", 3, || {
        let (slot, breaker) = circuit(BASE.trip(Trip::consecutive(1)));
        fail(&breaker);
        let handle = breaker.clone();
        let thread = spawn(move || {
            handle.force_open(Override::new("model").for_at_most(LATER));
            std::mem::forget(handle);
        });
        for _ in 0..2 {
            if let Ok(told) = slot.known_refusal() {
                let told = told.expect("it is open all the time");
                let whole = is_of_the_open_circuit(&told) || is_of_the_order(&told);
                assert!(whole, "a refusal made of two: {told:?}");
            }
        }
        thread.join().unwrap();
        let told = slot.known_refusal();
        assert!(matches!(told, Ok(Some(told)) if is_of_the_order(&told)));
        std::mem::forget(breaker);
    });
}

/// The order has run its time, and the evidence that follows ends later: nobody is refused by the
/// one until the end of the other.
#[test]
fn a_refusal_ends_when_it_says() {
    prove("end of a refusal", 3, || {
        let window = Window::in_buckets(Duration::from_secs(1), 1).min_calls(5);
        // One word says when to come back, or from when on calls are slow: here the same.
        let config = BASE.trip(Trip::failure_count(5, window)).slow_call_duration(PERIOD);
        let (slot, breaker) = circuit(config);
        breaker.force_open(Override::new("model").for_at_most(PERIOD));
        set_time(2 * PERIOD);
        let handle = breaker.clone();
        let thread = spawn(move || {
            assert_eq!(handle.state(), State::Closed);
            std::mem::forget(handle);
        });
        let told = slot.known_refusal();
        assert!(!matches!(told, Ok(Some(_))), "refused beyond its end: {told:?}");
        thread.join().unwrap();
        std::mem::forget(breaker);
    });
}

#[test]
fn refusals_of_two_threads_add_up() {
    prove("refusals add up", 3, || {
        let (_, breaker) = circuit(BASE.trip(Trip::consecutive(1)));
        fail(&breaker);
        let handle = breaker.clone();
        let thread = spawn(move || {
            for _ in 0..2 {
                assert!(handle.try_acquire_unstamped().is_err());
            }
            std::mem::forget(handle);
        });
        assert!(breaker.try_acquire_unstamped().is_err());
        let between = breaker.snapshot().refused_in_state;
        thread.join().unwrap();
        let seen = breaker.snapshot();
        assert!((1..=3).contains(&between), "counted twice");
        let told = (seen.totals.refused, seen.refused_in_state);
        assert_eq!(told, (3, 3), "the refusals do not add up");
        std::mem::forget(breaker);
    });
}

/// Refused while it was open, counted when it is so no more.
#[test]
fn a_refusal_that_is_counted_late_is_of_its_own_time() {
    prove("late refusal", 3, || {
        let (_, breaker) = circuit(BASE.trip(Trip::consecutive(1)));
        fail(&breaker);
        let handle = breaker.clone();
        let thread = spawn(move || {
            let first = handle.try_acquire_unstamped().map(|permit| permit.success());
            let second = handle.try_acquire_unstamped().map(|permit| permit.success());
            std::mem::forget(handle);
            u64::from(first.is_err()) + u64::from(second.is_err())
        });
        breaker.reset();
        let refused = thread.join().unwrap();
        let seen = breaker.snapshot();
        assert_eq!(seen.totals.refused, refused, "the refusals do not add up");
        assert_eq!(seen.totals.successes, 2 - refused, "the successes do not add up");
        std::mem::forget(breaker);
    });
}
