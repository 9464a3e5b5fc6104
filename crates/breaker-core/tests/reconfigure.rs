//! Another configuration while the circuit runs: evidence, timers and permits carry over.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};

use breaker_core::{
    CircuitBreakerConfig, CircuitBreakers, Condition, Event, EventKind, FailureKind, Jitter,
    ManualClock, Observe, Outcome, Pace, Percent, Permit, Recovery, State, StrategyKind, Tally,
    Trials, Trip, Window,
};
use common::{CORE, Recorder, circuit, fail, half_open, play, secs, succeed};

const FULL: Percent = Percent::FULL;

const fn window(size: u32) -> CircuitBreakerConfig {
    CORE.trip(Trip::failure_rate(FULL, Window::last(size).min_calls(size)))
}

/// S-CORE-16, S-WIN-03: a window that grows keeps all it has, one that shrinks keeps the latest.
#[test]
fn a_count_window_keeps_its_calls_when_its_size_changes() {
    let (breaker, _) = circuit(window(10));
    play(&breaker, "FFFFSSSSSFSS");
    let tally = || breaker.snapshot().tally;
    assert_eq!(tally(), Tally { calls: 10, failures: 3, slow: 0 });
    breaker.reconfigure(window(20));
    assert_eq!(tally(), Tally { calls: 10, failures: 3, slow: 0 });
    play(&breaker, "FSSSSSSSSS");
    assert_eq!(tally(), Tally { calls: 20, failures: 4, slow: 0 });
    play(&breaker, "S");
    assert_eq!(tally(), Tally { calls: 20, failures: 3, slow: 0 }, "the oldest one left");
    breaker.reconfigure(window(5));
    assert_eq!(tally(), Tally { calls: 5, failures: 0, slow: 0 });
    fail(&breaker, 4);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

/// S-CORE-16: a running count is held against the new threshold.
#[test]
fn a_running_count_is_kept() {
    let (breaker, _) = circuit(CORE);
    fail(&breaker, 4);
    breaker.reconfigure(CORE.trip(Trip::consecutive(6)));
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

/// S-CORE-16: evidence of another kind begins empty; the same condition beside a new one stays.
#[test]
fn only_evidence_of_the_same_kind_is_kept() {
    let (breaker, _) = circuit(CORE);
    fail(&breaker, 4);
    let rate = Trip::failure_rate(FULL, Window::last(10));
    breaker.reconfigure(CORE.trip(rate.or(Trip::consecutive(5))));
    assert_eq!(breaker.snapshot().tally.calls, 0);
    fail(&breaker, 1);
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::ConsecutiveFailures);
}

/// S-WIN-05: the open timer is computed anew from the moment of opening.
#[test]
fn the_open_period_is_computed_anew() {
    let (breaker, clock) = circuit(CORE);
    fail(&breaker, 5);
    clock.advance(secs(20));
    let pace = |seconds| Pace::exponential(secs(seconds)).jitter(Jitter::None);
    breaker.reconfigure(CORE.open_period(pace(30)));
    assert_eq!(breaker.snapshot().remaining, Some(secs(10)));
    breaker.reconfigure(CORE.open_period(pace(90)));
    assert_eq!(breaker.snapshot().remaining, Some(secs(70)));
    breaker.reconfigure(CORE.open_period(pace(10)));
    assert_eq!(breaker.state(), State::HalfOpen, "it is over already");
}

/// S-WIN-05: what does not touch the period leaves it alone, jitter included.
#[test]
fn a_change_of_something_else_draws_no_new_wait() {
    let (breaker, _) = circuit(CircuitBreakerConfig::new());
    fail(&breaker, 5);
    let wait = breaker.snapshot().remaining;
    breaker.reconfigure(CircuitBreakerConfig::new().permitted_calls(7));
    assert_eq!(breaker.snapshot().remaining, wait);
}

const fn trials(permitted: u32) -> CircuitBreakerConfig {
    CORE.recovery(Recovery::Trials(Trials::new(permitted)))
}

/// S-CORE-04, R3: fewer trials than are out already cannot wedge the circuit.
#[test]
fn fewer_permits_cannot_wedge_a_half_open_circuit() {
    let (breaker, _) = half_open(trials(5));
    let out: Vec<_> = (0..5).map(|_| breaker.try_acquire().unwrap()).collect();
    breaker.reconfigure(trials(2));
    assert!(breaker.try_acquire().is_err());
    out.into_iter().take(2).for_each(Permit::success);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-04: all of them cancelled, the new number is free.
#[test]
fn after_cancels_the_new_number_of_trials_is_free() {
    let (breaker, _) = half_open(trials(5));
    let out: Vec<_> = (0..5).map(|_| breaker.try_acquire().unwrap()).collect();
    breaker.reconfigure(trials(2));
    drop(out);
    let out: Vec<_> = (0..2).map(|_| breaker.try_acquire().unwrap()).collect();
    assert!(breaker.try_acquire().is_err());
    out.into_iter().for_each(Permit::success);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-05: trials that already are enough under the new rules decide at once.
#[test]
fn trials_that_are_enough_under_the_new_rules_decide_at_once() {
    let (breaker, _) = half_open(trials(5));
    succeed(&breaker, 3);
    breaker.reconfigure(trials(3));
    assert_eq!(breaker.state(), State::Closed);
    let rate = |permitted| {
        CORE.recovery(Recovery::Trials(Trials::new(permitted).by_rate(Percent::new(50))))
    };
    let (breaker, _) = half_open(rate(10));
    play(&breaker, "SSFF");
    breaker.reconfigure(rate(4));
    assert_eq!(breaker.state(), State::Open);
}

/// S-STRAT-08: the longest stay is held against its beginning.
#[test]
fn a_shorter_stay_ends_at_once_where_it_is_over() {
    let (breaker, clock) = half_open(trials(3));
    let _hung = breaker.try_acquire().unwrap();
    clock.advance(secs(30));
    let short = Recovery::Trials(Trials::new(3).max_stay(secs(10)));
    breaker.reconfigure(CORE.recovery(short));
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().remaining, Some(secs(100)), "it was due 20 s ago");
}

/// S-CORE-06: permits stay valid: the state, and so the generation, is the same.
#[test]
fn permits_that_are_out_stay_valid() {
    let (breaker, _) = circuit(CORE);
    let out: Vec<_> = (0..5).map(|_| breaker.try_acquire().unwrap()).collect();
    breaker.reconfigure(CORE.permitted_calls(1));
    for permit in out {
        permit.failure(breaker_core::FailureKind::Timeout);
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().totals.late, 0);
}

/// S-CORE-14: that there is another configuration is told, with its number.
#[test]
fn a_new_configuration_is_told_with_its_number() {
    let (breaker, _) = circuit(CORE);
    let recorder = Recorder::on(&breaker);
    for version in 1..=3 {
        breaker.reconfigure(trials(version as u32).named("another"));
        assert_eq!(recorder.take(), [EventKind::Reconfigured { version }]);
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.config_version, breaker.name().as_str()), (3, "another"));
    assert_eq!(snapshot.config, trials(3).named("another"));
}

/// S-STRAT-02: a configuration replaces the strategy that was swapped in, too.
#[test]
fn a_configuration_brings_its_own_strategy() {
    let (breaker, _) = half_open(CORE);
    breaker.set_strategy(StrategyKind::Gradual);
    assert!(breaker.snapshot().share.is_some());
    breaker.reconfigure(CORE);
    assert_eq!(breaker.snapshot().share, None);
    succeed(&breaker, 3);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-16: no call ever sees half of one configuration and half of another.
#[test]
fn a_configuration_is_replaced_as_a_whole() {
    let small = CORE.named("a").trip(Trip::consecutive(1)).permitted_calls(1);
    let large = CORE.named("b").trip(Trip::consecutive(9)).permitted_calls(9);
    let (breaker, _) = circuit(small);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..1_000 {
                breaker.reconfigure(if n % 2 == 0 { large } else { small });
            }
        });
        for _ in 0..1_000 {
            let seen = breaker.snapshot();
            assert!(seen.config == small || seen.config == large);
            assert_eq!(seen.name, *seen.config.name());
        }
    });
}

/// S-CORE-13: all circuits of a family, those that exist and those to come.
#[test]
fn a_family_is_reconfigured_as_one() {
    let clock = ManualClock::new();
    let routes = CircuitBreakers::with_capacity_and_clock(CORE, 16, clock);
    let old = routes.get(&"/a");
    fail(&old, 1);
    routes.reconfigure(CORE.trip(Trip::consecutive(2)));
    fail(&old, 1);
    assert_eq!(old.state(), State::Open, "its evidence was kept");
    let new = routes.get(&"/b");
    fail(&new, 2);
    assert_eq!(new.state(), State::Open);
    fail(&routes.unmatched(), 2);
    assert_eq!(routes.unmatched().state(), State::Open);
}

/// S-CORE-16: of two windows of calls each keeps its own, whatever the order of the conditions.
#[test]
fn two_count_windows_keep_each_its_own_calls() {
    let short = Trip::failure_rate(Percent::new(90), Window::last(10));
    let long = |percent| Trip::failure_rate(Percent::new(percent), Window::last(100).min_calls(50));
    for turned in [false, true] {
        let (breaker, _) = circuit(CORE.trip(short.or(long(50))));
        // 45 of 100.
        (0..100).for_each(|n| play(&breaker, if n % 2 == 0 && n % 20 != 0 { "F" } else { "S" }));
        let conditions = [short, long(40)];
        let trip = if turned { [conditions[1], conditions[0]] } else { conditions };
        breaker.reconfigure(CORE.trip(Trip::any(&trip)));
        let text = breaker.explain();
        assert!(text.contains("5 of the last 10 calls"), "{text}");
        assert!(text.contains("45 of the last 100 calls"), "{text}");
        fail(&breaker, 1);
        assert_eq!(breaker.state(), State::Open, "46 of 100 are above 40 %");
    }
}

/// S-WIN-05: the callee asked for a longer wait: another pace does not shorten it, only its cap.
#[test]
fn a_wait_that_the_callee_asked_for_outlives_another_pace() {
    let (breaker, clock) = circuit(common::TOUCHY);
    let retry_after = Some(secs(250));
    breaker.record(Outcome::Failure(FailureKind::Overload { retry_after }));
    clock.advance(secs(10));
    for (pace, remaining) in [
        (Pace::exponential(secs(30)), 240),
        (Pace::exponential(secs(300)), 290),
        (Pace::exponential(secs(30)), 240),
        (Pace::exponential(secs(30)).cap(secs(100)), 90),
    ] {
        breaker.reconfigure(common::TOUCHY.open_period(pace.jitter(Jitter::None)));
        assert_eq!(breaker.snapshot().remaining, Some(secs(remaining)));
    }
}

/// S-CORE-13, S-CORE-16: a second configuration that comes while the first one is still being put
/// in force everywhere is the one that stays, everywhere.
#[test]
fn a_configuration_that_comes_amid_another_stays_everywhere() {
    /// Changes the configuration once, as soon as the tenth circuit has the first change.
    struct Second(CircuitBreakers<u32>, AtomicU32);
    impl Observe for Second {
        fn event(&self, event: &Event<'_>) {
            let told = matches!(event.kind, EventKind::Reconfigured { .. });
            if told && self.1.fetch_add(1, Ordering::SeqCst) == 10 {
                self.0.reconfigure(trials(2));
            }
        }
    }
    let keys = CircuitBreakers::with_capacity_and_clock(CORE, 160, ManualClock::new());
    (0..50).for_each(|key| drop(keys.get(&key)));
    keys.observe(Second(keys.clone(), AtomicU32::new(0)));
    keys.reconfigure(trials(1));
    assert_eq!(keys.get(&1_000).snapshot().config, trials(2));
    let own = keys.all().into_iter().map(|(_, circuit)| circuit);
    for circuit in own.chain([keys.overflow(), keys.unmatched()]) {
        assert_eq!(circuit.snapshot().config, trials(2));
    }
}
