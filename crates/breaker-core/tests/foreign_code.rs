//! Code of the user's in places where one forgets that it runs: wakers, writers, the drop of a
//! key, an observer in front of a strategy. Threats T13 and T14.

mod common;

use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::task::{Context, Wake, Waker};

use breaker_core::{
    CircuitBreaker, CircuitBreakers, Event, Events, FailureKind, Interest, ManualClock, Observe,
    OnDrop, Outcome, Permit, Snapshot, State, Strategy,
};
use common::{CORE, TOUCHY, circuit, millis, secs, succeed};

// ===== wakers =====

struct Broken;

impl Wake for Broken {
    fn wake(self: Arc<Self>) {
        panic!("a waker broke")
    }
}

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Subscribers that wait: first one whose waker panics, then one whose waker counts.
fn waiting(breaker: &CircuitBreaker) -> ([Events; 2], Arc<Woken>) {
    let woken = Arc::new(Woken::default());
    let (broken, counting) = (Waker::from(Arc::new(Broken)), Waker::from(woken.clone()));
    let subscriptions = [broken, counting].map(|waker| {
        let mut events = breaker.subscribe();
        assert!(events.poll_next(&mut Context::from_waker(&waker)).is_pending());
        events
    });
    (subscriptions, woken)
}

/// S-CORE-14, S-CORE-04, threat T13: the trial whose admission woke it is given out all the same.
#[test]
fn threat_t13_a_panicking_waker_keeps_no_trial() {
    let (breaker, clock) = circuit(CORE.permitted_calls(1));
    breaker.trip().unwrap();
    let (_events, woken) = waiting(&breaker);
    clock.advance(secs(60));
    let trial = breaker.try_acquire().expect("it is the trial");
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "another subscriber is woken all the same");
    drop(trial);
    assert_eq!(breaker.snapshot().trials_in_flight, 0);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-07, threat T13: a permit that is dropped does not panic, whoever is woken by that.
#[test]
fn threat_t13_a_panicking_waker_does_not_come_out_of_a_drop() {
    let (breaker, _) = circuit(TOUCHY.on_drop(OnDrop::Failure));
    let permit = breaker.try_acquire().unwrap();
    let (_events, woken) = waiting(&breaker);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(permit)));
    assert!(dropped.is_ok());
    assert_eq!((breaker.state(), woken.0.load(Ordering::SeqCst)), (State::Open, 1));
}

// ===== writers and keys =====

/// Runs what may not hang. The time is only there so that a deadlock ends the test.
fn ends(code: impl FnOnce() + Send + 'static) {
    let (done, end) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        code();
        let _ = done.send(());
    });
    let ended = end.recv_timeout(secs(20));
    assert!(ended != Err(mpsc::RecvTimeoutError::Timeout), "a deadlock");
    thread.join().unwrap();
}

/// Asks before it takes any text.
struct Asks<F>(F, String);

impl<F: FnMut()> fmt::Write for Asks<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        (self.0)();
        self.1.push_str(text);
        Ok(())
    }
}

/// Threat T14: who writes a circuit down, such as a log, may ask that circuit.
#[test]
fn threat_t14_a_writer_may_ask_the_circuit_that_it_writes_down() {
    ends(|| {
        let (breaker, _) = circuit(CORE.named("ledger"));
        let ask = || assert_eq!(breaker.state(), State::Closed);
        let mut writer = Asks(ask, String::new());
        write!(writer, "{breaker:?} {:?}", breaker.try_acquire().unwrap()).unwrap();
        assert!(writer.1.contains("ledger") && writer.1.contains("Closed"), "{}", writer.1);
    });
}

/// Threat T14: and so it may ask the map for a circuit, or change the configuration.
#[test]
fn threat_t14_a_writer_may_ask_the_map_that_it_writes_down() {
    ends(|| {
        let keys = CircuitBreakers::with_capacity_and_clock(CORE, 16, ManualClock::new());
        let ask = || {
            let _ = keys.get(&1);
            keys.reconfigure(CORE);
        };
        let mut writer = Asks(ask, String::new());
        write!(writer, "{keys:?}").unwrap();
        assert!(writer.1.contains("CircuitBreakers"), "{}", writer.1);
    });
}

/// A key that looks at its map when it goes.
#[derive(Clone)]
struct Nosy(u32, Weak<OnceLock<CircuitBreakers<Self>>>);

impl PartialEq for Nosy {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Nosy {}

impl std::hash::Hash for Nosy {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Nosy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        if let Some(keys) = self.1.upgrade() {
            assert!(keys.get().is_none_or(|keys| keys.len() <= 16));
        }
    }
}

/// S-CORE-13, threat T14: all that is left of a key that makes room is dropped outside of locks.
#[test]
fn threat_t14_a_key_that_makes_room_may_look_at_its_map_when_it_goes() {
    ends(|| {
        let place = Arc::new(OnceLock::new());
        let keys = CircuitBreakers::with_capacity_and_clock(CORE, 16, ManualClock::new());
        let keys = place.get_or_init(|| keys);
        for key in 0..200 {
            let _ = keys.get(&Nosy(key, Arc::downgrade(&place)));
        }
        assert_eq!(keys.len(), 16);
    });
}

// ===== an observer in front of a strategy =====

/// Opens at the first failure.
struct Touchy;

impl Strategy for Touchy {
    fn open(&self, facts: &Snapshot) -> bool {
        facts.tally.failures > 0
    }

    fn close(&self, _: &Snapshot) -> bool {
        false
    }
}

/// Panics at the end of each call.
struct BreaksAtCalls;

impl Observe for BreaksAtCalls {
    fn interest(&self) -> Interest {
        Interest::CALLS
    }

    fn event(&self, _: &Event<'_>) {
        panic!("an observer broke")
    }
}

/// S-STRAT-01, threat T13: however a call ends, the strategy is asked what follows.
#[test]
fn threat_t13_an_observer_that_panics_does_not_switch_a_strategy_off() {
    const FAILURE: Outcome = Outcome::Failure(FailureKind::Internal);
    let permit = |breaker: &CircuitBreaker| -> Permit { breaker.try_acquire().unwrap() };
    let endings: [&dyn Fn(&CircuitBreaker); 7] = [
        &|breaker| permit(breaker).record(FAILURE),
        &|breaker| permit(breaker).record_timed(FAILURE, millis(5)),
        &|breaker| breaker.record(FAILURE),
        &|breaker| breaker.record_timed(FAILURE, millis(5)),
        &|breaker| breaker.record_unready(FAILURE),
        &|breaker| drop(permit(breaker)),
        &|breaker| permit(breaker).panicked(),
    ];
    for (number, ending) in endings.iter().enumerate() {
        let (breaker, _) = circuit(CORE.on_drop(OnDrop::Failure));
        breaker.set_custom_strategy(Touchy);
        breaker.observe(BreaksAtCalls);
        let _ = catch_unwind(AssertUnwindSafe(|| ending(&breaker)));
        assert_eq!(breaker.state(), State::Open, "ending {number}");
    }
}
