//! What operators do to a circuit.

mod common;

use breaker_core::{
    CircuitBreaker, FailureKind, IllegalTransition, Outcome, Override, Reason, Saved, State,
};
use common::{CORE, Recorder, TOUCHY, circuit, fail, half_open, millis, secs, succeed};

type Order = fn(&CircuitBreaker);

/// S-CORE-11: all calls are refused, and outcomes say nothing, until it is released.
#[test]
fn forced_open_refuses_all_until_it_is_released() {
    let (breaker, clock) = circuit(CORE);
    fail(&breaker, 4);
    breaker.force_open("maintenance");
    clock.advance(secs(1_000_000));
    let refusal = breaker.try_acquire().unwrap_err();
    assert_eq!((refusal.reason(), refusal.retry_after()), (Reason::ForcedOpen, None));
    assert_eq!((refusal.state(), breaker.state()), ("forced_open", State::ForcedOpen));
    for _ in 0..10 {
        breaker.record(Outcome::Failure(FailureKind::Timeout));
    }
    assert_eq!(breaker.snapshot().consecutive_failures, Some(4), "outcomes are ignored");
    breaker.release();
    assert_eq!(breaker.snapshot().consecutive_failures, Some(0), "released with no evidence");
    fail(&breaker, 4);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-11: all calls are admitted and recorded, but nothing trips.
#[test]
fn forced_closed_records_and_never_trips() {
    let (breaker, _) = circuit(CORE);
    breaker.force_closed("we know better");
    fail(&breaker, 100);
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.state, State::ForcedClosed);
    assert_eq!((snapshot.totals.failures, snapshot.consecutive_failures), (100, Some(100)));
    breaker.release();
    fail(&breaker, 4);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

/// S-CORE-11: off means off.
#[test]
fn disabled_admits_all_and_records_nothing() {
    let (breaker, clock) = circuit(TOUCHY.totals(true));
    breaker.disable("off");
    let permits: Vec<_> = (0..4).map(|_| breaker.try_acquire().unwrap()).collect();
    clock.advance(secs(30));
    for (permit, n) in permits.into_iter().zip(0..) {
        match n {
            0 => permit.success(),
            1 => permit.failure(FailureKind::Timeout),
            2 => permit.record(Outcome::Ignored),
            _ => drop(permit),
        }
    }
    breaker.record(Outcome::Failure(FailureKind::Timeout));
    assert_eq!(breaker.snapshot().totals, breaker_core::Totals::default());
    assert_eq!(breaker.state(), State::Disabled);
}

/// S-CORE-11: in shadow all calls pass, and what would have been refused grows.
#[test]
fn metrics_only_lets_a_dead_dependency_be_called_and_counts_what_it_would_have_refused() {
    let (breaker, clock) = circuit(CORE);
    breaker.metrics_only("trial week");
    let recorder = Recorder::on(&breaker);
    fail(&breaker, 5);
    let shadow = |breaker: &CircuitBreaker| breaker.snapshot().shadow;
    assert_eq!((breaker.state(), shadow(&breaker)), (State::MetricsOnly, Some(State::Open)));
    fail(&breaker, 20);
    clock.advance(secs(60));
    assert_eq!(shadow(&breaker), Some(State::HalfOpen));
    fail(&breaker, 1);
    fail(&breaker, 1);
    let totals = breaker.snapshot().totals;
    assert_eq!((totals.would_refuse, totals.would_open, totals.refused), (21, 2, 0));
    assert_eq!(totals.failures, 27);
    clock.advance(secs(120));
    succeed(&breaker, 3);
    assert_eq!(shadow(&breaker), Some(State::Closed));
    assert!(recorder.transitions().iter().all(|step| step.shadow));
    assert_eq!(recorder.path().len(), 5);
}

/// S-CORE-11: the shadow goes on from where the circuit stood, and trials that were out are late.
#[test]
fn shadow_begins_where_the_circuit_stands() {
    let (breaker, _) = half_open(CORE.permitted_calls(1));
    let out = breaker.try_acquire().unwrap();
    breaker.metrics_only("watch");
    assert_eq!(breaker.snapshot().shadow, Some(State::HalfOpen));
    assert_eq!(breaker.snapshot().trials_in_flight, 0);
    out.failure(FailureKind::Timeout);
    succeed(&breaker, 1);
    assert_eq!(breaker.snapshot().shadow, Some(State::Closed));
    assert_eq!(breaker.snapshot().totals.would_refuse, 0);
}

/// S-CORE-11: an order can end by itself; the state is right on read.
#[test]
fn an_order_with_a_time_to_live_ends_on_its_own() {
    let (breaker, clock) = circuit(CORE);
    let recorder = Recorder::on(&breaker);
    breaker.force_open(Override::new("deploy 42").for_at_most(secs(300)));
    clock.advance(millis(299_999));
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(millis(1)));
    let order = breaker.snapshot().order.unwrap();
    assert_eq!((&*order.reason, order.remaining), ("deploy 42", Some(millis(1))));
    clock.advance(millis(1));
    assert_eq!(breaker.state(), State::Closed);
    assert!(breaker.snapshot().order.is_none());
    assert_eq!(recorder.path(), ["closed>forced_open forced", "forced_open>closed released"]);
}

/// S-CORE-11: a second order of the same kind renews the first.
#[test]
fn the_same_order_again_renews_its_time() {
    let (breaker, clock) = circuit(CORE);
    let order = || Override::new("again").for_at_most(secs(10));
    breaker.disable(order());
    clock.advance(secs(9));
    breaker.disable(order());
    clock.advance(secs(9));
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.generation), (State::Disabled, 1));
    breaker.force_closed("another");
    clock.advance(secs(100));
    assert_eq!(breaker.state(), State::ForcedClosed, "the last order is in force");
}

/// S-CORE-11: no time to live is too long, and no reason.
#[test]
fn an_order_may_be_for_ever_and_its_reason_is_cut() {
    let (breaker, clock) = circuit(CORE);
    let long = "ä".repeat(200);
    breaker.force_open(Override::new(&long).for_at_most(std::time::Duration::MAX));
    clock.advance(secs(1_000_000));
    let order = breaker.snapshot().order.unwrap();
    assert_eq!((breaker.state(), order.reason.len()), (State::ForcedOpen, 256));
}

/// S-CORE-11: a reset begins anew from every state.
#[test]
fn reset_leads_to_closed_with_no_evidence_from_everywhere() {
    let orders: [Order; 8] = [
        |breaker| fail(breaker, 4),
        |breaker| breaker.trip().unwrap(),
        |breaker| {
            breaker.trip().unwrap();
            breaker.attempt_reset().unwrap();
        },
        |breaker| breaker.force_open("x"),
        |breaker| breaker.force_closed("x"),
        |breaker| breaker.disable("x"),
        |breaker| breaker.metrics_only("x"),
        |_| {},
    ];
    for order in orders {
        let (breaker, _) = circuit(CORE);
        order(&breaker);
        breaker.reset();
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.state, snapshot.consecutive_failures), (State::Closed, Some(0)));
        assert_eq!((snapshot.consecutive_openings, snapshot.order), (0, None));
        fail(&breaker, 4);
        assert_eq!(breaker.state(), State::Closed);
    }
}

/// S-CORE-11: trials at once.
#[test]
fn attempt_reset_ends_the_open_period() {
    let (breaker, _) = circuit(CORE);
    fail(&breaker, 5);
    assert_eq!(breaker.attempt_reset(), Ok(()));
    assert_eq!(breaker.state(), State::HalfOpen);
    fail(&breaker, 1);
    assert_eq!(breaker.snapshot().remaining, Some(secs(120)), "it is a failed recovery");
}

/// S-CORE-01, S-CORE-11: an edge that does not exist is a typed error, and changes nothing.
#[test]
fn an_illegal_edge_is_an_error_and_changes_nothing() {
    use State::{Closed, Disabled, ForcedClosed, ForcedOpen, HalfOpen, MetricsOnly, Open};
    let orders: [(State, Order); 7] = [
        (Closed, |_| {}),
        (Open, |breaker| breaker.trip().unwrap()),
        (HalfOpen, |breaker| {
            breaker.trip().unwrap();
            breaker.attempt_reset().unwrap();
        }),
        (ForcedOpen, |breaker| breaker.force_open("x")),
        (ForcedClosed, |breaker| breaker.force_closed("x")),
        (Disabled, |breaker| breaker.disable("x")),
        (MetricsOnly, |breaker| breaker.metrics_only("x")),
    ];
    let open = Saved { state: Open, openings: 1, remaining: secs(1) };
    for (from, order) in orders {
        let (breaker, _) = circuit(CORE);
        order(&breaker);
        let before = breaker.snapshot();
        let no = |to| Err(IllegalTransition { from, to });
        if !matches!(from, Closed | HalfOpen) {
            assert_eq!(breaker.trip(), no(Open));
        }
        if from != Open {
            assert_eq!(breaker.attempt_reset(), no(HalfOpen));
        }
        if from != Closed {
            assert_eq!(breaker.restore(open), no(Open));
        }
        assert_eq!(breaker.restore(Saved { state: ForcedOpen, ..open }), no(ForcedOpen));
        assert_eq!(breaker.snapshot(), before);
        breaker.record(Outcome::Ignored);
        assert_eq!(breaker.state(), from);
    }
    assert_eq!(
        IllegalTransition { from: Closed, to: HalfOpen }.to_string(),
        "a circuit that is closed cannot be made half_open; nothing was changed"
    );
}

/// Chapter 23, restart in an outage: what is left of the open period survives.
#[test]
fn a_restored_circuit_lets_no_call_through_for_the_rest_of_its_period() {
    let (before, clock) = circuit(CORE);
    fail(&before, 5);
    clock.advance(secs(60));
    fail(&before, 1);
    clock.advance(secs(80));
    let saved = before.snapshot().to_saved();
    assert_eq!(saved, Saved { state: State::Open, openings: 2, remaining: secs(40) });
    let (after, clock) = circuit(CORE);
    after.restore(saved).unwrap();
    clock.advance(millis(39_999));
    assert!(after.try_acquire().is_err());
    clock.advance(millis(1));
    fail(&after, 1);
    assert_eq!(after.snapshot().remaining, Some(secs(240)), "the openings survived as well");
}

/// Threat T10: a saved wait cannot be longer than the configuration allows.
#[test]
fn threat_t10_a_restored_wait_is_clamped() {
    let (breaker, _) = circuit(CORE);
    let saved = Saved { state: State::Open, openings: u32::MAX, remaining: secs(u64::MAX) };
    breaker.restore(saved).unwrap();
    assert_eq!(breaker.snapshot().remaining, Some(secs(300)));
    let (breaker, _) = circuit(CORE);
    breaker.restore(Saved { state: State::HalfOpen, ..saved }).unwrap();
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// S-CORE-11: a circuit that is disabled tells observers nothing of calls, however they end.
#[test]
fn disabled_tells_observers_nothing_of_ended_calls() {
    let (breaker, _) = circuit(CORE);
    let recorder = Recorder::on(&breaker);
    breaker.disable("off");
    assert_eq!(recorder.take().len(), 1, "the order itself");
    succeed(&breaker, 1);
    fail(&breaker, 3);
    breaker.record(Outcome::Failure(FailureKind::Timeout));
    drop(breaker.try_acquire().unwrap());
    breaker.try_acquire().unwrap().panicked();
    assert_eq!(recorder.take(), []);
    breaker.release();
    fail(&breaker, 1);
    assert_eq!(recorder.take().len(), 2, "the release, and the call after it");
}

/// What is due in the shadow of an order is due before the order ends, also if nobody looked.
#[test]
fn an_order_that_ends_ends_after_what_was_due_before() {
    let edges = |looks: bool| {
        let (breaker, clock) = circuit(TOUCHY);
        breaker.metrics_only(Override::new("watching").for_at_most(secs(1_000)));
        fail(&breaker, 1);
        if looks {
            clock.advance(secs(999));
            let _ = breaker.state();
        }
        clock.set(breaker_core::Tick::ZERO.after(secs(2_000)));
        assert_eq!(breaker.state(), State::Closed);
        let snapshot = breaker.snapshot();
        (snapshot.generation, breaker.recent_changes().len(), snapshot.in_state)
    };
    assert_eq!(edges(true), edges(false));
    assert_eq!(edges(false), (4, 4, secs(1_000)), "forced, open, half-open, released");
}
