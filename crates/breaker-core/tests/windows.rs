//! The evidence: windows that slide, exactly, in constant time and memory.

mod common;

use std::collections::VecDeque;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Condition, FailureKind, ManualClock, Outcome, Percent,
    State, Tally, Trip, Window,
};
use common::{CORE, circuit, fail, millis, play, secs, succeed};
use proptest::prelude::*;

const HALF: Percent = Percent::new(50);
const FAILURE: Outcome = Outcome::Failure(FailureKind::Internal);

/// The windowed profile without its count rule.
const BY_RATE: CircuitBreakerConfig = CORE.trip(Trip::failure_rate(HALF, Window::last(10)));

/// S-WIN-01: three failures of five are enough, two of four are too few calls.
#[test]
fn a_rate_is_judged_from_the_minimum_on() {
    let (breaker, _) = circuit(BY_RATE);
    play(&breaker, "SFSF");
    assert_eq!(breaker.state(), State::Closed);
    play(&breaker, "F");
    assert_eq!(breaker.state(), State::Open);
    let cause = breaker.snapshot().cause.unwrap();
    assert_eq!((cause.condition, cause.bad, cause.calls), (Condition::FailureRate, 3, 5));
}

/// S-WIN-01: a threshold is reached by equality.
#[test]
fn half_of_the_calls_reach_a_threshold_of_half() {
    let (breaker, _) = circuit(BY_RATE);
    play(&breaker, "SSSFF");
    assert_eq!(breaker.state(), State::Closed);
    play(&breaker, "F");
    assert_eq!(breaker.state(), State::Open);
}

/// S-WIN-01: failures leave the window, and an empty one has no rate.
#[test]
fn old_failures_leave_the_window() {
    let trip = Trip::failure_rate(Percent::new(90), Window::last(10));
    let (breaker, _) = circuit(CORE.trip(trip));
    assert_eq!(breaker.snapshot().failure_rate, None);
    play(&breaker, "FFFFSSSSSSSSSSSSSSSSSSSS");
    assert_eq!(breaker.snapshot().failure_rate, Some(0.0));
    play(&breaker, "FFFFFFFF");
    assert_eq!(breaker.state(), State::Closed);
    play(&breaker, "F");
    assert_eq!(breaker.state(), State::Open);
}

/// S-WIN-01 (R2): what says nothing is no call of the window.
#[test]
fn ignored_cancelled_and_refused_calls_are_not_in_the_window() {
    let (breaker, _) = circuit(BY_RATE);
    for _ in 0..20 {
        breaker.try_acquire().unwrap().record(Outcome::Ignored);
        drop(breaker.try_acquire().unwrap());
    }
    assert_eq!(breaker.snapshot().tally, Tally::default());
}

/// S-WIN-04: five failures in the window, however they are spread, or the rate.
#[test]
fn a_count_within_the_window_or_a_rate_opens() {
    let windowed = CircuitBreakerConfig::windowed();
    let opened_by = |calls: &str| {
        let (breaker, _) = circuit(windowed);
        play(&breaker, calls);
        breaker.snapshot().cause.map(|cause| cause.condition)
    };
    // The rate is half only at the tenth call, where the count is reached as well.
    assert_eq!(opened_by("SFSSFSFSF"), None);
    assert_eq!(opened_by("SFSSFSFSFF"), Some(Condition::FailureCount));
    assert_eq!(opened_by("SSFFF"), Some(Condition::FailureRate));
    assert_eq!(opened_by("FFFF"), None, "four calls are below both");
}

/// S-WIN-04: the count is taken within the window, and needs no minimum.
#[test]
fn a_count_forgets_what_has_left_the_window_and_needs_no_minimum() {
    let trip = Trip::failure_count(3, Window::last(5).min_calls(5));
    let (breaker, _) = circuit(CORE.trip(trip));
    play(&breaker, "FSSFSSFSSF");
    assert_eq!(breaker.state(), State::Closed);
    let (breaker, _) = circuit(CORE.trip(trip));
    play(&breaker, "FFF");
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::FailureCount);
}

/// Never opens.
const fn over(buckets: u16) -> CircuitBreakerConfig {
    let window = Window::in_buckets(secs(10), buckets);
    CORE.trip(Trip::failure_count(u32::MAX, window))
}

/// S-WIN-02: an event that is exactly one window old is out.
#[test]
fn an_event_counts_at_9_999_s_and_not_at_10_s() {
    let (breaker, clock) = circuit(over(100));
    fail(&breaker, 1);
    clock.advance(millis(9_999));
    assert_eq!(breaker.snapshot().tally.failures, 1);
    clock.advance(millis(1));
    assert_eq!(breaker.snapshot().tally, Tally::default());
    assert_eq!(breaker.snapshot().failure_rate, None);
}

/// S-WIN-02: borders of buckets are absolute, and skipped buckets are empty.
#[test]
fn buckets_that_were_skipped_are_empty() {
    let (breaker, clock) = circuit(over(10));
    clock.advance(millis(1_900));
    fail(&breaker, 1);
    clock.advance(millis(200));
    fail(&breaker, 2);
    clock.advance(secs(8));
    assert_eq!(breaker.snapshot().tally.failures, 3, "at 10.1 s both buckets are in");
    clock.advance(millis(900));
    assert_eq!(breaker.snapshot().tally.failures, 2, "at 11 s the first is out");
    clock.advance(secs(100_000));
    fail(&breaker, 1);
    assert_eq!(breaker.snapshot().tally.calls, 1);
}

/// S-WIN-02: the rule is that of the count window.
#[test]
fn a_time_window_opens_by_rate_from_its_minimum_on() {
    let window = Window::over(secs(30)).min_calls(4);
    let (breaker, clock) = circuit(CORE.trip(Trip::failure_rate(HALF, window)));
    fail(&breaker, 3);
    clock.advance(secs(30));
    fail(&breaker, 3);
    assert_eq!(breaker.state(), State::Closed, "three of them are too old");
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

/// How many failures in a row it takes to open after so many healthy calls.
fn failures_to_open(window: u32, healthy: u32) -> u32 {
    let window = Window::last(window).min_calls(window);
    let (breaker, _) = circuit(CORE.trip(Trip::failure_rate(HALF, window)));
    succeed(&breaker, healthy);
    let mut failures = 0;
    while breaker.state() == State::Closed {
        fail(&breaker, 1);
        failures += 1;
    }
    failures
}

/// S-WIN-01, S-WIN-03 (R1): a window slides: a long history of health hides no outage.
#[test]
fn after_100_000_healthy_calls_the_same_few_failures_open() {
    for (window, fresh, full) in [(1, 1, 1), (10, 10, 5), (100, 100, 50)] {
        assert_eq!(failures_to_open(window, 0), fresh, "window {window}, fresh");
        for healthy in [window, 1_000, 100_000] {
            assert_eq!(failures_to_open(window, healthy), full, "window {window}");
        }
    }
    assert_eq!(failures_to_open(65_536, 100_000), 32_768);
}

/// R2: the minimum means what it says, also where it is below the window.
#[test]
fn the_minimum_is_honoured_below_a_large_window() {
    let trip = Trip::failure_rate(HALF, Window::last(100).min_calls(10));
    let (breaker, _) = circuit(CORE.trip(trip));
    fail(&breaker, 9);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

/// S-WIN-03: nothing is lost, whoever records at the same time.
#[test]
fn eight_threads_with_ten_thousand_records_each_sum_to_eighty_thousand() {
    let (breaker, _) = circuit(over(10));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let breaker = &breaker;
            scope.spawn(move || {
                for n in 0..10_000 {
                    breaker.record(if (n + thread) % 4 == 0 { FAILURE } else { Outcome::Success });
                }
            });
        }
    });
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.tally.calls, snapshot.tally.failures), (80_000, 20_000));
    assert_eq!(snapshot.totals.successes + snapshot.totals.failures, 80_000);
}

/// What the windows should hold, by keeping all events.
#[derive(Default)]
struct Reference(VecDeque<(u64, bool, bool)>);

impl Reference {
    fn tally(&self) -> Tally {
        let count = |which: fn(&(u64, bool, bool)) -> bool| {
            self.0.iter().filter(|event| which(event)).count() as u32
        };
        let (failures, slow) = (count(|event| event.1), count(|event| event.2));
        Tally { calls: self.0.len() as u32, failures, slow }
    }
}

#[derive(Clone, Debug)]
struct Rules {
    rate: u8,
    slow: u8,
    count: u32,
    min_calls: u32,
}

impl Rules {
    fn trip(&self, window: Window) -> Trip {
        let window = window.min_calls(self.min_calls);
        Trip::failure_rate(Percent::new(self.rate), window)
            .or(Trip::slow_rate(Percent::new(self.slow), window))
            .or(Trip::failure_count(self.count, window))
    }

    fn opens(&self, tally: Tally) -> bool {
        let share = |part: u32, percent: u8| {
            u64::from(part) * 100 >= u64::from(percent) * u64::from(tally.calls)
        };
        let rates = share(tally.failures, self.rate) || share(tally.slow, self.slow);
        tally.failures >= self.count || tally.calls >= self.min_calls && rates
    }
}

/// Plays calls (a failure? slow? so much later) against circuit and reference.
fn compare(
    trip: Trip,
    rules: &Rules,
    calls: &[(bool, bool, u64)],
    width: u64,
    forget: impl Fn(&mut Reference, u64),
) {
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::with_clock(CORE.trip(trip), clock.clone());
    let (mut reference, mut now) = (Reference::default(), 0);
    for &(failed, slow, later) in calls {
        now += later;
        clock.advance(millis(later));
        let outcome = if failed { FAILURE } else { Outcome::Success };
        breaker.record_timed(outcome, if slow { secs(10) } else { millis(1) });
        reference.0.push_back((now / width, failed, slow));
        forget(&mut reference, now / width);
        let (snapshot, expected) = (breaker.snapshot(), reference.tally());
        assert_eq!(snapshot.tally, expected);
        assert_eq!(snapshot.state == State::Open, rules.opens(expected), "{expected:?}");
        if snapshot.state == State::Open {
            breaker.reset();
            reference.0.clear();
        }
    }
}

prop_compose! {
    fn rules(most: u32)(
        rate in 1..=100_u8,
        slow in 1..=100_u8,
        count in 1..=most,
        min_calls in 1..=most,
    ) -> Rules {
        Rules { rate, slow, count, min_calls }
    }
}

fn calls() -> impl Strategy<Value = Vec<(bool, bool, u64)>> {
    let later = prop_oneof![4 => 0..300_u64, 1 => 0..5_000_u64];
    prop::collection::vec((prop::bool::weighted(0.3), prop::bool::weighted(0.2), later), 0..150)
}

proptest! {
    /// S-WIN-01, S-WIN-03: a count window is the last so many calls.
    #[test]
    fn a_count_window_equals_a_list_of_the_last_calls(
        (size, rules) in (1..70_u32).prop_flat_map(|size| (Just(size), rules(size))),
        calls in calls(),
    ) {
        compare(rules.trip(Window::last(size)), &rules, &calls, 1, |reference, _| {
            while reference.0.len() > size as usize {
                reference.0.pop_front();
            }
        });
    }

    /// S-WIN-02, S-WIN-03: a time window is the calls of the last so many buckets.
    #[test]
    fn a_time_window_equals_a_list_of_the_calls_of_its_buckets(
        rules in rules(30),
        buckets in 1..=20_u64,
        width in prop::sample::select(vec![100, 150, 1_000_u64]),
        calls in calls(),
    ) {
        let window = Window::in_buckets(millis(width * buckets), buckets as u16);
        compare(rules.trip(window), &rules, &calls, width, |reference, newest| {
            reference.0.retain(|event| event.0 + buckets > newest);
        });
    }
}
