//! What the behaviour tests share: a circuit on a clock that they move, and calls of each kind.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Event, EventKind, FailureKind, Interest, Jitter,
    ManualClock, Observe, Pace, State, Transition, Trip,
};

/// The core profile in its deterministic form.
pub(crate) const CORE: CircuitBreakerConfig =
    CircuitBreakerConfig::new().open_period(Pace::exponential(secs(60)).jitter(Jitter::None));

/// The same, but one failure is enough.
pub(crate) const TOUCHY: CircuitBreakerConfig = CORE.trip(Trip::consecutive(1));

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[allow(clippy::large_types_passed_by_value, reason = "constants mostly")]
pub(crate) fn circuit(config: CircuitBreakerConfig) -> (CircuitBreaker, ManualClock) {
    let clock = ManualClock::new();
    (CircuitBreaker::with_clock_and_seed(config, clock.clone(), 7), clock)
}

/// A circuit that has opened and whose open period is over.
#[allow(clippy::large_types_passed_by_value, reason = "constants mostly")]
pub(crate) fn half_open(config: CircuitBreakerConfig) -> (CircuitBreaker, ManualClock) {
    let (breaker, clock) = circuit(config);
    breaker.trip().expect("closed");
    clock.advance(config_wait(&breaker));
    assert_eq!(breaker.state(), State::HalfOpen);
    (breaker, clock)
}

fn config_wait(breaker: &CircuitBreaker) -> Duration {
    breaker.snapshot().remaining.expect("open")
}

pub(crate) fn succeed(breaker: &CircuitBreaker, calls: u32) {
    (0..calls).for_each(|_| breaker.try_acquire().expect("admitted").success());
}

pub(crate) fn fail(breaker: &CircuitBreaker, calls: u32) {
    for _ in 0..calls {
        breaker.try_acquire().expect("admitted").failure(FailureKind::Internal);
    }
}

/// Calls by letter: `S` ends well, `F` fails.
pub(crate) fn play(breaker: &CircuitBreaker, calls: &str) {
    for call in calls.chars() {
        match call {
            'S' => succeed(breaker, 1),
            'F' => fail(breaker, 1),
            _ => {}
        }
    }
}

/// A success that took `duration`.
pub(crate) fn slow(breaker: &CircuitBreaker, clock: &ManualClock, duration: Duration) {
    let permit = breaker.try_acquire().expect("admitted");
    clock.advance(duration);
    permit.success();
}

/// Keeps all that it is told.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<EventKind>>>);

impl Recorder {
    pub(crate) fn on(breaker: &CircuitBreaker) -> Self {
        let recorder = Self::default();
        breaker.observe(recorder.clone());
        recorder
    }

    pub(crate) fn take(&self) -> Vec<EventKind> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(crate) fn transitions(&self) -> Vec<Transition> {
        let kinds = self.0.lock().unwrap();
        let transition = |kind: &EventKind| match kind {
            EventKind::StateChanged { transition, .. } => Some(*transition),
            _ => None,
        };
        kinds.iter().filter_map(transition).collect()
    }

    /// The changes as `from>to`, for short.
    pub(crate) fn path(&self) -> Vec<String> {
        let name = |step: &Transition| format!("{}>{} {}", step.from, step.to, step.why);
        self.transitions().iter().map(name).collect()
    }
}

impl Observe for Recorder {
    fn interest(&self) -> Interest {
        Interest::CHANGES | Interest::REFUSALS | Interest::CALLS
    }

    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}
