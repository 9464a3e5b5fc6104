//! A busy machine lowers the rate, and is looked at now and then.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use breaker_core::{Percent, Tick};
use portcullis_ratelimit::{
    Rate, ResourceGauge, ResourceProbe, SystemProbe, Throttle, Usage, effective_rate,
};
use proptest::prelude::*;

const RATE: Rate = Rate::per_second(100);
const LEAST: Rate = Rate::per_second(10);
const LIMIT: Percent = Percent::new(80);

fn second(n: u64) -> Tick {
    Tick::from_millis(1_000 * n)
}

fn busy(percent: u8) -> Usage {
    Usage::new().cpu(Percent::new(percent))
}

// S-RATE-08
#[test]
fn a_usage_of_nine_tenths_leaves_half_of_the_rate() {
    for (usage, rate) in [(0, 100), (80, 100), (81, 95), (90, 50), (97, 15), (98, 10), (100, 10)] {
        let effective = effective_rate(RATE, busy(usage), LIMIT, LEAST);
        assert_eq!(effective, Rate::per_second(rate), "{usage} %");
        assert_eq!(Throttle::new().effective_rate(RATE, busy(usage), LEAST), effective);
    }
}

// S-RATE-08
#[test]
fn the_worst_of_what_is_known_counts() {
    let (low, high) = (Percent::new(20), Percent::new(90));
    for usage in [
        Usage::new().cpu(high).memory(low),
        Usage::new().cpu(low).memory(high).load(low),
        Usage::new().memory(high),
        Usage::new().load(high).cpu(low),
    ] {
        assert_eq!(usage.worst(), Some(high));
        assert_eq!(effective_rate(RATE, usage, LIMIT, LEAST), Rate::per_second(50));
    }
    assert_eq!(Usage::new().worst(), None);
    assert_eq!(effective_rate(RATE, Usage::new(), LIMIT, LEAST), RATE);
}

#[test]
fn a_rate_below_the_slowest_is_not_raised_by_a_busy_machine() {
    let slow = Rate::per_second(5);
    assert_eq!(effective_rate(slow, busy(99), LIMIT, LEAST), slow);
    assert_eq!(effective_rate(RATE, busy(100), Percent::FULL, LEAST), RATE);
}

#[test]
fn the_defaults_are_those_of_the_docs() {
    let written = Throttle::new().usage_limit(LIMIT).interval(Duration::from_secs(1));
    assert_eq!(written, Throttle::default());
}

#[test]
fn a_usage_limit_of_nothing_or_all_is_refused() {
    for wrong in [Percent::ZERO, Percent::FULL] {
        assert!(std::panic::catch_unwind(|| Throttle::new().usage_limit(wrong)).is_err());
    }
    let refused = std::panic::catch_unwind(|| Throttle::new().interval(Duration::ZERO));
    assert!(refused.is_err());
}

/// A probe that is as busy as it was often asked, in percent.
fn counting() -> (Arc<AtomicU32>, impl ResourceProbe) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    (asked, move || busy(count.fetch_add(1, Ordering::SeqCst) as u8 + 1))
}

// S-RATE-08
#[test]
fn a_probe_is_asked_once_per_interval_and_only_when_somebody_reads() {
    let (asked, probe) = counting();
    let gauge = ResourceGauge::new(probe, Duration::from_secs(1));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    for (millis, usage) in [(5, 1), (6, 1), (1_004, 1), (1_005, 2), (9_000, 3), (9_999, 3)] {
        assert_eq!(gauge.usage(Tick::from_millis(millis)), busy(usage), "at {millis} ms");
    }
    // A clock that steps back asks nothing.
    assert_eq!(gauge.usage(Tick::ZERO), busy(3));
    assert_eq!(gauge.usage(Tick::MAX), busy(4));
}

#[test]
fn of_many_readers_one_asks() {
    let (asked, probe) = counting();
    let gauge = ResourceGauge::new(probe, Duration::from_secs(1));
    let start = Barrier::new(8);
    for round in 0..50 {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    gauge.usage(second(round))
                });
            }
        });
        assert_eq!(u64::from(asked.load(Ordering::SeqCst)), round + 1);
    }
}

#[test]
fn a_figure_outlives_three_askings_without_an_answer() {
    let asked = AtomicU32::new(0);
    let probe = move || match asked.fetch_add(1, Ordering::SeqCst) {
        0 => busy(95).memory(Percent::new(40)),
        1 | 6 => Usage::new().memory(Percent::new(41)),
        2 => panic!("a probe broke"),
        _ => Usage::new(),
    };
    let gauge = ResourceGauge::new(probe, Duration::from_secs(1));
    let said: Vec<_> = (0..8).map(|n| gauge.usage(second(n))).collect();
    let (known, then) = (busy(95).memory(Percent::new(40)), busy(95).memory(Percent::new(41)));
    let memory = Usage::new().memory(Percent::new(41));
    assert_eq!(said, [known, then, then, then, memory, Usage::new(), memory, memory]);
}

// S-RATE-08
#[cfg(target_os = "linux")]
#[test]
fn this_machine_says_how_much_of_its_memory_is_taken() {
    let probe = SystemProbe::new().and_load();
    let usage = probe.usage();
    assert!(usage.memory.is_some_and(|share| share > Percent::ZERO && share <= Percent::FULL));
    assert!(usage.load.is_some());
    assert_eq!(usage.cpu, None, "there is nothing to compare with");
    let gauge = ResourceGauge::new(Arc::new(probe), Duration::from_secs(1));
    assert!(gauge.usage(Tick::ZERO).worst().is_some());
}

proptest! {
    // S-RATE-08: rate * clamp((1 - u) / (1 - limit), min / rate, 1).
    #[test]
    fn what_is_left_of_a_rate_is_what_the_formula_says(
        rate in 10_u32..1_000_000, usage in 0_u16..=10_000, limit in 1_u16..10_000,
    ) {
        let rate = Rate::per_second(rate);
        let (usage, limit) = (Percent::basis_points(usage), Percent::basis_points(limit));
        let effective = effective_rate(rate, Usage::new().memory(usage), limit, LEAST);
        let per_second = rate.as_per_second();
        let left = (1.0 - usage.fraction()) / (1.0 - limit.fraction());
        let expected = per_second * left.clamp(10.0 / per_second, 1.0);
        assert!((effective.as_per_second() / expected - 1.0).abs() < 1e-6, "{effective}");
        assert!(!LEAST.is_above(effective) && !effective.is_above(rate));
    }
}
