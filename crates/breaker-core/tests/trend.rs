//! The trend: do failures become more or fewer within the window?

mod common;

use std::time::Duration;

use breaker_core::{CircuitBreaker, CircuitBreakerConfig, FailureKind, Percent, Trip, Window};
use common::{CORE, circuit, fail, half_open, millis, play, secs, succeed};
use proptest::prelude::*;

/// Never opens by itself.
const fn watching(window: Window) -> CircuitBreakerConfig {
    CORE.trip(Trip::slow_rate(Percent::FULL, window)).slow_call_duration(Duration::MAX)
}

fn trend(breaker: &CircuitBreaker) -> Option<f64> {
    breaker.snapshot().trend
}

fn assert_close(found: Option<f64>, expected: f64) {
    let found = found.expect("a trend");
    assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
}

/// S-WIN-07: the newer half less the older one.
#[test]
fn the_trend_of_a_count_window_is_the_newer_half_less_the_older() {
    let after = |calls: &str| {
        let (breaker, _) = circuit(watching(Window::last(10)));
        play(&breaker, calls);
        trend(&breaker)
    };
    assert_close(after("SSSSSFFFFF"), 1.0);
    assert_close(after("FFFFFSSSSS"), -1.0);
    assert_close(after("SFSFSFSFSF"), 0.2);
    // Also after the window has slid, and before it is full.
    assert_close(after("FFFFFFFSSSSSFFFFF"), 1.0);
    assert_close(after("SSSFFF"), 1.0);
    assert_close(after("SSFFF"), 1.0);
    assert_close(after("SSSFF"), 1.0);
}

/// S-WIN-07: too few calls have no trend, and neither have the calls before an opening.
#[test]
fn there_is_no_trend_below_the_minimum_nor_while_not_closed() {
    let (breaker, _) = circuit(watching(Window::last(10).min_calls(6)));
    play(&breaker, "SSSFF");
    assert_eq!(trend(&breaker), None);
    play(&breaker, "F");
    assert_close(trend(&breaker), 1.0);
    breaker.trip().unwrap();
    assert_eq!(trend(&breaker), None);
    let (single, _) = circuit(watching(Window::last(1)));
    fail(&single, 1);
    assert_eq!(trend(&single), None, "one call has no halves");
    let (streak, _) = circuit(CORE);
    fail(&streak, 1);
    assert_eq!(trend(&streak), None);
    let (recovering, _) = half_open(watching(Window::last(10)));
    assert_eq!(trend(&recovering), None);
}

/// S-WIN-07: halves of a period, whatever the number of calls in them.
#[test]
fn the_trend_of_a_time_window_is_that_of_the_halves_of_its_period() {
    let window = Window::in_buckets(secs(5), 5);
    let (breaker, clock) = circuit(watching(window));
    clock.advance(secs(100));
    play(&breaker, "SSSF");
    assert_eq!(trend(&breaker), None, "too few");
    succeed(&breaker, 4);
    assert_eq!(trend(&breaker), None, "the older half is empty");
    clock.advance(secs(3));
    fail(&breaker, 1);
    assert_close(trend(&breaker), 1.0 - 0.125);
    clock.advance(secs(1) - millis(1));
    assert_close(trend(&breaker), 1.0 - 0.125);
    clock.advance(secs(1));
    assert_close(trend(&breaker), 1.0 - 0.125);
    clock.advance(millis(1));
    assert_eq!(trend(&breaker), None, "the older calls have left");
}

/// S-WIN-07: a person is told where it is clear.
#[test]
fn a_clear_trend_is_explained() {
    let says = |calls: &str| {
        let (breaker, _) = circuit(watching(Window::last(20)));
        play(&breaker, calls);
        breaker.explain()
    };
    assert!(says("SSSSSSFFSSFF").contains("calls failed, more often of late"));
    assert!(says("FFFSSSSSSSSS").contains("calls failed, less often of late"));
    for unclear in ["SFSFSFSFSF", "SSSFFF", "SSSSSSSSSSSS"] {
        assert!(!says(unclear).contains("of late"), "{unclear}");
    }
}

/// The rate of the failures among these calls.
fn rate<'c>(calls: impl Iterator<Item = &'c bool>) -> Option<f64> {
    let (mut all, mut failed) = (0, 0);
    for &failure in calls {
        all += 1;
        failed += u32::from(failure);
    }
    (all > 0).then(|| f64::from(failed) / f64::from(all))
}

proptest! {
    /// S-WIN-07: what keeping all calls would say.
    #[test]
    fn the_trend_is_exact(
        size in prop_oneof![1..=20_usize, 60..=140_usize],
        calls in prop::collection::vec(any::<bool>(), 0..300),
    ) {
        let window = Window::last(size as u32).min_calls(1);
        let (breaker, _) = circuit(watching(window));
        for &failed in &calls {
            if failed { fail(&breaker, 1) } else { succeed(&breaker, 1) }
        }
        let held = &calls[calls.len().saturating_sub(size)..];
        let half = held.len() / 2;
        let older = rate(held[..half].iter());
        let newer = rate(held[held.len() - half..].iter());
        let expected = newer.zip(older).map(|(newer, older)| newer - older);
        prop_assert_eq!(trend(&breaker), expected);
    }

    /// S-WIN-07: the same for buckets on absolute borders.
    #[test]
    fn the_trend_of_a_period_is_exact(
        buckets in 1..=7_u64,
        calls in prop::collection::vec((any::<bool>(), 0..2_500_u64), 0..60),
    ) {
        let window = Window::in_buckets(secs(buckets), buckets as u16).min_calls(1);
        let (breaker, clock) = circuit(watching(window));
        let mut now = 0;
        let mut events = Vec::new();
        for (failed, wait) in calls {
            clock.advance(millis(wait));
            now += wait;
            events.push((failed, now / 1_000));
            let permit = breaker.try_acquire().unwrap();
            if failed { permit.failure(FailureKind::Internal) } else { permit.success() }
        }
        let newest = now / 1_000;
        let of = |youngest: u64| {
            let ages = youngest..youngest + buckets / 2;
            let within = |&&(_, bucket): &&(bool, u64)| ages.contains(&(newest - bucket));
            rate(events.iter().filter(within).map(|(failed, _)| failed))
        };
        let expected = of(0).zip(of(buckets - buckets / 2)).map(|(newer, older)| newer - older);
        prop_assert_eq!(trend(&breaker), expected);
    }
}
