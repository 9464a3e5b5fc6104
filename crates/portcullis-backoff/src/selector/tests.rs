use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const NOW: Tick = Tick::from_millis(1_000);
const NEVER: Delays = Delays::new().explore(Percent::ZERO);

const fn known() -> Known {
    Known { history: true, pattern: false, usage: None }
}

fn choose(selector: &Selector, delays: &Delays, known: Known) -> DelayKind {
    selector.choose(delays, known, NOW, &mut Chance::seeded(1))
}

/// A selector whose strategies have had these successes and failures.
fn after(attempts: &[(DelayKind, u32, u32)]) -> Selector {
    let mut selector = Selector::default();
    for &(kind, successes, failures) in attempts {
        for number in 0..successes + failures {
            selector.used(kind);
            selector.credit(kind, false, number < successes, None, NOW);
        }
    }
    selector
}

/// Equal but for what 32 bits cannot hold.
#[track_caller]
fn assert_near(effectiveness: f64, expected: f64) {
    assert!((effectiveness - expected).abs() < 1e-6, "{effectiveness} is not {expected}");
}

#[test]
fn the_effectiveness_is_that_of_the_formula() {
    const KIND: DelayKind = DelayKind::Linear;
    let mut selector = Selector::default();
    assert_near(selector.effectiveness(KIND, NOW), 0.5);
    selector.credit(KIND, false, true, None, NOW);
    assert_near(selector.effectiveness(KIND, NOW), 1.0);
    selector.credit(KIND, true, true, Some(Percent::new(50)), NOW);
    // 0.5 * 1 + 0.3 * 0.9 + 0.2 * 0.75.
    assert_near(selector.effectiveness(KIND, NOW), 0.92);
    let busy = Some(Percent::FULL);
    selector.credit(KIND, true, false, busy, NOW);
    selector.credit(KIND, false, false, busy, NOW);
    // 0.5 * 0.5 + 0.3 * 0.45 + 0.2 * (1 - 0.625).
    assert_near(selector.effectiveness(KIND, NOW), 0.46);
    // And nobody else is credited.
    for kind in DelayKind::ALL.into_iter().filter(|kind| *kind != KIND) {
        assert_near(selector.effectiveness(kind, NOW), 0.5);
    }
}

// S-BACKOFF-06
#[test]
fn the_effectiveness_goes_back_to_a_half_with_a_half_life_of_ten_minutes() {
    let selector = after(&[(DelayKind::Fixed, 3, 0), (DelayKind::Linear, 0, 3)]);
    let at = |kind, minutes| selector.effectiveness(kind, NOW.after(minutes * MINUTE));
    for (minutes, fixed, linear) in [(0, 1.0, 0.2), (10, 0.75, 0.35), (20, 0.625, 0.425)] {
        assert_near(at(DelayKind::Fixed, minutes), fixed);
        assert_near(at(DelayKind::Linear, minutes), linear);
    }
    assert_near(at(DelayKind::Fixed, u32::MAX), 0.5);
}

#[test]
fn older_attempts_weigh_less_and_a_million_do_not_drown_the_next() {
    const KIND: DelayKind = DelayKind::Fixed;
    let mut selector = after(&[(KIND, 0, 1)]);
    // After one half-life the failure weighs half of the success: 0.5 * 2/3 + 0.3 * 2/3 + 0.2.
    let later = NOW.after(10 * MINUTE);
    selector.credit(KIND, false, true, None, later);
    assert_near(selector.effectiveness(KIND, later), 0.8 * 2.0 / 3.0 + 0.2);
    let mut selector = after(&[(KIND, 0, 1_000_000)]);
    for _ in 0..1_024 {
        selector.credit(KIND, false, true, None, NOW);
    }
    assert!(selector.effectiveness(KIND, NOW) > 0.6);
}

#[test]
fn without_history_the_delay_is_exponential() {
    let selector = Selector::default();
    let nothing = Known { history: false, usage: Some(Percent::FULL), ..known() };
    let delays = Delays::new().explore(Percent::new(50));
    for seed in 0..100 {
        let kind = selector.choose(&delays, nothing, NOW, &mut Chance::seeded(seed));
        assert_eq!(kind, DelayKind::Exponential);
    }
    // What was learnt is history, too, when the outcomes themselves are forgotten.
    let learnt = after(&[(DelayKind::Linear, 1, 0)]);
    assert_eq!(choose(&learnt, &NEVER, Known { usage: None, ..nothing }), DelayKind::Linear);
    // And neither is there anything to choose by as long as nobody was credited.
    assert_eq!(choose(&selector, &NEVER, known()), DelayKind::Exponential);
}

// S-BACKOFF-04
#[test]
fn above_the_threshold_the_delay_is_resource_sensitive_and_at_it_not() {
    let selector = after(&[(DelayKind::Linear, 1, 0)]);
    let usage = |points| Some(Percent::basis_points(points));
    let at = |points| choose(&selector, &NEVER, Known { usage: usage(points), ..known() });
    assert_eq!(at(8_001), DelayKind::ResourceSensitive);
    assert_eq!(at(8_000), DelayKind::Linear);
    let both = Known { usage: usage(8_001), pattern: true, ..known() };
    assert_eq!(choose(&selector, &NEVER, both), DelayKind::ResourceSensitive);
}

#[test]
fn with_a_pattern_the_delay_follows_it() {
    let selector = after(&[(DelayKind::Linear, 1, 0)]);
    let delays = Delays::new().explore(Percent::new(50));
    let pattern = Known { pattern: true, ..known() };
    for seed in 0..100 {
        let kind = selector.choose(&delays, pattern, NOW, &mut Chance::seeded(seed));
        assert_eq!(kind, DelayKind::Pattern);
    }
}

// S-BACKOFF-06
#[test]
fn the_most_effective_of_those_that_were_tried_is_chosen() {
    let tried = [
        (DelayKind::Exponential, 1, 9),
        (DelayKind::Fibonacci, 3, 7),
        (DelayKind::Decorrelated, 2, 8),
    ];
    assert_eq!(choose(&after(&tried), &NEVER, known()), DelayKind::Fibonacci);
    // All others stand at 0.5, which is more than any of these, and yet none of them wins.
    let bad = [(DelayKind::Exponential, 0, 9), (DelayKind::Fibonacci, 1, 99)];
    assert_eq!(choose(&after(&bad), &NEVER, known()), DelayKind::Fibonacci);
    let equal = [(DelayKind::Fixed, 0, 1), (DelayKind::Exponential, 0, 9)];
    assert_eq!(choose(&after(&equal), &NEVER, known()), DelayKind::Exponential);
}

#[test]
fn failures_that_were_forgotten_win_nothing_but_successes_fade() {
    let mut selector = after(&[(DelayKind::Fixed, 0, 5), (DelayKind::Linear, 5, 0)]);
    let later = NOW.after(10 * MINUTE);
    selector.credit(DelayKind::Exponential, false, false, None, later);
    let at =
        |selector: &Selector, now| selector.choose(&NEVER, known(), now, &mut Chance::seeded(1));
    assert_eq!(at(&selector, later), DelayKind::Linear);
    // Fixed is back at 0.35 by now, exponential at 0.2.
    let mut selector = after(&[(DelayKind::Fixed, 0, 5)]);
    selector.credit(DelayKind::Exponential, false, false, None, later);
    assert!(selector.effectiveness(DelayKind::Fixed, later) > 0.3);
    assert_eq!(at(&selector, later), DelayKind::Exponential);
}

// S-BACKOFF-06
#[test]
fn one_choice_in_twenty_takes_the_strategy_tried_least() {
    let mut selector = after(&[(DelayKind::Exponential, 1, 1_000)]);
    let mut chance = Chance::seeded(7);
    let mut explored = 0;
    for _ in 0..20_000 {
        let kind = selector.choose(&Delays::new(), known(), NOW, &mut chance);
        selector.used(kind);
        explored += u32::from(kind != DelayKind::Exponential);
    }
    // Once the others have caught up, exploring may mean the exponential one as well.
    assert!((850..=1_100).contains(&explored), "{explored}");
    // Ten candidates, but for exponential all are explored alike, though none was ever credited.
    for kind in candidates().filter(|kind| *kind != DelayKind::Exponential) {
        let (uses, share) = (selector.uses(kind), explored / 9);
        assert!(uses.abs_diff(share) <= 1, "{kind}: {uses} of {share}");
    }
    assert_eq!(selector.uses(DelayKind::Pattern), 0);
}

// S-BACKOFF-11
#[test]
fn a_forced_strategy_is_never_overridden() {
    let selector = after(&[(DelayKind::Linear, 9, 0)]);
    let delays = Delays::fibonacci(MINUTE).explore(Percent::new(50));
    let mut chance = Chance::seeded(1);
    for history in [false, true] {
        for pattern in [false, true] {
            for usage in [None, Some(Percent::FULL)] {
                for _ in 0..100 {
                    let known = Known { history, pattern, usage };
                    let kind = selector.choose(&delays, known, NOW, &mut chance);
                    assert_eq!(kind, DelayKind::Fibonacci);
                }
            }
        }
    }
}
