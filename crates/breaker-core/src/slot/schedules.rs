//! The whole circuit under many random orders: calls that end, fail, panic, or are dropped, by
//! four tasks, while an operator is at work. Each call is in the books once, and no trial leaks.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};

use super::arena::ARENA;
use super::{Core, Slot, Surroundings, chosen};
use crate::breaker::CircuitBreaker;
use crate::clock::MonotonicClock;
use crate::config::{CircuitBreakerConfig, OnDrop, Recovery, StrategyKind, Trials, Trip, Window};
use crate::machine::Machine;
use crate::observe::{Event, EventKind, Interest, Observe};
use crate::outcome::{FailureKind, Outcome};
use crate::pace::Chance;
use crate::percent::Percent;
use crate::proofs::hooks;

const TASKS: u64 = 4;
const CALLS: u64 = 3;

/// Everyday; `PORTCULLIS_SCHEDULES` says another number.
const SCHEDULES: usize = 10_000;

/// S-WIN-03: whole calls of four tasks, in any order.
#[test]
fn each_call_is_in_the_books_once_in_random_orders() {
    let schedules = schedules();
    check(RandomScheduler::new(schedules));
    println!("{schedules} random schedules of {TASKS} tasks");
}

/// S-WIN-03: the same, where one task runs for long before another does.
#[test]
fn each_call_is_in_the_books_once_in_orders_with_rare_changes() {
    let schedules = schedules();
    check(PctScheduler::new(3, schedules));
    println!("{schedules} PCT schedules of depth 3 of {TASKS} tasks");
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
    hooks::set_nanos(0);
    let slot: &'static Slot = Box::leak(Box::new(Slot::vacant(0)));
    let config = config();
    let around = Arc::new(Surroundings::new(MonotonicClock::new()));
    let machine = Machine::new(&config, Chance::seeded(lot(1_000)));
    slot.begin(Core::new(machine, Arc::new(config), around, None));
    let first = CircuitBreaker::living_in(slot);
    if lot(4) == 0 {
        first.observe(Nervous);
    }
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let handle = first.clone();
            shuttle::thread::spawn(move || {
                chosen::be(chosen::thread());
                for _ in 0..CALLS {
                    // What panics was meant to.
                    let _ = catch_unwind(AssertUnwindSafe(|| operate(&handle)));
                    let _ = catch_unwind(AssertUnwindSafe(|| call(&handle)));
                    if lot(3) == 0 {
                        drop(handle.clone());
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.join().unwrap();
    }
    let seen = first.snapshot();
    let totals = seen.totals;
    let ended = totals.successes + totals.failures + totals.ignored + totals.cancelled;
    let calls = TASKS * CALLS;
    assert_eq!(ended + totals.refused, calls, "the books do not balance: {totals:?}");
    assert_eq!(seen.trials_in_flight, 0, "a trial leaks");
    drop(first);
    slot.end_if_unused();
    assert!(slot.look(|_| ()).is_none(), "the circuit outlives its handles");
    assert_eq!(ARENA.forget(slot), 1, "a slot is free once");
}

fn lot(bound: u64) -> u64 {
    shuttle::rand::thread_rng().gen_range(0..bound)
}

fn config() -> CircuitBreakerConfig {
    let half = Percent::new(50);
    let trip = match lot(4) {
        0 => Trip::consecutive(2),
        1 => Trip::failure_rate(half, Window::last(4).min_calls(3)),
        2 => Trip::slow_rate(half, Window::last(4).min_calls(3)),
        _ => Trip::failure_count(2, Window::in_buckets(Duration::from_secs(1), 2)),
    };
    let on_drop = [OnDrop::SlowIsFailure, OnDrop::Neutral, OnDrop::Failure][lot(3) as usize];
    CircuitBreakerConfig::new()
        .trip(trip)
        .open_for(Duration::from_millis(100))
        .recovery(Recovery::Trials(Trials::new(1 + lot(2) as u32)))
        .slow_call_duration(Duration::from_millis(50))
        .on_drop(on_drop)
        .totals(true)
}

/// Now and then somebody else is at work, and time goes by.
fn operate(breaker: &CircuitBreaker) {
    match lot(16) {
        0 => drop(breaker.trip()),
        1..=2 => drop(breaker.attempt_reset()),
        3 => breaker.reset(),
        4 => breaker.force_open("schedule"),
        5 => breaker.force_closed("schedule"),
        6 => breaker.release(),
        7 => breaker.reconfigure(config()),
        8 => breaker.set_strategy(StrategyKind::Basic),
        9 => drop(breaker.keep()),
        10..=12 => hooks::set_nanos(hooks::nanos().unwrap_or(0) + lot(150_000_000)),
        _ => {}
    }
}

/// A call that is polled some times, and then ends or is dropped.
fn call(breaker: &CircuitBreaker) {
    let (polls, end) = (lot(3), lot(10));
    if end < 3 {
        return call_by_hand(breaker, polls, end);
    }
    let mut left = polls;
    let work = std::future::poll_fn(move |_| {
        if left > 0 {
            left -= 1;
            return Poll::Pending;
        }
        match end {
            3..=5 => Poll::Ready(Ok(())),
            6..=7 => Poll::Ready(Err(())),
            // Never ready: it will be dropped.
            _ => Poll::Pending,
        }
    });
    let mut running = pin!(breaker.run(work));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..=polls {
        if running.as_mut().poll(&mut cx).is_ready() {
            return;
        }
        shuttle::thread::yield_now();
    }
}

/// The same where a panic was caught: this checker cannot change tasks while one unwinds.
fn call_by_hand(breaker: &CircuitBreaker, polls: u64, end: u64) {
    let Ok(mut permit) = breaker.try_acquire_unstamped() else { return };
    for _ in 0..polls {
        permit.stamp();
        shuttle::thread::yield_now();
    }
    match end {
        0 => permit.panicked(),
        1 => permit.record(Outcome::Ignored),
        _ => permit.record(Outcome::Failure(FailureKind::Overload { retry_after: None })),
    }
}

/// Panics as user code does, but without a word on the screen.
fn planned() -> ! {
    resume_unwind(Box::new("planned"))
}

/// Panics now and then at what it is told.
struct Nervous;

impl Observe for Nervous {
    fn interest(&self) -> Interest {
        Interest::CHANGES | Interest::REFUSALS | Interest::CALLS | Interest::STEPS
    }

    fn event(&self, event: &Event<'_>) {
        if matches!(event.kind, EventKind::Reconfigured { .. }) || lot(6) == 0 {
            planned();
        }
    }
}
