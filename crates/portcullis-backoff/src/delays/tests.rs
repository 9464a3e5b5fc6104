mod bounds;

use breaker_core::{Chance, Percent};

use super::*;
use crate::pattern::Pattern;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const fn facts(attempt: u32) -> Facts {
    Facts { attempt, last: None, usage: None, pattern: None, weights: [0.5; 3] }
}

/// The delays in milliseconds before jitter, each with the one before as its last.
fn millis<const N: usize>(delays: Delays) -> [u64; N] {
    let (delays, kind) = (delays.jitter(Percent::ZERO), delays.kind.expect("forced"));
    let (mut chance, mut last) = (Chance::seeded(1), None);
    std::array::from_fn(|before| {
        let facts = Facts { last, ..facts(before as u32 + 1) };
        let (delay, _) = delays.draw(kind, &facts, &mut chance);
        last = Some(delay);
        delay.as_millis() as u64
    })
}

fn draw(delays: Delays, facts: &Facts, chance: &mut Chance) -> Duration {
    delays.draw(delays.kind.expect("forced"), facts, chance).0
}

// S-BACKOFF-01
#[test]
fn exponential_delays_are_1_2_4_up_to_60_s_and_spread_at_the_cap_still() {
    let delays = Delays::exponential(SECOND);
    let expected = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
    assert_eq!(millis(delays), expected);
    let capped = |seed| {
        let mut chance = Chance::seeded(seed);
        [(); 100].map(|()| draw(delays, &facts(9), &mut chance))
    };
    let (one, other) = (capped(1), capped(2));
    for delay in one.iter().chain(&other) {
        assert!((54 * SECOND..=MINUTE).contains(delay), "{delay:?}");
    }
    assert_ne!(one, other);
    assert!(one.iter().any(|delay| *delay < 55 * SECOND), "spread over all of it");
    assert!(one.iter().any(|delay| *delay > 59 * SECOND), "spread over all of it");
}

// BO-001, BO-017
#[test]
fn exponential_delays_begin_where_they_are_told_to_and_end_at_the_cap() {
    let delays = Delays::exponential(Duration::from_millis(2));
    assert_eq!(millis(delays), [2, 4, 8, 16, 32]);
    let delays = Delays::exponential(Duration::from_millis(1)).cap(Duration::from_millis(10));
    assert_eq!(millis(delays), [1, 2, 4, 8, 10, 10]);
    assert_eq!(millis(Delays::exponential(SECOND).factor(1.5)), [1_000, 1_500, 2_250]);
}

// S-BACKOFF-02
#[test]
fn fibonacci_delays_are_1_1_2_3_5_s() {
    assert_eq!(millis(Delays::fibonacci(SECOND)), [1_000, 1_000, 2_000, 3_000, 5_000]);
}

// S-BACKOFF-03
#[test]
fn decorrelated_delays_lie_between_the_first_and_three_times_the_last() {
    let delays = Delays::decorrelated(SECOND);
    let mut chance = Chance::seeded(3);
    let mut last = draw(delays, &facts(1), &mut chance);
    assert_eq!(last, SECOND, "the first has none before it");
    let mut longest = last;
    for attempt in 2..1_000 {
        let facts = Facts { last: Some(last), ..facts(attempt) };
        let delay = draw(delays, &facts, &mut chance);
        assert!((SECOND..=MINUTE.min(3 * last)).contains(&delay), "{delay:?} after {last:?}");
        longest = longest.max(delay);
        last = delay;
    }
    assert!(longest > 55 * SECOND, "{longest:?}");
    // Where another strategy drew the last one.
    let facts = Facts { last: Some(SECOND / 100), ..facts(2) };
    assert_eq!(draw(delays, &facts, &mut chance), SECOND);
}

// S-BACKOFF-04
#[test]
fn a_busy_machine_waits_longer_by_the_share_that_is_in_use() {
    let delays = Delays::resource_sensitive(SECOND).jitter(Percent::ZERO);
    let third = |usage| draw(delays, &Facts { usage, ..facts(3) }, &mut Chance::seeded(1));
    let of = |percent| Some(Percent::new(percent));
    let expected = [(of(90), 7_600), (of(10), 4_400), (None, 4_000)];
    for (usage, millis) in expected {
        assert_eq!(third(usage), Duration::from_millis(millis));
    }
}

// S-BACKOFF-05
#[test]
fn a_pattern_delays_by_its_interval_and_a_tenth_more_each_time() {
    let delays = Delays::pattern(SECOND).jitter(Percent::ZERO);
    let pattern = Some(Pattern { period: 2, interval: 5 * SECOND });
    let mut chance = Chance::seeded(1);
    let found =
        [1, 2, 3].map(|attempt| draw(delays, &Facts { pattern, ..facts(attempt) }, &mut chance));
    assert_eq!(found.map(|delay| delay.as_millis()), [5_000, 5_500, 6_000]);
    assert_eq!(draw(delays, &facts(9), &mut chance), SECOND, "there is none");
}

// S-BACKOFF-06
#[test]
fn the_adaptive_delay_is_a_mean_in_which_the_effective_weigh_more() {
    // The sixth: exponential 32 s, Fibonacci 8 s, decorrelated 1 s where there was none before.
    let delays = Delays::adaptive(SECOND).jitter(Percent::ZERO);
    let sixth =
        |weights| draw(delays, &Facts { weights, ..facts(6) }, &mut Chance::seeded(1)).as_millis();
    assert_eq!(sixth([1.0, 0.0, 0.0]), 32_000);
    assert_eq!(sixth([0.0, 0.5, 0.0]), 8_000);
    assert_eq!(sixth([0.0, 0.0, 0.1]), 1_000);
    assert_eq!(sixth([0.2, 0.6, 0.2]), 11_400);
    assert_eq!(sixth([0.5; 3]), 13_666);
    assert_eq!(sixth([0.0; 3]), 13_666, "none is effective");
}

// S-BACKOFF-07
#[test]
fn fixed_and_linear_delays_are_exact_and_random_and_full_ones_anything_below() {
    assert_eq!(millis(Delays::fixed(SECOND)), [1_000; 4]);
    assert_eq!(millis(Delays::linear(SECOND)), [1_000, 2_000, 3_000]);
    let bounds = [
        (Delays::random(SECOND), 0, 4),
        (Delays::full_jitter(SECOND), 0, 8),
        (Delays::equal_jitter(SECOND), 4, 8),
    ];
    for (delays, least, most) in bounds {
        let mut chance = Chance::seeded(5);
        let drawn = [(); 1_000].map(|()| draw(delays, &facts(4), &mut chance));
        let (least, most) = (least * SECOND, most * SECOND);
        assert!(drawn.iter().all(|delay| (least..=most).contains(delay)), "{delays:?}");
        let near = (most - least) / 50;
        assert!(drawn.iter().any(|delay| *delay < least + near), "{delays:?}");
        assert!(drawn.iter().any(|delay| *delay > most - near), "{delays:?}");
        // At the cap they are spread as well.
        assert!((0..100).any(|_| draw(delays, &facts(99), &mut chance) < 50 * SECOND));
    }
}

// BO-012, BO-013, BO-010: the ends, and what lies between them.
#[test]
fn jitter_is_even_around_the_delay() {
    let delays = Delays::linear(SECOND).jitter(Percent::new(25));
    let at = |delay: u64, share: f64| {
        let spread = delays.around(delay * 1_000_000, (share * 2_f64.powi(64)) as u64);
        Duration::from_nanos(spread + 1).as_millis()
    };
    let expected = [(0.0, 750, 2_250), (0.4, 950, 2_850), (0.6, 1_050, 3_150), (1.0, 1_250, 3_750)];
    for (share, one, three) in expected {
        assert_eq!((at(1_000, share), at(3_000, share)), (one, three));
    }
    let delays = Delays::fixed(SECOND / 10).jitter(Percent::new(50));
    let mut chance = Chance::seeded(1);
    for attempt in 1..=50 {
        let delay = draw(delays, &facts(attempt), &mut chance).as_millis();
        assert!((50..=150).contains(&delay), "{delay}");
    }
}

// S-BACKOFF-09
#[test]
fn attempt_a_million_yields_the_cap_and_what_cannot_be_computed_the_first_delay() {
    for kind in [DelayKind::Linear, DelayKind::Exponential, DelayKind::Fibonacci] {
        let delays = Delays { kind: Some(kind), ..Delays::new().jitter(Percent::ZERO) };
        for attempt in [1_000_000, u32::MAX] {
            assert_eq!(draw(delays, &facts(attempt), &mut Chance::seeded(1)), MINUTE, "{kind}");
        }
    }
    let mut chance = Chance::seeded(1);
    for kind in DelayKind::ALL {
        let delays = Delays { kind: Some(kind), ..Delays::new() };
        assert_eq!(draw(delays, &facts(0), &mut chance), SECOND, "no attempt is number 0");
    }
    for factor in [0, 999] {
        let broken = Delays { factor, ..Delays::exponential(SECOND) };
        assert_eq!(draw(broken, &facts(5), &mut chance), SECOND);
    }
    let weights = [f64::NAN, 1.0, 1.0];
    let unknown = Facts { weights, ..facts(5) };
    assert_eq!(draw(Delays::adaptive(SECOND), &unknown, &mut chance), SECOND);
}

#[test]
fn a_delay_has_grown_when_it_is_longer_than_the_first_apart_from_jitter() {
    let mut chance = Chance::seeded(1);
    let mut grown = |delays: Delays, attempt| {
        delays.draw(delays.kind.expect("forced"), &facts(attempt), &mut chance).1
    };
    for _ in 0..100 {
        assert!(!grown(Delays::fixed(SECOND), 9));
        assert!(!grown(Delays::exponential(SECOND), 1));
        assert!(grown(Delays::exponential(SECOND), 2));
    }
}

#[test]
fn the_defaults_are_those_of_the_docs() {
    let written = Delays::auto(SECOND)
        .cap(MINUTE)
        .factor(2.0)
        .jitter(Percent::new(10))
        .resource_threshold(Percent::new(80))
        .pattern_window(MINUTE)
        .explore(Percent::new(5));
    assert_eq!((written, Delays::default()), (Delays::new(), Delays::new()));
    assert_eq!(Delays::fixed(2 * MINUTE).cap, 2 * MINUTE);
}

#[test]
#[should_panic(expected = "the first delay is above zero")]
fn a_first_delay_of_zero_is_refused() {
    let _ = Delays::fixed(Duration::ZERO);
}

#[test]
#[should_panic(expected = "the cap of delays is not below the first one")]
fn a_cap_below_the_first_delay_is_refused() {
    let _ = Delays::new().cap(SECOND / 2);
}

#[test]
#[should_panic(expected = "the factor of delays lies in 1.0..=10.0")]
fn a_factor_that_is_no_number_is_refused() {
    let _ = Delays::new().factor(f64::NAN);
}

#[test]
#[should_panic(expected = "a resource threshold is above zero and below 100 %")]
fn a_threshold_that_is_never_passed_is_refused() {
    let _ = Delays::new().resource_threshold(Percent::FULL);
}

#[test]
#[should_panic(expected = "the share of exploring is 50 % at most")]
fn exploring_more_often_than_not_is_refused() {
    let _ = Delays::new().explore(Percent::new(51));
}

#[test]
#[should_panic(expected = "a pattern window is above zero")]
fn a_pattern_window_of_zero_is_refused() {
    let _ = Delays::new().pattern_window(Duration::ZERO);
}
