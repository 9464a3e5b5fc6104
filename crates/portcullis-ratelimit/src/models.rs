//! The limit under a model checker: all orders of a few steps, up to a bound of preemptions.
//!
//! Each model runs a real limit, on a clock that stands still unless the model moves it; it says
//! how often it was run. Its threads say which shares are theirs.

pub(crate) mod atomics;
mod grants;
mod lending;
mod line;
mod terms;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use breaker_core::ManualClock;

use crate::config::RateLimit;
use crate::lent::thread::be;
use crate::single::RateLimiter;
use breaker_core::Usage;

/// A bucket that lends four calls at a time, and hardly gains one while a model lasts.
const LARGE: u32 = 2_048;

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
        be(0);
        model();
    });
    println!("{name}: {} executions, up to {bound} preemptions", ran.load(Ordering::Relaxed));
}

/// A thread with this share.
fn spawn<T: 'static>(
    share: usize,
    act: impl FnOnce() -> T + 'static,
) -> loom::thread::JoinHandle<T> {
    loom::thread::spawn(move || {
        be(share);
        act()
    })
}

fn limit(config: RateLimit) -> (RateLimiter, ManualClock) {
    let clock = ManualClock::new();
    (RateLimiter::with_probe(config, clock.clone(), Usage::new), clock)
}

/// The same with so many calls left.
fn limit_with(config: RateLimit, left: u32) -> (RateLimiter, ManualClock) {
    let (limit, clock) = limit(config);
    let taken = limit.try_acquire_n(config.burst - left);
    assert!(taken.is_ok(), "it begins full");
    (limit, clock)
}

/// Asks for single calls, so many times; how many were admitted.
fn ask(limit: &RateLimiter, times: u32) -> u32 {
    (0..times).filter(|_| limit.try_acquire().is_ok()).count() as u32
}
