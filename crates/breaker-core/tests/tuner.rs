//! The tuner of the failure rate: what it learns, when it moves, how far, and who may stop it.

mod common;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, EventKind, FailureKind, ManualClock, Percent, Ramp,
    RampSpeed, Recovery, Snapshot, State, Strategy, StrategyKind, Trip, Tuner, Tuning, Window,
};
use common::{CORE, Recorder, circuit, fail, secs, succeed};

const fn rate(percent: u8) -> Trip {
    Trip::failure_rate(Percent::new(percent), Window::last(100).min_calls(50))
}

const TUNED: CircuitBreakerConfig = CORE.trip(rate(50)).tuner(Tuner::Apply);

/// One failure in so many calls.
fn usual(breaker: &CircuitBreaker, calls: u32, one_in: u32) {
    for _ in 0..calls / one_in {
        succeed(breaker, one_in - 1);
        fail(breaker, 1);
    }
}

fn tuning(breaker: &CircuitBreaker) -> Tuning {
    breaker.snapshot().tuning.expect("tuned")
}

/// A circuit that has learnt that one call in twenty fails; its next minute begins.
#[allow(clippy::large_types_passed_by_value, reason = "constants mostly")]
fn learnt(config: CircuitBreakerConfig) -> (CircuitBreaker, ManualClock) {
    let (breaker, clock) = circuit(config);
    usual(&breaker, 2_000, 20);
    let baseline = tuning(&breaker).baseline.expect("2,000 calls");
    assert!((0.045..0.055).contains(&baseline), "{baseline}");
    (breaker, clock)
}

fn threshold_after(breaker: &CircuitBreaker, clock: &ManualClock, seconds: u64) -> u16 {
    clock.advance(secs(seconds));
    tuning(breaker).in_force.as_basis_points()
}

/// S-WIN-11: the target is the floor, a tenth at a time, once a minute.
#[test]
fn a_threshold_of_a_half_moves_to_a_fifth_in_three_minutes() {
    let (breaker, clock) = learnt(TUNED);
    let recorder = Recorder::on(&breaker);
    assert_eq!(threshold_after(&breaker, &clock, 59), 5_000, "the minute is not over");
    assert_eq!(threshold_after(&breaker, &clock, 1), 4_000);
    assert_eq!(threshold_after(&breaker, &clock, 59), 4_000);
    assert_eq!(threshold_after(&breaker, &clock, 1), 3_000);
    assert_eq!(threshold_after(&breaker, &clock, 60), 2_000);
    assert_eq!(threshold_after(&breaker, &clock, 6_000), 2_000);
    let steps: Vec<_> = recorder
        .take()
        .into_iter()
        .map(|kind| match kind {
            EventKind::ThresholdChanged { from, to, baseline } => {
                assert!((450..550).contains(&baseline.as_basis_points()));
                (from.as_basis_points(), to.as_basis_points())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(steps, [(5_000, 4_000), (4_000, 3_000), (3_000, 2_000)]);
    assert_eq!(breaker.recent_changes().len(), 3);
}

/// S-WIN-11: a minute that nobody looked at is made up for.
#[test]
fn three_minutes_without_a_call_are_three_steps() {
    let (breaker, clock) = learnt(TUNED);
    let recorder = Recorder::on(&breaker);
    assert_eq!(threshold_after(&breaker, &clock, 600), 2_000);
    assert_eq!(recorder.take().len(), 3);
}

/// S-WIN-11: the circuit opens at the threshold in force.
#[test]
fn the_circuit_opens_at_the_threshold_in_force() {
    for (minutes, state) in [(0, State::Closed), (2, State::Open)] {
        let (breaker, clock) = learnt(TUNED);
        succeed(&breaker, 100);
        clock.advance(secs(60 * minutes));
        fail(&breaker, 30);
        assert_eq!(breaker.state(), state, "30 % after {minutes} minutes");
        if state == State::Open {
            assert_eq!(breaker.snapshot().cause.unwrap().bad, 30);
        }
    }
}

/// S-WIN-11: a success that ends after the minute is enough of an occasion.
#[test]
fn a_healthy_call_is_an_occasion_to_look() {
    let (breaker, clock) = learnt(TUNED);
    let permit = breaker.try_acquire().unwrap();
    clock.advance(secs(60));
    permit.success();
    assert_eq!(breaker.recent_changes().len(), 1);
}

/// S-WIN-11: events and snapshot say it, the circuit does not do it.
#[test]
fn a_suggestion_changes_nothing() {
    let (breaker, clock) = learnt(TUNED.tuner(Tuner::Suggest));
    let recorder = Recorder::on(&breaker);
    clock.advance(secs(600));
    let Tuning { mode, configured, in_force, suggested, .. } = tuning(&breaker);
    assert_eq!((mode, configured, in_force), (Tuner::Suggest, Percent::new(50), Percent::new(50)));
    assert_eq!(suggested, Percent::new(20));
    let suggestions = recorder.take();
    assert_eq!(suggestions.len(), 3, "the same one is not told every minute");
    assert!(
        suggestions.iter().all(|kind| matches!(kind, EventKind::ThresholdSuggested { .. })),
        "{suggestions:?}"
    );
    succeed(&breaker, 100);
    fail(&breaker, 49);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

/// S-WIN-11, S-CORE-10: what happened first is told first.
#[test]
fn a_step_of_the_tuner_is_told_before_the_opening_that_it_caused() {
    let (breaker, clock) = learnt(TUNED);
    succeed(&breaker, 100);
    fail(&breaker, 45);
    let recorder = Recorder::on(&breaker);
    let permit = breaker.try_acquire().unwrap();
    clock.advance(secs(60));
    permit.failure(FailureKind::Internal);
    let changes = recorder.take();
    assert!(matches!(changes[0], EventKind::ThresholdChanged { .. }), "{changes:?}");
    assert!(matches!(changes[1], EventKind::StateChanged { .. }), "{changes:?}");
}

/// S-WIN-11: the minutes are those of the circuit, not of its clock.
#[test]
fn the_first_minute_begins_with_the_circuit() {
    let clock = ManualClock::new();
    clock.advance(secs(1_030));
    let breaker = CircuitBreaker::with_clock(TUNED, clock.clone());
    succeed(&breaker, 200);
    assert_eq!(threshold_after(&breaker, &clock, 59), 5_000);
    assert_eq!(threshold_after(&breaker, &clock, 1), 4_000);
}

/// S-WIN-11: not learnt as the norm, however long it lasts.
#[test]
fn an_outage_does_not_become_the_norm() {
    let (breaker, clock) = learnt(TUNED);
    // Three in ten fail: not enough to open, but far from usual.
    (0..5_000).for_each(|_| common::play(&breaker, "SSFSSFSSFS"));
    assert_eq!(breaker.state(), State::Closed);
    let baseline = tuning(&breaker).baseline.unwrap();
    assert!(baseline < 0.15, "{baseline}: no more than what failed before a quarter had");
    // All fail, and an operator holds the circuit closed.
    breaker.force_closed("we know");
    fail(&breaker, 5_000);
    assert_eq!(tuning(&breaker).baseline, Some(baseline));
    breaker.release();
    // All fail, and the circuit opens and tries again.
    fail(&breaker, 50);
    assert_eq!(breaker.state(), State::Open);
    for _ in 0..50 {
        clock.advance(secs(300));
        fail(&breaker, 1);
    }
    assert_eq!(tuning(&breaker).baseline, Some(baseline));
}

/// S-WIN-11: it stays as it is while the circuit is not closed.
#[test]
fn nothing_is_moved_while_the_circuit_is_not_closed() {
    let (breaker, clock) = learnt(TUNED);
    breaker.trip().unwrap();
    assert_eq!(threshold_after(&breaker, &clock, 600), 5_000);
    succeed(&breaker, 3);
    assert_eq!(threshold_after(&breaker, &clock, 59), 5_000);
    assert_eq!(threshold_after(&breaker, &clock, 1), 4_000);
}

/// S-WIN-11: where less than 5 % would be gained, nothing is moved.
#[test]
fn a_small_difference_moves_nothing() {
    for (configured, moved) in [(24, 2_400), (25, 2_000), (16, 1_600), (15, 2_000)] {
        let (breaker, clock) = circuit(TUNED.trip(rate(configured)));
        succeed(&breaker, 200);
        assert_eq!(threshold_after(&breaker, &clock, 600), moved, "{configured} %");
    }
}

/// S-WIN-11: the bounds of the target, from either side.
#[test]
fn the_threshold_ends_within_its_bounds() {
    for (configured, one_in, end) in [(90, 20, 2_000), (5, 1_000, 2_000), (100, 3, 5_200)] {
        let (breaker, clock) = circuit(TUNED.trip(rate(configured)));
        usual(&breaker, 3_000, one_in);
        let after = threshold_after(&breaker, &clock, 3_600);
        assert!(after.abs_diff(end) <= 300, "{configured} %: {after}");
    }
}

/// S-WIN-11: 99 calls are too few.
#[test]
fn nothing_is_moved_before_a_hundred_calls() {
    for (calls, threshold) in [(99, 5_000), (100, 4_000)] {
        let (breaker, clock) = circuit(TUNED);
        succeed(&breaker, calls);
        assert_eq!(threshold_after(&breaker, &clock, 60), threshold, "{calls} calls");
    }
}

/// S-WIN-11: a window of time is as long as the calls in it.
#[test]
fn a_window_of_time_is_judged_by_the_calls_in_it() {
    let trip = Trip::failure_rate(Percent::new(50), Window::over(secs(3_600)).min_calls(10));
    let (breaker, clock) = circuit(TUNED.trip(trip));
    usual(&breaker, 400, 10);
    // 0.1 + 4 sqrt(0.09 / 400) = 0.16 while they are in it, 0.1 + 4 sqrt(0.09 / 10) = 0.479 after.
    assert_eq!(threshold_after(&breaker, &clock, 600), 2_000);
    let emptied = threshold_after(&breaker, &clock, 7_200);
    assert!((4_400..5_000).contains(&emptied), "{emptied}");
}

/// S-WIN-11: an explicit threshold is in force at once; anything else changes nothing.
#[test]
fn an_explicit_threshold_begins_anew() {
    let (breaker, clock) = learnt(TUNED);
    assert_eq!(threshold_after(&breaker, &clock, 60), 4_000);
    breaker.reconfigure(TUNED.open_for(secs(7)));
    assert_eq!(threshold_after(&breaker, &clock, 0), 4_000);
    breaker.reconfigure(TUNED.trip(rate(60)));
    assert_eq!(threshold_after(&breaker, &clock, 0), 6_000);
    assert_eq!(tuning(&breaker).baseline, None);
    breaker.reconfigure(TUNED.tuner(Tuner::Off));
    assert_eq!(breaker.snapshot().tuning, None);
    breaker.reconfigure(TUNED);
    usual(&breaker, 400, 20);
    assert_eq!(threshold_after(&breaker, &clock, 59), 5_000);
    assert_eq!(threshold_after(&breaker, &clock, 1), 4_000);
    breaker.reset();
    assert_eq!(threshold_after(&breaker, &clock, 600), 5_000);
}

/// S-WIN-11: an operator can keep it where it is.
#[test]
fn a_frozen_tuner_moves_nothing() {
    let (breaker, clock) = learnt(TUNED);
    assert_eq!(threshold_after(&breaker, &clock, 60), 4_000);
    breaker.freeze_tuner();
    assert_eq!(threshold_after(&breaker, &clock, 600), 4_000);
    assert!(tuning(&breaker).frozen);
    breaker.thaw_tuner();
    assert_eq!(threshold_after(&breaker, &clock, 0), 4_000, "what was due meanwhile is not");
    assert_eq!(threshold_after(&breaker, &clock, 60), 3_000);
}

/// S-WIN-11, S-STRAT-02: what a strategy of the user's decided is not decided again.
#[test]
fn nothing_is_moved_while_a_strategy_of_the_users_decides() {
    struct Undecided;
    impl Strategy for Undecided {
        fn open(&self, _: &Snapshot) -> bool {
            false
        }
        fn close(&self, _: &Snapshot) -> bool {
            false
        }
    }
    let (breaker, clock) = learnt(TUNED);
    let baseline = tuning(&breaker).baseline;
    breaker.set_custom_strategy(Undecided);
    succeed(&breaker, 1_000);
    assert_eq!(tuning(&breaker).baseline, baseline);
    assert_eq!(threshold_after(&breaker, &clock, 600), 5_000);
    breaker.set_strategy(StrategyKind::Basic);
    assert_eq!(threshold_after(&breaker, &clock, 0), 5_000);
    assert_eq!(threshold_after(&breaker, &clock, 60), 4_000);
}

/// S-WIN-11: minimum, count, streak and slow calls are not the tuner's.
#[test]
fn only_the_first_failure_rate_is_tuned() {
    let other = Trip::failure_rate(Percent::new(90), Window::last(10).min_calls(10));
    let (breaker, clock) = learnt(TUNED.trip(Trip::any(&[Trip::consecutive(9), rate(50), other])));
    assert_eq!(threshold_after(&breaker, &clock, 600), 2_000);
    let text = breaker.explain();
    assert!(text.contains("of 9 failures in a row"), "{text}");
    assert!(text.contains("(opens at 20 %, tuned from 50 %, of at least 50)"), "{text}");
    assert!(text.contains("(opens at 90 % of at least 10)"), "{text}");
    let (breaker, _) = circuit(CORE.tuner(Tuner::Apply));
    assert_eq!(breaker.snapshot().tuning, None, "there is nothing to tune");
}

/// S-WIN-11, S-WIN-08: a suggestion is told in the sentence.
#[test]
fn a_suggestion_is_told_in_the_sentence() {
    let (breaker, clock) = learnt(TUNED.tuner(Tuner::Suggest));
    clock.advance(secs(60));
    let text = breaker.explain();
    assert!(text.contains("(opens at 50 %, 40 % is suggested, of at least 50)"), "{text}");
}

/// S-STRAT-07, S-WIN-11: gradual, with steps that adapt and a tuner that applies.
#[test]
fn the_adaptive_strategy_is_gradual_with_a_tuner() {
    let adaptive = CORE.strategy(StrategyKind::Adaptive);
    let gradual = CORE
        .strategy(StrategyKind::Gradual)
        .recovery(Recovery::Ramp(Ramp::new().speed(RampSpeed::Adaptive)))
        .tuner(Tuner::Apply);
    let (breaker, _) = circuit(adaptive);
    let (other, _) = circuit(gradual);
    assert_eq!(breaker.snapshot().tuning, other.snapshot().tuning);
    assert_eq!(tuning(&breaker).mode, Tuner::Apply);
    breaker.set_strategy(StrategyKind::Gradual);
    assert_eq!(breaker.snapshot().tuning, None, "the tuner goes with the strategy");
    breaker.set_strategy(StrategyKind::Adaptive);
    assert_eq!(tuning(&breaker).mode, Tuner::Apply);
    let suggesting = CORE.tuner(Tuner::Suggest).strategy(StrategyKind::Gradual);
    assert_eq!(tuning(&circuit(suggesting).0).mode, Tuner::Suggest, "asked for by itself");
}

/// S-WIN-11, S-CORE-13: a circuit whose threshold was tuned does not equal a new one.
#[test]
fn a_tuned_circuit_is_not_given_up_for_a_new_key() {
    use breaker_core::machine::Machine;
    use breaker_core::{Chance, Outcome, Tick, Transitions};
    let (mut machine, mut done) = (Machine::new(&TUNED, Chance::seeded(1)), Transitions::new());
    for _ in 0..200 {
        machine.record(&TUNED, Outcome::Success, None, Tick::ZERO, &mut done);
    }
    let (minute, quarter) = (Tick::from_millis(60_000), secs(900));
    assert!(machine.equals_new(minute, quarter), "nothing was moved yet");
    machine.advance(&TUNED, minute, &mut done);
    assert!(!machine.equals_new(minute.after(secs(899)), quarter));
    assert!(machine.equals_new(minute.after(quarter), quarter));
}
