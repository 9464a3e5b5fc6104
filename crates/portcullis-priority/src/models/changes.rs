//! What operators, limits and circuits change beside calls.

use breaker_core::{CircuitBreaker, CircuitBreakerConfig, Outcome, Priority, Reason};

use super::{Call, Counter, desk, free, go_on, prove, queue, spawn, take};
use crate::config::QueueConfig;
use crate::limit::{LimitAlgorithm, Sample};

const ONE: QueueConfig = QueueConfig::slots(1);
const TWO: QueueConfig = QueueConfig::slots(2);

#[test]
fn more_slots_beside_one_that_is_given_back_wake_all_who_wait() {
    prove("more slots", 3, || {
        let queue = queue(ONE);
        let slot = take(&queue);
        let sleepers = [(); 2].map(|()| Call::waits(&queue, Priority::NORMAL));
        let gives = spawn(move || drop(slot));
        queue.reconfigure(TWO).unwrap();
        gives.join().unwrap();
        assert!(sleepers.iter().all(super::Sleeper::is_woken), "one who could go sleeps on");
        go_on(sleepers);
        desk(&queue).assert_at_rest();
        assert_eq!(free(&queue, Priority::NORMAL), 2);
    });
}

#[test]
fn fewer_slots_beside_one_that_is_given_back_are_not_exceeded() {
    prove("fewer slots", 3, || {
        let queue = queue(TWO);
        let [slot, other] = [(); 2].map(|()| take(&queue));
        let waits = Call::waits(&queue, Priority::NORMAL);
        let gives = spawn(move || drop(slot));
        queue.reconfigure(ONE).unwrap();
        gives.join().unwrap();
        drop(other);
        go_on([waits]);
        desk(&queue).assert_at_rest();
        assert_eq!(free(&queue, Priority::NORMAL), 1, "more run than there are slots");
    });
}

/// A call that comes takes a slot without the lock while their number changes.
#[test]
fn fewer_slots_beside_one_who_comes_leave_one() {
    prove("fewer slots for one who comes", 3, || {
        let queue = queue(TWO);
        let other = queue.clone();
        let comes = spawn(move || Counter::default().serves(Call::asks(&other, Priority::NORMAL)));
        queue.reconfigure(ONE).unwrap();
        assert!(comes.join().unwrap().is_none(), "there is a slot for it in any case");
        desk(&queue).assert_at_rest();
        assert_eq!(free(&queue, Priority::NORMAL), 1, "more run than there are slots");
    });
}

#[test]
fn one_below_the_least_priority_who_waits_is_served_or_refused() {
    prove("a least priority", 3, || {
        let queue = queue(ONE);
        let slot = take(&queue);
        let low = Call::waits(&queue, Priority::LOW);
        let gives = spawn(move || drop(slot));
        queue.min_priority(Priority::HIGH).unwrap();
        gives.join().unwrap();
        assert!(low.is_woken(), "one who could go sleeps on");
        if let Call::Refused(rejected) = low.poll() {
            assert_eq!(rejected.reason(), Reason::BelowMinimum);
        }
        desk(&queue).assert_at_rest();
        assert!(queue.try_acquire(Priority::NORMAL).is_err(), "it is below the least priority");
        assert_eq!(free(&queue, Priority::HIGH), 1);
    });
}

/// What the word says of who gets a slot at once, and the configuration, are of the same change.
#[test]
fn the_least_priority_in_force_is_that_of_the_change_that_came_last() {
    prove("two least priorities", 3, || {
        let queue = queue(ONE);
        let other = queue.clone();
        let sets = spawn(move || other.min_priority(Priority::HIGH).unwrap());
        queue.min_priority(Priority::LOW).unwrap();
        sets.join().unwrap();
        let refused = queue.config().min_priority == Priority::HIGH;
        let tried = queue.try_acquire(Priority::NORMAL);
        assert_eq!(tried.is_err(), refused, "admitted by another configuration");
        drop(tried);
        desk(&queue).assert_at_rest();
    });
}

#[test]
fn a_change_of_one_value_keeps_the_change_of_another() {
    prove("two changes", 3, || {
        let queue = queue(ONE);
        let other = queue.clone();
        let sets = spawn(move || other.min_priority(Priority::HIGH).unwrap());
        queue.home.reconfigure(true, |config| config.shared(2)).unwrap();
        sets.join().unwrap();
        assert_eq!(queue.config(), TWO.min_priority(Priority::HIGH), "a change is lost");
        assert_eq!(free(&queue, Priority::HIGH), 2);
        desk(&queue).assert_at_rest();
    });
}

/// One call at a time and two, in turns.
#[derive(Debug)]
struct ToAndFro(u32);

impl LimitAlgorithm for ToAndFro {
    fn limit(&self) -> u32 {
        self.0
    }

    fn sample(&mut self, _: &Sample) {
        self.0 = 3 - self.0;
    }
}

#[test]
fn a_limit_that_moves_beside_slots_that_are_given_back_leaves_nobody_asleep() {
    prove("a limit that moves", 3, || {
        let queue = queue(TWO);
        queue.limit_by(ToAndFro(2)).expect("a slot is shared");
        let [mut first, second] = [(); 2].map(|()| take(&queue));
        let waits = Call::waits(&queue, Priority::NORMAL);
        let ends = spawn(move || {
            first.answered(Outcome::Success);
            drop(first);
        });
        second.give_back();
        ends.join().unwrap();
        go_on([waits]);
        desk(&queue).assert_at_rest();
    });
}

/// The slots of a circuit that is open: one critical call at a time.
#[test]
fn critical_calls_beside_an_open_circuit_run_one_at_a_time() {
    prove("an open circuit", 3, || {
        let (queue, counter) = (queue(TWO), Counter::default());
        let circuit = CircuitBreaker::new(CircuitBreakerConfig::new());
        circuit.force_open("model");
        queue.watch(&circuit);
        let (slot, its) = (queue.try_acquire(Priority::CRITICAL).unwrap(), counter.clone());
        let gives = spawn(move || its.serves(Call::Runs(slot)));
        let (other, its) = (queue.clone(), counter.clone());
        let tries = spawn(move || {
            its.serves(Call::decided(other.try_acquire(Priority::CRITICAL)));
        });
        let tried = queue.try_acquire(Priority::CRITICAL);
        assert!(counter.serves(Call::decided(tried)).is_none());
        gives.join().unwrap();
        tries.join().unwrap();
        desk(&queue).assert_at_rest();
        assert_eq!(free(&queue, Priority::CRITICAL), 1, "a critical call counts still");
    });
}
