//! A desk whose owner is gone: it falls free once, when its last slot has been given back, and is
//! nobody's but its next owner's then.

use breaker_core::{CircuitBreaker, CircuitBreakerConfig, Priority};

use super::{Call, Counter, desk, free, go_on, prove, queue, spawn, take};
use crate::config::QueueConfig;
use crate::pool::modelled;

const TWO: QueueConfig = QueueConfig::slots(2);

#[test]
fn a_desk_falls_free_once_with_its_last_slot_or_its_last_handle() {
    prove("the last handle", 3, || {
        let queue = queue(TWO);
        let desk = desk(&queue);
        let slots = [(); 2].map(|()| take(&queue));
        let threads = slots.map(|slot| spawn(move || drop(slot)));
        drop(queue);
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(modelled::has(desk), "a desk is lost");
    });
}

#[test]
fn the_next_owner_of_a_desk_has_all_slots_of_it() {
    prove("the next owner", 2, || {
        let old = queue(TWO);
        let used = desk(&old);
        let slots = [(); 2].map(|()| take(&old));
        let threads = slots.map(|slot| spawn(move || drop(slot)));
        drop(old);
        // It has the same desk, if that is free by now; those who gave it back may look at it still.
        let queue = queue(TWO.shared(3));
        let mut slots: Vec<_> = [(); 3].map(|()| take(&queue)).into();
        let waits = Call::waits(&queue, Priority::NORMAL);
        for thread in threads {
            thread.join().unwrap();
        }
        let again = std::ptr::eq(desk(&queue), used);
        assert!(again || modelled::has(used), "a desk is lost");
        slots.clear();
        go_on([waits]);
        desk(&queue).assert_at_rest();
        assert_eq!(free(&queue, Priority::NORMAL), 3);
    });
}

/// The slot of a queue that is gone says of the critical calls of the next one nothing.
#[test]
fn the_critical_calls_of_an_old_owner_are_not_counted_with_those_of_the_next() {
    prove("critical calls of two owners", 2, || {
        let circuit = CircuitBreaker::new(CircuitBreakerConfig::new());
        circuit.force_open("model");
        let old = queue(TWO.critical_open_limit(2));
        old.watch(&circuit);
        let [first, second] = [(); 2].map(|()| old.try_acquire(Priority::CRITICAL).unwrap());
        drop(old);
        let gives = spawn(move || drop(first));
        drop(second);
        let queue = queue(TWO);
        queue.watch(&circuit);
        let slot = queue.try_acquire(Priority::CRITICAL).unwrap();
        gives.join().unwrap();
        assert_eq!(free(&queue, Priority::CRITICAL), 0, "a call too many beside an open circuit");
        drop(slot);
        desk(&queue).assert_at_rest();
    });
}

/// Whoever gives the last slot back may hold the last handle for a moment.
#[test]
fn a_handle_that_is_dropped_beside_a_slot_that_is_handed_over_ends_the_queue_once() {
    prove("the last waiter", 2, || {
        let queue = queue(QueueConfig::slots(1));
        let (desk, slot) = (desk(&queue), take(&queue));
        let waits = Call::waits(&queue, Priority::NORMAL);
        drop(queue);
        let gives = spawn(move || drop(slot));
        let leaves = Counter::default().serves(waits.poll());
        drop(leaves);
        gives.join().unwrap();
        assert!(modelled::has(desk), "a desk is lost");
    });
}
