//! A permit ends exactly once: settled, dropped, or lost in a panic.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use breaker_core::{
    Chance, CircuitBreaker, Event, EventKind, FailureKind, Interest, Observe, OnDrop, Outcome,
    Permit, State,
};
use common::{CORE, Recorder, TOUCHY, circuit, fail, half_open, millis, secs, succeed};

/// S-CORE-07: before 10 s a dropped call says nothing, from then on it is one timeout.
#[test]
fn a_call_that_is_dropped_counts_from_10_s_on() {
    for (after, failures, cancelled) in [(9_999, 0, 1), (10_000, 1, 0), (60_000, 1, 0)] {
        let (breaker, clock) = circuit(CORE);
        let permit = breaker.try_acquire().unwrap();
        clock.advance(millis(after));
        drop(permit);
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.consecutive_failures, Some(failures), "after {after} ms");
        let totals = snapshot.totals;
        assert_eq!((totals.failures, totals.cancelled), (failures.into(), cancelled));
    }
}

/// S-CORE-07: the two other policies.
#[test]
fn what_a_dropped_call_says_is_a_policy() {
    for (policy, after, failures) in
        [(OnDrop::Neutral, 60, 0), (OnDrop::Failure, 0, 1), (OnDrop::SlowIsFailure, 0, 0)]
    {
        let (breaker, clock) = circuit(CORE.on_drop(policy));
        let permit = breaker.try_acquire().unwrap();
        clock.advance(secs(after));
        drop(permit);
        assert_eq!(breaker.snapshot().consecutive_failures, Some(failures), "{policy:?}");
    }
}

/// S-CORE-07: a callee that hangs cannot hide behind callers that give up.
#[test]
fn a_hanging_callee_opens_although_no_call_ever_ends() {
    let (breaker, clock) = circuit(CORE);
    let recorder = Recorder::on(&breaker);
    for _ in 0..5 {
        let permit = breaker.try_acquire().unwrap();
        clock.advance(secs(12));
        drop(permit);
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(recorder.path(), ["closed>open consecutive_failures"]);
}

/// S-CORE-07: impatient callers open nothing.
#[test]
fn callers_that_give_up_after_a_second_open_nothing() {
    let (breaker, clock) = circuit(TOUCHY);
    for _ in 0..1_000 {
        let permit = breaker.try_acquire().unwrap();
        clock.advance(secs(1));
        drop(permit);
    }
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-07: an unstamped permit was never pending: dropped, it was never slow.
#[test]
fn a_permit_without_a_stamp_took_no_time() {
    let (breaker, clock) = circuit(TOUCHY);
    let (mut stamped, unstamped) =
        (breaker.try_acquire_unstamped().unwrap(), breaker.try_acquire_unstamped().unwrap());
    clock.advance(secs(20));
    drop(unstamped);
    stamped.stamp();
    clock.advance(millis(9_999));
    // A second stamp does not move the first.
    stamped.stamp();
    clock.advance(millis(1));
    drop(stamped);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().totals.cancelled, 1);
}

/// S-CORE-07: a panic under watch is a failure, and the slot is free again.
#[test]
fn a_watched_panic_is_one_failure_and_frees_the_slot() {
    let (breaker, clock) = half_open(CORE.permitted_calls(1));
    let mut permit = breaker.try_acquire().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        permit.watch(|| panic!("the callee broke"));
    }))
    .unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the callee broke"));
    assert_eq!((breaker.state(), breaker.snapshot().totals.failures), (State::Open, 1));
    clock.advance(secs(120));
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-07: a drop during somebody else's panic is a cancel like any other.
#[test]
fn a_permit_that_is_dropped_in_an_unrelated_panic_is_only_cancelled() {
    let (breaker, _) = circuit(TOUCHY);
    let permit = breaker.try_acquire().unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _held = permit;
        panic!("not the callee");
    }));
    assert!(unwound.is_err());
    assert_eq!((breaker.state(), breaker.snapshot().totals.cancelled), (State::Closed, 1));
}

/// What went well under watch changes nothing, and a panic can mean something else than a failure.
#[test]
fn a_watch_means_what_it_was_told() {
    let (breaker, _) = circuit(TOUCHY.totals(true));
    let mut permit = breaker.try_acquire().unwrap();
    assert_eq!(permit.watch(|| 7), 7);
    permit.success();
    let mut permit = breaker.try_acquire().unwrap();
    let watched = catch_unwind(AssertUnwindSafe(|| {
        permit.watch_as(Outcome::Ignored, || panic!("the classifier broke"));
    }));
    assert!(watched.is_err());
    // It has ended by then.
    permit.failure(FailureKind::Internal);
    let totals = breaker.snapshot().totals;
    assert_eq!((totals.successes, totals.ignored, totals.failures), (1, 1, 0));
    breaker.try_acquire().unwrap().panicked();
    assert_eq!(breaker.state(), State::Open);
}

struct PanicsAtCalls;

impl Observe for PanicsAtCalls {
    fn interest(&self) -> Interest {
        Interest::CALLS
    }

    fn event(&self, event: &Event<'_>) {
        assert!(!matches!(event.kind, EventKind::Cancelled { .. } | EventKind::Settled { .. }));
    }
}

/// S-CORE-07: to drop a permit never panics, whatever an observer does.
#[test]
fn dropping_a_permit_does_not_panic() {
    let (breaker, clock) = circuit(CORE);
    breaker.observe(PanicsAtCalls);
    drop(breaker.try_acquire().unwrap());
    let slow = breaker.try_acquire().unwrap();
    clock.advance(secs(10));
    drop(slow);
    let totals = breaker.snapshot().totals;
    assert_eq!((totals.cancelled, totals.failures), (1, 1));
}

/// S-CORE-07, threat T15: a hundred thousand calls that end in any way add up, and leave nothing.
#[test]
fn threat_t15_totals_add_up_after_a_storm_of_cancels() {
    const CALLS: u64 = 100_000;
    let config = CORE.totals(true).permitted_calls(2).open_for(millis(500));
    let (breaker, clock) = circuit(config);
    let mut chance = Chance::seeded(42);
    let mut out: Vec<Permit> = Vec::new();
    let (mut admitted, mut refused) = (0, 0);
    for _ in 0..CALLS {
        match breaker.try_acquire() {
            Ok(permit) => {
                admitted += 1;
                out.push(permit);
            }
            Err(_) => refused += 1,
        }
        clock.advance(millis(chance.below(300)));
        if out.len() > chance.below(20) as usize {
            let permit = out.swap_remove(chance.below(out.len() as u64) as usize);
            match chance.below(10) {
                0 => permit.failure(FailureKind::Internal),
                1 => permit.success(),
                2 => permit.record(Outcome::Ignored),
                _ => drop(permit),
            }
        }
    }
    drop(out);
    let snapshot = breaker.snapshot();
    let totals = snapshot.totals;
    assert_eq!(admitted + refused, CALLS);
    assert_eq!(totals.refused, refused);
    let ended = totals.successes + totals.failures + totals.ignored + totals.cancelled;
    assert_eq!(ended, admitted);
    assert_eq!(snapshot.trials_in_flight, 0);
    assert!(totals.late > 0 && totals.slow > 0 && refused > 0, "{totals:?}");
}

/// Threat T15: from many threads the same.
#[test]
fn threat_t15_totals_add_up_from_many_threads() {
    let (breaker, clock) = circuit(CORE.totals(true).open_for(millis(1)));
    let work = |breaker: &CircuitBreaker, seed: u64| {
        let mut chance = Chance::seeded(seed);
        for _ in 0..5_000 {
            clock.advance(millis(1));
            match (breaker.try_acquire(), chance.below(3)) {
                (Ok(permit), 0) => permit.success(),
                (Ok(permit), 1) => permit.failure(FailureKind::Internal),
                (permit, _) => drop(permit),
            }
        }
    };
    std::thread::scope(|scope| {
        (0..8).for_each(|seed| {
            let breaker = &breaker;
            scope.spawn(move || work(breaker, seed));
        });
    });
    let snapshot = breaker.snapshot();
    let totals = snapshot.totals;
    let ended = totals.successes + totals.failures + totals.cancelled;
    assert_eq!(ended + totals.refused, 40_000);
    assert_eq!(snapshot.trials_in_flight, 0);
}

/// R21: a failure is recorded once, by whichever handle.
#[test]
fn clones_are_the_same_circuit() {
    let (breaker, _) = circuit(CORE);
    let clone = breaker.clone();
    assert!(clone.is_same(&breaker) && !clone.is_same(&circuit(CORE).0));
    fail(&breaker, 3);
    fail(&clone, 2);
    assert_eq!((breaker.state(), clone.state()), (State::Open, State::Open));
}

/// S-CORE-07: a lap is the time since the stamp, and takes the stamp away: what shows signs of
/// life is not slow, however long it is.
#[test]
fn a_lap_ends_the_time_that_a_call_has_taken() {
    let (breaker, clock) = circuit(CORE.on_drop(OnDrop::SlowIsFailure));
    let mut permit = breaker.try_acquire_unstamped().unwrap();
    clock.advance(secs(3));
    assert_eq!(permit.lap(), secs(0), "it has no stamp yet");
    for seconds in [9, 0, 9] {
        permit.stamp();
        clock.advance(secs(seconds));
        permit.stamp();
        assert_eq!(permit.lap(), secs(seconds));
        assert_eq!(permit.lap(), secs(0));
        clock.advance(secs(60));
    }
    drop(permit);
    let totals = breaker.snapshot().totals;
    assert_eq!((totals.cancelled, totals.failures), (1, 0));
    let mut permit = breaker.try_acquire().unwrap();
    clock.advance(secs(60));
    assert_eq!(permit.lap(), secs(60), "an ordinary permit is stamped when it is given");
    permit.stamp();
    clock.advance(secs(10));
    drop(permit);
    assert_eq!(breaker.snapshot().totals.failures, 1, "the last lap was slow");
}
