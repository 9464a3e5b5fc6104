//! Code of the user's: it may panic, and it may call back into the circuit. Threats T13 and T14.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use breaker_core::{
    CircuitBreaker, Clock, Event, EventKind, FailureKind, GateVerdict, Interest, ManualClock,
    Observe, Outcome, Percent, Snapshot, State, Strategy, StrategyKind, Tick,
};
use common::{CORE, Recorder, TOUCHY, circuit, fail, half_open, secs, succeed};

/// Panics at every change of state, as long as it is switched on.
struct Broken(Arc<AtomicBool>);

impl Broken {
    fn on(breaker: &CircuitBreaker) -> Arc<AtomicBool> {
        let switch = Arc::new(AtomicBool::new(true));
        breaker.observe(Self(switch.clone()));
        switch
    }
}

impl Observe for Broken {
    fn event(&self, event: &Event<'_>) {
        let changed = matches!(event.kind, EventKind::StateChanged { .. });
        assert!(!(changed && self.0.load(Ordering::SeqCst)), "an observer broke");
    }
}

fn panics<T>(call: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}

/// S-CORE-14: the state is right, the others are told, and the caller gets the panic.
#[test]
fn threat_t13_a_panicking_observer_harms_neither_the_state_nor_other_observers() {
    let (breaker, _) = circuit(TOUCHY);
    let before = Recorder::on(&breaker);
    Broken::on(&breaker);
    let after = Recorder::on(&breaker);
    let permit = breaker.try_acquire().unwrap();
    assert!(panics(|| permit.failure(FailureKind::Timeout)), "the panic goes on in the call");
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().totals.failures, 1, "counted once");
    for recorder in [before, after] {
        assert_eq!(recorder.take().len(), 2, "the change, and the call that ended");
    }
    assert!(panics(|| breaker.release()) || breaker.try_acquire().is_err());
}

/// S-CORE-14, S-CORE-04: a panic at admission does not keep the trial's place.
#[test]
fn threat_t13_a_trial_whose_observer_panics_gives_its_place_back() {
    let (breaker, clock) = circuit(TOUCHY.permitted_calls(1));
    fail(&breaker, 1);
    clock.advance(secs(60));
    let broken = Broken::on(&breaker);
    assert!(panics(|| breaker.try_acquire()), "it learns that the circuit is half-open");
    broken.store(false, Ordering::SeqCst);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.trials_in_flight), (State::HalfOpen, 0));
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

/// Panics when it is asked what it wants to hear.
struct Undecided;

impl Observe for Undecided {
    fn interest(&self) -> Interest {
        panic!("undecided")
    }
}

/// S-CORE-14: whatever one observer wants, the others hear what they want.
#[test]
fn threat_t13_an_observer_that_panics_when_asked_hides_nothing_from_the_others() {
    let (breaker, _) = circuit(CORE);
    let recorder = Recorder::on(&breaker);
    breaker.observe(Undecided);
    let mut permit = None;
    let _ = panics(|| permit = breaker.try_acquire().ok());
    if let Some(permit) = permit {
        let _ = panics(|| permit.success());
    }
    assert!(matches!(recorder.take()[..], [EventKind::Settled { .. }]));
}

/// Does everything that can be done to a circuit.
fn meddle(breaker: &CircuitBreaker) {
    let _ = (breaker.state(), breaker.explain(), breaker.name(), breaker.recent_changes());
    let _ = (breaker.known_refusal(), breaker.subscribe().try_next(), format!("{breaker:?}"));
    if let Ok(permit) = breaker.try_acquire() {
        permit.record(Outcome::Ignored);
    }
    breaker.clear_dependency_gate();
    breaker.observe(());
}

/// Meddles a few times, so that it ends.
struct Meddler {
    breaker: CircuitBreaker,
    left: AtomicU32,
}

impl Meddler {
    fn of(breaker: &CircuitBreaker) -> Arc<Self> {
        Arc::new(Self { breaker: breaker.clone(), left: AtomicU32::new(5) })
    }

    fn meddle(&self) {
        let one_less = |left: u32| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            meddle(&self.breaker);
        }
    }

    fn assert_asked(&self) {
        assert!(self.left.load(Ordering::SeqCst) < 5, "it was never asked");
    }
}

impl Observe for Meddler {
    fn interest(&self) -> Interest {
        let _ = (self.breaker.name(), self.breaker.known_refusal());
        Interest::CHANGES | Interest::CALLS | Interest::REFUSALS | Interest::STEPS
    }

    fn event(&self, _: &Event<'_>) {
        self.meddle();
    }
}

struct MeddlingStrategy(Arc<Meddler>);

impl Strategy for MeddlingStrategy {
    fn open(&self, facts: &Snapshot) -> bool {
        self.0.meddle();
        facts.tally.failures > 0
    }

    fn close(&self, facts: &Snapshot) -> bool {
        self.0.meddle();
        facts.tally.calls > 0
    }

    fn share(&self, _: &Snapshot) -> Percent {
        self.0.meddle();
        Percent::FULL
    }

    fn name(&self) -> &'static str {
        let _ = self.0.breaker.state();
        "meddling"
    }
}

impl Drop for MeddlingStrategy {
    fn drop(&mut self) {
        meddle(&self.0.breaker);
    }
}

/// A clock that looks at the circuit it belongs to, once that exists.
struct MeddlingClock(ManualClock, std::sync::OnceLock<CircuitBreaker>);

impl Clock for MeddlingClock {
    fn now(&self) -> Tick {
        let _ = self.1.get().map(CircuitBreaker::name);
        self.0.now()
    }
}

/// S-CORE-14, threat T14: no code of the user's runs under a lock.
#[test]
fn threat_t14_an_observer_may_call_back() {
    let (breaker, clock) = circuit(TOUCHY);
    let meddler = Meddler::of(&breaker);
    breaker.observe(meddler.clone());
    fail(&breaker, 1);
    clock.advance(secs(60));
    succeed(&breaker, 3);
    assert_eq!(breaker.state(), State::Closed);
    meddler.assert_asked();
}

/// S-STRAT-01, threat T14: also not when a strategy is put in force, asked, replaced and dropped.
#[test]
fn threat_t14_a_strategy_may_call_back() {
    let (breaker, clock) = circuit(CORE);
    let meddler = Meddler::of(&breaker);
    breaker.set_custom_strategy(MeddlingStrategy(meddler.clone()));
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
    clock.advance(secs(60));
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
    meddler.assert_asked();
    breaker.set_custom_strategy(MeddlingStrategy(meddler));
    breaker.set_strategy(StrategyKind::Gradual);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-STRAT-07, threat T14: nor a gate.
#[test]
fn threat_t14_a_gate_may_call_back() {
    let (breaker, _) = circuit(CORE);
    let meddler = Meddler::of(&breaker);
    let asked = meddler.clone();
    let held = MeddlingStrategy(meddler.clone());
    breaker.set_dependency_gate(move || {
        asked.meddle();
        let _ = &held;
        GateVerdict::Admit
    });
    succeed(&breaker, 10);
    meddler.assert_asked();
    breaker.set_dependency_gate(|| GateVerdict::Admit);
    breaker.clear_dependency_gate();
}

/// Threat T14: nor a clock.
#[test]
fn threat_t14_a_clock_may_call_back() {
    let clock = Arc::new(MeddlingClock(ManualClock::new(), std::sync::OnceLock::new()));
    let breaker = CircuitBreaker::with_clock(TOUCHY, clock.clone());
    clock.1.set(breaker.clone()).unwrap();
    fail(&breaker, 1);
    clock.0.advance(secs(100_000));
    breaker.metrics_only("x");
    succeed(&breaker, 3);
    let _ = breaker.snapshot();
    breaker.release();
}

/// S-CORE-07, threat T13: at each place where a panic can strike, permits come back and the next
/// call works.
#[test]
fn threat_t13_after_any_panic_the_next_call_works() {
    let strikes: [fn(&CircuitBreaker); 4] = [
        |breaker| assert!(panics(|| breaker.call(|| -> Result<(), ()> { panic!("call") }))),
        |breaker| {
            let broken = |_: Result<&(), &()>| -> Outcome { panic!("classifier") };
            assert!(panics(|| breaker.call_judged(broken, || Ok(()))));
        },
        |breaker| {
            breaker.set_dependency_gate(|| -> GateVerdict { panic!("gate") });
            succeed(breaker, 1);
            breaker.clear_dependency_gate();
        },
        |breaker| {
            let broken = Broken::on(breaker);
            assert!(panics(|| breaker.force_open("observer")));
            broken.store(false, Ordering::SeqCst);
            breaker.release();
        },
    ];
    for strike in strikes {
        let (breaker, _) = half_open(
            CORE.permitted_calls(2).count_as(FailureKind::Panic, breaker_core::Counted::Ignored),
        );
        strike(&breaker);
        assert_eq!(breaker.snapshot().trials_in_flight, 0);
        succeed(&breaker, 1);
    }
}
