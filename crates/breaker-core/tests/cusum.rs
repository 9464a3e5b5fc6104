//! The cumulative sum: a score that failures raise and successes lower.

mod common;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Condition, Cusum, Percent, Ramp, Recovery, State, Tally,
    Trials, Trip, Window,
};
use common::{CORE, circuit, fail, half_open, millis, play, secs, succeed};

const fn by(cusum: Cusum) -> CircuitBreakerConfig {
    CORE.trip(Trip::cusum(cusum))
}

/// How many failures in a row open the circuit.
fn failures_to_open(breaker: &CircuitBreaker) -> u32 {
    for failures in 1..100 {
        fail(breaker, 1);
        if breaker.state() == State::Open {
            return failures;
        }
    }
    panic!("still closed")
}

fn assert_close(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
}

#[test]
fn each_preset_opens_after_as_many_failures_in_a_row_as_it_says() {
    for (cusum, failures) in
        [(Cusum::hard(), 8), (Cusum::classic(), 5), (Cusum::early_warning(), 4)]
    {
        let (breaker, _) = circuit(by(cusum));
        succeed(&breaker, 1_000);
        assert_eq!(failures_to_open(&breaker), failures, "{cusum:?}");
        let cause = breaker.snapshot().cause.unwrap();
        assert_eq!(cause.condition, Condition::FailureScore);
        assert_eq!((cause.bad, cause.calls), (failures, failures));
    }
}

#[test]
fn a_failure_adds_and_a_success_takes_what_the_hypotheses_say() {
    let (breaker, _) = circuit(by(Cusum::classic()));
    let score = |calls: &str| {
        play(&breaker, calls);
        breaker.snapshot().failure_score
    };
    let (up, down) = (5.0_f64.ln(), 1.8_f64.ln());
    assert_close(score(""), 0.0);
    assert_close(score("SS"), 0.0);
    assert_close(score("FF"), 2.0 * up / 7.0);
    assert_close(score("S"), (up + up - down) / 7.0);
    assert_close(score("F"), (up + up - down + up) / 7.0);
    assert_close(score("SSSSSSSSS"), 0.0);
    assert_close(score("F"), up / 7.0);
}

#[test]
fn the_hard_preset_bears_with_three_failures_in_ten_calls() {
    let (breaker, _) = circuit(by(Cusum::hard()));
    for _ in 0..1_000 {
        play(&breaker, "FFFSSSSSSS");
    }
    assert_eq!(breaker.state(), State::Closed);
    let (breaker, _) = circuit(by(Cusum::classic()));
    play(&breaker, "FFFSSSSSSSFFFF");
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_higher_threshold_takes_more_failures() {
    let hard = |h| circuit(by(Cusum::hard().threshold(h))).0;
    assert_eq!([1.0, 7.0, 10.0].map(|h| failures_to_open(&hard(h))), [2, 8, 11]);
}

/// A relapse opens after half as many failures; a circuit that an operator resets begins anew.
#[test]
fn a_recovery_leaves_half_of_the_score() {
    let ramp = Ramp::new().successes(1).share_step(Percent::new(90));
    for recovery in [Recovery::Trials(Trials::new(3)), Recovery::Ramp(ramp)] {
        let recovered = || {
            let (breaker, _) = half_open(by(Cusum::hard()).recovery(recovery));
            while breaker.state() == State::HalfOpen {
                if let Ok(permit) = breaker.try_acquire() {
                    permit.success();
                }
            }
            breaker
        };
        let breaker = recovered();
        assert_close(breaker.snapshot().failure_score, 0.5);
        assert_eq!(breaker.snapshot().tally, Tally::default());
        assert_eq!(failures_to_open(&breaker), 4);
        // Two successes, and it is as if nothing had been.
        let breaker = recovered();
        succeed(&breaker, 2);
        assert_eq!(failures_to_open(&breaker), 8);
    }
    let (breaker, _) = half_open(by(Cusum::hard()));
    breaker.reset();
    assert_eq!(failures_to_open(&breaker), 8);
    breaker.force_closed("maintenance");
    breaker.release();
    assert_eq!(failures_to_open(&breaker), 8);
}

/// The onset: the first failure since the score was zero, also while the circuit is open.
#[test]
fn a_snapshot_knows_when_the_failures_began() {
    let (breaker, clock) = circuit(by(Cusum::classic()));
    let onset = || breaker.snapshot().since_onset;
    succeed(&breaker, 1);
    assert_eq!(onset(), None);
    clock.advance(secs(5));
    play(&breaker, "FSSS");
    assert_eq!(onset(), None, "the score is zero again");
    let even = Cusum::between(Percent::new(20), Percent::new(80));
    let (evenly, _) = circuit(by(even));
    play(&evenly, "FS");
    let snapshot = evenly.snapshot();
    assert_eq!((snapshot.since_onset, snapshot.tally.calls), (None, 0), "zero to the last bit");
    clock.advance(secs(1));
    fail(&breaker, 2);
    clock.advance(secs(2));
    fail(&breaker, 1);
    assert_eq!(onset(), Some(secs(2)));
    succeed(&breaker, 1);
    fail(&breaker, 2);
    clock.advance(secs(3));
    assert_eq!((breaker.state(), onset()), (State::Open, Some(secs(5))));
    clock.advance(secs(60));
    succeed(&breaker, 3);
    assert_eq!((breaker.state(), onset()), (State::Closed, None));
    fail(&breaker, 1);
    clock.advance(millis(10));
    assert_eq!(onset(), Some(millis(10)));
}

#[test]
fn a_circuit_explains_its_score() {
    let (breaker, _) = circuit(by(Cusum::classic()).named("ledger"));
    let expected = "ledger is closed: failure score 0 % (opens above 100 %)";
    assert_eq!(breaker.explain(), expected);
    play(&breaker, "FSFF");
    let expected = "ledger is closed: failure score 61 % (opens above 100 %), 3 of 4 calls failed";
    assert_eq!(breaker.explain(), expected);
    fail(&breaker, 2);
    assert!(breaker.explain().contains("5 of 6 calls failed"), "{}", breaker.explain());
}

/// Under an order failures may go on for ever; the score does not.
#[test]
fn a_score_stays_within_a_failure_of_its_threshold() {
    let (breaker, _) = circuit(by(Cusum::hard()));
    breaker.force_closed("watch");
    fail(&breaker, 1_000);
    assert_close(breaker.snapshot().failure_score, 1.0 + (0.95_f64 / 0.35).ln() / 7.0);
}

/// S-CORE-16: what was counted goes on to count under another threshold, not under other
/// hypotheses.
#[test]
fn a_score_is_carried_over_to_another_threshold() {
    let (breaker, _) = circuit(by(Cusum::classic()));
    fail(&breaker, 3);
    breaker.reconfigure(by(Cusum::classic().threshold(14.0)));
    assert_close(breaker.snapshot().failure_score, 3.0 * 5.0_f64.ln() / 14.0);
    breaker.reconfigure(by(Cusum::hard()));
    assert_close(breaker.snapshot().failure_score, 0.0);
}

/// It stands beside other conditions, and each tells its own figures.
#[test]
fn several_scores_and_windows_stand_side_by_side() {
    let trip = Trip::any(&[
        Trip::cusum(Cusum::hard()),
        Trip::failure_rate(Percent::new(50), Window::last(10)),
        Trip::cusum(Cusum::early_warning().threshold(100.0)),
    ]);
    let (breaker, _) = circuit(CORE.trip(trip).named("both"));
    play(&breaker, "FFS");
    let text = breaker.explain();
    for part in ["failure score 0 %", "2 of the last 3 calls failed", "failure score 4 %"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(breaker.snapshot().tally, Tally { calls: 3, failures: 2, slow: 0 });
    assert_close(breaker.snapshot().failure_score, 0.0);
    play(&breaker, "SF");
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::FailureRate);
}
