use std::time::Duration;

use breaker_core::{Chance, Class, Deadline, Priority, Verb};
use proptest::prelude::*;

use super::*;
use crate::delays::Delays;

const PLAIN: BackoffConfig =
    BackoffConfig::new().delays(Delays::exponential(ms(100)).cap(ms(5_000)).jitter(Percent::ZERO));

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn about(verb: Option<Verb>, priority: Option<Priority>) -> About {
    let mut about = About::new();
    about.verb = verb;
    about.priority = priority;
    about
}

fn failed(attempt: u32, kind: FailureKind) -> Failed {
    Failed {
        attempt,
        kind,
        advice: Advice::NONE,
        refused: false,
        about: Some(About::new()),
        began: Tick::ZERO,
        has_alternative: false,
        unknown_too: false,
    }
}

/// What a target does about a failure, as the layer asks it.
fn decide_at(
    memory: &mut Memory,
    sequence: &mut Sequence,
    config: &BackoffConfig,
    now: Tick,
    failed: &Failed,
) -> Decision {
    memory.note(config, now, failed.kind);
    let mut chance = Chance::seeded(1);
    let mut with = Circumstances { config, now, usage: None, chance: &mut chance };
    memory.decide(sequence, failed, &mut with).decision
}

fn decide(config: &BackoffConfig, failed: &Failed) -> Decision {
    decide_at(&mut Memory::default(), &mut Sequence::default(), config, Tick::ZERO, failed)
}

fn is_retried(config: &BackoffConfig, attempt: u32, of: About) -> bool {
    let failed = Failed { about: Some(of), ..failed(attempt, FailureKind::Timeout) };
    matches!(decide(config, &failed), Decision::Retry(_))
}

// S-RETRY-03
#[test]
fn a_method_overrides_the_limit_and_a_priority_only_lowers_it() {
    let of = |verb, priority| about(Some(verb), priority);
    for (attempts, about) in [
        (5, of(Verb::Get, None)),
        (2, of(Verb::Put, None)),
        (1, of(Verb::Delete, None)),
        (3, of(Verb::Head, None)),
        (3, about(None, None)),
        (1, of(Verb::Get, Some(Priority::LOW))),
        (1, of(Verb::Get, Some(Priority::BULK))),
        (3, of(Verb::Get, Some(Priority::NORMAL))),
        (5, of(Verb::Get, Some(Priority::HIGH))),
        (5, of(Verb::Get, Some(Priority::CRITICAL))),
        (1, of(Verb::Delete, Some(Priority::HIGH))),
        (3, of(Verb::Head, Some(Priority::CRITICAL))),
    ] {
        for attempt in 1..=6 {
            let retried = is_retried(&PLAIN, attempt, about);
            assert_eq!(retried, attempt < attempts, "{attempt} {about:?}");
        }
    }
    let keyed_post = about(Some(Verb::Post), None);
    assert!(is_retried(&PLAIN, 1, keyed_post) && !is_retried(&PLAIN, 2, keyed_post));
    let own = PLAIN.method(Verb::Get, 2).priority(Class::High, 4);
    assert!(!is_retried(&own, 2, of(Verb::Get, Some(Priority::HIGH))));
}

// S-RETRY-01
#[test]
fn only_what_another_attempt_can_help_is_repeated() {
    for kind in crate::config::KINDS {
        let retried = matches!(decide(&PLAIN, &failed(1, kind)), Decision::Retry(_));
        let expected = !matches!(
            kind,
            FailureKind::InvalidRequest | FailureKind::Internal | FailureKind::Unknown
        );
        assert_eq!(retried, expected, "{kind}");
    }
    let fast = Decision::FailFast(Why::Kind);
    assert_eq!(decide(&PLAIN, &failed(1, FailureKind::Panic)), fast);
    let wider = PLAIN.retry_on(FailureKind::Internal, true);
    assert!(matches!(decide(&wider, &failed(1, FailureKind::Internal)), Decision::Retry(_)));
    let narrower = PLAIN.retry_on(FailureKind::Timeout, false);
    assert_eq!(decide(&narrower, &failed(1, FailureKind::Timeout)), fast);
}

// S-RETRY-05
#[test]
fn what_may_not_be_made_twice_is_repeated_only_if_it_was_never_made() {
    let mut about = about(Some(Verb::Post), None);
    about.idempotent = false;
    let mut post = Failed { about: Some(about), ..failed(1, FailureKind::Timeout) };
    assert_eq!(decide(&PLAIN, &post), Decision::FailFast(Why::NotIdempotent));
    post.kind = FailureKind::Connection;
    post.advice.unsent = true;
    assert_eq!(decide(&PLAIN, &post), Decision::Retry(ms(100)));
    let second = Failed { attempt: 2, ..post };
    assert_eq!(decide(&PLAIN, &second), Decision::FailFast(Why::Attempts));
    let streamed = Failed { about: None, ..post };
    assert_eq!(decide(&PLAIN, &streamed), Decision::FailFast(Why::NotKept));
}

// S-RETRY-04
#[test]
fn delays_double_and_are_longer_for_limits_and_exhaustion() {
    let rare = PLAIN.rate_limited_backoff(256).exhausted_redirect(256).same_for_all_methods();
    let rare = rare.max_attempts(100);
    for (kind, factor) in [
        (FailureKind::Timeout, 1),
        (FailureKind::RateLimited, 2),
        (FailureKind::ResourceExhausted, 3),
    ] {
        let (mut memory, mut sequence) = (Memory::default(), Sequence::default());
        for attempt in 1..=12_u32 {
            let expected = (ms(100) * 2_u32.pow(attempt - 1)).min(ms(5_000)) * factor;
            let decision =
                decide_at(&mut memory, &mut sequence, &rare, Tick::ZERO, &failed(attempt, kind));
            assert_eq!(decision, Decision::Retry(expected.min(ms(5_000))), "{kind} {attempt}");
        }
    }
}

// S-RETRY-04, S-RETRY-01
#[test]
fn the_third_rate_limit_in_five_minutes_holds_further_attempts_back() {
    let (mut memory, mut sequence) = (Memory::default(), Sequence::default());
    let limited = failed(1, FailureKind::RateLimited);
    let mut at = |memory: &mut Memory, millis: u64| {
        sequence.reset();
        decide_at(memory, &mut sequence, &PLAIN, Tick::from_millis(millis), &limited)
    };
    assert_eq!(at(&mut memory, 0), Decision::Retry(ms(200)));
    assert_eq!(at(&mut memory, 299_000), Decision::Retry(ms(200)));
    assert_eq!(at(&mut memory, 299_999), Decision::BackOff(ms(400)));
    memory.hold(Tick::from_millis(299_999), ms(4_000));
    // Another call fails meanwhile: it waits, too.
    let mut other = Sequence::default();
    let timeout = failed(1, FailureKind::Timeout);
    let now = Tick::from_millis(300_999);
    let decision = decide_at(&mut memory, &mut other, &PLAIN, now, &timeout);
    assert_eq!(decision, Decision::Retry(ms(3_000)));
    // Five minutes later all is forgotten.
    assert_eq!(at(&mut memory, 599_999), Decision::Retry(ms(200)));
}

// S-RETRY-04
#[test]
fn a_clock_that_steps_back_makes_no_hold_longer() {
    let mut memory = Memory::default();
    memory.hold(Tick::from_millis(3_600_000), ms(4_000));
    let timeout = failed(1, FailureKind::Timeout);
    for (millis, left) in [(3_601_000, 3_000), (3_600_000, 4_000), (0, 4_000)] {
        let now = Tick::from_millis(millis);
        let decision = decide_at(&mut memory, &mut Sequence::default(), &PLAIN, now, &timeout);
        assert_eq!(decision, Decision::Retry(ms(left)), "{millis}");
    }
    // A shorter one does not end a longer one.
    memory.hold(Tick::from_millis(3_600_000), ms(100));
    assert_eq!(memory.hold_left(Tick::from_millis(3_600_000)), ms(4_000));
}

// S-RETRY-04, S-RETRY-01
#[test]
fn the_second_exhaustion_redirects_or_fails_fast_where_there_is_no_alternative() {
    for has_alternative in [false, true] {
        let (mut memory, mut sequence) = (Memory::default(), Sequence::default());
        let exhausted = Failed { has_alternative, ..failed(1, FailureKind::ResourceExhausted) };
        let mut again = || decide_at(&mut memory, &mut sequence, &PLAIN, Tick::ZERO, &exhausted);
        assert_eq!(again(), Decision::Retry(ms(300)));
        let second = if has_alternative {
            Decision::Redirect(ms(600))
        } else {
            Decision::FailFast(Why::NoAlternative)
        };
        assert_eq!(again(), second);
    }
}

// S-RETRY-04
#[test]
fn two_targets_have_histories_of_their_own() {
    let limited = failed(1, FailureKind::RateLimited);
    let (mut one, mut other) = (Memory::default(), Memory::default());
    for _ in 0..3 {
        decide_at(&mut one, &mut Sequence::default(), &PLAIN, Tick::ZERO, &limited);
    }
    let decision = decide_at(&mut other, &mut Sequence::default(), &PLAIN, Tick::ZERO, &limited);
    assert_eq!(decision, Decision::Retry(ms(200)));
}

// S-BACKOFF-10
#[test]
fn the_callee_s_wish_is_a_floor_and_has_a_cap() {
    let with = |advice| Failed { advice, ..failed(1, FailureKind::Timeout) };
    let mut advice = Advice::NONE;
    advice.wait = Some(ms(7_000));
    assert_eq!(decide(&PLAIN, &with(advice)), Decision::Retry(ms(7_000)));
    advice.wait = Some(ms(20));
    assert_eq!(decide(&PLAIN, &with(advice)), Decision::Retry(ms(100)));
    advice.wait = Some(Duration::MAX);
    assert_eq!(decide(&PLAIN, &with(advice)), Decision::Retry(Duration::from_secs(300)));
    advice.never = true;
    assert_eq!(decide(&PLAIN, &with(advice)), Decision::FailFast(Why::Told));
}

// S-BACKOFF-10
#[test]
fn whoever_is_told_the_same_moment_does_not_come_at_the_same() {
    let spread = BackoffConfig::new();
    let mut advice = Advice::NONE;
    advice.wait = Some(ms(7_000));
    let told = Failed { advice, ..failed(1, FailureKind::Overload { retry_after: None }) };
    let mut chance = Chance::seeded(1);
    let mut delays = Vec::new();
    for _ in 0..1_000 {
        let mut with =
            Circumstances { config: &spread, now: Tick::ZERO, usage: None, chance: &mut chance };
        let plan = Memory::default().decide(&mut Sequence::default(), &told, &mut with);
        let Decision::Retry(delay) = plan.decision else { panic!("{plan:?}") };
        delays.push(delay);
    }
    // Never sooner than it was told, and over a tenth of that.
    assert!(delays.iter().all(|delay| (ms(7_000)..=ms(7_700)).contains(delay)));
    let late = delays.iter().filter(|&&delay| delay > ms(7_350)).count();
    assert!((400..600).contains(&late), "{late}");
    // Others that are held back meanwhile are spread as well.
    let mut memory = Memory::default();
    memory.hold(Tick::ZERO, ms(5_000));
    let held = failed(1, FailureKind::Timeout);
    let Decision::Retry(delay) =
        decide_at(&mut memory, &mut Sequence::default(), &spread, Tick::ZERO, &held)
    else {
        panic!("it may be made again");
    };
    assert!(delay > ms(5_000) && delay <= ms(5_500), "{delay:?}");
}

// S-BACKOFF-10
#[test]
fn an_attempt_that_would_come_too_late_is_not_made() {
    let at = |left: u64| {
        let mut about = About::new();
        about.deadline = Some(Deadline::at(Tick::from_millis(left)));
        decide(&PLAIN, &Failed { about: Some(about), ..failed(1, FailureKind::Timeout) })
    };
    assert_eq!(at(120), Decision::FailFast(Why::TooLate));
    assert_eq!(at(121), Decision::Retry(ms(100)));
    let short = PLAIN.max_elapsed(ms(250));
    let (mut memory, mut sequence) = (Memory::default(), Sequence::default());
    let mut then = |millis, attempt| {
        let failed = failed(attempt, FailureKind::Timeout);
        decide_at(&mut memory, &mut sequence, &short, Tick::from_millis(millis), &failed)
    };
    assert_eq!(then(50, 1), Decision::Retry(ms(100)));
    // 50 + 200 is the very end, at which it still may start.
    assert_eq!(then(50, 2), Decision::Retry(ms(200)));
    assert_eq!(then(51, 2), Decision::FailFast(Why::TooLate));
}

#[test]
fn a_refusal_from_further_in_is_repeated_only_on_request_and_with_a_wait() {
    let mut refused =
        Failed { refused: true, ..failed(1, FailureKind::Overload { retry_after: None }) };
    assert_eq!(decide(&PLAIN, &refused), Decision::FailFast(Why::Refused));
    let patient = PLAIN.retry_refusals(true);
    assert_eq!(decide(&patient, &refused), Decision::FailFast(Why::Refused));
    refused.advice.wait = Some(ms(400));
    assert_eq!(decide(&PLAIN, &refused), Decision::FailFast(Why::Refused));
    assert_eq!(decide(&patient, &refused), Decision::Retry(ms(400)));
}

#[test]
fn whoever_comes_as_a_repetition_is_not_repeated_again() {
    let mut about = About::new();
    about.repeated_elsewhere = true;
    let failed = Failed { about: Some(about), ..failed(1, FailureKind::Timeout) };
    assert_eq!(decide(&PLAIN, &failed), Decision::FailFast(Why::RepeatedElsewhere));
}

proptest! {
    #[test]
    fn nothing_is_remembered_without_bound_and_no_delay_is_above_its_cap(
        kinds in proptest::collection::vec(0..crate::config::KINDS.len(), 1..600),
        step in 0_u64..2_000,
    ) {
        let (mut memory, mut sequence) = (Memory::default(), Sequence::default());
        let config = BackoffConfig::new().max_attempts(100).same_for_all_methods();
        for (number, kind) in kinds.into_iter().enumerate() {
            let kind = crate::config::KINDS[kind];
            let now = Tick::from_millis(number as u64 * step);
            let failed = Failed { has_alternative: true, ..failed(1, kind) };
            let decision = decide_at(&mut memory, &mut sequence, &config, now, &failed);
            if let Decision::Retry(delay) | Decision::BackOff(delay) | Decision::Redirect(delay) =
                decision
            {
                prop_assert!(delay <= ms(5_000));
            }
            prop_assert!(memory.strains.len() <= 256);
        }
    }
}
