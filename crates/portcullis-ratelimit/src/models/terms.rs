//! Another configuration beside calls: nobody is admitted by two of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::line::{Count, waiter};
use super::{LARGE, ask, limit, limit_with, prove, spawn};
use crate::config::RateLimit;
use crate::grant::Turning;
use crate::rate::Rate;

const TWO: RateLimit = RateLimit::per_second(2);
const FOUR: RateLimit = RateLimit::per_second(4);

/// Threads ask while another one puts a configuration in force; how many were admitted, all that is
/// left then among them.
fn reconfigured(shares: &[usize], from: RateLimit, left: u32, to: RateLimit, times: u32) -> u32 {
    let (limit, _) = limit_with(from, left);
    let spawned = |&share| {
        let limit = limit.clone();
        spawn(share, move || ask(&limit, times))
    };
    let threads: Vec<_> = shares.iter().map(spawned).collect();
    limit.reconfigure(to).unwrap();
    let mut admitted: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    admitted += ask(&limit, times);
    let rest = limit.quota().remaining();
    if rest > 0 && limit.try_acquire_n(rest).is_ok() {
        admitted += rest;
    }
    assert_eq!(limit.config(), to);
    admitted
}

// S-RATE-06: under a model checker.
#[test]
fn a_burst_that_grows_beside_calls_admits_the_larger_one() {
    prove("a larger burst", 3, || {
        let admitted = reconfigured(&[1, 2], TWO, 2, FOUR, 2);
        assert!(admitted <= 4, "more than the larger burst was admitted");
        assert!(admitted >= 4, "a call was refused that the bucket held");
    });
}

#[test]
fn a_burst_that_shrinks_beside_calls_admits_no_more_than_the_larger_one() {
    prove("a smaller burst", 3, || {
        let admitted = reconfigured(&[1, 2], FOUR, 4, TWO, 2);
        assert!(admitted <= 4, "more than the larger burst was admitted");
        assert!(admitted >= 2, "a call was refused that the bucket held");
    });
}

/// What was lent by the old configuration counts by the new one.
#[test]
fn shares_are_called_in_when_another_configuration_comes() {
    prove("a larger burst that lends", 2, || {
        let to = RateLimit::per_second(2 * LARGE);
        let admitted = reconfigured(&[1], RateLimit::per_second(LARGE), 7, to, 3);
        assert!(admitted <= LARGE + 7, "more than the larger burst was admitted");
        assert!(admitted >= LARGE + 7, "a call was refused that the bucket held");
    });
}

#[test]
fn shares_of_a_bucket_that_lends_no_more_are_called_in() {
    prove("a burst that lends no more", 2, || {
        let admitted = reconfigured(&[1], RateLimit::per_second(LARGE), 7, FOUR, 3);
        assert!(admitted <= 7, "more than the larger burst was admitted");
    });
}

#[test]
fn two_configurations_at_once_leave_one_in_force() {
    prove("two configurations", 3, || {
        let (limit, _) = limit_with(TWO, 2);
        let other = limit.clone();
        let thread = spawn(1, move || {
            other.reconfigure(FOUR).unwrap();
            ask(&other, 2)
        });
        limit.reconfigure(FOUR.burst(3)).unwrap();
        let mut admitted = ask(&limit, 2);
        admitted += thread.join().unwrap();
        admitted += ask(&limit, 2);
        let burst = limit.config().burst;
        assert!(admitted <= 4, "more than the larger burst was admitted");
        assert!(admitted >= burst, "a call was refused that the bucket held");
    });
}

/// It sleeps as long as it would have taken, or it is woken.
#[test]
fn a_call_that_waits_learns_of_a_faster_rate() {
    prove("a faster rate for one who waits", 3, || {
        let slow = RateLimit::new().steady().algorithm(crate::Algorithm::TokenBucket);
        let slow = slow.rate(Rate::per_second(1)).burst(1).max_wait(RateLimit::MAX_WAIT);
        let (limit, _) = limit(slow);
        assert_eq!(ask(&limit, 1), 1);
        let mut first = waiter(&limit);
        let woken = Arc::new(Count::default());
        let waker = woken.clone().into();
        let thread = spawn(1, move || (first.turn(&waker), first));
        limit.reconfigure(slow.burst(2)).unwrap();
        // It stays in the line until the end.
        let (turn, _first) = thread.join().unwrap();
        let woken = woken.0.load(Ordering::SeqCst);
        match turn {
            Turning::Go(_) => assert_eq!(woken, 0),
            Turning::Sleep(_) => assert_eq!(woken, 1, "one who could go sleeps on"),
            other => panic!("the first of the line: {other:?}"),
        }
    });
}
