//! Circuits come and go in memory that stays: nobody gets what was somebody else's.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use breaker_core::{
    CircuitBreaker, Clock, FailureKind, ManualClock, Observe, Outcome, State, Tick,
};
use common::{CORE, TOUCHY, fail, succeed};

/// A clock that tells when it is dropped.
struct Told(Arc<AtomicUsize>);

impl Clock for Told {
    fn now(&self) -> Tick {
        Tick::ZERO
    }
}

impl Observe for Told {}

impl Drop for Told {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// S-CORE-13: what a circuit was given goes with its last handle. (Where two threads drop the last
/// two at the same instant, both may overlook it; then it goes when the next circuits are made.)
#[test]
fn with_the_last_handle_a_circuit_ends() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let breaker = CircuitBreaker::with_clock(CORE, Told(dropped.clone()));
    breaker.observe(Told(dropped.clone()));
    let clones: Vec<_> = (0..10).map(|_| breaker.clone()).collect();
    drop(breaker);
    assert_eq!(dropped.load(Ordering::SeqCst), 0, "clones keep it");
    let elsewhere = thread::spawn(move || drop(clones));
    elsewhere.join().unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

/// The same where the handle that was meant to stay goes last, or goes and comes again.
#[test]
fn a_handle_that_is_meant_to_stay_may_go_at_any_time() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let breaker = CircuitBreaker::with_clock(CORE, Told(dropped.clone()));
    let clone = breaker.clone();
    drop(breaker);
    let kept = clone.keep();
    drop(clone);
    let again = kept.keep();
    drop(kept);
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(again);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

/// S-CORE-09: a permit that outlives its circuit says nothing to the next that lives there.
#[test]
fn the_permit_of_a_circuit_that_has_ended_is_a_strangers() {
    for _ in 0..1_000 {
        let old = CircuitBreaker::with_clock(TOUCHY, ManualClock::new());
        let permits: Vec<_> = (0..5).map(|_| old.try_acquire().unwrap()).collect();
        drop(old);
        let new = CircuitBreaker::with_clock(TOUCHY, ManualClock::new());
        for (number, permit) in permits.into_iter().enumerate() {
            match number {
                0 => permit.success(),
                1 => permit.failure(FailureKind::Internal),
                2 => permit.panicked(),
                3 => permit.record_timed(Outcome::Failure(FailureKind::Timeout), common::secs(60)),
                _ => drop(permit),
            }
        }
        assert_eq!(new.state(), State::Closed);
        assert_eq!(new.snapshot().totals, breaker_core::Totals::default());
    }
}

/// A permit alone does not keep a circuit, and may end at any time after it.
#[test]
fn a_permit_outlives_its_circuit_unharmed() {
    let breaker = CircuitBreaker::new(CORE);
    let permit = breaker.try_acquire().unwrap();
    assert!(format!("{permit:?}").contains("circuit"));
    drop(breaker);
    assert!(!format!("{permit:?}").contains("circuit"));
    permit.success();
}

/// S-WIN-03: handles that wander between threads are counted right, and no circuit is mistaken
/// for another.
#[test]
fn handles_may_be_cloned_here_and_dropped_there() {
    const THREADS: usize = 4;
    let rounds = if cfg!(debug_assertions) { 300 } else { 3_000 };
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| mpsc::channel::<(CircuitBreaker, bool)>()).unzip();
    let barrier = Arc::new(Barrier::new(THREADS));
    let workers: Vec<_> = receivers
        .into_iter()
        .enumerate()
        .map(|(number, mine)| {
            let (senders, barrier) = (senders.clone(), barrier.clone());
            thread::spawn(move || {
                barrier.wait();
                for round in 0..rounds {
                    let breaker = CircuitBreaker::new(CORE);
                    let sick = (round + number) % 2 == 0;
                    if sick {
                        fail(&breaker, 5);
                    } else {
                        fail(&breaker, 4);
                        succeed(&breaker, 1);
                    }
                    for (to, sender) in senders.iter().enumerate() {
                        if to != number {
                            sender.send((breaker.clone(), sick)).unwrap();
                        }
                    }
                    drop(breaker);
                    for (breaker, sick) in mine.try_iter() {
                        let expected = if sick { State::Open } else { State::Closed };
                        assert_eq!(breaker.clone().state(), expected);
                    }
                }
                drop(senders);
                mine
            })
        })
        .collect();
    drop(senders);
    for worker in workers {
        let rest = worker.join().unwrap();
        assert!(rest.iter().all(|(breaker, sick)| (breaker.state() == State::Open) == sick));
    }
}

/// S-WIN-03: no success is lost, whatever thread it is noted by.
#[test]
fn what_threads_note_is_all_taken_in() {
    let breaker = CircuitBreaker::new(CORE.totals(true));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| succeed(&breaker, 10_000));
        }
    });
    assert_eq!(breaker.snapshot().totals.successes, 80_000);
    breaker.force_open("maintenance");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..10_000).for_each(|_| assert!(breaker.try_acquire().is_err())));
        }
    });
    assert_eq!(breaker.snapshot().totals.refused, 80_000);
}
