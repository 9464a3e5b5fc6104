//! What does not depend on the machine: allocations, clock reads and bytes, counted one by one.
//!
//! They are counted by a program of their own, since an allocator that counts is slower than one
//! that does not.

use std::future::Ready;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portcullis::portcullis_breaker::ResponseFuture;
use portcullis::{
    AsError, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, CircuitBreakers, Clock,
    ErrorsAreFailures, FailureKind, ManualClock, Percent, Tick, Trip, Window,
};
use portcullis_priority::{self as queue, ByPriority, Priority, ToHead};

use crate::case::Case;
use crate::ours::{self, KEYS};
use crate::service::{Failed, Nothing};

/// Runs something and says how often it allocated, and how many bytes it left on the heap.
pub type Measure = fn(&mut dyn FnMut()) -> (u64, i64);

/// A clock that counts how often it is asked, and is one millisecond later each time.
#[derive(Clone, Debug, Default)]
pub struct CountingClock(Arc<AtomicU64>);

impl CountingClock {
    fn reads(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for CountingClock {
    fn now(&self) -> Tick {
        Tick::from_nanos(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

const CALLS: u64 = 10_000;

/// Prints the weights of our own, and of `others`: kind, name and figure in each line.
///
/// `measure` comes from the program: the library must not bring an allocator into the others.
pub fn print(others: &[Case], measure: Measure) {
    // First, while there is no memory of earlier circuits that could be used again.
    line("bytes", "one of 100,000 keys", keys(measure));
    for (name, bytes) in breakers(measure) {
        line("bytes", name, bytes);
    }
    line("bytes", "response future", future() as f64);
    line("bytes", "response future of a queue", queued() as f64);
    let clock = CountingClock::default();
    for case in crate::ours(clock.clone()) {
        let before = clock.reads();
        let (label, allocations, prepared) = counted(&case, &clock, measure);
        let reads = clock.reads() - before - prepared;
        line("allocations", &label, allocations as f64 / CALLS as f64);
        line("reads", &label, reads as f64 / CALLS as f64);
    }
    for case in others {
        let (label, allocations, _) = counted(case, &clock, measure);
        line("allocations", &label, allocations as f64 / CALLS as f64);
    }
}

/// The allocations of many calls, and the clock reads before them.
fn counted(case: &Case, clock: &CountingClock, measure: Measure) -> (String, u64, u64) {
    let before = clock.reads();
    let live = case.live();
    live.prepare();
    // What is made at the first call is not of every call.
    (live.run)(100);
    let prepared = clock.reads() - before;
    let (allocations, _) = measure(&mut || (live.run)(CALLS));
    (case.label(), allocations, prepared)
}

fn future() -> usize {
    type Inner = Ready<Result<(), Failed>>;
    size_of::<ResponseFuture<Inner, ErrorsAreFailures, (), Failed>>() - size_of::<Inner>()
}

/// While it waits, it holds the service and the request, which here have no size.
fn queued() -> usize {
    type Says = fn(&bool) -> Option<Priority>;
    type Future =
        queue::ResponseFuture<Nothing, ErrorsAreFailures, AsError, ByPriority<Says>, ToHead, bool>;
    size_of::<Future>() - size_of::<Ready<Result<(), Failed>>>()
}

/// The bytes of one breaker, from a thousand of them.
fn breakers(measure: Measure) -> [(&'static str, f64); 3] {
    let last = Trip::failure_rate(Percent::new(50), Window::last(128));
    let (default, _) = thousand(&CircuitBreakerConfig::new(), measure);
    let (fresh, grown) = thousand(&CircuitBreakerConfig::new().trip(last), measure);
    [
        ("breaker, fresh", default),
        ("breaker, last 128 calls, fresh", fresh),
        ("breaker, last 128 calls, after 1,000 calls", grown),
    ]
}

fn thousand(config: &CircuitBreakerConfig, measure: Measure) -> (f64, f64) {
    const COUNT: usize = 1_000;
    static KEPT: Mutex<Vec<Vec<CircuitBreaker>>> = Mutex::new(Vec::new());
    let mut breakers = Vec::with_capacity(COUNT);
    let clock = ManualClock::new();
    let (_, fresh) = measure(&mut || {
        let made = (0..COUNT).map(|_| CircuitBreaker::with_clock(*config, clock.clone()));
        breakers.extend(made);
    });
    let (_, grown) = measure(&mut || {
        for breaker in &breakers {
            for number in 0..1_000 {
                match breaker.try_acquire() {
                    Ok(permit) if number % 10 == 0 => permit.failure(FailureKind::Internal),
                    Ok(permit) => permit.success(),
                    Err(_) => {}
                }
            }
        }
    });
    // They live on, so that those after them get memory of their own.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(breakers);
    let [fresh, grown] = [fresh, grown].map(|bytes| bytes as f64 / COUNT as f64);
    (fresh, fresh + grown)
}

/// The bytes of each of many keys. They live on, so that nobody after them gets their memory.
fn keys(measure: Measure) -> f64 {
    static CIRCUITS: OnceLock<CircuitBreakers<u32>> = OnceLock::new();
    let layer = CircuitBreakerLayer::generic(CircuitBreakerConfig::new());
    let (_, bytes) = measure(&mut || {
        let _ = CIRCUITS.set(ours::full(&layer));
    });
    bytes as f64 / f64::from(KEYS)
}

fn line(kind: &str, name: &str, figure: f64) {
    println!("{kind}\t{name}\t{figure}");
}
