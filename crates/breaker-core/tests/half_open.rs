//! Who is admitted on trial, and what the trials say.

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use breaker_core::{
    CircuitBreakerConfig, Condition, Jitter, OnStayElapsed, Outcome, Pace, Percent, Permit, Reason,
    Recovery, State, Trials, Window,
};
use common::{CORE, TOUCHY, circuit, fail, half_open, millis, play, secs, slow, succeed};

const fn by(trials: Trials) -> CircuitBreakerConfig {
    CORE.recovery(Recovery::Trials(trials))
}

/// S-CORE-04: exact, however many ask at once.
#[test]
fn of_a_thousand_threads_that_ask_at_once_exactly_three_are_admitted() {
    let (breaker, _) = half_open(CORE);
    let (barrier, admitted) = (Barrier::new(1_000), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..1_000 {
            let thread = std::thread::Builder::new().stack_size(64 * 1024);
            let ask = || {
                barrier.wait();
                let permit = breaker.try_acquire();
                admitted.fetch_add(u32::from(permit.is_ok()), Ordering::Relaxed);
                // Nobody gives back before everybody has asked.
                barrier.wait();
            };
            thread.spawn_scoped(scope, ask).expect("a thread");
        }
    });
    assert_eq!(admitted.into_inner(), 3);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.trials_in_flight, snapshot.totals.refused), (0, 997));
}

/// S-CORE-04: the total is bounded as well: a trial that succeeded does not make room.
#[test]
fn no_more_trials_are_admitted_in_all_than_are_permitted() {
    let (breaker, _) = half_open(by(Trials::new(3)));
    let (first, second) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
    first.success();
    let third = breaker.try_acquire().unwrap();
    assert_eq!(breaker.try_acquire().unwrap_err().reason(), Reason::NoTrialFree);
    second.success();
    assert_eq!(breaker.try_acquire().unwrap_err().reason(), Reason::NoTrialFree);
    third.success();
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-04: a place that is given back is one place.
#[test]
fn a_trial_that_is_cancelled_early_makes_room_for_exactly_one() {
    let (breaker, clock) = half_open(CORE);
    let mut trials: Vec<Permit> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    clock.advance(secs(1));
    drop(trials.pop());
    trials.push(breaker.try_acquire().unwrap());
    assert!(breaker.try_acquire().is_err());
    assert_eq!(breaker.snapshot().totals.cancelled, 1);
}

/// S-CORE-04: an ignored trial says nothing, and makes room as well.
#[test]
fn an_ignored_trial_gives_its_place_back() {
    let (breaker, _) = half_open(by(Trials::new(1)));
    for _ in 0..10 {
        breaker.try_acquire().unwrap().record(Outcome::Ignored);
    }
    assert_eq!(breaker.state(), State::HalfOpen);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-05: the last of the permitted trials closes.
#[test]
fn two_successes_of_two_close_and_one_does_not() {
    let (breaker, _) = half_open(by(Trials::new(2)));
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::HalfOpen);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-05: fewer successes than trials may be enough.
#[test]
fn a_success_threshold_below_the_permitted_calls_closes_sooner() {
    let (breaker, _) = half_open(by(Trials::new(5).successes(2)));
    play(&breaker, "SS");
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-05: one failed trial reopens, for twice as long.
#[test]
fn one_failed_trial_reopens_for_twice_as_long() {
    let (breaker, _) = half_open(CORE);
    play(&breaker, "SSF");
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.remaining), (State::Open, Some(secs(120))));
    let cause = snapshot.cause.unwrap();
    assert_eq!((cause.condition, cause.bad, cause.calls), (Condition::TrialFailed, 1, 3));
}

const RATE: CircuitBreakerConfig = by(Trials::new(4).by_rate(Percent::new(50)));

/// S-CORE-05: a verdict by rate is given as soon as it is certain.
#[test]
fn a_verdict_by_rate_comes_early() {
    for (calls, before, after) in [
        ("F", State::HalfOpen, State::HalfOpen),
        ("FF", State::HalfOpen, State::Open),
        ("SS", State::HalfOpen, State::HalfOpen),
        ("SSS", State::HalfOpen, State::Closed),
        ("SFS", State::HalfOpen, State::HalfOpen),
        ("SFSF", State::HalfOpen, State::Open),
        ("SFSS", State::HalfOpen, State::Closed),
    ] {
        let (breaker, _) = half_open(RATE);
        play(&breaker, &calls[..calls.len() - 1]);
        assert_eq!(breaker.state(), before, "before the last of {calls}");
        play(&breaker, &calls[calls.len() - 1..]);
        assert_eq!(breaker.state(), after, "after {calls}");
    }
}

/// S-CORE-05, S-CORE-15: slow trials reopen under a verdict by rate.
#[test]
fn slow_trials_reopen_where_slowness_is_judged() {
    let trials = Trials::new(4).by_rate(Percent::new(50)).slow_rate(Percent::new(50));
    let (breaker, clock) = half_open(by(trials));
    slow(&breaker, &clock, secs(10));
    assert_eq!(breaker.state(), State::HalfOpen);
    slow(&breaker, &clock, secs(10));
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::SlowCallRate);
    assert_eq!(breaker.state(), State::Open);
}

const FIVE: Trials = Trials::new(3).max_stay(secs(5));

/// S-STRAT-08: trials that give no verdict in 5 s reopen; their later ends change nothing.
#[test]
fn a_trial_that_never_ends_reopens_after_the_longest_stay() {
    let (breaker, clock) = half_open(by(FIVE));
    clock.advance(secs(1_000));
    assert_eq!(breaker.state(), State::HalfOpen, "without a trial it stays");
    let hung = breaker.try_acquire().unwrap();
    clock.advance(millis(4_999));
    assert_eq!(breaker.state(), State::HalfOpen);
    clock.advance(millis(1));
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.remaining), (State::Open, Some(secs(120))));
    assert_eq!(snapshot.cause.unwrap().condition, Condition::StayElapsed);
    hung.success();
    let after = breaker.snapshot();
    assert_eq!((after.state, after.generation), (State::Open, snapshot.generation));
    assert_eq!((after.remaining, after.totals.late), (Some(secs(120)), 1));
}

/// S-STRAT-08: the stay counts from the first trial, not from the last.
#[test]
fn later_trials_do_not_renew_the_stay() {
    let (breaker, clock) = half_open(by(FIVE));
    let _first = breaker.try_acquire().unwrap();
    clock.advance(secs(4));
    let _second = breaker.try_acquire().unwrap();
    clock.advance(secs(1));
    assert_eq!(breaker.state(), State::Open);
}

/// S-STRAT-08, R3: a callee that is well is found well, however seldom it is called.
#[test]
fn three_trials_at_one_call_an_hour_close_the_circuit() {
    let (breaker, clock) = half_open(by(FIVE));
    for _ in 0..3 {
        assert_eq!(breaker.state(), State::HalfOpen);
        clock.advance(secs(3_600));
        succeed(&breaker, 1);
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot().totals.refused, 0);
}

/// S-STRAT-08: what ends is the stay of trials that hang, also after one that began anew.
#[test]
fn a_renewed_stay_ends_for_a_trial_that_hangs() {
    let (breaker, clock) = half_open(by(FIVE));
    succeed(&breaker, 1);
    clock.advance(secs(60));
    let _hung = breaker.try_acquire().unwrap();
    clock.advance(millis(4_999));
    assert_eq!(breaker.state(), State::HalfOpen);
    clock.advance(millis(1));
    assert_eq!(breaker.state(), State::Open);
}

/// S-STRAT-08: a stay with a failure in it reopens, though nothing is out.
#[test]
fn a_stay_with_a_failure_in_it_does_not_begin_anew() {
    let (breaker, clock) = half_open(by(FIVE.by_rate(Percent::new(50))));
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::HalfOpen, "one of three proves nothing yet");
    clock.advance(secs(5));
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::StayElapsed);
}

/// S-STRAT-08: the other answer to a stay that is over.
#[test]
fn a_stay_that_is_over_closes_where_it_says_so() {
    let (breaker, clock) = half_open(by(FIVE.on_stay_elapsed(OnStayElapsed::Close)));
    let _hung = breaker.try_acquire().unwrap();
    clock.advance(secs(5));
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot().consecutive_openings, 0);
}

/// S-STRAT-08: each stay has its own clock.
#[test]
fn after_a_stay_that_was_over_the_next_one_begins_anew() {
    let (breaker, clock) = half_open(by(FIVE));
    let _hung = breaker.try_acquire().unwrap();
    clock.advance(secs(5) + secs(120));
    assert_eq!(breaker.state(), State::HalfOpen);
    succeed(&breaker, 3);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-09: a refused caller waits a second, or for what is left of the stay.
#[test]
fn a_caller_without_a_trial_is_told_to_wait_a_second_or_less() {
    let (breaker, clock) = half_open(by(FIVE.successes(3)));
    let _out: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(secs(1)));
    clock.advance(millis(4_600));
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(millis(400)));
}

/// S-CORE-05: an explicit recording is a trial where one is free.
#[test]
fn a_recording_without_a_permit_counts_as_a_trial() {
    let (breaker, clock) = circuit(TOUCHY.recovery(Recovery::Trials(Trials::new(2))));
    fail(&breaker, 1);
    clock.advance(secs(60));
    // Time is let pass first: nobody has looked since.
    breaker.record(Outcome::Success);
    assert_eq!(breaker.state(), State::HalfOpen);
    let held = breaker.try_acquire().unwrap();
    breaker.record(Outcome::Success);
    assert_eq!(breaker.state(), State::HalfOpen, "no trial was free for the recording");
    held.success();
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-05: a callee that cannot be made ready is evidence while closed, but never a trial.
#[test]
fn an_unready_callee_opens_a_circuit_but_decides_no_trial() {
    let failure = Outcome::Failure(breaker_core::FailureKind::Connection);
    let (breaker, clock) = circuit(CORE);
    (0..5).for_each(|_| breaker.record_unready(failure));
    assert_eq!(breaker.state(), State::Open);
    clock.advance(secs(60));
    breaker.record_unready(failure);
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// R3: with a callee that is well every half-open circuit closes, with trials far apart and
/// beside one that hangs.
#[test]
fn half_open_ends_with_a_healthy_callee() {
    let trip =
        breaker_core::Trip::failure_rate(Percent::new(50), Window::over(millis(100)).min_calls(1));
    let config = by(Trials::new(3)).trip(trip).open_period(Pace::fixed(millis(10)));
    let (breaker, clock) = half_open(config);
    for _ in 0..3 {
        clock.advance(millis(150));
        succeed(&breaker, 1);
    }
    assert_eq!(breaker.state(), State::Closed);
    let fixed = Pace::fixed(millis(10)).jitter(Jitter::None);
    let (breaker, clock) = half_open(by(FIVE).open_period(fixed));
    let _hung = breaker.try_acquire().unwrap();
    succeed(&breaker, 2);
    clock.advance(secs(5) + millis(10));
    succeed(&breaker, 3);
    assert_eq!(breaker.state(), State::Closed);
}
