//! When a circuit opens.

mod common;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Condition, Counted, FailureKind, Outcome, Percent,
    Reason, State, Trip, Window,
};
use common::{CORE, Recorder, TOUCHY, circuit, fail, half_open, play, secs, slow, succeed};

/// S-CORE-01: a circuit begins closed.
#[test]
fn a_new_circuit_is_closed_and_admits() {
    let (breaker, _) = circuit(CORE);
    assert_eq!(breaker.state(), State::Closed);
    succeed(&breaker, 1);
    assert_eq!(breaker.snapshot().generation, 0);
}

/// S-CORE-02: the fifth failure in a row opens, at once.
#[test]
fn the_fifth_failure_opens_at_once_and_the_next_call_is_refused() {
    let (breaker, _) = circuit(CORE);
    fail(&breaker, 4);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
    let refusal = breaker.try_acquire().unwrap_err();
    assert_eq!(refusal.reason(), Reason::Open);
    assert_eq!(refusal.retry_after(), Some(secs(60)));
}

/// S-CORE-02: a success begins the count anew.
#[test]
fn a_success_resets_the_count() {
    let (breaker, _) = circuit(CORE.trip(Trip::consecutive(3)));
    play(&breaker, "FFSF");
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot().consecutive_failures, Some(1));
}

/// S-CORE-02: an ignored outcome leaves the count as it is.
#[test]
fn an_ignored_outcome_leaves_the_count() {
    let (breaker, _) = circuit(CORE.trip(Trip::consecutive(3)));
    fail(&breaker, 2);
    breaker.try_acquire().unwrap().record(Outcome::Ignored);
    breaker.try_acquire().unwrap().failure(FailureKind::RateLimited);
    assert_eq!(breaker.snapshot().consecutive_failures, Some(2));
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

/// S-CORE-01: the whole round over the four legal edges, each with its reason.
#[test]
fn the_four_edges_and_no_other_are_walked() {
    let (breaker, clock) = circuit(CORE);
    let recorder = Recorder::on(&breaker);
    fail(&breaker, 5);
    clock.advance(secs(60));
    fail(&breaker, 1);
    clock.advance(secs(120));
    succeed(&breaker, 3);
    assert_eq!(
        recorder.path(),
        [
            "closed>open consecutive_failures",
            "open>half_open open_period_elapsed",
            "half_open>open trial_failed",
            "open>half_open open_period_elapsed",
            "half_open>closed trials_succeeded",
        ]
    );
    let generations: Vec<_> = recorder.transitions().iter().map(|step| step.generation).collect();
    assert_eq!(generations, [1, 2, 3, 4, 5]);
}

/// S-CORE-02: failures that end together open once.
#[test]
fn five_failures_at_once_open_a_threshold_of_three_once() {
    let (breaker, _) = circuit(CORE.trip(Trip::consecutive(3)));
    let recorder = Recorder::on(&breaker);
    let permits: Vec<_> = (0..5).map(|_| breaker.try_acquire().unwrap()).collect();
    std::thread::scope(|scope| {
        for permit in permits {
            scope.spawn(move || permit.failure(FailureKind::Timeout));
        }
    });
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(recorder.path(), ["closed>open consecutive_failures"]);
    let totals = breaker.snapshot().totals;
    assert_eq!((totals.failures, totals.late), (5, 2));
}

const BY_SLOWNESS: CircuitBreakerConfig =
    CORE.trip(Trip::slow_rate(Percent::new(50), Window::last(10).min_calls(4)));

/// S-CORE-15: slow successes open a circuit, at the border of 10 s and not below.
#[test]
fn two_slow_successes_of_four_open() {
    let (breaker, clock) = circuit(BY_SLOWNESS);
    slow(&breaker, &clock, secs(10));
    slow(&breaker, &clock, secs(10));
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed, "three calls are below the minimum");
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
    let cause = breaker.snapshot().cause.unwrap();
    assert_eq!((cause.condition, cause.bad, cause.calls), (Condition::SlowCallRate, 2, 4));
    assert_eq!(cause.condition.as_str(), "slow_call_rate");
}

/// S-CORE-15: the call that is slow can itself be the one that opens.
#[test]
fn a_slow_success_trips_at_once_and_one_just_below_the_limit_does_not() {
    for (last, state) in [(secs(10), State::Open), (secs(10) - secs(1) / 1_000, State::Closed)] {
        let (breaker, clock) = circuit(BY_SLOWNESS);
        slow(&breaker, &clock, secs(11));
        succeed(&breaker, 2);
        slow(&breaker, &clock, last);
        assert_eq!(breaker.state(), state, "{last:?}");
    }
}

/// S-CORE-08: which kinds count is a table.
#[test]
fn a_kind_that_is_ignored_does_nothing_and_one_that_counts_opens() {
    let config = TOUCHY.count_as(FailureKind::Internal, Counted::Ignored);
    let (breaker, _) = circuit(config);
    breaker.try_acquire().unwrap().failure(FailureKind::Internal);
    assert_eq!(breaker.state(), State::Closed);
    breaker.try_acquire().unwrap().failure(FailureKind::Timeout);
    assert_eq!(breaker.state(), State::Open);
}

/// S-CORE-08: by default the caller's own faults open nothing, and all else does.
#[test]
fn the_default_table_counts_what_the_callee_is_to_blame_for() {
    use FailureKind::{
        Connection, Internal, InvalidRequest, Overload, Panic, RateLimited, ResourceExhausted,
        Timeout, Unknown,
    };
    let overload = Overload { retry_after: None };
    for kind in [Timeout, Connection, overload, ResourceExhausted, Internal, Unknown, Panic] {
        let (breaker, _) = circuit(TOUCHY);
        breaker.try_acquire().unwrap().failure(kind);
        assert_eq!(breaker.state(), State::Open, "{kind}");
    }
    let (breaker, _) = circuit(TOUCHY.totals(true));
    for kind in [InvalidRequest, RateLimited] {
        breaker.try_acquire().unwrap().failure(kind);
        assert_eq!(breaker.state(), State::Closed, "{kind}");
    }
    let totals = breaker.snapshot().totals;
    assert_eq!((totals.successes, totals.ignored, totals.failures), (1, 1, 0));
}

/// S-CORE-01: what is counted ends with the state in which it was counted.
#[test]
fn closing_clears_the_evidence_and_the_openings() {
    let (breaker, _) = half_open(CORE);
    succeed(&breaker, 3);
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.state, State::Closed);
    assert_eq!((snapshot.consecutive_failures, snapshot.consecutive_openings), (Some(0), 0));
    assert_eq!(snapshot.cause, None);
    fail(&breaker, 4);
    assert_eq!(breaker.state(), State::Closed);
}

/// The moving average: a long history of successes does not hide an outage.
#[test]
fn a_moving_average_opens_below_its_threshold() {
    let (breaker, _) = circuit(CORE.trip(Trip::success_average(Percent::new(50), 10)));
    succeed(&breaker, 1_000);
    fail(&breaker, 6);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::SuccessAverage);
}

/// Conditions are joined by "or": each opens alone.
#[test]
fn any_one_of_several_conditions_is_enough() {
    const TRIP: Trip = Trip::any(&[
        Trip::consecutive(3),
        Trip::failure_rate(Percent::new(50), Window::last(20).min_calls(8)),
    ]);
    let open = |calls: &str| -> CircuitBreaker {
        let (breaker, _) = circuit(CORE.trip(TRIP));
        play(&breaker, calls);
        assert_eq!(breaker.state(), State::Open, "{calls}");
        breaker
    };
    let cause = |breaker: &CircuitBreaker| breaker.snapshot().cause.unwrap().condition;
    assert_eq!(cause(&open("FFF")), Condition::ConsecutiveFailures);
    assert_eq!(cause(&open("FSFSFSFS")), Condition::FailureRate);
}
