//! What holds of budgets after any history, and that the shell does what the rules do.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::adaptive::Adaptive;
use super::rules::{MILLI, Rules};
use super::{Budget, RetryBudget};
use crate::clock::{Clock, ManualClock, Tick};
use crate::outcome::{FailureKind, Outcome};
use crate::percent::Percent;
use crate::sync::lock;

#[derive(Clone, Copy, Debug)]
enum Event {
    Passes(u64),
    Called,
    /// By mark, or by handle.
    Ended(Outcome, bool),
    Retry(FailureKind),
    Hedge,
    Refund(FailureKind),
}

fn kinds() -> impl Strategy<Value = FailureKind> {
    (0..FailureKind::ALL.len()).prop_map(|at| FailureKind::ALL[at])
}

fn events() -> impl Strategy<Value = Event> {
    let failure = (kinds(), any::<bool>())
        .prop_map(|(kind, marked)| Event::Ended(Outcome::Failure(kind), marked));
    prop_oneof![
        2 => (0..5_000_u64).prop_map(Event::Passes),
        2 => Just(Event::Called),
        12 => any::<bool>().prop_map(|marked| Event::Ended(Outcome::Success, marked)),
        1 => Just(Event::Ended(Outcome::Ignored, true)),
        3 => failure,
        2 => kinds().prop_map(Event::Retry),
        1 => Just(Event::Hedge),
        1 => kinds().prop_map(Event::Refund),
    ]
}

fn budgets() -> impl Strategy<Value = Rules> {
    let ratio = Budget::ratio(Percent::new(20), 1).window(Duration::from_millis(3_000));
    let fresh = [
        Budget::adaptive(),
        ratio,
        Budget::tokens(10, 100, 1, 2),
        Budget::aws_sdk(),
        Budget::grpc(10, 500),
        Budget::unlimited(),
        Budget::none(),
    ];
    prop_oneof![
        1 => Just(Rules::Adaptive(Adaptive::RESTED)),
        2 => (0..fresh.len()).prop_map(move |at| fresh[at].rules()),
    ]
}

proptest! {
    // A control that fails on purpose leaves no file behind.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The shell, which hears of nothing that changes nothing, against the rules, which hear of all.
    #[test]
    fn the_shell_does_what_the_rules_do(
        mut rules in budgets(),
        events in proptest::collection::vec(events(), 1..300),
    ) {
        let clock = ManualClock::new();
        let budget = RetryBudget::begun(Budget::adaptive(), rules, clock.clone());
        for event in events {
            let now = clock.now();
            match event {
                Event::Passes(millis) => clock.advance(Duration::from_millis(millis)),
                Event::Called => {
                    budget.called();
                    rules.called(now);
                }
                Event::Ended(outcome, marked) => {
                    if marked { budget.mark().ended(outcome) } else { budget.ended(outcome) }
                    rules.ended(outcome, now);
                }
                Event::Retry(kind) => {
                    prop_assert_eq!(budget.try_retry(kind), rules.retry(kind, now));
                }
                Event::Hedge => prop_assert_eq!(budget.try_hedge(), rules.hedge(now)),
                Event::Refund(kind) => {
                    let held = Duration::from_millis(700);
                    budget.refund(kind, held);
                    rules.refund(kind, held, now);
                }
            }
            prop_assert_eq!(lock(&budget.0.account).rules, rules, "another budget");
            prop_assert_eq!(budget.mark().is_at_rest(), rules.is_at_rest(), "another budget");
        }
    }

    /// Whatever happens, there are as many tokens as there can be.
    #[test]
    fn tokens_and_beta_keep_their_bounds(
        events in proptest::collection::vec(events(), 1..300),
    ) {
        let (mut rule, mut now) = (Adaptive::new(), Tick::ZERO);
        for event in events {
            match event {
                Event::Passes(millis) => now = now.after(Duration::from_millis(millis)),
                Event::Called => {}
                Event::Ended(outcome, _) => rule.ended(outcome, now),
                Event::Retry(kind) => drop(rule.retry(kind)),
                Event::Hedge => drop(rule.hedge(now)),
                Event::Refund(kind) => rule.refund(kind),
            }
            prop_assert!(rule.tokens() <= Adaptive::CAP);
            prop_assert!((20..=MILLI).contains(&rule.beta()));
        }
    }

    /// In the window that ends with any retry there are at most the share and the floor.
    #[test]
    fn a_ratio_is_never_exceeded_in_any_window(
        percent in 0..=100_u8,
        floor in 0..5_u32,
        steps in proptest::collection::vec((0..700_u64, 0..10_u32), 1..500),
    ) {
        let window = Duration::from_secs(10);
        let mut rules = Budget::ratio(Percent::new(percent), floor).rules();
        let (mut calls, mut retries) = (VecDeque::new(), VecDeque::new());
        let mut now = Tick::ZERO;
        for (millis, what) in steps {
            // Here and there a burst.
            now = now.after(Duration::from_millis(if what < 5 { 0 } else { millis }));
            if what % 2 == 0 {
                rules.called(now);
                calls.push_back(now);
            } else if rules.retry(FailureKind::Internal, now) {
                retries.push_back(now);
                let within = |all: &VecDeque<Tick>| {
                    all.iter().filter(|&&at| now.since(at) <= window).count() as u64
                };
                let most = within(&calls) * u64::from(percent) / 100 + u64::from(floor) * 10;
                prop_assert!(within(&retries) <= most);
            }
        }
    }

    /// One that is given back makes room for one, and never for a second in the same window.
    #[test]
    fn what_is_given_back_leaves_the_ratio_as_it_is(
        steps in proptest::collection::vec((0..2_000_u64, 0..6_u32), 1..300),
    ) {
        let window = Duration::from_secs(10);
        let mut rules = Budget::ratio(Percent::ZERO, 1).rules();
        let (mut made, mut waiting): (VecDeque<Tick>, VecDeque<Tick>) = Default::default();
        let mut now = Tick::ZERO;
        for (millis, what) in steps {
            now = now.after(Duration::from_millis(millis));
            while waiting.front().is_some_and(|&at| now.since(at) > window) {
                made.extend(waiting.pop_front());
            }
            if what < 2 {
                // Whichever it is.
                let dropped = if what == 0 { waiting.pop_front() } else { waiting.pop_back() };
                if let Some(paid) = dropped {
                    rules.refund(FailureKind::Internal, now.since(paid), now);
                }
            } else if rules.retry(FailureKind::Internal, now) {
                waiting.push_back(now);
            }
            let all = made.iter().chain(&waiting);
            prop_assert!(all.filter(|&&at| now.since(at) <= window).count() <= 10);
        }
    }
}

/// A fixed order of numbers below a hundred, evenly drawn.
fn draws() -> impl FnMut() -> u64 {
    let mut state = 1_u64;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 100
    }
}

/// Calls of at most three attempts, 1 ms apart, of which so many in a hundred fail: retries that
/// were granted, and that were asked for.
fn history(percent: u64, kind: FailureKind, calls: u32) -> (u32, u32) {
    let mut draw = draws();
    let clock = ManualClock::new();
    let budget = RetryBudget::with_clock(Budget::adaptive(), clock.clone());
    let (mut granted, mut asked) = (0, 0);
    for _ in 0..calls {
        budget.called();
        for attempt in 1..=3 {
            clock.advance(Duration::from_millis(1));
            if draw() >= percent {
                budget.ended(Outcome::Success);
                break;
            }
            budget.ended(Outcome::Failure(kind));
            if attempt == 3 {
                break;
            }
            asked += 1;
            if !budget.try_retry(kind) {
                break;
            }
            granted += 1;
        }
    }
    (granted, asked)
}

// S-BACKOFF-10
#[test]
fn while_a_callee_drowns_there_are_next_to_no_retries() {
    for kind in [FailureKind::Timeout, FailureKind::Overload { retry_after: None }] {
        let (granted, _) = history(80, kind, 10_000);
        assert!(granted <= 500, "{granted} retries of 10,000 calls");
    }
}

// S-BACKOFF-10
#[test]
fn where_calls_fail_for_reasons_of_their_own_nearly_each_is_tried_again() {
    let (granted, asked) = history(30, FailureKind::Internal, 10_000);
    assert!(granted * 100 >= asked * 99, "{granted} of {asked}");
}

#[test]
fn a_tenth_of_a_token_is_a_tenth_more_attempts_where_half_of_them_fail() {
    let purse = Budget::tokens(10, 100, 1, 1);
    let mut draw = draws();
    let budget = RetryBudget::with_clock(purse, ManualClock::new());
    let (mut successes, mut retries) = (0_u32, 0_u32);
    for _ in 0..10_000 {
        let mut goes_on = true;
        while goes_on && draw() < 50 {
            budget.ended(Outcome::Failure(FailureKind::Internal));
            goes_on = budget.try_retry(FailureKind::Internal);
            retries += u32::from(goes_on);
        }
        if goes_on {
            budget.ended(Outcome::Success);
            successes += 1;
        }
    }
    // Those that retries brought are among the successes.
    let most = 10 + successes / 10;
    assert!((most - 1..=most).contains(&retries), "{retries} for {successes}");
}

#[test]
fn one_timeout_in_twenty_is_rarely_congestion_and_one_in_four_soon_is() {
    let congested = |percent, results: u32| {
        let mut draw = draws();
        let (mut rule, mut times) = (Adaptive::RESTED, 0_u32);
        for at in 0..results {
            let now = Tick::from_millis(u64::from(at) * 10);
            let bad = Outcome::Failure(FailureKind::Timeout);
            rule.ended(if draw() < percent { bad } else { Outcome::Success }, now);
            times += u32::from(rule.is_congested(now));
        }
        times
    };
    // In a window of ten, three or more are bad with a chance of 1.2 %.
    let rarely = congested(5, 100_000);
    assert!(rarely < 30_000, "{rarely}");
    let often = congested(25, 100_000);
    assert!(often > 95_000, "{often}");
    assert!(congested(20, 300) > 0);
}
