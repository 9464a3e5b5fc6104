//! A gate that says whether what the callee depends on is there.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use breaker_core::{FailureKind, GateVerdict, Outcome, Reason, State, StrategyKind};
use common::{CORE, TOUCHY, circuit, fail, millis, secs, succeed};

/// S-STRAT-07: a gate refuses while a dependency is down, in every strategy, and says for how long.
#[test]
fn a_gate_refuses_while_a_dependency_is_down() {
    for kind in StrategyKind::ALL {
        let (breaker, _) = circuit(CORE.strategy(kind));
        let down = Arc::new(AtomicBool::new(true));
        let asked = down.clone();
        breaker.set_dependency_gate(move || match asked.load(Ordering::SeqCst) {
            true => GateVerdict::Refuse { retry_after: Some(millis(1_500)) },
            false => GateVerdict::Admit,
        });
        let refusal = breaker.try_acquire().unwrap_err();
        assert_eq!(refusal.reason(), Reason::Dependency);
        assert_eq!((refusal.retry_after(), refusal.cause()), (Some(millis(1_500)), None));
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.state, snapshot.tally.calls), (State::Closed, 0));
        assert_eq!(snapshot.totals.refused, 1);
        down.store(false, Ordering::SeqCst);
        succeed(&breaker, 1);
        down.store(true, Ordering::SeqCst);
        breaker.clear_dependency_gate();
        succeed(&breaker, 1);
    }
}

/// S-STRAT-07, S-CORE-11: orders stand above a gate, and shadow only counts.
#[test]
fn orders_stand_above_a_gate() {
    let (breaker, _) = circuit(CORE);
    breaker.set_dependency_gate(|| GateVerdict::Refuse { retry_after: None });
    breaker.force_closed("x");
    succeed(&breaker, 1);
    breaker.disable("x");
    succeed(&breaker, 1);
    breaker.force_open("x");
    assert_eq!(breaker.try_acquire().unwrap_err().reason(), Reason::ForcedOpen);
    let totals = breaker.snapshot().totals;
    assert_eq!((totals.refused, totals.would_refuse), (1, 0));
    breaker.metrics_only("x");
    succeed(&breaker, 1);
    assert_eq!(breaker.snapshot().totals.would_refuse, 1);
}

/// S-CORE-11, S-STRAT-07: in shadow a call is counted once, however many rules would refuse it.
#[test]
fn a_call_that_gate_and_circuit_would_refuse_is_counted_once() {
    let (breaker, clock) = circuit(TOUCHY.permitted_calls(1));
    breaker.metrics_only("trial week");
    breaker.set_dependency_gate(|| GateVerdict::Refuse { retry_after: None });
    let would_refuse = |calls: u32| {
        let before = breaker.snapshot().totals.would_refuse;
        (0..calls).for_each(|_| breaker.try_acquire().unwrap().record(Outcome::Ignored));
        breaker.snapshot().totals.would_refuse - before
    };
    assert_eq!(would_refuse(3), 3, "closed in shadow");
    breaker.record(Outcome::Failure(FailureKind::Timeout));
    assert_eq!(breaker.snapshot().shadow, Some(State::Open));
    assert_eq!(would_refuse(3), 3, "open in shadow");
    clock.advance(secs(60));
    assert_eq!(would_refuse(3), 3, "half-open in shadow");
    breaker.clear_dependency_gate();
    assert_eq!(would_refuse(1), 0, "a gate that refuses has taken no trial");
}

/// S-STRAT-07: an open circuit says so itself, with its own wait; the gate is not needed for that.
#[test]
fn an_open_circuit_refuses_by_itself_whatever_the_gate_says() {
    for verdict in [GateVerdict::Admit, GateVerdict::Refuse { retry_after: Some(millis(1)) }] {
        let (breaker, _) = circuit(TOUCHY);
        fail(&breaker, 1);
        breaker.set_dependency_gate(move || verdict);
        let known = breaker.known_refusal().expect("it is open");
        assert_eq!((known.reason(), known.retry_after()), (Reason::Open, Some(secs(60))));
        assert_eq!(breaker.try_acquire().unwrap_err(), known);
        breaker.force_open("maintenance");
        let known = breaker.known_refusal().expect("it is forced open");
        assert_eq!(known.reason(), Reason::ForcedOpen);
        assert_eq!(breaker.try_acquire().unwrap_err(), known);
    }
}
