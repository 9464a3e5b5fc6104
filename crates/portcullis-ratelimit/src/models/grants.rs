//! What is given back: it is admitted once more, and once only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{LARGE, ask, limit_with, prove, spawn};
use crate::config::RateLimit;
use crate::single::RateLimiter;

/// Takes a call, and gives it back; whether it was admitted.
fn take_and_give_back(limit: &RateLimiter, held: &AtomicU32, most: u32) -> bool {
    let Ok(grant) = limit.try_acquire() else { return false };
    assert!(held.fetch_add(1, Ordering::SeqCst) < most, "more are held than the burst");
    held.fetch_sub(1, Ordering::SeqCst);
    grant.give_back();
    true
}

/// Two threads take and give back while a third keeps what it gets.
fn given_back(config: RateLimit, left: u32) {
    let (limit, _) = limit_with(config, left);
    let held = Arc::new(AtomicU32::new(0));
    let threads = [1, 2].map(|share| {
        let (limit, held) = (limit.clone(), held.clone());
        spawn(share, move || take_and_give_back(&limit, &held, left))
    });
    let mut kept = 0;
    if limit.try_acquire().is_ok() {
        assert!(held.fetch_add(1, Ordering::SeqCst) < left, "more are held than the burst");
        kept = 1;
    }
    let given = threads.map(|thread| thread.join().unwrap());
    let given = given.iter().filter(|given| **given).count();
    assert!(given + kept > 0, "all were refused");
    let rest = ask(&limit, left + 1);
    assert!(rest + kept as u32 <= left, "given back twice");
    assert!(rest + kept as u32 >= left, "what was given back is lost");
    assert_eq!(limit.snapshot().given_back, given as u64);
}

// S-RATE-03: under a model checker.
#[test]
fn what_is_given_back_beside_others_is_admitted_once_more() {
    prove("given back", 3, || given_back(RateLimit::per_second(2), 2));
}

#[test]
fn a_lent_call_that_is_given_back_is_admitted_once_more() {
    prove("lent and given back", 2, || given_back(RateLimit::per_second(LARGE), 6));
}
