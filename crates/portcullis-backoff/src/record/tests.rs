use super::*;

const SECOND: Duration = Duration::from_secs(1);
const AUTO: Delays = Delays::new().jitter(Percent::ZERO).explore(Percent::ZERO);

/// A key whose calls end a second apart.
struct Key {
    delays: Delays,
    record: Record,
    seq: Sequence,
    after: Option<(DelayKind, bool)>,
    chance: Chance,
    now: Tick,
    usage: Option<Percent>,
}

impl Key {
    fn new(delays: Delays) -> Self {
        Self {
            delays,
            record: Record::default(),
            seq: Sequence::default(),
            after: None,
            chance: Chance::seeded(1),
            now: Tick::ZERO,
            usage: None,
        }
    }

    fn failed(&mut self) -> Next {
        self.now = self.now.after(SECOND);
        self.record.ended(&self.delays, self.now, self.after, false, self.usage);
        let (now, usage) = (self.now, self.usage);
        let next = self.record.next(&self.delays, (&mut self.seq, 1), now, usage, &mut self.chance);
        self.after = Some((next.kind, next.grown));
        next
    }

    fn succeeded(&mut self) {
        self.now = self.now.after(SECOND);
        self.record.ended(&self.delays, self.now, self.after.take(), true, self.usage);
        self.seq.reset();
    }
}

#[test]
fn the_defaults_wait_1_2_4_up_to_60_s() {
    let mut key = Key::new(AUTO);
    let delays = [(); 8].map(|()| key.failed().delay.as_secs());
    assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
}

// S-BACKOFF-08
#[test]
fn after_ten_failures_a_success_makes_the_next_delay_the_first_again() {
    let mut key = Key::new(AUTO);
    let last = [(); 10].map(|()| key.failed().delay)[9];
    assert_eq!((last, key.seq.attempts), (60 * SECOND, 10));
    key.succeeded();
    assert_eq!(key.seq, Sequence::default());
    assert_eq!(key.failed().delay, SECOND);
}

// S-BACKOFF-04
#[test]
fn a_busy_machine_has_auto_wait_longer() {
    let mut key = Key::new(AUTO);
    key.failed();
    key.failed();
    key.usage = Some(Percent::new(90));
    let next = key.failed();
    assert_eq!((next.kind, next.delay.as_millis()), (DelayKind::ResourceSensitive, 7_600));
}

// S-BACKOFF-05
#[test]
fn a_pattern_is_told_once_until_it_changes_and_followed() {
    let mut key = Key::new(AUTO);
    let mut found = Vec::new();
    for _ in 0..6 {
        let next = key.failed();
        found.push(next.found.map(|pattern| (pattern.period, pattern.interval)));
        key.succeeded();
    }
    // The third failure is the fifth outcome.
    assert_eq!(found, [None, None, Some((2, 2 * SECOND)), None, None, None]);
    let next = key.failed();
    assert_eq!((next.kind, next.delay), (DelayKind::Pattern, 2 * SECOND));
    // Failures only: it is gone, and may be found again.
    assert!((0..3).all(|_| key.failed().kind != DelayKind::Pattern));
    key.succeeded();
    let again = [(); 4].map(|()| {
        let next = key.failed();
        key.succeeded();
        next.found.is_some()
    });
    assert_eq!(again.iter().filter(|found| **found).count(), 1);
}

#[test]
fn a_key_that_does_not_fail_costs_nothing_and_a_failure_is_forgotten_after_the_window() {
    let mut key = Key::new(AUTO);
    for _ in 0..100 {
        assert!(key.record.is_at_rest(key.now));
        key.succeeded();
    }
    assert!(key.record.past.is_none());
    assert_eq!(size_of::<Record>(), 8);
    key.failed();
    let failed = key.now;
    assert!(!key.record.is_at_rest(failed.after(60 * SECOND)));
    key.now = failed.after(58 * SECOND);
    key.succeeded();
    assert_eq!(key.record.success_rate(key.now), Some(0.5));
    key.now = failed.after(60 * SECOND);
    key.succeeded();
    assert!(key.record.is_at_rest(key.now));
    assert_eq!(key.record.success_rate(key.now), None, "the memory is given back");
    // What was learnt stays.
    assert!(key.record.selector().is_some_and(|known| known.uses(DelayKind::Exponential) == 1));
}

#[test]
fn a_success_after_a_delay_is_credited_to_it_alone_and_one_without_to_nobody() {
    let mut key = Key::new(AUTO);
    key.failed();
    key.succeeded();
    key.succeeded();
    let selector = key.record.selector().expect("it failed").clone();
    let credited = |kind| selector.effectiveness(kind, key.now) > 0.5;
    let credited: Vec<_> = DelayKind::ALL.into_iter().filter(|kind| credited(*kind)).collect();
    assert_eq!(credited, [DelayKind::Exponential]);
    // One success: the second was not delayed.
    assert!(selector.effectiveness(DelayKind::Exponential, key.now) > 0.99);
}

#[test]
fn a_success_is_credited_even_after_a_delay_longer_than_the_window() {
    let mut key = Key::new(Delays::auto(120 * SECOND));
    key.failed();
    key.now = key.now.after(120 * SECOND);
    key.succeeded();
    let selector = key.record.selector().expect("it failed");
    assert!(selector.effectiveness(DelayKind::Exponential, key.now) > 0.9);
}

// S-BACKOFF-06
#[test]
fn the_adaptive_mean_leans_to_what_was_effective_with_the_key() {
    let mut key = Key::new(Delays::adaptive(SECOND).jitter(Percent::ZERO));
    let busy = Some(Percent::FULL);
    for kind in [DelayKind::Exponential, DelayKind::Decorrelated] {
        key.record.ended(&key.delays, key.now, Some((kind, false)), false, busy);
    }
    key.record.ended(&key.delays, key.now, Some((DelayKind::Fibonacci, false)), true, None);
    // The sixth: exponential 32 s, Fibonacci 8 s. The others have faded by a second only.
    key.seq.attempts = 5;
    let delay = key.failed().delay;
    assert!((8 * SECOND..8 * SECOND + SECOND / 10).contains(&delay), "{delay:?}");
}

// S-BACKOFF-11
#[test]
fn a_forced_strategy_stays_whatever_happens() {
    let mut key = Key::new(Delays::fibonacci(SECOND).jitter(Percent::ZERO));
    for round in 0..50 {
        key.usage = (round % 3 == 0).then_some(Percent::FULL);
        assert_eq!(key.failed().kind, DelayKind::Fibonacci);
        key.succeeded();
    }
    let delays = [(); 5].map(|()| key.failed().delay.as_secs());
    assert_eq!(delays, [1, 1, 2, 3, 5]);
}

#[test]
fn the_mean_delay_is_over_all_and_survives_the_longest() {
    let mut key = Key::new(AUTO);
    assert_eq!(key.record.mean_delay(), None);
    key.failed();
    key.failed();
    assert_eq!(key.record.mean_delay(), Some(SECOND * 3 / 2));
    key.seq.attempts = u32::MAX;
    assert_eq!(key.failed().delay, 60 * SECOND);
    assert_eq!(key.seq.attempts, u32::MAX);
}
