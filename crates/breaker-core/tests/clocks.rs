//! Time that stands, steps back, or ends. Threats T10 and T11.

mod common;

use std::time::Duration;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakers, Clock, Jitter, ManualClock,
    MonotonicClock, Pace, Recovery, State, Tick, Trials, Trip, Window,
};
use common::{CORE, TOUCHY, circuit, fail, half_open, millis, secs, succeed};

const HOUR: Duration = secs(3_600);

/// S-CORE-03, threat T10: a clock that steps back ends nothing sooner and nothing later.
#[test]
fn threat_t10_a_step_back_changes_nothing() {
    let (breaker, clock) = circuit(TOUCHY);
    clock.set(Tick::ZERO.after(HOUR));
    fail(&breaker, 1);
    clock.advance(secs(10));
    let before = breaker.snapshot();
    for back in [Tick::ZERO, Tick::ZERO.after(HOUR), Tick::ZERO.after(HOUR + secs(9))] {
        clock.set(back);
        assert_eq!(breaker.snapshot(), before);
        let known = breaker.known_refusal().unwrap();
        assert_eq!(known.retry_after(), Some(secs(50)));
    }
    clock.set(Tick::ZERO);
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(secs(50)));
    clock.set(Tick::ZERO.after(HOUR + millis(59_999)));
    assert_eq!(breaker.state(), State::Open);
    clock.advance(millis(1));
    assert_eq!(breaker.state(), State::HalfOpen);
    clock.set(Tick::ZERO);
    succeed(&breaker, 3);
    assert_eq!(breaker.state(), State::Closed);
}

/// Threat T10: a step back mints no evidence and no duration.
#[test]
fn threat_t10_a_call_over_a_step_back_took_no_time() {
    let (breaker, clock) = circuit(TOUCHY);
    clock.set(Tick::ZERO.after(HOUR));
    let (dropped, ended) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
    clock.set(Tick::ZERO);
    drop(dropped);
    ended.success();
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.totals.cancelled), (State::Closed, 1));
    assert_eq!(snapshot.totals.slow, 0);
}

/// Threat T10: a window forgets nothing and repeats nothing when time steps back.
#[test]
fn threat_t10_a_time_window_does_not_go_back() {
    let trip = Trip::failure_count(1_000, Window::over(secs(10)));
    let (breaker, clock) = circuit(CORE.trip(trip));
    clock.advance(secs(20));
    fail(&breaker, 3);
    clock.set(Tick::from_millis(5_000));
    fail(&breaker, 4);
    assert_eq!(breaker.snapshot().tally.failures, 7);
    clock.set(Tick::from_millis(29_999));
    assert_eq!(breaker.snapshot().tally.failures, 7);
    clock.set(Tick::from_millis(30_000));
    assert_eq!(breaker.snapshot().tally.failures, 0);
}

/// Threat T10: a jump forward ends what is due, in order, each at its time, and nothing else.
#[test]
fn threat_t10_a_jump_forward_is_open_no_longer_than_the_longest_period() {
    let (breaker, clock) = half_open(TOUCHY.permitted_calls(1));
    let _hung = breaker.try_acquire().unwrap();
    clock.advance(HOUR);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.consecutive_openings), (State::HalfOpen, 2));
    assert_eq!(snapshot.in_state, HOUR - secs(60) - secs(120));
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

/// Threats T10, T11: at the end of time nothing overflows and nothing wedges.
#[test]
fn threat_t10_the_end_of_time_is_harmless() {
    let windowed = CORE.trip(Trip::failure_count(2, Window::over(secs(10))));
    for config in [TOUCHY, windowed] {
        let (breaker, clock) = circuit(config);
        clock.set(Tick::MAX);
        clock.advance(secs(1));
        assert_eq!(clock.now(), Tick::MAX);
        let permit = breaker.try_acquire().unwrap();
        fail(&breaker, 1);
        let _ = breaker.try_acquire().map(|p| p.failure(breaker_core::FailureKind::Timeout));
        permit.success();
        breaker.force_open(breaker_core::Override::new("x").for_at_most(Duration::MAX));
        let _ = (breaker.state(), breaker.explain());
        breaker.release();
        breaker.metrics_only("x");
        succeed(&breaker, 100);
        breaker.reset();
        succeed(&breaker, 10);
        assert_eq!(breaker.state(), State::Closed);
    }
}

/// Threat T11: opened just before the end of time, it is not open beyond it.
#[test]
fn threat_t11_a_period_that_would_overflow_ends_with_time() {
    let (breaker, clock) = circuit(TOUCHY);
    clock.set(Tick::from_nanos(u64::MAX - 1_000_000_000));
    fail(&breaker, 1);
    assert_eq!(breaker.snapshot().remaining, Some(secs(1)));
    clock.set(Tick::MAX);
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// Threat T11: durations beyond all bounds.
#[test]
fn threat_t11_durations_that_are_too_long_saturate() {
    let (breaker, clock) = circuit(
        TOUCHY
            .slow_call_duration(Duration::MAX)
            .recovery(Recovery::Trials(Trials::new(1).max_stay(Duration::MAX))),
    );
    let permit = breaker.try_acquire().unwrap();
    clock.set(Tick::from_nanos(u64::MAX / 2));
    drop(permit);
    assert_eq!(breaker.state(), State::Closed);
    breaker.record_timed(breaker_core::Outcome::Success, Duration::MAX);
    breaker.trip().unwrap();
    breaker.attempt_reset().unwrap();
    let _hung = breaker.try_acquire().unwrap();
    clock.advance(secs(1_000_000));
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// S-CORE-03: ticks and clocks saturate at both ends.
#[test]
fn ticks_neither_overflow_nor_go_below_zero() {
    assert_eq!(Tick::MAX.after(Duration::MAX), Tick::MAX);
    assert_eq!(Tick::ZERO.after(Duration::MAX), Tick::MAX);
    assert_eq!(Tick::ZERO.since(Tick::MAX), Duration::ZERO);
    assert_eq!(Tick::from_millis(u64::MAX), Tick::MAX);
    assert_eq!(Tick::MAX.since(Tick::ZERO).as_nanos(), u128::from(u64::MAX));
}

/// S-CORE-03: the clock of production never goes back, and clones of a test's clock agree.
#[test]
fn clocks_are_monotonic() {
    let clock = MonotonicClock::new();
    let ticks: Vec<_> = (0..1_000).map(|_| clock.now()).collect();
    assert!(ticks.is_sorted());
    let manual = ManualClock::new();
    manual.clone().advance(millis(5));
    assert_eq!(manual.now(), Tick::from_millis(5));
    let shared: std::sync::Arc<dyn Clock> = std::sync::Arc::new(manual);
    assert_eq!(shared.now(), Tick::from_millis(5));
}

/// S-WIN-05: the same seed gives the same life.
#[test]
fn a_circuit_with_a_seed_is_reproducible() {
    let pace = Pace::exponential(secs(60)).jitter(Jitter::Full);
    let life = || {
        let (breaker, clock) = circuit(TOUCHY.open_period(pace));
        let mut waits = Vec::new();
        for _ in 0..20 {
            fail(&breaker, 1);
            let wait = breaker.snapshot().remaining.unwrap();
            clock.advance(wait);
            waits.push(wait);
        }
        waits
    };
    assert_eq!(life(), life());
}

#[test]
fn a_circuit_is_as_old_as_it_is_and_not_as_its_clock() {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(3_600));
    let one = CircuitBreaker::with_clock(CircuitBreakerConfig::new(), clock.clone());
    let many =
        CircuitBreakers::with_capacity_and_clock(CircuitBreakerConfig::new(), 16, clock.clone());
    clock.advance(Duration::from_secs(5));
    let late = many.get(&"late");
    clock.advance(Duration::from_secs(2));
    assert_eq!(one.snapshot().in_state, Duration::from_secs(7));
    assert_eq!(late.snapshot().in_state, Duration::from_secs(2));
    assert_eq!(late.snapshot().time_in_state[0], Duration::from_secs(2));
}
