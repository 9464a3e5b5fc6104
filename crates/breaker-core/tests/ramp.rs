//! Recovery by a growing share of the traffic.

mod common;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Condition, EventKind, FailureKind, Jitter, OnRelapse,
    Outcome, Pace, Percent, Permit, Ramp, RampPhase, RampSpeed, Reason, Recovery, State,
    StrategyKind,
};
use common::{Recorder, circuit, fail, half_open, millis, play, secs, succeed};

/// The gradual profile without jitter.
const GRADUAL: CircuitBreakerConfig =
    CircuitBreakerConfig::gradual().open_period(Pace::exponential(secs(60)).jitter(Jitter::None));

const fn by(ramp: Ramp) -> CircuitBreakerConfig {
    GRADUAL.recovery(Recovery::Ramp(ramp))
}

/// Asks until a call is admitted.
fn arrive(breaker: &CircuitBreaker) -> Permit {
    (0..100).find_map(|_| breaker.try_acquire().ok()).expect("one in a hundred is admitted")
}

fn good(breaker: &CircuitBreaker, calls: u32) {
    (0..calls).for_each(|_| arrive(breaker).success());
}

fn bad(breaker: &CircuitBreaker) {
    arrive(breaker).failure(FailureKind::Internal);
}

fn share(breaker: &CircuitBreaker) -> Percent {
    breaker.snapshot().share.expect("a ramp")
}

/// S-STRAT-03: the share is exact from the first arrival on.
#[test]
fn of_a_hundred_arrivals_exactly_ten_are_admitted() {
    let (breaker, _) = half_open(GRADUAL);
    let mut out = Vec::new();
    for arrival in 1..=100 {
        match breaker.try_acquire() {
            Ok(permit) => out.push((arrival, permit)),
            Err(refusal) => assert_eq!(refusal.reason(), Reason::BelowShare),
        }
    }
    let admitted: Vec<_> = out.iter().map(|(arrival, _)| *arrival).collect();
    assert_eq!(admitted, [1, 11, 21, 31, 41, 51, 61, 71, 81, 91]);
}

/// S-STRAT-03: 20 % at arrival 21, closed at arrival 77 after 27 trials.
#[test]
fn a_clean_ramp_closes_at_arrival_77_after_27_trials() {
    let (breaker, _) = half_open(GRADUAL);
    let (mut trials, mut steps) = (0, Vec::new());
    for arrival in 1..=77 {
        assert_eq!(breaker.state(), State::HalfOpen, "arrival {arrival}");
        let before = share(&breaker);
        if let Ok(permit) = breaker.try_acquire() {
            permit.success();
            trials += 1;
        }
        if breaker.snapshot().share.is_some_and(|share| share != before) {
            steps.push((arrival, share(&breaker)));
        }
    }
    assert_eq!(steps[0], (21, Percent::new(20)));
    assert_eq!(steps.len(), 8);
    assert_eq!((breaker.state(), trials), (State::Closed, 27));
}

/// S-STRAT-04: the phases, in the snapshot and in the events.
#[test]
fn the_phases_of_a_ramp_can_be_seen() {
    let (breaker, _) = half_open(GRADUAL);
    let recorder = Recorder::on(&breaker);
    let mut phases = Vec::new();
    while breaker.state() == State::HalfOpen {
        phases.push(breaker.snapshot().ramp_phase().unwrap());
        good(&breaker, 3);
    }
    use RampPhase::{Final, Initial, Progressive};
    assert_eq!(phases[..1], [Initial]);
    assert_eq!(phases[1..4], [Progressive; 3]);
    assert_eq!(phases[4..], [Final; 5]);
    assert_eq!(breaker.snapshot().ramp_phase(), Some(RampPhase::Full), "full is closed");
    let steps: Vec<_> = recorder
        .take()
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::RampStep { from, to, phase } => Some((from, to, phase.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(steps[0], (Percent::new(10), Percent::new(20), "progressive"));
    assert_eq!(steps[3], (Percent::new(40), Percent::new(50), "final"));
    assert_eq!(steps.len(), 8);
}

/// S-STRAT-04: that a ramp begins is told as well.
#[test]
fn the_begin_of_a_ramp_is_told() {
    let (breaker, clock) = circuit(GRADUAL);
    breaker.trip().unwrap();
    let recorder = Recorder::on(&breaker);
    clock.advance(secs(60));
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(recorder.take()[1], EventKind::RampStarted { share: Percent::new(10) });
}

/// S-STRAT-05: at the base share a failure reopens.
#[test]
fn a_first_trial_that_fails_reopens() {
    let (breaker, _) = half_open(GRADUAL);
    bad(&breaker);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.remaining), (State::Open, Some(secs(120))));
    assert_eq!(snapshot.cause.unwrap().condition, Condition::RampRelapsed);
}

/// S-STRAT-05: above it, a step back.
#[test]
fn a_failure_at_20_percent_steps_back_to_10() {
    let (breaker, _) = half_open(GRADUAL);
    good(&breaker, 3);
    let recorder = Recorder::on(&breaker);
    bad(&breaker);
    assert_eq!(share(&breaker), Percent::new(10));
    let told = EventKind::RampRelapsed { from: Percent::new(20), to: Percent::new(10) };
    assert!(recorder.take().contains(&told));
}

/// S-STRAT-05: or it reopens there, where the configuration says so.
#[test]
fn a_relapse_can_reopen_above_the_base_share() {
    let (breaker, _) = half_open(by(Ramp::new().on_relapse(OnRelapse::Reopen)));
    good(&breaker, 3);
    bad(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

/// S-STRAT-05: 1 of 11 is no relapse, but this window then needs nine successes.
#[test]
fn one_failure_after_ten_successes_is_no_relapse_and_costs_time() {
    let (breaker, _) = half_open(GRADUAL);
    good(&breaker, 10);
    assert_eq!(share(&breaker), Percent::new(40));
    bad(&breaker);
    assert_eq!(share(&breaker), Percent::new(40));
    // One success of this window was before the failure.
    good(&breaker, 7);
    assert_eq!(share(&breaker), Percent::new(40));
    good(&breaker, 1);
    assert_eq!(share(&breaker), Percent::new(50));
}

/// S-STRAT-05, chapter 23 (relapse): a callee that dies again at 60 % is left within five failures.
#[test]
fn a_callee_that_dies_at_60_percent_is_left_at_the_fifth_failure() {
    let (breaker, _) = half_open(GRADUAL);
    good(&breaker, 15);
    assert_eq!(share(&breaker), Percent::new(60));
    let mut shares = Vec::new();
    for _ in 0..4 {
        bad(&breaker);
        shares.push(share(&breaker));
    }
    assert_eq!(shares, [60, 50, 40, 30].map(Percent::new));
    bad(&breaker);
    assert_eq!(breaker.state(), State::Open);
    let cause = breaker.snapshot().cause.unwrap();
    assert_eq!((cause.bad, cause.calls), (5, 20));
}

/// S-STRAT-05: five failures or a fifth of the calls, while closed.
#[test]
fn while_closed_a_gradual_circuit_opens_at_five_failures_or_a_fifth() {
    let (breaker, _) = circuit(GRADUAL);
    play(&breaker, "SSSSFFFFF");
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::FailureCount);
    let (breaker, _) = circuit(GRADUAL);
    play(&breaker, "SSSSSSSSFF");
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::FailureRate);
    let (breaker, _) = circuit(GRADUAL);
    play(&breaker, "SSSSSSSSSSSSSSSSSSFF");
    play(&breaker, "SSSSSSSSSSSSSSSSSSSF");
    assert_eq!(breaker.state(), State::Closed);
}

/// S-STRAT-05: the 10 % rule ends with the recovery.
#[test]
fn after_the_recovery_the_closed_thresholds_apply_again() {
    let (breaker, _) = half_open(GRADUAL);
    good(&breaker, 27);
    play(&breaker, "SSSSSSSSSSSSSFFF");
    assert_eq!(breaker.state(), State::Closed, "3 of 16 is below a fifth");
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

fn shares_of_a_clean_ramp(ramp: Ramp) -> Vec<u16> {
    let (breaker, _) = half_open(by(ramp));
    let mut shares = Vec::new();
    while breaker.state() == State::HalfOpen {
        shares.push(share(&breaker).as_basis_points());
        good(&breaker, 3);
    }
    shares
}

/// S-STRAT-06: faster where all is well: five windows.
#[test]
fn an_adaptive_ramp_grows_faster_while_all_is_well() {
    let adaptive = Ramp::new().speed(RampSpeed::Adaptive);
    assert_eq!(shares_of_a_clean_ramp(adaptive), [1_000, 2_000, 3_500, 5_750, 8_250]);
    let family = CircuitBreakerConfig::new().strategy(StrategyKind::Adaptive);
    assert_eq!(family, family.recovery(Recovery::Ramp(adaptive)), "so is the one of the family");
}

/// S-STRAT-06: slower after errors, but never faster because of one.
#[test]
fn an_adaptive_ramp_halves_its_step_after_an_error() {
    // A high error rate, so that no error is a relapse.
    let ramp = Ramp::new().speed(RampSpeed::Adaptive).recovery_error_rate(Percent::new(90));
    for (step, after) in [(20, 20), (10, 15), (8, 15), (2, 12)] {
        let (breaker, _) = half_open(by(ramp.share_step(Percent::new(step))));
        good(&breaker, 1);
        bad(&breaker);
        good(&breaker, 2);
        assert_eq!(share(&breaker), Percent::new(after), "step {step} %");
    }
}

/// S-STRAT-08, S-STRAT-03: each step has its longest stay.
#[test]
fn a_step_without_a_verdict_in_time_reopens() {
    let (breaker, clock) = half_open(by(Ramp::new().max_stay(secs(5))));
    clock.advance(secs(100));
    good(&breaker, 2);
    clock.advance(millis(4_999));
    good(&breaker, 1);
    assert_eq!(share(&breaker), Percent::new(20), "the next step begins");
    clock.advance(secs(100));
    assert_eq!(breaker.state(), State::HalfOpen, "not before its first call");
    let _hung = arrive(&breaker);
    clock.advance(secs(5));
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::StayElapsed);
}

/// S-STRAT-03: a step can be made to last.
#[test]
fn a_good_window_lasts_at_least_the_shortest_step_time() {
    let (breaker, clock) = half_open(by(Ramp::new().min_step_time(secs(2))));
    good(&breaker, 10);
    assert_eq!(share(&breaker), Percent::new(10));
    clock.advance(secs(2));
    good(&breaker, 1);
    assert_eq!(share(&breaker), Percent::new(20));
}

/// S-STRAT-08, R3: nor does a rarely called ramp start over, and its step lasts as long as it must.
#[test]
fn a_ramp_at_one_admitted_call_a_minute_goes_up() {
    let (breaker, clock) = half_open(by(Ramp::new().max_stay(secs(5)).min_step_time(secs(4))));
    for _ in 0..3 {
        clock.advance(secs(60));
        good(&breaker, 1);
    }
    assert_eq!(share(&breaker), Percent::new(20));
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// S-STRAT-03: what says nothing moves no share.
#[test]
fn ignored_and_cancelled_calls_move_no_share() {
    let (breaker, _) = half_open(GRADUAL);
    for _ in 0..20 {
        arrive(&breaker).record(Outcome::Ignored);
        drop(arrive(&breaker));
    }
    assert_eq!(share(&breaker), Percent::new(10));
    assert_eq!(breaker.snapshot().trials_in_flight, 0);
    let (closed, _) = circuit(GRADUAL);
    succeed(&closed, 1);
}
