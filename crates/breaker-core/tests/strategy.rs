//! Strategies: those of the family, and those of the user's.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Condition, EventKind, FailureKind, Outcome, Percent,
    Permit, Recovery, Snapshot, State, Strategy, StrategyKind, Trials, Why,
};
use common::{CORE, Recorder, circuit, fail, half_open, play, secs, succeed};

/// Asks until a call is admitted.
fn arrive(breaker: &CircuitBreaker) -> Permit {
    (0..100).find_map(|_| breaker.try_acquire().ok()).expect("one in a hundred is admitted")
}

/// Opens at two failures, closes at two good trials, and says how much passes.
struct Two(Arc<AtomicU16>);

impl Two {
    fn of_share(points: u16) -> (Self, Arc<AtomicU16>) {
        let share = Arc::new(AtomicU16::new(points));
        (Self(share.clone()), share)
    }
}

impl Strategy for Two {
    fn open(&self, facts: &Snapshot) -> bool {
        facts.tally.failures >= 2
    }

    fn close(&self, facts: &Snapshot) -> bool {
        facts.tally.calls - facts.tally.failures >= 2
    }

    fn share(&self, _: &Snapshot) -> Percent {
        Percent::basis_points(self.0.load(Ordering::SeqCst))
    }
}

/// S-STRAT-01: a strategy of one's own opens, closes, and names the share.
#[test]
fn a_strategy_of_the_users_decides_when_to_open_and_to_close() {
    let (breaker, clock) = circuit(CORE);
    let recorder = Recorder::on(&breaker);
    breaker.set_custom_strategy(Two::of_share(5_000).0);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::Strategy);
    clock.advance(secs(60));
    succeed(&breaker, 1);
    assert_eq!(breaker.snapshot().share, Some(Percent::new(50)));
    arrive(&breaker).failure(FailureKind::Internal);
    let refused = (0..10).filter(|_| breaker.try_acquire().is_err()).count();
    assert_eq!(refused, 5, "half of the arrivals pass");
    while breaker.state() == State::HalfOpen {
        let _ = breaker.try_acquire().map(Permit::success);
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(
        recorder.path(),
        ["closed>open strategy", "open>half_open open_period_elapsed", "half_open>closed strategy",]
    );
    assert_eq!(recorder.transitions()[2].why, Why::Strategy);
}

/// S-STRAT-01: only legal edges: it cannot close what is open, nor end an order.
#[test]
fn a_strategy_can_cause_legal_edges_only() {
    struct Always;
    impl Strategy for Always {
        fn open(&self, _: &Snapshot) -> bool {
            true
        }
        fn close(&self, _: &Snapshot) -> bool {
            true
        }
    }
    let (breaker, clock) = circuit(CORE);
    breaker.set_custom_strategy(Always);
    let (one, two) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
    one.success();
    assert_eq!(breaker.state(), State::Open);
    clock.advance(secs(30));
    two.failure(FailureKind::Timeout);
    breaker.record(Outcome::Success);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.remaining), (State::Open, Some(secs(30))));
    for order in [CircuitBreaker::force_closed, CircuitBreaker::disable] {
        order(&breaker, "order");
        let state = breaker.state();
        succeed(&breaker, 3);
        assert_eq!(breaker.state(), state);
    }
}

/// S-STRAT-01: one that panics is replaced by the configuration's own, and reported.
#[test]
fn a_strategy_that_panics_is_replaced_and_reported() {
    struct Broken;
    impl Strategy for Broken {
        fn open(&self, _: &Snapshot) -> bool {
            panic!("no idea")
        }
        fn close(&self, _: &Snapshot) -> bool {
            panic!("no idea")
        }
    }
    for (breaker, _) in [circuit(CORE), half_open(CORE)] {
        let recorder = Recorder::on(&breaker);
        breaker.set_custom_strategy(Broken);
        breaker.try_acquire().unwrap().record(Outcome::Ignored);
        let panicked = |kind: &EventKind| *kind == EventKind::StrategyPanicked;
        assert_eq!(recorder.take().iter().filter(|kind| panicked(kind)).count(), 1);
        match breaker.state() {
            State::HalfOpen => succeed(&breaker, 3),
            _ => fail(&breaker, 5),
        }
        let whole = recorder.take().iter().filter(|kind| panicked(kind)).count();
        assert_eq!(whole, 0, "basic is in force");
        assert_ne!(breaker.state(), State::HalfOpen);
    }
}

/// S-STRAT-01, R3: a share of nothing cannot hold a circuit half-open for ever, and a share that
/// changes all the time does not renew the longest stay.
#[test]
fn a_strategy_that_lets_nothing_through_is_ended_by_the_longest_stay() {
    let (breaker, clock) = circuit(CORE);
    let late = breaker.try_acquire().unwrap();
    breaker.trip().unwrap();
    breaker.set_custom_strategy(Two::of_share(0).0);
    clock.advance(secs(60));
    assert_eq!(breaker.state(), State::HalfOpen);
    late.success();
    assert_eq!(breaker.snapshot().share, Some(Percent::ZERO));
    assert!((0..100).all(|_| breaker.try_acquire().is_err()));
    clock.advance(secs(60));
    assert_eq!(breaker.state(), State::Open);
    let (strategy, share) = Two::of_share(10_000);
    breaker.set_custom_strategy(strategy);
    clock.advance(secs(120));
    for step in 0..59 {
        share.store(5_000 + step, Ordering::SeqCst);
        let _ = breaker.try_acquire().map(|permit| permit.record(Outcome::Ignored));
        clock.advance(secs(1));
        assert_eq!(breaker.state(), State::HalfOpen);
    }
    clock.advance(secs(1));
    assert_eq!(breaker.state(), State::Open);
}

/// S-STRAT-02: fifty calls are out when the strategy changes; each ends once, in its generation.
#[test]
fn a_swap_loses_no_permit() {
    let (breaker, _) = circuit(CORE.totals(true));
    let permits: Vec<_> = (0..50).map(|_| breaker.try_acquire().unwrap()).collect();
    breaker.set_strategy(StrategyKind::Gradual);
    for (permit, n) in permits.into_iter().zip(0..) {
        if n < 46 { permit.success() } else { permit.failure(FailureKind::Timeout) }
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.totals.successes, snapshot.totals.failures), (46, 4));
    assert_eq!((snapshot.totals.late, snapshot.generation), (0, 1));
    assert_eq!((snapshot.tally.calls, snapshot.tally.failures), (20, 4), "the new window");
    assert_eq!(snapshot.state, State::Open, "4 of 20 calls are a fifth");
}

/// S-STRAT-02: in the middle of the trials the new strategy begins its own.
#[test]
fn a_swap_in_half_open_restarts_the_trials_of_the_new_strategy() {
    let gradual = CircuitBreakerConfig::gradual().open_period(breaker_core::Pace::fixed(secs(1)));
    let (breaker, clock) = half_open(gradual);
    let _ = breaker.try_acquire().map(Permit::success);
    breaker.set_strategy(StrategyKind::Basic);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.share, snapshot.tally.calls), (State::HalfOpen, None, 0));
    let out: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    breaker.set_strategy(StrategyKind::Gradual);
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.share, Some(Percent::new(10)));
    assert_eq!(snapshot.trials_in_flight, 3);
    // Back again with all trials out, which never end: the stay ends it all the same.
    breaker.set_strategy(StrategyKind::Basic);
    assert!(breaker.try_acquire().is_err());
    clock.advance(secs(60));
    assert_eq!(breaker.state(), State::Open);
    drop(out);
}

/// R3: a swap between two steps of a ramp, with calls out that hang, leads on.
#[test]
fn calls_that_hang_over_a_swap_do_not_wedge_the_circuit() {
    let config = CircuitBreakerConfig::gradual().recovery(Recovery::Ramp(
        breaker_core::Ramp::new()
            .base_share(Percent::new(90))
            .successes(1)
            .share_step(Percent::new(5)),
    ));
    let (breaker, clock) = half_open(config);
    let _hung: Vec<_> = (0..3).map(|_| arrive(&breaker)).collect();
    arrive(&breaker).success();
    breaker.reconfigure(CORE.recovery(Recovery::Trials(Trials::new(3))));
    assert!(breaker.try_acquire().is_err(), "all places are taken by what hangs");
    clock.advance(secs(60));
    assert_eq!(breaker.state(), State::Open);
}

/// S-STRAT-02: the swap is told, and does not move the state, the openings, or the period.
#[test]
fn a_swap_keeps_state_and_openings() {
    let (breaker, clock) = circuit(CORE);
    fail(&breaker, 5);
    clock.advance(secs(20));
    let recorder = Recorder::on(&breaker);
    for kind in StrategyKind::ALL {
        breaker.set_strategy(kind);
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.state, snapshot.remaining), (State::Open, Some(secs(40))));
        assert_eq!(snapshot.consecutive_openings, 1);
        assert_eq!(recorder.take(), [EventKind::StrategySwapped { to: kind.as_str() }]);
    }
}

/// S-STRAT-07: what each of the family stands for.
#[test]
fn the_family_is_a_closed_list_with_its_own_rules() {
    let open_at = |kind, calls: &str| {
        let (breaker, _) = circuit(CORE.strategy(kind));
        assert_eq!(breaker.snapshot().config.strategy_kind(), kind);
        play(&breaker, calls);
        breaker.state() == State::Open
    };
    for kind in [StrategyKind::Basic, StrategyKind::Dependency] {
        assert!(open_at(kind, "FFFFF") && !open_at(kind, "FFFFSFFFF"));
    }
    for kind in [StrategyKind::Gradual, StrategyKind::Adaptive] {
        assert!(open_at(kind, "FFFSSSSSSS") && !open_at(kind, "FSSSSSSSSS"));
        assert!(open_at(kind, "FFFFF"), "five failures need no minimum");
    }
    assert_eq!(
        StrategyKind::ALL.map(StrategyKind::as_str),
        ["basic", "gradual", "dependency", "adaptive"]
    );
}

/// S-STRAT-01: the share is asked for when the circuit becomes half-open, not one call later.
#[test]
fn a_strategy_that_admits_all_admits_all_from_the_first_trial_on() {
    for looked_at in [true, false] {
        let (breaker, clock) = circuit(CORE);
        breaker.set_custom_strategy(Two::of_share(10_000).0);
        breaker.trip().unwrap();
        clock.advance(secs(60));
        if looked_at {
            assert_eq!(breaker.state(), State::HalfOpen);
            assert_eq!(breaker.snapshot().share, Some(Percent::FULL));
        }
        let trials = (0..10).map_while(|_| breaker.try_acquire().ok());
        assert_eq!(trials.collect::<Vec<_>>().len(), 10);
    }
}

/// S-STRAT-03: the share that is told at the beginning is the one in force, not one that the
/// configuration names for another strategy.
#[test]
fn the_share_that_a_recovery_starts_with_is_told_as_it_is() {
    let shares = |custom: bool| {
        let ramp = breaker_core::Ramp::new().base_share(Percent::new(50));
        let (breaker, clock) = circuit(CORE.recovery(Recovery::Ramp(ramp)));
        if custom {
            breaker.set_custom_strategy(Two::of_share(2_500).0);
        }
        let recorder = Recorder::on(&breaker);
        breaker.trip().unwrap();
        clock.advance(secs(60));
        assert_eq!(breaker.state(), State::HalfOpen);
        let share = breaker.snapshot().share;
        let told: Vec<_> = recorder
            .take()
            .into_iter()
            .filter_map(|kind| match kind {
                EventKind::RampStarted { share } => Some((None, share)),
                EventKind::RampStep { from, to, .. } => Some((Some(from), to)),
                _ => None,
            })
            .collect();
        (told, share)
    };
    let (base, named) = (Percent::new(50), Percent::new(25));
    assert_eq!(shares(false), (vec![(None, base)], Some(base)));
    let tenth = Percent::new(10);
    assert_eq!(shares(true), (vec![(None, tenth), (Some(tenth), named)], Some(named)));
}
