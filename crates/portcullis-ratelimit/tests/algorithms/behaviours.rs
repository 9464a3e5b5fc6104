//! What each algorithm is meant to do, with exact counts.

use portcullis_ratelimit::limiter::Algorithm;

use super::*;

// S-RATE-01
#[test]
fn a_token_bucket_admits_its_burst_and_then_its_rate_to_the_nanosecond() {
    let terms = terms(100, 50);
    let mut bucket = TokenBucket::new();
    assert_eq!(admitted(&mut bucket, &terms, ms(0), 60), 50);
    assert_eq!(bucket.admit(&terms, ms(0), 1), Decision::Wait(ms(10)));
    assert_eq!(admitted(&mut bucket, &terms, ns(9_999_999), 9), 0);
    assert_eq!(admitted(&mut bucket, &terms, ms(10), 9), 1);
    assert_eq!(admitted(&mut bucket, &terms, ms(210), 99), 20);
    assert_eq!(admitted(&mut bucket, &terms, ms(709), 99), 49);
    assert_eq!(bucket.full_at(&terms, ms(709)), ms(1_200));
    assert_eq!(admitted(&mut bucket, &terms, ms(9_000), 99), 50);
}

// S-RATE-02
#[test]
fn every_bucket_admits_five_of_six_and_two_more_after_a_fifth_of_a_second() {
    let terms = terms(10, 5);
    for mut bucket in buckets() {
        assert_eq!(admitted(&mut *bucket, &terms, ms(0), 5), 5);
        assert_eq!(bucket.admit(&terms, ms(0), 1), Decision::Wait(ms(100)));
        assert_eq!(bucket.remaining(&terms, ms(0)), 0);
        assert_eq!(admitted(&mut *bucket, &terms, ms(200), 6), 2);
        assert_eq!(bucket.full_at(&terms, ms(200)), ms(700));
    }
}

// S-RATE-02: an admission lifts the level to the capacity, and not above it by a fraction.
#[test]
fn the_level_of_a_leaky_bucket_ends_at_its_capacity() {
    let terms = terms(3, 4);
    let mut bucket = LeakyBucket::new();
    for nanos in (0..5_000_000_000).step_by(77_777_777) {
        bucket.admit(&terms, ns(nanos), 1 + nanos as u32 % 3);
        assert!(bucket.level(&terms, ns(nanos)) <= 4);
    }
    assert_eq!(admitted(&mut bucket, &terms, ms(60_000), 9), 4);
    assert_eq!((bucket.level(&terms, ms(60_000)), bucket.level(&terms, ms(60_001))), (4, 4));
    assert_eq!((bucket.level(&terms, ms(60_334)), bucket.level(&terms, ms(70_000))), (3, 0));
}

// S-RATE-03
#[test]
fn a_fixed_window_admits_up_to_twice_its_limit_across_a_border() {
    let terms = terms(5, 1);
    let mut window = FixedWindow::new();
    assert_eq!(admitted(&mut window, &terms, ns(999_999_999), 6), 5);
    assert_eq!(window.admit(&terms, ns(999_999_999), 1), Decision::Wait(ms(1_000)));
    assert_eq!(admitted(&mut window, &terms, ms(1_000), 6), 5);
    assert_eq!(window.admit(&terms, ms(1_000), 1), Decision::Wait(ms(2_000)));
    assert_eq!(admitted(&mut window, &terms, ms(7_100), 6), 5);
    assert_eq!(window.full_at(&terms, ms(7_100)), ms(8_000));
}

// S-RATE-03, S-RATE-04
#[test]
fn windows_of_five_refuse_the_sixth_and_admit_it_when_they_are_over() {
    let terms = terms(5, 1);
    for window in [&mut FixedWindow::new() as &mut dyn Limiter, &mut SlidingLog::new()] {
        assert_eq!(admitted(window, &terms, ms(0), 6), 5);
        assert_eq!(window.admit(&terms, ms(0), 1), Decision::Wait(ms(1_000)));
        assert_eq!(admitted(window, &terms, ms(1_100), 1), 1);
    }
}

// S-RATE-04
#[test]
fn a_log_forgets_a_call_when_it_is_a_window_old() {
    let terms = terms(5, 1);
    let mut log = SlidingLog::new();
    assert_eq!(admitted(&mut log, &terms, ms(0), 2) + admitted(&mut log, &terms, ms(300), 9), 5);
    assert_eq!(log.len(), 2);
    assert_eq!(log.admit(&terms, ns(999_999_999), 1), Decision::Wait(ms(1_000)));
    assert_eq!(log.admit(&terms, ms(999), 3), Decision::Wait(ms(1_300)));
    assert_eq!(admitted(&mut log, &terms, ms(1_000), 9), 2);
    assert_eq!((log.len(), log.remaining(&terms, ms(1_300))), (2, 3));
    assert_eq!(log.full_at(&terms, ms(1_300)), ms(2_000));
}

// S-RATE-04: memory is bounded by the limit.
#[test]
fn a_log_holds_no_more_entries_than_its_limit() {
    let terms = terms(20, 1);
    let mut log = SlidingLog::new();
    assert!(log.is_empty() && log.admit(&terms, ms(0), 0) == Decision::Admitted && log.is_empty());
    for millis in 0..10_000 {
        log.admit(&terms, ms(millis), 1 + (millis % 2) as u32);
        assert!(log.len() <= 20, "{}", log.len());
    }
}

// S-RATE-04
#[test]
fn a_counter_weighs_the_last_window_by_what_is_still_covered_of_it() {
    let terms = terms(10, 1);
    let mut counter = SlidingCounter::new();
    assert_eq!(admitted(&mut counter, &terms, ms(500), 11), 10);
    assert_eq!(counter.admit(&terms, ms(500), 1), Decision::Wait(ms(1_100)));
    assert_eq!(counter.estimate(&terms, ms(1_250)), 7.5);
    assert_eq!(counter.remaining(&terms, ms(1_250)), 2);
    assert_eq!(admitted(&mut counter, &terms, ms(1_250), 9), 2);
    assert_eq!(counter.estimate(&terms, ms(1_250)), 9.5);
    // Half a call has to fade: 10 * (1 - elapsed) + 2 + 1 <= 10.
    assert_eq!(counter.admit(&terms, ms(1_250), 1), Decision::Wait(ms(1_300)));
    // 2 * (1 - elapsed) + 9 <= 10, in the window after.
    assert_eq!(counter.admit(&terms, ms(1_250), 9), Decision::Wait(ms(2_500)));
    assert_eq!(counter.full_at(&terms, ms(1_250)), ms(3_000));
}

// S-RATE-05
#[test]
fn the_strictest_of_the_default_set_admits_the_burst_and_again_after_a_second() {
    let terms = terms(100, 50);
    let mut set = Set::new(Verdict::Strictest, &Set::DEFAULT);
    assert_eq!(admitted(&mut set, &terms, ms(0), 51), 50);
    assert_eq!(set.admit(&terms, ms(0), 1), Decision::Wait(ms(10)));
    assert_eq!(admitted(&mut set, &terms, ms(1_000), 51), 50);
}

// S-RATE-05
#[test]
fn where_one_of_a_set_refuses_nothing_is_taken_from_the_others() {
    let terms = terms(5, 50);
    let mut set = Set::new(Verdict::Strictest, &Set::DEFAULT);
    assert_eq!(admitted(&mut set, &terms, ms(0), 99), 5);
    // At a faster rate the windows have room for more, and the buckets have lost five, not fifty.
    let fast = terms.at_rate(Rate::per_second(100), ms(0));
    assert_eq!(set.remaining(&fast, ms(0)), 45);
}

// S-RATE-05
#[test]
fn what_is_refused_leaves_the_bucket_as_it_was() {
    fn check<L: Limiter + Clone + PartialEq + std::fmt::Debug>(mut bucket: L) {
        let terms = terms(5, 7);
        for (at, cost) in [(0, 3), (250, 3), (500, 3), (990, 8), (1_200, 7), (1_200, 4), (2_100, 2)]
        {
            let before = bucket.clone();
            if bucket.admit(&terms, ms(at), cost) != Decision::Admitted {
                assert_eq!(bucket, before);
            }
        }
    }
    check(TokenBucket::new());
    check(LeakyBucket::new());
    check(FixedWindow::new());
    check(SlidingLog::new());
    check(SlidingCounter::new());
    check(Set::new(Verdict::Strictest, &Set::DEFAULT));
    check(Set::new(Verdict::Loosest, &Set::DEFAULT));
    #[cfg(feature = "governor")]
    check(Gcra::new());
}

// S-RATE-05
#[test]
fn the_loosest_takes_from_those_that_admit_and_is_ready_with_the_first() {
    let terms = terms(5, 2);
    let set = &[Algorithm::TokenBucket, Algorithm::FixedWindow];
    let mut set = Set::new(Verdict::Loosest, set);
    // Two by both, three by the window alone.
    assert_eq!((set.remaining(&terms, ms(0)), admitted(&mut set, &terms, ms(0), 9)), (5, 5));
    assert_eq!(set.admit(&terms, ms(0), 1), Decision::Wait(ms(200)));
    assert_eq!(admitted(&mut set, &terms, ms(200), 9), 1);
    assert_eq!(set.full_at(&terms, ms(200)), ms(1_000));
    // Both of them admit one, the window another four.
    assert_eq!(admitted(&mut set, &terms, ms(1_000), 9), 5);
    assert_eq!(set.admit(&terms, ms(1_000), 6), Decision::Never);
}

#[test]
fn the_loosest_gives_back_to_all_or_to_none() {
    let terms = terms(5, 2);
    let members = &[Algorithm::TokenBucket, Algorithm::FixedWindow];
    let mut set = Set::new(Verdict::Loosest, members);
    assert_eq!(admitted(&mut set, &terms, ms(0), 2), 2);
    set.give_back(&terms, ms(0), ms(0), 2);
    assert_eq!(set.remaining(&terms, ms(0)), 5);
    assert_eq!(admitted(&mut set, &terms, ms(0), 9), 5);
    // The window admitted three of them alone: a token for those was never taken.
    set.give_back(&terms, ms(0), ms(0), 1);
    assert_eq!(set.admit(&terms, ms(0), 1), Decision::Wait(ms(200)));
}

#[test]
fn a_set_without_members_admits_everything_or_nothing() {
    let terms = terms(5, 2);
    let mut all = Set::new(Verdict::Strictest, &[]);
    assert_eq!(all.admit(&terms, ms(1), u32::MAX), Decision::Admitted);
    assert_eq!((all.remaining(&terms, ms(1)), all.full_at(&terms, ms(1))), (u32::MAX, ms(1)));
    let mut none = Set::new(Verdict::Loosest, &[]);
    assert_eq!((none.admit(&terms, ms(1), 0), none.remaining(&terms, ms(1))), (Decision::Never, 0));
}

// S-RATE-12
#[test]
fn a_call_of_cost_three_leaves_two_tokens_where_they_are() {
    let terms = terms(5, 5);
    for mut bucket in all() {
        assert_eq!(bucket.admit(&terms, ms(0), 3), Decision::Admitted);
        assert_eq!(bucket.remaining(&terms, ms(0)), 2);
        assert!(matches!(bucket.admit(&terms, ms(0), 3), Decision::Wait(at) if at > ms(0)));
        assert_eq!(bucket.remaining(&terms, ms(0)), 2);
        assert_eq!(bucket.admit(&terms, ms(0), 2), Decision::Admitted);
        assert_eq!(bucket.admit(&terms, ms(60_000), 6), Decision::Never);
    }
}

// S-RATE-05: of burst and one at once, one is refused, whatever the algorithm.
#[test]
fn of_a_hundred_and_one_calls_at_once_one_at_least_is_refused() {
    let terms = terms(100, 50);
    for mut bucket in all() {
        assert!(admitted(&mut *bucket, &terms, ms(0), 101) <= 100);
    }
}

#[test]
fn what_is_given_back_at_once_is_there_again() {
    let terms = terms(5, 5);
    for mut bucket in all() {
        for (at, cost) in [(0, 2), (300, 2), (1_250, 1)] {
            let (at, before) = (ms(at), bucket.remaining(&terms, ms(at)));
            assert_eq!(bucket.admit(&terms, at, cost), Decision::Admitted);
            assert_eq!(bucket.remaining(&terms, at), before - cost);
            bucket.give_back(&terms, at, at, cost);
            assert_eq!(bucket.remaining(&terms, at), before);
            assert_eq!(bucket.admit(&terms, at, cost), Decision::Admitted);
        }
    }
}

#[test]
fn what_is_given_back_late_makes_no_bucket_more_than_full() {
    let terms = terms(5, 5);
    for mut bucket in all() {
        assert_eq!(bucket.admit(&terms, ms(100), 4), Decision::Admitted);
        for late in [100, 5_000, 9_000] {
            bucket.give_back(&terms, ms(late), ms(100), 4);
            assert_eq!(admitted(&mut *bucket, &terms, ms(late), 9), 5);
        }
    }
}

// S-RATE-01
#[cfg(feature = "governor")]
#[test]
fn governor_rounds_to_the_slower_nanosecond() {
    let (terms, mut bucket) = (terms(3, 3), Gcra::new());
    assert_eq!(admitted(&mut bucket, &terms, ms(0), 9), 3);
    assert_eq!(bucket.admit(&terms, ms(0), 1), Decision::Wait(ns(333_333_334)));
    // A token bucket is full after a second.
    assert_eq!(bucket.full_at(&terms, ms(0)), ns(1_000_000_002));
}
