//! An answer to a call of an older generation decides nothing.

mod common;

use breaker_core::{FailureKind, Outcome, State};
use common::{CORE, Recorder, circuit, fail, half_open, secs, succeed};

/// S-CORE-06: a late failure does not renew the open period.
#[test]
fn a_failure_that_ends_while_open_leaves_the_period_as_it_is() {
    let (breaker, clock) = circuit(CORE);
    let late = breaker.try_acquire().unwrap();
    fail(&breaker, 5);
    let before = breaker.snapshot();
    clock.advance(secs(30));
    late.failure(FailureKind::Timeout);
    let after = breaker.snapshot();
    assert_eq!(after.remaining, Some(secs(30)));
    assert_eq!((after.generation, after.tally), (before.generation, before.tally));
    assert_eq!((after.totals.failures, after.totals.late), (6, 1));
    clock.advance(secs(30));
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// S-CORE-06: a late success is no good trial.
#[test]
fn a_success_from_before_is_no_trial() {
    let (breaker, clock) = circuit(CORE.totals(true));
    let late: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    fail(&breaker, 5);
    clock.advance(secs(60));
    succeed(&breaker, 1);
    late.into_iter().for_each(breaker_core::Permit::success);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.tally.calls), (State::HalfOpen, 1));
    assert_eq!((snapshot.successes(), snapshot.totals.late), (Some(4), 3));
}

/// S-CORE-06 (R5): a late failure does not reopen while a trial is out, and gives no place back.
#[test]
fn a_failure_from_before_does_not_reopen() {
    let (breaker, clock) = circuit(CORE);
    let (failing, dropped) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
    fail(&breaker, 5);
    clock.advance(secs(60));
    let trials: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    failing.failure(FailureKind::Timeout);
    drop(dropped);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.snapshot().trials_in_flight, 3);
    assert!(breaker.try_acquire().is_err(), "a late end makes no room");
    trials.into_iter().for_each(breaker_core::Permit::success);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-06: a trial of an earlier stay is late in the next one.
#[test]
fn a_trial_of_an_earlier_stay_decides_nothing_in_the_next() {
    let (breaker, clock) = half_open(CORE);
    let old = breaker.try_acquire().unwrap();
    fail(&breaker, 1);
    clock.advance(secs(120));
    assert_eq!(breaker.state(), State::HalfOpen);
    old.failure(FailureKind::Timeout);
    assert_eq!(breaker.state(), State::HalfOpen);
    succeed(&breaker, 3);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-06: a call that began before the circuit was opened and closed again.
#[test]
fn a_failure_from_before_the_outage_does_not_count_after_it() {
    let (breaker, clock) = circuit(CORE);
    let old: Vec<_> = (0..10).map(|_| breaker.try_acquire().unwrap()).collect();
    fail(&breaker, 5);
    clock.advance(secs(60));
    succeed(&breaker, 3);
    for permit in old {
        permit.failure(FailureKind::Timeout);
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.consecutive_failures), (State::Closed, Some(0)));
    assert_eq!(snapshot.totals.late, 10);
}

/// S-CORE-06: a reset begins anew also for calls that are out, although the state is the same.
#[test]
fn after_a_reset_calls_that_were_out_no_longer_count() {
    let (breaker, _) = circuit(CORE);
    let old: Vec<_> = (0..5).map(|_| breaker.try_acquire().unwrap()).collect();
    breaker.reset();
    for permit in old {
        permit.failure(FailureKind::Timeout);
    }
    assert_eq!(breaker.snapshot().consecutive_failures, Some(0));
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-06: what ends late is told as late.
#[test]
fn observers_are_told_that_an_end_was_late() {
    let (breaker, _) = circuit(CORE);
    let late = breaker.try_acquire().unwrap();
    fail(&breaker, 5);
    let recorder = Recorder::on(&breaker);
    late.record(Outcome::Success);
    let told = recorder.take();
    assert!(
        matches!(&told[..], [breaker_core::EventKind::Settled { late: true, .. }]),
        "told {told:?}"
    );
}
