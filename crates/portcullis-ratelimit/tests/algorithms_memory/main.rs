//! What a bucket costs the allocator.

use std::time::Duration;

use allocation_counter::measure;
use breaker_core::Tick;
use portcullis_ratelimit::limiter::{
    Decision, FixedWindow, LeakyBucket, Limiter, SlidingCounter, SlidingLog, TokenBucket,
};
use portcullis_ratelimit::{Rate, Terms};

// S-RATE-04: bounded memory. One test only: nobody else allocates meanwhile.
#[test]
fn only_a_log_allocates_and_only_with_its_first_call() {
    let rate = Rate::per_second(16);
    let terms = Terms::new(rate, rate, 16, Duration::from_secs(1), Tick::ZERO);
    let calls = |bucket: &mut dyn Limiter| {
        for millis in 0..5_000 {
            bucket.admit(&terms, Tick::from_millis(millis), 1);
        }
    };
    let plain = measure(|| {
        calls(&mut TokenBucket::new());
        calls(&mut LeakyBucket::new());
        calls(&mut FixedWindow::new());
        calls(&mut SlidingCounter::new());
    });
    assert_eq!(plain.count_total, 0);

    let empty = measure(|| {
        let mut log = SlidingLog::new();
        assert_eq!(log.admit(&terms, Tick::ZERO, 17), Decision::Never);
        log.admit(&terms, Tick::ZERO, 0);
        log.give_back(&terms, Tick::ZERO, Tick::ZERO, 1);
    });
    assert_eq!(empty.count_total, 0);
    // Sixteen entries of sixteen bytes, and what was in use before it grew.
    let full = measure(|| calls(&mut SlidingLog::new()));
    assert!((1..=4).contains(&full.count_total) && full.bytes_max <= 512, "{full:?}");
}
