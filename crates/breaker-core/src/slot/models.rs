//! The slot under a model checker: all orders of a few steps, up to a bound of preemptions.
//!
//! Each model runs the real slot, with tables of its own for each thread; it says how often it
//! was run. The time stands still in them, or is moved before they begin.

#![allow(clippy::mem_forget, reason = "what a handle's end does has models of its own")]
#![allow(clippy::large_types_passed_by_value, reason = "a configuration goes by value everywhere")]

mod calls;
mod handles;
mod refusals;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Core, Slot, Surroundings, chosen};
use crate::breaker::CircuitBreaker;
use crate::clock::MonotonicClock;
use crate::config::CircuitBreakerConfig;
use crate::machine::Machine;
use crate::outcome::FailureKind;
use crate::pace::{Chance, Jitter, Pace};
use crate::proofs::hooks;

/// Opens for as long as that, without jitter.
const PERIOD: Duration = Duration::from_millis(100);

const BASE: CircuitBreakerConfig =
    CircuitBreakerConfig::new().open_period(Pace::fixed(PERIOD).jitter(Jitter::None)).totals(true);

/// Runs a model in all orders of up to so many preemptions; `LOOM_MAX_PREEMPTIONS` says another
/// bound.
fn prove(name: &str, bound: usize, model: impl Fn() + Send + Sync + 'static) {
    let said = std::env::var("LOOM_MAX_PREEMPTIONS").ok().and_then(|said| said.parse().ok());
    let bound = said.unwrap_or(bound);
    let ran = Arc::new(AtomicU64::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.max_branches = 20_000;
    let count = ran.clone();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        hooks::set_nanos(0);
        chosen::be(chosen::thread());
        model();
    });
    println!("{name}: {} executions, up to {bound} preemptions", ran.load(Ordering::Relaxed));
}

/// A thread with a table of its own.
fn spawn<T: 'static>(act: impl FnOnce() -> T + 'static) -> loom::thread::JoinHandle<T> {
    loom::thread::spawn(move || {
        chosen::be(chosen::thread());
        act()
    })
}

/// A slot in which such a circuit lives, and its first handle.
fn circuit(config: CircuitBreakerConfig) -> (&'static Slot, CircuitBreaker) {
    let slot: &'static Slot = Box::leak(Box::new(Slot::vacant(0)));
    begin(slot, config);
    (slot, CircuitBreaker::living_in(slot))
}

/// Another circuit comes to live here.
fn begin(slot: &Slot, config: CircuitBreakerConfig) {
    let machine = Machine::new(&config, Chance::seeded(1));
    let around = Arc::new(Surroundings::new(MonotonicClock::new()));
    slot.begin(Core::new(machine, Arc::new(config), around, None));
}

fn fail(breaker: &CircuitBreaker) {
    if let Ok(permit) = breaker.try_acquire_unstamped() {
        permit.failure(FailureKind::Internal);
    }
}

fn succeed(breaker: &CircuitBreaker) {
    if let Ok(permit) = breaker.try_acquire_unstamped() {
        permit.success();
    }
}

fn set_time(time: Duration) {
    hooks::set_nanos(time.as_nanos() as u64);
}
