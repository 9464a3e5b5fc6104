//! A budget under a model checker: all orders of a few steps, up to a bound of preemptions.

use super::adaptive::Adaptive;
use super::rules::{MILLI, Rules};
use super::{Budget, RetryBudget};
use crate::clock::MonotonicClock;
use crate::outcome::{FailureKind, Outcome};
use crate::proofs::hooks;
use crate::sync::lock;

const BAD: Outcome = Outcome::Failure(FailureKind::Timeout);

/// `LOOM_MAX_PREEMPTIONS` says another bound.
fn prove(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(move || {
        hooks::set_nanos(0);
        model();
    });
}

fn budget(rules: Rules) -> RetryBudget {
    RetryBudget::begun(Budget::adaptive(), rules, MonotonicClock::new())
}

/// What is said of it at the end is what it is.
fn settled(budget: &RetryBudget) -> Rules {
    let rules = lock(&budget.0.account).rules;
    assert_eq!(budget.mark().is_at_rest(), rules.is_at_rest(), "a rest that is none");
    rules
}

#[test]
fn a_bad_result_among_successes_is_not_lost() {
    prove(|| {
        let budget = budget(Rules::Adaptive(Adaptive::RESTED));
        let mark = budget.mark();
        let others: Vec<_> =
            (0..2).map(|_| loom::thread::spawn(move || mark.ended(Outcome::Success))).collect();
        budget.ended(BAD);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(!settled(&budget).is_at_rest(), "a bad result was lost");
        // Ten on top of what came in: the window has ended, and was bad.
        for _ in 0..10 {
            mark.ended(BAD);
        }
        assert!(budget.is_congested(), "a congestion was lost");
    });
}

#[test]
fn a_budget_that_comes_to_rest_does_not_miss_what_goes_wrong_meanwhile() {
    prove(|| {
        let budget = budget(Rules::Adaptive(Adaptive::RESTED));
        // One token is missing: the next success brings it back, and ends the window.
        assert!(budget.try_retry(FailureKind::Internal));
        for _ in 0..8 {
            budget.ended(Outcome::Failure(FailureKind::Internal));
        }
        let mark = budget.mark();
        let threads = [Outcome::Success, Outcome::Success, BAD]
            .map(|outcome| loom::thread::spawn(move || mark.ended(outcome)));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        settled(&budget);
    });
}

#[test]
fn nobody_spends_what_another_has_spent() {
    prove(|| {
        // Two tokens, and a success that brings one more while three spend one each.
        let rules = Budget::tokens(2, MILLI, 1, 1).rules();
        let budget = budget(rules);
        let mark = budget.mark();
        let spends = || {
            let budget = budget.clone();
            loom::thread::spawn(move || u32::from(budget.try_retry(FailureKind::Internal)))
        };
        let threads = [spends(), spends()];
        mark.ended(Outcome::Success);
        let own = u32::from(budget.try_retry(FailureKind::Internal));
        let spent: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        let Rules::Tokens(left) = settled(&budget) else { unreachable!("it was a purse") };
        let left = left.tokens() / MILLI;
        // The success may have come to a full purse.
        assert!((2..=3).contains(&(spent + own + left)) && left <= 2, "spent twice");
    });
}
