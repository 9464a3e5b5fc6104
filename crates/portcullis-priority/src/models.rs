//! The shell under a model checker: all orders of a few steps, up to a bound of preemptions.
//!
//! Each model runs a real queue, on a clock that stands still; it says how often it was run. Calls
//! that wait are polled by hand, since the timers of the runtime are none of the checker's. At its
//! end nobody runs, nobody waits, and nothing is left of those who did.

#![allow(clippy::large_types_passed_by_value, reason = "a configuration goes by value everywhere")]

pub(crate) mod atomics;
mod changes;
mod handing;
mod owners;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Wake, Waker};

use breaker_core::{ManualClock, Priority, Rejected};

use crate::config::QueueConfig;
use crate::desk::Desk;
use crate::handle::PriorityQueue;
use crate::pool::modelled;
use crate::slot::Slot;
use crate::wait::Waiter;

/// Runs a model in all orders of up to so many preemptions, or fewer, where `LOOM_MAX_PREEMPTIONS`
/// says so. With three of them some models would run for an hour.
fn prove(name: &str, bound: usize, model: impl Fn() + Send + Sync + 'static) {
    let said = std::env::var("LOOM_MAX_PREEMPTIONS").ok().and_then(|said| said.parse().ok());
    let bound = said.map_or(bound, |said: usize| said.min(bound));
    let ran = Arc::new(AtomicU64::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.max_branches = 20_000;
    let count = ran.clone();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        modelled::clear();
        model();
        modelled::check();
    });
    println!("{name}: {} executions, up to {bound} preemptions", ran.load(Ordering::Relaxed));
}

fn spawn<T: 'static>(act: impl FnOnce() -> T + 'static) -> loom::thread::JoinHandle<T> {
    loom::thread::spawn(act)
}

fn queue(config: QueueConfig) -> PriorityQueue {
    PriorityQueue::with_clock(config, ManualClock::new())
}

fn desk(queue: &PriorityQueue) -> &'static Desk {
    queue.home.desk
}

fn take(queue: &PriorityQueue) -> Slot {
    queue.try_acquire(Priority::NORMAL).expect("a slot is free")
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What became of a call so far.
enum Call {
    Runs(Slot),
    Refused(Rejected),
    Sleeps(Sleeper),
}

/// A call that waits, and how often it was woken since it was last polled.
struct Sleeper {
    waiter: Waiter,
    woken: Arc<Count>,
}

impl Sleeper {
    /// Polls it.
    fn poll(mut self) -> Call {
        self.woken.0.store(0, Ordering::SeqCst);
        let waker = Waker::from(self.woken.clone());
        match self.waiter.ask(&waker) {
            Ok(decision) => Call::decided(decision),
            Err(_) => Call::Sleeps(self),
        }
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst) > 0
    }
}

impl Call {
    fn decided(decision: Result<Slot, Rejected>) -> Self {
        decision.map_or_else(Self::Refused, Self::Runs)
    }

    /// A call that comes; it is not polled yet if it waits.
    fn comes(queue: &PriorityQueue, priority: Priority) -> Self {
        match queue.acquire(priority).by_hand() {
            Ok(decision) => Self::decided(decision),
            Err(waiter) => Self::Sleeps(Sleeper { waiter, woken: Arc::default() }),
        }
    }

    /// The same, polled once.
    fn asks(queue: &PriorityQueue, priority: Priority) -> Self {
        Self::comes(queue, priority).polled()
    }

    /// One that waits, since nothing is free.
    fn waits(queue: &PriorityQueue, priority: Priority) -> Sleeper {
        match Self::asks(queue, priority) {
            Self::Sleeps(sleeper) => sleeper,
            _ => panic!("there is no slot for it, and it may wait"),
        }
    }

    fn polled(self) -> Self {
        match self {
            Self::Sleeps(sleeper) => sleeper.poll(),
            done => done,
        }
    }
}

/// What only one may use at a time: the checker panics where two who do are in no order.
#[derive(Clone, Default)]
struct Counter(Rc<loom::cell::UnsafeCell<()>>);

impl Counter {
    /// Runs the call to its end; hands it out again where it waits.
    fn serves(&self, call: Call) -> Option<Sleeper> {
        match call {
            Call::Runs(slot) => {
                self.0.with_mut(|_| ());
                drop(slot);
                None
            }
            Call::Refused(_) => None,
            Call::Sleeps(sleeper) => Some(sleeper),
        }
    }
}

/// Polls whoever is woken, one after the other, until nobody is: then nobody may be left. A slot is
/// given back before the next one is polled.
fn go_on(sleepers: impl IntoIterator<Item = Sleeper>) {
    let mut sleepers: Vec<_> = sleepers.into_iter().collect();
    while let Some(next) = sleepers.iter().position(Sleeper::is_woken) {
        if let Call::Sleeps(sleeper) = sleepers.remove(next).poll() {
            sleepers.push(sleeper);
        }
    }
    assert!(sleepers.is_empty(), "one who could go sleeps on");
}

/// How many slots a call of this priority can take now.
fn free(queue: &PriorityQueue, priority: Priority) -> usize {
    let slots: Vec<_> = std::iter::from_fn(|| queue.try_acquire(priority).ok()).take(9).collect();
    slots.len()
}
