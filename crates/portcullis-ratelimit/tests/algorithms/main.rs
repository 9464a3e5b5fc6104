//! The algorithms, in virtual time: what each admits, beside plain models of the same rules.

mod behaviours;
mod bounds;
mod carry;
mod conformance;
mod edges;
mod models;
mod walk;

use std::time::Duration;

use breaker_core::Tick;
#[cfg(feature = "governor")]
use portcullis_ratelimit::limiter::Gcra;
use portcullis_ratelimit::limiter::{
    Decision, FixedWindow, LeakyBucket, Limiter, Set, SlidingCounter, SlidingLog, TokenBucket,
    Verdict,
};
use portcullis_ratelimit::{Rate, Terms};

const SECOND: Duration = Duration::from_secs(1);

/// So many calls per second, in windows of a second.
fn terms(rate: u32, burst: u32) -> Terms {
    let rate = Rate::per_second(rate);
    Terms::new(rate, rate, burst, SECOND, Tick::ZERO)
}

fn ms(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn ns(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

/// How many of `calls` are admitted at a moment.
fn admitted(bucket: &mut dyn Limiter, terms: &Terms, now: Tick, calls: u32) -> u32 {
    let yes = |_: &u32| bucket.admit(terms, now, 1) == Decision::Admitted;
    (0..calls).filter(yes).count() as u32
}

fn buckets() -> Vec<Box<dyn Limiter>> {
    vec![
        Box::new(TokenBucket::new()),
        Box::new(LeakyBucket::new()),
        #[cfg(feature = "governor")]
        Box::new(Gcra::new()),
    ]
}

fn windows() -> Vec<Box<dyn Limiter>> {
    vec![Box::new(FixedWindow::new()), Box::new(SlidingLog::new()), Box::new(SlidingCounter::new())]
}

fn all() -> Vec<Box<dyn Limiter>> {
    let mut all = buckets();
    all.extend(windows());
    all.push(Box::new(Set::new(Verdict::Strictest, &Set::DEFAULT)));
    all.push(Box::new(Set::new(Verdict::Loosest, &Set::DEFAULT)));
    all
}
