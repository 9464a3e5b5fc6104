use std::sync::atomic::{AtomicU32, Ordering};

use breaker_core::{ManualClock, Usage};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const EXACT: Delays = Delays::new().jitter(Percent::ZERO).explore(Percent::ZERO);

// S-BACKOFF-08
#[test]
fn each_key_has_attempts_of_its_own() {
    let keys = Backoffs::with_clock(EXACT, ManualClock::new());
    for attempt in 1..=5 {
        for key in ["a", "b", "c"] {
            assert_eq!(keys.failed(&key), SECOND * 2_u32.pow(attempt - 1));
        }
    }
    for key in ["a", "b", "c"] {
        assert_eq!(keys.snapshot(&key).map(|figures| figures.attempts), Some(5));
    }
    keys.succeeded(&"b");
    assert_eq!((keys.failed(&"a"), keys.failed(&"b")), (32 * SECOND, SECOND));
    assert_eq!(keys.snapshot(&"d"), None);
    assert_eq!(keys.len(), 3);
}

// S-BACKOFF-08
#[test]
fn the_key_that_was_used_longest_ago_makes_room() {
    let keys = Backoffs::with_clock(EXACT, ManualClock::new()).max_keys(2);
    let _ = (keys.failed(&"a"), keys.failed(&"b"));
    keys.succeeded(&"a");
    let _ = keys.snapshot(&"b");
    let _ = keys.failed(&"c");
    assert_eq!(keys.snapshot(&"b"), None, "to ask is not to use");
    assert!(keys.snapshot(&"a").is_some());
    assert_eq!(keys.len(), 2);
}

#[test]
fn a_flood_of_keys_stays_within_the_bound_and_successes_take_no_place() {
    let keys = Backoffs::with_clock(EXACT, ManualClock::new()).max_keys(2_000);
    for key in 0..100_000 {
        keys.succeeded(&key);
    }
    assert!(keys.is_empty());
    for key in 0..10_000 {
        assert_eq!(keys.failed(&key), SECOND);
    }
    assert_eq!(keys.len(), 2_000);
    assert_eq!(keys.failed(&9_999), 2 * SECOND, "the newest is there still");
}

#[test]
fn a_hint_lengthens_a_delay_up_to_the_cap_of_hints_and_does_not_shorten_it() {
    let keys = Backoffs::with_clock(EXACT, ManualClock::new());
    let _ = keys.failed(&"a");
    assert_eq!(keys.failed_with_hint(&"a", 7 * SECOND), 7 * SECOND);
    assert_eq!(keys.failed_with_hint(&"a", SECOND), 4 * SECOND);
    assert_eq!(keys.failed_with_hint(&"a", Duration::MAX), 300 * SECOND);
    let keys = keys.hint_cap(20 * SECOND);
    assert_eq!(keys.failed_with_hint(&"a", Duration::MAX), 20 * SECOND);
}

#[test]
fn the_figures_say_what_was_learnt() {
    let clock = ManualClock::new();
    let keys = Backoffs::with_clock(EXACT, clock.clone());
    let _ = (keys.failed(&"a"), keys.failed(&"a"));
    keys.succeeded(&"a");
    let figures = keys.snapshot(&"a").expect("it failed");
    assert_eq!((figures.attempts, figures.last_delay), (0, None));
    assert_eq!(figures.success_rate.map(|rate| (rate * 3.0).round()), Some(1.0));
    assert_eq!(figures.mean_delay, Some(SECOND * 3 / 2));
    assert_eq!(DelayKind::ALL.map(|kind| figures.uses(kind)).iter().sum::<u32>(), 2);
    assert_eq!(figures.uses(DelayKind::Exponential), 2);
    // One failure, and one success after a delay that had grown: 0.5 / 2 + 0.3 * 0.8 / 2 + 0.2.
    let effectiveness = figures.effectiveness(DelayKind::Exponential);
    assert!((effectiveness - 0.57).abs() < 1e-6, "{effectiveness}");
    clock.advance(100_000 * SECOND);
    let later = keys.snapshot(&"a").expect("it is remembered");
    assert!((later.effectiveness(DelayKind::Exponential) - 0.5).abs() < 1e-6);
    assert_eq!((later.effectiveness(DelayKind::Fixed), later.success_rate), (0.5, None));
}

// S-BACKOFF-04
#[test]
fn the_probe_is_asked_and_a_busy_machine_waits_longer() {
    let busy = || Usage::new().cpu(Percent::new(90)).memory(Percent::new(10));
    let keys = Backoffs::with_clock(EXACT, ManualClock::new()).probe(busy);
    let delays = [(); 3].map(|()| keys.failed(&"a").as_millis());
    // The first knows of nothing before it.
    assert_eq!(delays, [1_000, 3_800, 7_600]);
}

#[test]
fn the_same_chance_gives_the_same_delays_and_another_others() {
    let delays = |seed| {
        let keys = Backoffs::with_clock(Delays::full_jitter(SECOND), ManualClock::new())
            .max_keys(1)
            .chance(Chance::seeded(seed));
        [(); 20].map(|()| keys.failed(&"a"))
    };
    assert_eq!(delays(1), delays(1));
    assert_ne!(delays(1), delays(2));
    let keys = || Backoffs::with_clock(Delays::full_jitter(SECOND), ManualClock::new());
    let (one, other) = (keys(), keys());
    assert_ne!([(); 9].map(|()| one.failed(&"a")), [(); 9].map(|()| other.failed(&"a")));
}

/// Hears of patterns, and asks the map meanwhile: no lock is taken.
struct Hears(Backoffs<&'static str>, Arc<AtomicU32>);

impl Observe for Hears {
    fn event(&self, event: &Event<'_>) {
        assert!(self.0.snapshot(&"a").is_some());
        assert_eq!((event.circuit.as_str(), event.at), ("outside", Tick::from_millis(4_000)));
        assert_eq!(event.partition.map(Name::as_str), Some("a"));
        let interval = 2 * SECOND;
        assert_eq!(*event.kind, EventKind::PatternFound { period: 2, interval });
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

// S-BACKOFF-05
#[test]
fn a_pattern_is_told_with_its_key_and_no_lock_is_taken() {
    let (clock, heard) = (ManualClock::new(), Arc::new(AtomicU32::new(0)));
    let keys = Backoffs::with_clock(EXACT, clock.clone()).name(Name::new("outside"));
    keys.observe(Hears(keys.clone(), heard.clone()));
    for _ in 0..10 {
        let _ = keys.failed(&"a");
        clock.advance(SECOND);
        keys.succeeded(&"a");
        clock.advance(SECOND);
    }
    assert_eq!(heard.load(Ordering::SeqCst), 1);
}

#[test]
fn a_clock_that_steps_back_and_one_at_the_end_of_time_do_no_harm() {
    let clock = ManualClock::new();
    let keys = Backoffs::with_clock(EXACT, clock.clone());
    for moment in [Tick::MAX, Tick::ZERO, Tick::from_millis(5), Tick::MAX, Tick::ZERO] {
        clock.set(moment);
        assert!(keys.failed(&"a") <= 60 * SECOND);
        assert!(keys.snapshot(&"a").is_some());
    }
    keys.succeeded(&"a");
    assert_eq!(keys.failed(&"a"), SECOND);
}

#[test]
#[should_panic(expected = "at least one key is remembered")]
fn no_keys_at_all_are_refused() {
    let _ = Backoffs::<u8>::new(EXACT).max_keys(0);
}
