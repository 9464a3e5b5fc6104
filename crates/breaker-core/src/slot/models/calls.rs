//! Admission and outcomes: they add up, whoever looks; nobody is on trial beyond the number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{BASE, circuit, fail, prove, set_time, spawn, succeed};
use crate::config::{StrategyKind, Trip, Window};
use crate::explain::Snapshot;
use crate::percent::Percent;
use crate::slot::License;
use crate::state::State;

/// S-WIN-03: under a model checker, no success is lost or counted twice.
#[test]
fn successes_of_two_threads_add_up_while_a_third_looks() {
    prove("successes add up", 3, || {
        let (_, breaker) = circuit(BASE.trip(Trip::consecutive(2)));
        let threads = [breaker.clone(), breaker.clone()].map(|handle| {
            spawn(move || {
                // The first takes the lock and gets the thread a place, the second is noted there.
                succeed(&handle);
                succeed(&handle);
                std::mem::forget(handle);
            })
        });
        let between = breaker.snapshot().totals.successes;
        assert!(between <= 4, "counted twice");
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(breaker.snapshot().totals.successes, 4, "the successes do not add up");
        std::mem::forget(breaker);
    });
}

/// S-WIN-03: under a model checker, no failure is lost, and the circuit opens once.
#[test]
fn two_failures_of_two_threads_open_it_once() {
    prove("trip", 3, || {
        let (_, breaker) = circuit(BASE.trip(Trip::consecutive(2)));
        let handle = breaker.clone();
        let thread = spawn(move || {
            fail(&handle);
            std::mem::forget(handle);
        });
        fail(&breaker);
        thread.join().unwrap();
        let seen = breaker.snapshot();
        assert_eq!((seen.state, seen.generation), (State::Open, 1), "it opens once");
        assert_eq!(seen.totals.failures, 2);
        assert!(breaker.try_acquire_unstamped().is_err(), "open and admits");
        std::mem::forget(breaker);
    });
}

/// S-WIN-03: under a model checker, evidence has an order.
#[test]
fn a_success_beside_a_failure_comes_before_or_after_it() {
    prove("success and failure", 3, || {
        let (_, breaker) = circuit(BASE.trip(Trip::consecutive(2)));
        fail(&breaker);
        let handle = breaker.clone();
        let thread = spawn(move || {
            succeed(&handle);
            std::mem::forget(handle);
        });
        fail(&breaker);
        thread.join().unwrap();
        let seen = breaker.snapshot();
        // Failure, success, failure; or both failures first, and the success is late or refused.
        let after = seen.totals.late + seen.totals.refused;
        let expected = if seen.state == State::Open { (1, 1) } else { (1, 0) };
        assert!((seen.consecutive_openings, after as u32) <= expected, "{seen:?}");
        assert_eq!(seen.totals.successes + seen.totals.refused, 1, "the success is lost");
        std::mem::forget(breaker);
    });
}

#[test]
fn no_more_are_on_trial_than_may_be() {
    prove("trials", 2, || {
        let (_, breaker) = circuit(BASE.permitted_calls(2).trip(Trip::consecutive(1)));
        fail(&breaker);
        breaker.attempt_reset().unwrap();
        let inside = Arc::new(AtomicU32::new(0));
        let threads = [0, 1].map(|number| {
            let (handle, inside) = (breaker.clone(), inside.clone());
            spawn(move || {
                if let Ok(permit) = handle.try_acquire_unstamped() {
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 2, "one trial too many");
                    inside.fetch_sub(1, Ordering::SeqCst);
                    // One says something, one does not and gives its place back.
                    if number == 0 { permit.success() } else { drop(permit) }
                }
                std::mem::forget(handle);
            })
        });
        let third = breaker.try_acquire_unstamped();
        if third.is_ok() {
            assert!(inside.fetch_add(1, Ordering::SeqCst) < 2, "one trial too many");
            inside.fetch_sub(1, Ordering::SeqCst);
        }
        drop(third);
        for thread in threads {
            thread.join().unwrap();
        }
        let seen = breaker.snapshot();
        assert_eq!((seen.state, seen.trials_in_flight), (State::HalfOpen, 0), "a trial leaks");
        let ended = seen.totals.successes + seen.totals.cancelled;
        assert_eq!(ended + seen.totals.refused, 3, "the books do not balance");
        std::mem::forget(breaker);
    });
}

#[test]
fn an_order_that_was_given_is_obeyed() {
    prove("forced open", 3, || {
        let (_, breaker) = circuit(BASE);
        let handle = breaker.clone();
        let thread = spawn(move || {
            succeed(&handle);
            succeed(&handle);
            std::mem::forget(handle);
        });
        breaker.force_open("model");
        assert!(breaker.try_acquire_unstamped().is_err(), "forced open and admits");
        thread.join().unwrap();
        let seen = breaker.snapshot();
        assert_eq!(seen.state, State::ForcedOpen);
        assert_eq!(seen.totals.successes + seen.totals.refused, 3, "the books do not balance");
        std::mem::forget(breaker);
    });
}

#[test]
fn permits_outlive_another_configuration() {
    prove("reconfigure", 3, || {
        let (_, breaker) = circuit(BASE.trip(Trip::consecutive(2)));
        let handle = breaker.clone();
        let thread = spawn(move || {
            let permit = handle.try_acquire_unstamped();
            succeed(&handle);
            if let Ok(permit) = permit {
                permit.success();
            }
            std::mem::forget(handle);
        });
        breaker.reconfigure(BASE.trip(Trip::consecutive(3)));
        succeed(&breaker);
        thread.join().unwrap();
        let seen = breaker.snapshot();
        assert_eq!((seen.state, seen.config_version), (State::Closed, 1));
        assert_eq!((seen.totals.successes, seen.totals.late), (3, 0), "a permit was lost");
        std::mem::forget(breaker);
    });
}

/// The window of the old configuration is full of good calls, so that another one says nothing;
/// that of the new one is not, and calls are slow in it only later.
#[test]
fn a_call_is_judged_by_one_configuration_not_by_two() {
    prove("slow while reconfigured", 3, || {
        let all = Percent::new(100);
        let slow_after = |calls, slow| {
            let trip = Trip::slow_rate(all, Window::last(calls).min_calls(calls));
            BASE.totals(false).trip(trip).slow_call_duration(Duration::from_millis(slow))
        };
        let (slot, breaker) = circuit(slow_after(2, 1));
        succeed(&breaker);
        succeed(&breaker);
        let permit = breaker.try_acquire().unwrap();
        assert_eq!(breaker.snapshot().tally.calls, 2);
        assert!(slot.license().has(License::IDLE), "one more says nothing");
        set_time(Duration::from_millis(5));
        let thread = spawn(move || permit.success());
        breaker.reconfigure(slow_after(4, 10));
        thread.join().unwrap();
        let tally = breaker.snapshot().tally;
        let (slow, fast) = ((2, 1), (3, 0));
        let seen = (tally.calls, tally.slow);
        assert!(seen == slow || seen == fast, "judged by two configurations: {tally:?}");
        std::mem::forget(breaker);
    });
}

#[test]
fn another_strategy_loses_no_outcome() {
    prove("strategy", 3, || {
        let (_, breaker) = circuit(BASE.trip(Trip::consecutive(2)));
        let handle = breaker.clone();
        let thread = spawn(move || {
            succeed(&handle);
            fail(&handle);
            std::mem::forget(handle);
        });
        breaker.set_strategy(StrategyKind::Gradual);
        succeed(&breaker);
        thread.join().unwrap();
        let seen = breaker.snapshot();
        assert_eq!(seen.config.strategy_kind(), StrategyKind::Gradual);
        let Snapshot { state, totals, .. } = seen;
        assert_eq!((state, totals.failures), (State::Closed, 1), "an outcome is lost");
        std::mem::forget(breaker);
    });
}
