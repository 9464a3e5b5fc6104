//! Those who wait: whoever is left as the first has been woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;
use std::time::Duration;

use super::{ask, limit, prove, spawn};
use crate::acquire::{Entered, Waiter};
use crate::config::RateLimit;
use crate::grant::Turning;
use crate::single::RateLimiter;

/// Counts how often it is woken.
#[derive(Default)]
pub(super) struct Count(pub(super) AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A call that waits.
pub(super) fn waiter(limit: &RateLimiter) -> Waiter {
    match limit.enter(1) {
        Ok(Entered::Waits(waiter)) => waiter,
        _ => panic!("there is nothing left for it, and it may wait"),
    }
}

/// A call that waits, and how often it was woken since it was last polled.
struct Sleeper {
    waiter: Waiter,
    woken: Arc<Count>,
}

impl Sleeper {
    fn new(limit: &RateLimiter) -> Self {
        Self { waiter: waiter(limit), woken: Arc::default() }
    }

    /// Polls it; hands it out again where it goes on waiting.
    fn poll(mut self) -> Option<Self> {
        self.woken.0.store(0, Ordering::SeqCst);
        match self.waiter.turn(&self.woken.clone().into()) {
            Turning::Go(_) => None,
            Turning::Sleep(_) => Some(self),
            other => panic!("its time has come: {other:?}"),
        }
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst) > 0
    }
}

/// Polls whoever is woken, until nobody is: then nobody may be left.
fn go_on(mut sleepers: Vec<Sleeper>) {
    while let Some(next) = sleepers.iter().position(Sleeper::is_woken) {
        let polled = sleepers.remove(next).poll();
        sleepers.extend(polled);
    }
    assert!(sleepers.is_empty(), "the next in the line was not woken");
}

/// Three calls in a line, whose time has come.
fn line() -> (RateLimiter, [Sleeper; 3]) {
    let config = RateLimit::per_second(1_000).burst(1).max_wait(Duration::from_secs(1));
    let (limit, clock) = limit(config);
    assert_eq!(ask(&limit, 1), 1);
    let sleepers = [(); 3].map(|()| Sleeper::new(&limit));
    clock.advance(Duration::from_secs(1));
    (limit, sleepers)
}

// S-RATE-11: under a model checker.
#[test]
fn one_who_leaves_beside_one_who_asks_leaves_nobody_asleep() {
    prove("the first leaves", 3, || {
        let (limit, [first, second, third]) = line();
        let leaves = spawn(1, move || drop(first));
        let asks = spawn(2, move || second.poll());
        let third = third.poll();
        leaves.join().unwrap();
        go_on(asks.join().unwrap().into_iter().chain(third).collect());
        assert_eq!(limit.snapshot().waiters, 0);
    });
}

#[test]
fn one_who_is_served_beside_one_who_leaves_leaves_nobody_asleep() {
    prove("the second leaves", 3, || {
        let (limit, [first, second, third]) = line();
        let served = spawn(1, move || first.poll());
        let leaves = spawn(2, move || drop(second.poll()));
        let third = third.poll();
        leaves.join().unwrap();
        assert!(served.join().unwrap().is_none(), "the first goes");
        go_on(third.into_iter().collect());
        assert_eq!(limit.snapshot().waiters, 0);
    });
}

/// Whoever takes what is given back: nobody sleeps beside a bucket that has a call for him.
#[test]
fn what_is_given_back_beside_one_who_leaves_wakes_whoever_is_the_first_then() {
    prove("given back to a line", 3, || {
        let config = RateLimit::per_second(1).burst(1).max_wait(Duration::from_secs(10));
        let (limit, _) = limit(config);
        let grant = limit.try_acquire().unwrap();
        let [first, mut second] = [(); 2].map(|()| Sleeper::new(&limit));
        let leaves = spawn(1, move || drop(first));
        let gives = spawn(2, move || grant.give_back());
        let waker = second.woken.clone().into();
        let turn = second.waiter.turn(&waker);
        leaves.join().unwrap();
        gives.join().unwrap();
        match turn {
            Turning::Go(_) => {}
            Turning::Sleep(_) => {
                assert!(second.is_woken(), "the next in the line was not woken");
                assert!(second.poll().is_none(), "there is a call for it");
            }
            Turning::Refused(rejected) => panic!("{rejected}"),
        }
    });
}
