//! What holds for the shell one step after the other, and with many threads: these have bugs put in
//! on purpose, too.

mod differential;
mod million;
mod plain;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

use breaker_core::{Event, EventKind, Interest, ManualClock, Observe, Priority, Reason};

use crate::config::QueueConfig;
use crate::handle::PriorityQueue;

/// Panics at what begins, without a word on the screen.
struct Nervous;

impl Observe for Nervous {
    fn interest(&self) -> Interest {
        Interest::CALLS | Interest::CHANGES
    }

    fn event(&self, event: &Event<'_>) {
        if !matches!(event.kind, EventKind::Finished { .. }) {
            resume_unwind(Box::new("planned"));
        }
    }
}

fn panics<T>(work: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}

// S-PRIO-05
#[test]
fn an_observer_that_panics_at_a_call_keeps_neither_its_slot_nor_its_place() {
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1), ManualClock::new());
    let desk = queue.home.desk;
    let slot = queue.try_acquire(Priority::NORMAL).unwrap();
    let Err(mut waits) = queue.acquire(Priority::NORMAL).by_hand() else { panic!("it waits") };
    assert!(waits.ask(Waker::noop()).is_err());
    queue.observe(Nervous);
    assert!(panics(|| queue.acquire(Priority::NORMAL)), "it is told that somebody waits");
    assert_eq!(queue.home.look(|state, _| state.queue.len()), 1, "only the first one waits");
    drop(slot);
    let gets = waits.ask(Waker::noop()).expect("it was handed the slot");
    drop(gets);
    desk.assert_at_rest();
    assert!(panics(|| queue.try_acquire(Priority::NORMAL)), "it is told that one begins");
    desk.assert_at_rest();
}

#[test]
fn an_observer_that_panics_at_a_change_leaves_it_in_force() {
    let queue = PriorityQueue::with_clock(QueueConfig::slots(1), ManualClock::new());
    queue.observe(Nervous);
    assert!(panics(|| queue.min_priority(Priority::HIGH)));
    let refused = queue.try_acquire(Priority::NORMAL).expect_err("it is below the least priority");
    assert_eq!(refused.reason(), Reason::BelowMinimum);
}
