//! A slot that is given back: whoever waits gets it, one holder at a time, and nobody sleeps beside
//! it.

use breaker_core::Priority;

use super::{Call, Counter, desk, free, go_on, prove, queue, spawn, take};
use crate::config::QueueConfig;

const ONE: QueueConfig = QueueConfig::slots(1);

// S-PRIO-05: under a model checker.
#[test]
fn a_slot_that_is_given_back_beside_one_who_comes_is_his() {
    prove("one comes", 3, || {
        let (queue, counter) = (queue(ONE), Counter::default());
        let (slot, its) = (take(&queue), counter.clone());
        let gives = spawn(move || its.serves(Call::Runs(slot)));
        let waits = counter.serves(Call::asks(&queue, Priority::NORMAL));
        gives.join().unwrap();
        go_on(waits);
        desk(&queue).assert_at_rest();
        assert_eq!(free(&queue, Priority::NORMAL), 1);
    });
}

/// One of them waits, and the other one does not: it takes a slot without a lock, if it can.
#[test]
fn who_takes_a_slot_at_once_never_takes_it_from_under_one_who_begins_to_wait() {
    prove("one comes and one tries", 3, || {
        let (queue, counter) = (queue(ONE), Counter::default());
        let slot = take(&queue);
        let (other, its) = (queue.clone(), counter.clone());
        let comes = spawn(move || its.serves(Call::asks(&other, Priority::NORMAL)));
        counter.serves(Call::Runs(slot));
        counter.serves(Call::decided(queue.try_acquire(Priority::NORMAL)));
        go_on(comes.join().unwrap());
        desk(&queue).assert_at_rest();
    });
}

/// The slot is free before: both may take it without the lock, and wait under it.
#[test]
fn two_who_come_at_once_to_one_slot_have_it_one_after_the_other() {
    prove("two come", 3, || {
        let (queue, counter) = (queue(ONE), Counter::default());
        let (other, its) = (queue.clone(), counter.clone());
        let comes = spawn(move || its.serves(Call::asks(&other, Priority::NORMAL)));
        let waits = counter.serves(Call::asks(&queue, Priority::NORMAL));
        let others = comes.join().unwrap();
        go_on(waits.into_iter().chain(others));
        desk(&queue).assert_at_rest();
    });
}

#[test]
fn two_slots_that_are_given_back_at_once_wake_two_who_wait() {
    prove("two given back", 2, || {
        let queue = queue(QueueConfig::slots(2));
        let slots = [(); 2].map(|()| take(&queue));
        let sleepers = [(); 2].map(|()| Call::waits(&queue, Priority::NORMAL));
        let threads = slots.map(|slot| spawn(move || drop(slot)));
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(sleepers.iter().all(super::Sleeper::is_woken), "one who could go sleeps on");
        go_on(sleepers);
        desk(&queue).assert_at_rest();
        assert_eq!(free(&queue, Priority::NORMAL), 2);
    });
}

/// Two kinds of slots are given back, and two words are looked at.
#[test]
fn a_slot_of_its_own_and_one_for_all_wake_two_who_wait() {
    prove("two kinds given back", 3, || {
        let queue = queue(ONE.reserved(breaker_core::Class::Normal, 1));
        let [own, shared] = [(); 2].map(|()| take(&queue));
        let [normal, low] = [50, 25].map(|level| Call::waits(&queue, Priority::new(level)));
        let gives = spawn(move || drop(shared));
        drop(own);
        gives.join().unwrap();
        go_on([normal, low]);
        desk(&queue).assert_at_rest();
        assert_eq!(free(&queue, Priority::NORMAL), 2);
    });
}

// S-PRIO-05: under a model checker.
#[test]
fn a_slot_that_is_handed_to_one_who_leaves_goes_to_the_next() {
    prove("the first leaves", 3, || {
        let queue = queue(ONE);
        let slot = take(&queue);
        let [first, second] = [(); 2].map(|()| Call::waits(&queue, Priority::NORMAL));
        let gives = spawn(move || drop(slot));
        let leaves = spawn(move || drop(first));
        let second = Counter::default().serves(second.poll());
        gives.join().unwrap();
        leaves.join().unwrap();
        go_on(second);
        desk(&queue).assert_at_rest();
        assert_eq!(free(&queue, Priority::NORMAL), 1);
    });
}

// S-PRIO-05: under a model checker.
#[test]
fn a_slot_that_is_handed_to_the_only_one_who_leaves_is_free() {
    prove("the only one leaves", 3, || {
        let queue = queue(ONE);
        let slot = take(&queue);
        let only = Call::waits(&queue, Priority::NORMAL);
        let gives = spawn(move || drop(slot));
        let leaves = spawn(move || drop(only));
        let mut tried = queue.try_acquire(Priority::NORMAL).ok();
        drop(tried.take());
        gives.join().unwrap();
        leaves.join().unwrap();
        desk(&queue).assert_at_rest();
        assert_eq!(free(&queue, Priority::NORMAL), 1);
    });
}

/// It leaves before it was polled for the first time.
#[test]
fn one_who_leaves_before_it_is_polled_keeps_no_slot() {
    prove("one leaves at once", 3, || {
        let queue = queue(ONE);
        let slot = take(&queue);
        let gives = spawn(move || drop(slot));
        drop(Call::comes(&queue, Priority::NORMAL));
        gives.join().unwrap();
        desk(&queue).assert_at_rest();
        assert_eq!(free(&queue, Priority::NORMAL), 1);
    });
}

#[test]
fn one_who_is_raised_beside_a_slot_that_is_given_back_gets_it() {
    prove("one is raised", 3, || {
        // The slot is one that only a higher class may take.
        let queue = queue(ONE.reserved(breaker_core::Class::Normal, 1));
        let slots = [(); 2].map(|()| take(&queue));
        let mut low = Call::waits(&queue, Priority::LOW);
        let [own, shared] = slots;
        let gives = spawn(move || drop(own));
        low.waiter.raise(Priority::NORMAL);
        gives.join().unwrap();
        go_on([low]);
        drop(shared);
        desk(&queue).assert_at_rest();
    });
}
