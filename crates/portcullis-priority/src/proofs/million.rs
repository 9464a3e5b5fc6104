//! Calls that wait and are given up, by real threads: a million of them in the deep run.

use std::task::{Context, Waker};
use std::thread;

use breaker_core::{ManualClock, Priority};

use crate::config::QueueConfig;
use crate::handle::PriorityQueue;
use crate::wait::Wait;

/// Every day, and in the deep run.
const CALLS: [usize; 2] = [250_000, 1_000_000];
const THREADS: usize = 4;

/// How many of each thread wait at a time.
const CROWD: usize = 50;

// S-PRIO-05: under real threads.
#[test]
fn calls_that_are_given_up_by_many_threads_leave_nothing_behind() {
    let calls = CALLS[usize::from(std::env::var_os("PORTCULLIS_DEEP").is_some())];
    let config = QueueConfig::slots(2).capacity(QueueConfig::MAX_SLOTS);
    let queue = PriorityQueue::with_clock(config, ManualClock::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (queue, timers) = (queue.clone(), runtime.handle());
            scope.spawn(move || {
                let _timers = timers.enter();
                give_up(&queue, calls / THREADS, number as u64);
            });
        }
    });
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.running, snapshot.depth()), (0, 0), "{}", snapshot.explain());
    assert!(snapshot.left > calls as u64 / 2, "hardly anybody waited: {snapshot:?}");
    assert!(snapshot.waited > 0, "nobody was handed a slot: {snapshot:?}");
    let desk = queue.home.desk;
    desk.assert_at_rest();
    assert!(desk.seats() <= 64, "seats for {} are kept", desk.seats());
}

/// Lets calls wait and drops them in another order, some before they were polled, some with a slot.
fn give_up(queue: &PriorityQueue, calls: usize, number: u64) {
    let mut waits: Vec<Wait> = Vec::new();
    let mut random = number;
    let mut most = 0;
    for call in 0..calls {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        let lot = (random >> 33) as usize;
        let mut wait = queue.clone().acquire(Priority::new([0, 25, 50, 75, 100][lot % 5]));
        let mut cx = Context::from_waker(Waker::noop());
        if lot % 8 == 0 && Box::pin(&mut wait).as_mut().poll(&mut cx).is_ready() {
            continue;
        }
        waits.push(wait);
        if waits.len() > CROWD {
            let _gives_up = waits.swap_remove(lot / 8 % CROWD);
        }
        if call % 1_000 == 0 {
            most = most.max(queue.home.desk.seats());
            waits.truncate(CROWD / 2);
        }
    }
    // A doubling vector has room for twice as many as ever sat there.
    assert!(most <= 2 * THREADS * (CROWD + 2), "seats for {most}");
}
