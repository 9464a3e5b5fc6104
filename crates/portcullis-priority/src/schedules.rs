//! The whole queue under many random orders: calls of four tasks that end, fail, are given up in the
//! queue or in flight, beside an operator and an observer that panics. Afterwards nothing is left.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Class, Clock, Event, FailureKind, Interest, ManualClock,
    Observe, Outcome, Priority,
};
use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::Thread;

use crate::config::{Discipline, QueueConfig};
use crate::handle::{Call, PriorityQueue};
use crate::limit::{LimitAlgorithm, Sample};
use crate::pool::modelled;
use crate::slot::Slot;
use crate::throttle::Throttle;
use crate::wait::Waiter;

const TASKS: u64 = 4;
const CALLS: u64 = 3;
/// What the operator does.
const CHANGES: u64 = 4;
/// The most slots that a configuration here has.
const MOST: u32 = 4;

/// Everyday; `PORTCULLIS_SCHEDULES` says another number.
const SCHEDULES: usize = 1_000;

/// S-PRIO-05: whole calls of four tasks, in any order.
#[test]
fn nothing_is_left_of_any_call_in_random_orders() {
    let schedules = schedules();
    check(RandomScheduler::new(schedules));
    println!("{schedules} random schedules of {TASKS} tasks and an operator");
}

/// S-PRIO-05: the same, where one task runs for long before another does.
#[test]
fn nothing_is_left_of_any_call_in_orders_with_rare_changes() {
    let schedules = schedules();
    check(PctScheduler::new(3, schedules));
    println!("{schedules} PCT schedules of depth 3 of {TASKS} tasks and an operator");
}

fn schedules() -> usize {
    let said = std::env::var("PORTCULLIS_SCHEDULES").ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(SCHEDULES)
}

fn check(scheduler: impl Scheduler + 'static) {
    let mut config = shuttle::Config::new();
    config.stack_size = 0x20000;
    shuttle::Runner::new(scheduler, config).run(one);
}

fn one() {
    modelled::clear();
    let clock = ManualClock::new();
    let queue = PriorityQueue::with_clock(config(), clock.clone());
    surround(&queue);
    let tasks = (0..TASKS).map(|_| {
        let (queue, clock) = (queue.clone(), clock.clone());
        shuttle::thread::spawn(move || {
            for _ in 0..CALLS {
                call(&queue, &clock);
            }
        })
    });
    let mut tasks: Vec<_> = tasks.collect();
    let (other, time) = (queue.clone(), clock);
    tasks.push(shuttle::thread::spawn(move || {
        for _ in 0..CHANGES {
            let _ = calmly(|| operate(&other, &time));
        }
    }));
    for task in tasks {
        task.join().unwrap();
    }
    let desk = queue.home.desk;
    desk.assert_at_rest();
    drop(queue);
    assert!(modelled::has(desk), "a desk is lost");
    modelled::check();
}

fn lot(bound: u64) -> u64 {
    shuttle::rand::thread_rng().gen_range(0..bound)
}

/// Does what an observer may panic at. It is not to unwind through the drop of a call: this checker
/// cannot change tasks while one unwinds.
fn calmly<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn config() -> QueueConfig {
    let config = QueueConfig::slots(1 + lot(3) as u32)
        .reserved(Class::Normal, lot(2) as u32)
        .capacity([0, 1, 2, 1_000][lot(4) as usize])
        .min_priority([Priority::BULK, Priority::BULK, Priority::NORMAL][lot(3) as usize]);
    let config = if lot(2) == 0 { config.discipline(Discipline::Weighted) } else { config };
    let config = if lot(6) == 0 { config.throttle(Throttle::new()) } else { config };
    if lot(4) == 0 { config.newest_first_after(Duration::ZERO) } else { config }
}

/// Who watches the queue, and what it watches.
fn surround(queue: &PriorityQueue) {
    if lot(3) == 0 {
        queue.observe(Nervous);
    }
    if lot(3) == 0 {
        let _ = calmly(|| queue.limit_by(Wild(2)));
    }
    if lot(4) == 0 {
        let circuit = CircuitBreaker::new(CircuitBreakerConfig::new());
        circuit.force_open("schedule");
        queue.watch(&circuit);
    }
}

fn operate(queue: &PriorityQueue, clock: &ManualClock) {
    match lot(8) {
        0 => queue.reconfigure(config()).unwrap(),
        1 => queue.min_priority(Priority::HIGH).unwrap(),
        2 => queue.min_priority(Priority::BULK).unwrap(),
        3 => queue.limit_by(Wild(1)).unwrap(),
        4 => {
            let _ = queue.snapshot();
        }
        5 => clock.advance(Duration::from_millis(lot(3_000))),
        6 => drop(queue.clone()),
        _ => shuttle::thread::yield_now(),
    }
}

/// A call of any class: it waits if it has to, and ends in any way.
fn call(queue: &PriorityQueue, clock: &ManualClock) {
    let priority = Priority::new([0, 25, 50, 60, 75, 100][lot(6) as usize]);
    let mut call = Call::new(priority);
    if lot(4) == 0 {
        call = call.remaining(Duration::from_millis(lot(2_000)));
    }
    if lot(4) == 0 {
        if let Some(Ok(slot)) = calmly(|| queue.try_acquire(call)) {
            run(queue, slot);
        }
        return;
    }
    let Some(wait) = calmly(|| queue.acquire(call)) else { return };
    let slot = match wait.by_hand() {
        Ok(decision) => decision.ok(),
        Err(waiter) => wait_on(waiter, clock),
    };
    if let Some(slot) = slot {
        run(queue, slot);
    }
}

/// Wakes a task.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits until somebody wakes it, until its time is over, or until it has had enough.
fn wait_on(mut waiter: Waiter, clock: &ManualClock) -> Option<Slot> {
    let (patience, end) = (lot(3), lot(4));
    let waker = Waker::from(Arc::new(Unpark(shuttle::thread::current())));
    for polled in 0.. {
        let latest = match calmly(|| waiter.ask(&waker))? {
            Ok(decision) => return decision.ok(),
            Err(latest) => latest,
        };
        if polled < patience {
            shuttle::thread::yield_now();
            continue;
        }
        match end {
            0 => return None,
            1 => clock.advance(latest.since(clock.now())),
            2 => {
                let _ = calmly(|| waiter.raise(Priority::CRITICAL));
                shuttle::thread::park();
            }
            // Where nobody wakes it, it sleeps for ever, and the checker says so.
            _ => shuttle::thread::park(),
        }
        assert!(polled < 1_000, "it waits for ever");
    }
    None
}

fn run(queue: &PriorityQueue, mut slot: Slot) {
    assert!(queue.home.desk.running() <= MOST, "more run than there are slots");
    if lot(2) == 0 {
        shuttle::thread::yield_now();
    }
    let outcome = match lot(6) {
        0 | 1 => Outcome::Success,
        2 => Outcome::Failure(FailureKind::Overload { retry_after: None }),
        3 => Outcome::Failure(FailureKind::Panic),
        4 => return slot.give_back(),
        _ => return drop(slot),
    };
    let _ = calmly(|| slot.answered(outcome));
}

/// Panics now and then at what it is told, as user code does, but without a word on the screen.
struct Nervous;

impl Observe for Nervous {
    fn interest(&self) -> Interest {
        Interest::CHANGES | Interest::REFUSALS | Interest::CALLS
    }

    fn event(&self, _: &Event<'_>) {
        if lot(6) == 0 {
            resume_unwind(Box::new("planned"));
        }
    }
}

/// A limit that moves at each call.
#[derive(Debug)]
struct Wild(u32);

impl LimitAlgorithm for Wild {
    fn limit(&self) -> u32 {
        self.0
    }

    fn sample(&mut self, _: &Sample) {
        self.0 = 1 + self.0 % 4;
    }
}
