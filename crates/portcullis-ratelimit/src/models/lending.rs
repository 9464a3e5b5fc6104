//! Calls that are lent: never more than the bucket holds, and no call is refused that it holds.

use std::time::Duration;

use super::{LARGE, ask, limit, limit_with, prove, spawn};
use crate::config::RateLimit;

// S-RATE-01: under a model checker.
#[test]
fn three_threads_are_admitted_as_often_as_the_bucket_holds() {
    prove("lending", 3, || {
        let (limit, _) = limit_with(RateLimit::per_second(LARGE), 7);
        let threads = [1, 2].map(|share| {
            let limit = limit.clone();
            spawn(share, move || ask(&limit, 3))
        });
        let mut admitted = ask(&limit, 3);
        for thread in threads {
            admitted += thread.join().unwrap();
        }
        assert!(admitted <= 7, "more than the burst was admitted");
        assert!(admitted >= 7, "a call was refused that the bucket held");
    });
}

#[test]
fn two_threads_of_one_share_do_not_spend_a_call_twice() {
    prove("one share", 3, || {
        // One of them is lent four, and nothing else is left.
        let (limit, _) = limit_with(RateLimit::per_second(LARGE), 5);
        let other = limit.clone();
        let mut admitted = ask(&limit, 1);
        let thread = spawn(0, move || ask(&other, 3));
        admitted += ask(&limit, 3);
        admitted += thread.join().unwrap();
        assert!(admitted <= 5, "more than the burst was admitted");
        assert!(admitted >= 5, "a call was refused that the bucket held");
    });
}

/// The share is spent when the bucket would have been full without it.
#[test]
fn what_is_lent_is_not_filled_up_before_it_is_spent() {
    prove("lent and filled", 3, || {
        let (limit, clock) = limit(RateLimit::per_second(LARGE));
        assert_eq!(ask(&limit, 1), 1);
        clock.advance(Duration::from_secs(10));
        let other = limit.clone();
        let thread = spawn(0, move || ask(&other, 4));
        super::be(1);
        let large = LARGE - 3;
        let mut admitted = if limit.try_acquire_n(large).is_ok() { large } else { 0 };
        admitted += ask(&limit, 3);
        admitted += thread.join().unwrap();
        assert!(admitted <= LARGE, "more than the burst was admitted");
    });
}

#[test]
fn what_is_gained_meanwhile_is_admitted_and_no_more() {
    prove("lending while time goes by", 2, || {
        // One call each millisecond.
        let (limit, clock) = limit_with(RateLimit::per_second(1_000).burst(LARGE), 5);
        let other = limit.clone();
        let thread = spawn(1, move || ask(&other, 3));
        let time = spawn(2, move || clock.advance(Duration::from_millis(1)));
        let mut admitted = ask(&limit, 3);
        admitted += thread.join().unwrap();
        time.join().unwrap();
        assert!(admitted <= 6, "more than the burst was admitted");
        admitted += ask(&limit, 2);
        assert_eq!(admitted, 6, "a call was refused that the bucket held");
    });
}
