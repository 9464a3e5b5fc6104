//! How long a circuit stays open.

mod common;

use std::collections::HashSet;
use std::time::Duration;

use breaker_core::{
    Chance, CircuitBreaker, CircuitBreakerConfig, FailureKind, Jitter, ManualClock, Pace, Percent,
    Reason, State, Trip, Window,
};
use common::{CORE, TOUCHY, circuit, fail, millis, secs, succeed};

/// S-CORE-03, S-CORE-10: the state is right on read, without any call.
#[test]
fn half_open_is_read_at_60_s_and_not_a_millisecond_before() {
    let (breaker, clock) = circuit(CORE);
    fail(&breaker, 5);
    clock.advance(millis(59_999));
    assert_eq!(breaker.state(), State::Open);
    let refusal = breaker.try_acquire().unwrap_err();
    assert_eq!((refusal.reason(), refusal.retry_after()), (Reason::Open, Some(millis(1))));
    clock.advance(millis(1));
    assert_eq!(breaker.snapshot().state, State::HalfOpen);
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// S-CORE-03: the advanced profile waits 30 s at first.
#[test]
fn the_advanced_profile_tries_again_after_30_s() {
    let pace = Pace::exponential(secs(30)).jitter(Jitter::None);
    let (breaker, clock) = circuit(CircuitBreakerConfig::advanced().open_period(pace));
    assert!(
        CircuitBreakerConfig::advanced() == CircuitBreakerConfig::advanced().open_for(secs(30))
    );
    fail(&breaker, 5);
    clock.advance(millis(29_999));
    assert_eq!(breaker.state(), State::Open);
    clock.advance(millis(1));
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// S-CORE-10: the move to half-open happens when it was due, however late it is noticed.
#[test]
fn a_change_that_is_noticed_late_bears_the_time_at_which_it_was_due() {
    let (breaker, clock) = circuit(CORE);
    let mut events = breaker.subscribe();
    fail(&breaker, 5);
    clock.advance(secs(3_600));
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.in_state, secs(3_540));
    let times: Vec<_> = std::iter::from_fn(|| events.try_next())
        .filter_map(|next| match next {
            breaker_core::Next::Change(change) => Some(change.kind),
            breaker_core::Next::Missed(_) => None,
        })
        .filter_map(|kind| match kind {
            breaker_core::EventKind::StateChanged { transition, .. } => Some(transition.at),
            _ => None,
        })
        .collect();
    let at = breaker_core::Tick::from_millis;
    assert_eq!(times, [at(0), at(60_000)]);
}

/// Fails one trial per opening, and says how long each period was.
fn periods(breaker: &CircuitBreaker, clock: &ManualClock, openings: usize) -> Vec<Duration> {
    let mut periods = Vec::new();
    for _ in 0..openings {
        fail(breaker, 1);
        let wait = breaker.snapshot().remaining.expect("open");
        periods.push(wait);
        clock.advance(wait);
    }
    periods
}

/// S-WIN-05: doubled at each failed recovery, up to the cap, and anew after a close.
#[test]
fn periods_double_up_to_the_cap_and_begin_anew_after_a_close() {
    let (breaker, clock) = circuit(TOUCHY);
    assert_eq!(periods(&breaker, &clock, 5), [60, 120, 240, 300, 300].map(secs));
    assert_eq!(breaker.snapshot().consecutive_openings, 5);
    succeed(&breaker, 3);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(periods(&breaker, &clock, 1), [secs(60)]);
}

/// S-WIN-05: nothing overflows, however often it opens.
#[test]
fn a_million_openings_in_a_row_wait_300_s() {
    let (breaker, clock) = circuit(TOUCHY);
    let openings = 1_000_000;
    let mut last = Vec::new();
    for _ in 0..openings / 1_000 {
        last = periods(&breaker, &clock, 1_000);
    }
    assert_eq!(last[999], secs(300));
    assert_eq!(breaker.snapshot().consecutive_openings, openings);
}

/// S-WIN-05: production spreads its waits.
#[test]
fn equal_jitter_lies_in_the_upper_half_and_differs_between_streams() {
    let config = CircuitBreakerConfig::new().trip(Trip::consecutive(1));
    let mut seen = HashSet::new();
    for seed in 0..200 {
        let clock = ManualClock::new();
        let breaker = CircuitBreaker::with_clock_and_seed(config, clock.clone(), seed);
        let wait = periods(&breaker, &clock, 1)[0];
        assert!(secs(30) <= wait && wait < secs(60), "{wait:?}");
        seen.insert(wait);
    }
    assert!(seen.len() > 190, "{} of 200 waits differ", seen.len());
}

/// S-WIN-05: jitter is drawn once per opening, and the same stream gives the same waits.
#[test]
fn the_wait_of_an_opening_does_not_change_while_it_lasts() {
    let config = CircuitBreakerConfig::new().trip(Trip::consecutive(1));
    let first = |seed| {
        let (clock, config) = (ManualClock::new(), config);
        let breaker = CircuitBreaker::with_clock_and_seed(config, clock.clone(), seed);
        fail(&breaker, 1);
        let wait = breaker.snapshot().remaining.unwrap();
        clock.advance(secs(10));
        assert_eq!(breaker.snapshot().remaining, Some(wait - secs(10)));
        wait
    };
    assert_eq!(first(3), first(3));
}

/// S-WIN-06: a list of waits, of which the last repeats.
#[test]
fn a_schedule_is_followed_and_its_last_entry_repeats() {
    let pace = Pace::schedule(&[millis(100), millis(200), millis(300)]);
    let (breaker, clock) = circuit(TOUCHY.open_period(pace));
    let start = clock.clone();
    fail(&breaker, 1);
    clock.advance(millis(100));
    assert_eq!(breaker.state(), State::HalfOpen);
    fail(&breaker, 1);
    start.set(breaker_core::Tick::from_millis(299));
    assert_eq!(breaker.state(), State::Open);
    start.set(breaker_core::Tick::from_millis(300));
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(periods(&breaker, &clock, 3), [millis(300), millis(300), millis(300)]);
}

fn overload(breaker: &CircuitBreaker, retry_after: Duration) -> Duration {
    let kind = FailureKind::Overload { retry_after: Some(retry_after) };
    breaker.try_acquire().unwrap().failure(kind);
    breaker.snapshot().remaining.expect("open")
}

/// S-WIN-05: the callee may ask for more patience, up to the cap, but not for less.
#[test]
fn retry_after_extends_the_period_up_to_the_cap() {
    for (asked, waits) in [(90, 90), (30, 60), (3_600, 300), (u64::MAX, 300)] {
        let (breaker, _) = circuit(TOUCHY);
        assert_eq!(overload(&breaker, secs(asked)), secs(waits), "asked for {asked} s");
    }
}

/// S-WIN-05: only the opening that it caused is extended.
#[test]
fn retry_after_does_not_change_the_next_period() {
    let (breaker, clock) = circuit(TOUCHY);
    clock.advance(overload(&breaker, secs(200)));
    assert_eq!(periods(&breaker, &clock, 1), [secs(120)]);
}

/// Threat T11: no number makes a wait longer than its cap.
#[test]
fn threat_t11_no_wait_is_longer_than_the_cap() {
    let mut chance = Chance::seeded(1);
    let cap = secs(7_200);
    for pace in [
        Pace::exponential(secs(1)).factor(10.0).cap(cap),
        Pace::fibonacci(millis(1)).cap(cap).jitter(Jitter::Full),
        Pace::linear(secs(1), Duration::MAX).cap(cap),
    ] {
        for number in [0, 1, 2, 63, 64, 65, 1_000_000, u32::MAX] {
            assert!(pace.wait(number, &mut chance) <= cap);
        }
    }
}

/// The last of enough calls may be a good one, long after the bad ones.
#[test]
fn a_success_that_opens_the_circuit_opens_it_from_now_on() {
    let clock = ManualClock::new();
    let minute = Duration::from_secs(60);
    let config = CircuitBreakerConfig::new()
        .trip(Trip::failure_rate(Percent::new(50), Window::last(4).min_calls(4)))
        .open_period(Pace::fixed(minute).jitter(Jitter::None));
    let breaker = CircuitBreaker::with_clock(config, clock.clone());
    for _ in 0..2 {
        breaker.try_acquire_unstamped().unwrap().failure(FailureKind::Internal);
    }
    clock.advance(10 * minute);
    for _ in 0..2 {
        breaker.try_acquire_unstamped().unwrap().success();
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().remaining, Some(minute));
}
