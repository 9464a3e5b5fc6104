//! Who lives in a slot: nobody is ended who has a handle, and nobody hears a stranger.

use std::sync::Arc;

use super::{BASE, begin, circuit, prove, spawn, succeed};
use crate::breaker::CircuitBreaker;
use crate::config::Trip;
use crate::outcome::FailureKind;
use crate::slot::License;
use crate::slot::arena::ARENA;
use crate::state::State;

#[test]
fn a_strangers_failure_says_nothing() {
    prove("stranger's failure", 3, || {
        let (slot, first) = circuit(BASE.trip(Trip::consecutive(1)));
        let permit = first.try_acquire_unstamped().unwrap();
        let thread = spawn(move || permit.failure(FailureKind::Internal));
        std::mem::forget(first);
        slot.dropped(true);
        assert!(slot.look(|_| ()).is_none(), "the circuit outlives its handles");
        begin(slot, BASE.trip(Trip::consecutive(1)));
        let second = CircuitBreaker::living_in(slot);
        succeed(&second);
        thread.join().unwrap();
        let seen = second.snapshot();
        let totals = (seen.totals.failures, seen.totals.successes);
        assert_eq!((seen.state, totals), (State::Closed, (0, 1)), "a stranger was heard");
        std::mem::forget(second);
    });
}

#[test]
fn a_strangers_success_is_not_counted() {
    prove("stranger's success", 3, || {
        let (slot, first) = circuit(BASE);
        let thread = {
            let handle = first.clone();
            spawn(move || {
                // It has a place from here on.
                succeed(&handle);
                let permit = handle.try_acquire_unstamped();
                drop(handle);
                permit.unwrap().success();
            })
        };
        drop(first);
        let ended = slot.end();
        if let Some(ended) = ended {
            drop(ended);
            begin(slot, BASE);
            thread.join().unwrap();
            let successes = slot.fold_and_see(|core| core.machine.snapshot(&BASE).totals.successes);
            assert_eq!(successes, 0, "a stranger was heard");
        } else {
            thread.join().unwrap();
        }
        ARENA.forget(slot);
    });
}

#[test]
fn a_circuit_lives_as_long_as_a_handle_of_it() {
    prove("handles and a sweep", 3, || {
        let (slot, first) = circuit(BASE);
        let thread = spawn(move || {
            let second = first.clone();
            drop(first);
            // It would panic if the circuit had ended.
            assert_eq!(second.name().as_str(), "circuit");
            let third = second.clone();
            drop(second);
            assert_eq!(third.name().as_str(), "circuit");
            third
        });
        slot.end_if_unused();
        let third = thread.join().unwrap();
        assert!(slot.look(|_| ()).is_some(), "a circuit with a handle was ended");
        drop(third);
        assert!(slot.look(|_| ()).is_none(), "the circuit outlives its handles");
        assert_eq!(ARENA.forget(slot), 1, "a slot is free once");
    });
}

/// A handle wanders from thread to thread while somebody looks for slots without one.
#[test]
fn a_handle_that_wanders_is_never_missed() {
    prove("wandering handle", 2, || {
        let (slot, first) = circuit(BASE);
        let between = Arc::new(loom::sync::Mutex::new(None::<CircuitBreaker>));
        let hands = between.clone();
        let giver = spawn(move || {
            let second = first.clone();
            *hands.lock().unwrap() = Some(second);
            drop(first);
        });
        let hands = between.clone();
        let taker = spawn(move || {
            let second = hands.lock().unwrap().take();
            second.map(|second| {
                let third = second.clone();
                drop(second);
                assert_eq!(third.name().as_str(), "circuit");
                third
            })
        });
        slot.end_if_unused();
        giver.join().unwrap();
        let third = taker.join().unwrap();
        assert!(slot.look(|_| ()).is_some(), "a circuit with a handle was ended");
        drop(third);
        drop(between.lock().unwrap().take());
        slot.end_if_unused();
        assert_eq!(ARENA.forget(slot), 1, "a slot is free once");
    });
}

#[test]
fn two_who_drop_the_last_handles_end_the_circuit_once() {
    prove("two droppers", 3, || {
        let (slot, first) = circuit(BASE);
        let second = first.clone();
        let thread = spawn(move || drop(second));
        drop(first);
        thread.join().unwrap();
        // Neither may have seen the other; then the next sweep does.
        slot.end_if_unused();
        assert!(slot.look(|_| ()).is_none(), "the circuit outlives its handles");
        assert_eq!(ARENA.forget(slot), 1, "a slot is free once");
    });
}

/// The last handle is counted as gone, a sweep ends the circuit, and another one moves in.
#[test]
fn who_goes_leaves_no_trace_on_who_comes() {
    prove("keeper of another", 3, || {
        let (slot, first) = circuit(BASE);
        let thread = spawn(move || drop(first));
        if let Some(ended) = slot.end() {
            drop(ended);
            begin(slot, BASE);
            thread.join().unwrap();
            let second = CircuitBreaker::living_in(slot);
            assert!(!slot.license().has(License::ORPHANED), "orphaned by a stranger");
            let clone = second.clone();
            drop(second);
            assert!(slot.license().has(License::ORPHANED), "the last keeper is gone");
            drop(clone);
        } else {
            thread.join().unwrap();
        }
        assert_eq!(ARENA.forget(slot), 1, "a slot is free once");
    });
}

#[test]
fn it_is_known_whether_a_handle_is_left_that_stays() {
    prove("orphans", 3, || {
        let (slot, first) = circuit(BASE);
        let passing = first.clone();
        let thread = spawn(move || {
            let stays = passing.keep();
            drop(passing);
            stays
        });
        drop(first);
        let stays = thread.join().unwrap();
        assert!(!slot.license().has(License::ORPHANED), "one is left that stays");
        drop(stays);
        assert!(slot.look(|_| ()).is_none(), "the circuit outlives its handles");
        assert_eq!(ARENA.forget(slot), 1, "a slot is free once");
    });
}
