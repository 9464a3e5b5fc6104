//! Cases that other limiters are tested with.

use super::*;

// S-RATE-01: RL-001. More than the burst is never granted, and takes nothing.
#[test]
fn a_burst_of_one_is_one_call_every_tenth_of_a_second() {
    let terms = terms(10, 1);
    for mut bucket in buckets() {
        for (at, cost, permitted) in [
            (0, 1, true),
            (0, 1, false),
            (0, 1, false),
            (100, 1, true),
            (100, 1, false),
            (100, 1, false),
            (200, 2, false),
            (200, 1, true),
            (200, 1, false),
        ] {
            let decision = bucket.admit(&terms, ms(at), cost);
            assert_eq!(decision == Decision::Admitted, permitted, "{at} {decision:?}");
        }
    }
}

// S-RATE-01: RL-003. A turn is reserved by taking it at the moment at which it comes.
#[test]
fn turns_can_be_reserved_ahead() {
    let terms = terms(10, 2);
    for mut bucket in buckets() {
        for (at, ready) in [(0, 0), (0, 200), (300, 400)] {
            let turn = bucket.ready_at(&terms, ms(at), 2).expect("it has one");
            assert_eq!(turn, ms(ready));
            bucket.take(&terms, turn, 2);
        }
        // And given back before it comes.
        bucket.give_back(&terms, ms(300), ms(400), 2);
        assert_eq!(bucket.ready_at(&terms, ms(300), 2), Some(ms(400)));
        bucket.give_back(&terms, ms(300), ms(200), 2);
        assert_eq!(bucket.full_at(&terms, ms(300)), ms(300));
    }
}

// S-RATE-01: RL-007. Whoever has a clock that steps back hands in the latest moment seen.
#[test]
fn a_clock_that_steps_back_and_returns_mints_nothing() {
    let terms = terms(10, 3);
    for mut bucket in buckets() {
        let mut latest = ms(0);
        for (at, permitted) in
            [(100, true), (0, true), (0, true), (0, false), (100, false), (100, false)]
        {
            latest = latest.max(ms(at));
            assert_eq!(bucket.admit(&terms, latest, 1) == Decision::Admitted, permitted);
        }
    }
}

// S-RATE-12: RL-010.
#[test]
fn remaining_reset_and_retry_fall_out_of_the_word() {
    let terms = terms(1, 5);
    for mut bucket in buckets() {
        for (at, cost, permitted, remaining, reset, retry) in [
            (0, 6, false, 5, 0, None),
            (0, 1, true, 4, 1_000, None),
            (0, 1, true, 3, 2_000, None),
            (0, 1, true, 2, 3_000, None),
            (0, 1, true, 1, 4_000, None),
            (0, 1, true, 0, 5_000, None),
            (0, 1, false, 0, 5_000, Some(1_000)),
            (3_000, 1, true, 2, 3_000, None),
            (3_100, 1, true, 1, 3_900, None),
            (4_000, 1, true, 1, 4_000, None),
            (8_000, 1, true, 4, 1_000, None),
            (9_500, 1, true, 4, 1_000, None),
            (9_500, 0, true, 4, 1_000, None),
            (9_500, 2, true, 2, 3_000, None),
            (9_500, 5, false, 2, 3_000, Some(3_000)),
        ] {
            let expected = match retry {
                _ if permitted => Decision::Admitted,
                Some(retry) => Decision::Wait(ms(at + retry)),
                None => Decision::Never,
            };
            assert_eq!(bucket.admit(&terms, ms(at), cost), expected, "{at} ms, {cost}");
            assert_eq!(bucket.remaining(&terms, ms(at)), remaining, "{at} ms, {cost}");
            assert_eq!(bucket.full_at(&terms, ms(at)), ms(at + reset), "{at} ms, {cost}");
        }
    }
}
