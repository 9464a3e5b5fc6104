//! The budgets that do not look at the callee.

use std::time::Duration;

use super::{OVERLOAD, fail, on_a_clock, retries, succeed};
use crate::budget::Budget;
use crate::outcome::{FailureKind, Outcome};
use crate::percent::Percent;

// S-BACKOFF-10
#[test]
fn a_hundred_calls_get_twenty_retries_of_twenty_percent() {
    let (budget, clock) = on_a_clock(Budget::ratio(Budget::RATIO, 0));
    let mut granted = 0;
    for _ in 0..100 {
        budget.called();
        budget.ended(Outcome::Failure(FailureKind::Internal));
        granted += u32::from(budget.try_retry(FailureKind::Internal));
        clock.advance(Duration::from_millis(100));
    }
    // The calls of a bucket go all at once: of the last one ten may be gone.
    assert!((18..=20).contains(&granted), "{granted}");
}

// RT-010
#[test]
fn a_ratio_grants_that_share_of_the_calls() {
    for points in [1_000, 2_500, 5_000, 7_500, 9_900, 10] {
        let minute = Duration::from_secs(60);
        let (budget, _) =
            on_a_clock(Budget::ratio(Percent::basis_points(points), 0).window(minute));
        let granted = (0..10_000)
            .filter(|_| {
                budget.called();
                budget.try_retry(FailureKind::Internal)
            })
            .count();
        assert_eq!(granted, usize::from(points));
    }
}

// RT-012
#[test]
fn a_floor_grants_what_the_window_adds_up_to() {
    let floor = Budget::ratio(Percent::ZERO, 10);
    for (budget, expected) in [(floor, 100), (floor.window(Duration::from_secs(1)), 10)] {
        let (budget, clock) = on_a_clock(budget);
        assert_eq!(budget.balance(), expected as f64);
        (0..10_000).for_each(|_| budget.called());
        assert_eq!(retries(&budget, FailureKind::Internal), expected);
        // After the window and a bucket all of it is back.
        let window = Duration::from_secs(expected as u64 / 10);
        clock.advance(window);
        assert!(!budget.try_retry(FailureKind::Internal));
        clock.advance(window / 10);
        assert_eq!(budget.balance(), expected as f64);
    }
}

#[test]
fn a_call_is_one_deposit_however_often_it_is_tried() {
    let (budget, _) = on_a_clock(Budget::ratio(Percent::new(50), 0));
    for _ in 0..10 {
        budget.called();
        for _ in 0..3 {
            budget.ended(Outcome::Failure(FailureKind::Internal));
        }
        budget.ended(Outcome::Success);
    }
    assert_eq!(budget.balance(), 5.0);
    // What retries bring is one success each, and no more.
    let (budget, _) = on_a_clock(Budget::tokens(10, 100, 1, 1));
    assert_eq!(retries(&budget, FailureKind::Internal), 10);
    for _ in 0..10 {
        budget.called();
        budget.ended(Outcome::Failure(FailureKind::Internal));
        budget.ended(Outcome::Success);
    }
    assert_eq!(budget.balance(), 1.0);
}

#[test]
fn the_purse_of_the_aws_sdks_pays_a_hundred_retries_or_fifty_timeouts() {
    for (kind, expected) in [(FailureKind::Connection, 100), (FailureKind::Timeout, 50)] {
        let (budget, _) = on_a_clock(Budget::aws_sdk());
        assert_eq!(retries(&budget, kind), expected);
        succeed(&budget, 9);
        assert_eq!((budget.balance(), budget.snapshot().refill), (9.0, Some(1.0)));
    }
}

#[test]
fn grpc_retries_while_more_than_half_of_the_tokens_are_there() {
    let (budget, _) = on_a_clock(Budget::grpc(10, 500));
    fail(&budget, FailureKind::InvalidRequest, 100);
    fail(&budget, FailureKind::Internal, 4);
    assert!(budget.balance() == 6.0 && budget.try_retry(FailureKind::Internal));
    fail(&budget, FailureKind::Internal, 1);
    assert!(!budget.try_retry(FailureKind::Internal) && !budget.try_hedge());
    succeed(&budget, 1);
    assert!(budget.balance() == 5.5 && budget.try_retry(FailureKind::Internal));
    fail(&budget, FailureKind::Internal, 100);
    assert_eq!(budget.balance(), 0.0);
    succeed(&budget, 100);
    assert_eq!(budget.balance(), 10.0);
}

#[test]
fn all_and_nothing_are_what_they_say() {
    let (all, _) = on_a_clock(Budget::unlimited());
    assert!(retries(&all, OVERLOAD) == 1_000 && all.try_hedge() && all.balance().is_infinite());
    let (nothing, _) = on_a_clock(Budget::none());
    assert!(retries(&nothing, OVERLOAD) == 0 && !nothing.try_hedge() && nothing.balance() == 0.0);
}

#[test]
fn what_cannot_be_is_refused() {
    let second = Duration::from_secs(1);
    type Wrong = (fn() -> Budget, &'static str);
    let wrong: [Wrong; 12] = [
        (|| Budget::ratio(Percent::ZERO, 1_000_001), "a floor lies"),
        (|| Budget::ratio(Percent::ZERO, 1).window(Duration::ZERO), "1 ms..=1 h"),
        (|| Budget::ratio(Percent::ZERO, 1).window(Duration::from_secs(3_601)), "1 ms..=1 h"),
        (|| Budget::ratio(Percent::ZERO, 1).window(Duration::from_nanos(1_500_000)), "whole"),
        (|| Budget::adaptive().window(Duration::from_secs(1)), "only a budget by ratio"),
        (|| Budget::tokens(0, 0, 1, 1), "a purse holds"),
        (|| Budget::tokens(1_000_001, 0, 1, 1), "a purse holds"),
        (|| Budget::tokens(1, 1_001, 1, 1), "a success brings"),
        (|| Budget::tokens(1, 1, 0, 1), "a retry costs"),
        (|| Budget::tokens(1, 1, 1, 2), "a retry after a timeout"),
        (|| Budget::grpc(1_001, 1), "gRPC has"),
        (|| Budget::grpc(10, 0), "the ratio of tokens"),
    ];
    for (make, says) in wrong {
        let panic = std::panic::catch_unwind(make).expect_err(says);
        let said = panic.downcast_ref::<&str>().unwrap();
        assert!(said.contains(says), "{said}");
    }
    let _ = Budget::ratio(Percent::FULL, Budget::MAX_TOKENS).window(second);
}
