mod fixed;

use std::time::Duration;

use super::adaptive::Adaptive;
use super::rules::Rules;
use super::{Budget, RetryBudget};
use crate::breaker::CircuitBreaker;
use crate::clock::{ManualClock, MonotonicClock};
use crate::config::CircuitBreakerConfig;
use crate::outcome::{FailureKind, Outcome};
use crate::percent::Percent;
use crate::proofs::hooks;
use crate::state::State;

const OVERLOAD: FailureKind = FailureKind::Overload { retry_after: None };

/// A budget on a clock of its own.
fn on_a_clock(budget: Budget) -> (RetryBudget, ManualClock) {
    let clock = ManualClock::new();
    (RetryBudget::with_clock(budget, clock.clone()), clock)
}

/// An adaptive budget for which all has gone well for long.
fn rested() -> (RetryBudget, ManualClock) {
    let (clock, budget) = (ManualClock::new(), Budget::adaptive());
    let rules = Rules::Adaptive(Adaptive::RESTED);
    (RetryBudget::begun(budget, rules, clock.clone()), clock)
}

fn fail(budget: &RetryBudget, kind: FailureKind, times: u32) {
    for _ in 0..times {
        budget.ended(Outcome::Failure(kind));
    }
}

fn succeed(budget: &RetryBudget, times: u32) {
    for _ in 0..times {
        budget.ended(Outcome::Success);
    }
}

/// How many retries there are at once.
fn retries(budget: &RetryBudget, kind: FailureKind) -> usize {
    (0..1_000).take_while(|_| budget.try_retry(kind)).count()
}

fn beta(budget: &RetryBudget) -> f64 {
    budget.snapshot().refill.expect("successes bring something")
}

// S-BACKOFF-10
#[test]
fn the_adaptive_budget_starts_with_ten_tokens_and_a_timeout_costs_two() {
    let (budget, _) = on_a_clock(Budget::default());
    let seen = budget.snapshot();
    assert_eq!((seen.rule, seen.tokens, seen.refill), ("adaptive", 10.0, Some(0.3)));
    assert_eq!(retries(&budget.clone(), FailureKind::Connection), 10);
    let (budget, _) = on_a_clock(Budget::adaptive());
    assert_eq!(retries(&budget, FailureKind::Timeout), 5);
    let seen = budget.snapshot();
    assert_eq!((seen.taken, seen.refused, seen.tokens), (5, 1, 0.0));
}

// S-BACKOFF-10
#[test]
fn successes_fill_the_adaptive_budget_to_twenty_and_raise_beta_to_one() {
    let (budget, _) = on_a_clock(Budget::adaptive());
    succeed(&budget, 10);
    assert_eq!((budget.balance(), beta(&budget)), (13.0, 0.32));
    succeed(&budget, 339);
    assert!((budget.balance(), beta(&budget)) == (20.0, 0.98) && !budget.mark().is_at_rest());
    succeed(&budget, 1);
    assert!((budget.balance(), beta(&budget)) == (20.0, 1.0) && budget.mark().is_at_rest());
}

// S-BACKOFF-10
#[test]
fn congestion_halves_beta_and_leaves_three_tokens() {
    for kind in [FailureKind::Timeout, OVERLOAD, FailureKind::ResourceExhausted] {
        let (budget, clock) = rested();
        // The first begins the window, and three of the next ten are more than 20 %.
        fail(&budget, kind, 4);
        succeed(&budget, 6);
        assert!(!budget.is_congested());
        succeed(&budget, 1);
        assert!(budget.is_congested() && !budget.mark().is_at_rest());
        assert_eq!((budget.balance(), beta(&budget)), (3.0, 0.5));
        // No hedge while it lasts, and no growth.
        assert!(!budget.try_hedge());
        clock.advance(Duration::from_secs(3));
        succeed(&budget, 10);
        assert!(budget.is_congested() && beta(&budget) == 0.5);
        clock.advance(Duration::from_nanos(1));
        assert!(!budget.is_congested() && budget.try_hedge());
        succeed(&budget, 10);
        assert_eq!(beta(&budget), 0.52);
        fail(&budget, kind, 1_000);
        assert_eq!((budget.balance(), beta(&budget)), (3.0, 0.02));
    }
}

// S-BACKOFF-10
#[test]
fn what_is_not_a_shortage_is_no_congestion() {
    let kinds = FailureKind::ALL;
    let others = kinds.into_iter().filter(|&kind| !super::rules::is_shortage(kind));
    for kind in others {
        let (budget, _) = rested();
        fail(&budget, kind, 100);
        assert!(!budget.is_congested() && budget.mark().is_at_rest(), "{kind}");
        // Nor beside one that is.
        fail(&budget, FailureKind::Timeout, 2);
        fail(&budget, kind, 9);
        assert!(!budget.is_congested() && budget.mark().is_at_rest(), "{kind}");
    }
}

#[test]
fn a_handful_of_results_is_no_congestion() {
    let (budget, clock) = rested();
    let second = Duration::from_secs(1);
    // One in four is more than 20 %, but it is one.
    fail(&budget, FailureKind::Timeout, 2);
    clock.advance(second);
    succeed(&budget, 3);
    assert!(!budget.is_congested() && budget.mark().is_at_rest());
    // Three of three, after whatever time.
    fail(&budget, FailureKind::Timeout, 4);
    assert!(!budget.is_congested());
    // In a window of 0.5 s four are too few, and a moment later they are enough.
    clock.advance(second / 2);
    succeed(&budget, 1);
    assert!(!budget.is_congested());
    clock.advance(Duration::from_nanos(1));
    succeed(&budget, 1);
    assert!(budget.is_congested());
}

#[test]
fn twenty_percent_is_bearable_and_more_is_not() {
    for (bad, congested) in [(2, false), (3, true)] {
        let (budget, _) = on_a_clock(Budget::adaptive());
        fail(&budget, OVERLOAD, bad);
        succeed(&budget, 10 - bad);
        assert_eq!(budget.is_congested(), congested);
    }
}

// S-BACKOFF-10
#[test]
fn at_rest_a_success_takes_no_lock_and_reads_no_clock() {
    let budgets = [rested().0, RetryBudget::new(Budget::grpc(10, 100))];
    for budget in budgets {
        let before = hooks::locks();
        budget.called();
        budget.ended(Outcome::Success);
        budget.mark().ended(Outcome::Success);
        assert_eq!(hooks::locks(), before);
        // What has to be counted is.
        assert!(budget.try_retry(OVERLOAD));
        budget.ended(Outcome::Failure(OVERLOAD));
        assert!(hooks::locks() > before && !budget.mark().is_at_rest());
    }
}

#[test]
fn a_retry_that_is_not_made_costs_nothing() {
    let kinds = [FailureKind::Timeout, FailureKind::Internal];
    let budgets = [Budget::adaptive(), Budget::ratio(Percent::ZERO, 1), Budget::aws_sdk()];
    for (kind, budget) in kinds.into_iter().flat_map(|kind| budgets.map(|budget| (kind, budget))) {
        let (budget, clock) = on_a_clock(budget);
        let before = budget.balance();
        assert!(budget.try_retry(kind) && budget.balance() < before);
        clock.advance(Duration::from_secs(5));
        budget.refund(kind, Duration::from_secs(5));
        assert_eq!((budget.balance(), budget.snapshot().refunded), (before, 1));
        // There is never more than there can be.
        budget.refund(kind, Duration::ZERO);
        assert!(budget.balance() <= 500.0 && retries(&budget, kind) <= 100);
    }
}

#[test]
fn an_open_circuit_has_no_retries_and_a_closed_one_few() {
    hooks::set_nanos(0);
    let circuit = CircuitBreaker::new(CircuitBreakerConfig::new());
    let rules = Rules::Adaptive(Adaptive::RESTED);
    let budget = RetryBudget::begun(Budget::adaptive(), rules, MonotonicClock::new());
    budget.watch(&circuit);
    assert!(budget.try_retry(OVERLOAD) && budget.balance() == 19.0);
    for forced in [true, false] {
        if forced {
            circuit.force_open("test");
        } else {
            circuit.trip().unwrap();
        }
        assert!(!budget.try_retry(OVERLOAD) && !budget.try_hedge());
        // Nobody asks between its end and the next retry.
        if forced {
            circuit.release();
        } else {
            circuit.reset();
        }
        assert!(budget.try_retry(OVERLOAD) && budget.balance() == 1.0);
        succeed(&budget, 30);
        assert!(budget.try_retry(OVERLOAD) && budget.balance() > 2.0);
    }
    // Opened and closed unseen.
    circuit.trip().unwrap();
    circuit.reset();
    assert!(budget.try_retry(OVERLOAD) && budget.balance() == 1.0);
    // A trial is no retry, which was chosen for having failed.
    circuit.trip().unwrap();
    hooks::set_nanos(3_600_000_000_000);
    assert_eq!(circuit.state(), State::HalfOpen);
    assert!(!budget.try_retry(OVERLOAD) && !budget.try_hedge());
    circuit.reset();
    succeed(&budget, 30);
    assert!(budget.try_retry(OVERLOAD));
    // Another one is watched in its place.
    budget.watch(&CircuitBreaker::new(CircuitBreakerConfig::new()));
    circuit.trip().unwrap();
    assert!(budget.try_retry(OVERLOAD));
}

#[test]
fn a_budget_that_is_debugged_names_its_rules() {
    let (budget, _) = on_a_clock(Budget::none());
    assert!(format!("{budget:?}").contains("Nothing"));
    assert!(budget.is_same(&budget.clone()) && budget.budget() == Budget::none());
}

#[test]
fn a_mark_leads_to_its_budget_and_to_no_other() {
    let (first, _) = rested();
    let mark = first.mark();
    assert!(mark.is_at_rest() && mark.budget().unwrap().is_same(&first));
    fail(&first, FailureKind::Timeout, 1);
    assert!(!mark.is_at_rest());
    drop(first);
    let others: Vec<_> = (0..100).map(|_| on_a_clock(Budget::adaptive()).0).collect();
    for _ in 0..100 {
        mark.ended(Outcome::Failure(FailureKind::Timeout));
    }
    assert!(mark.budget().is_none() && !mark.is_at_rest());
    assert!(others.iter().all(|other| !other.is_congested()));
}
