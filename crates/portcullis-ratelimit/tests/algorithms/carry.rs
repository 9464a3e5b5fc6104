//! Over to other terms: what was taken stays taken.

use super::*;

fn with(rate: u32, fastest: u32, burst: u32, window: Duration, now: Tick) -> Terms {
    Terms::new(Rate::per_second(rate), Rate::per_second(fastest), burst, window, now)
}

// S-RATE-01
#[test]
fn a_debt_is_carried_in_calls() {
    let from = terms(10, 5);
    // Another meter with other units, begun just now.
    let to = with(100, 400, 20, SECOND, ms(150));
    for mut bucket in buckets() {
        assert_eq!(admitted(&mut *bucket, &from, ms(0), 9), 5);
        // Three and a half are owed of five, and of twenty.
        bucket.carry(&from, &to, ms(150));
        assert_eq!(bucket.remaining(&to, ms(150)), 16);
        assert_eq!(bucket.ready_at(&to, ms(150), 17), Some(ms(155)));
        assert_eq!(bucket.full_at(&to, ms(150)), ms(185));
        // What is owed beyond a smaller burst is still owed.
        let small = with(100, 100, 2, SECOND, ms(150));
        bucket.carry(&to, &small, ms(150));
        assert_eq!(bucket.admit(&small, ms(150), 1), Decision::Wait(ms(175)));
        assert_eq!(bucket.remaining(&small, ms(185)), 2);
    }
}

#[test]
fn a_full_bucket_stays_full() {
    let (from, to) = (terms(10, 5), with(7, 9, 3, 2 * SECOND, ms(5_000)));
    for mut bucket in all() {
        assert_eq!(bucket.admit(&from, ms(0), 4), Decision::Admitted);
        bucket.carry(&from, &to, ms(5_000));
        assert_eq!(bucket.full_at(&to, ms(5_000)), ms(5_000));
        assert!(bucket.remaining(&to, ms(5_000)) >= 3);
    }
}

// S-RATE-03, S-RATE-04
#[test]
fn windows_of_the_same_length_keep_their_counts() {
    let (from, to) = (terms(10, 5), with(20, 20, 3, SECOND, ms(1_500)));
    for mut window in windows() {
        assert_eq!(admitted(&mut *window, &from, ms(1_200), 8), 8);
        let before = window.full_at(&from, ms(1_500));
        window.carry(&from, &to, ms(1_500));
        assert_eq!(window.remaining(&to, ms(1_500)), 12);
        assert_eq!(window.full_at(&to, ms(1_500)), before);
    }
}

// S-RATE-03, S-RATE-04
#[test]
fn in_windows_of_another_length_what_is_still_inside_counts() {
    let (from, to) = (terms(10, 5), with(10, 10, 5, 10 * SECOND, ms(1_500)));
    for mut window in windows() {
        assert_eq!(admitted(&mut *window, &from, ms(1_200), 8), 8);
        window.carry(&from, &to, ms(1_500));
        assert_eq!(window.remaining(&to, ms(1_500)), 92);
        assert_eq!(window.remaining(&to, ms(1_900)), 92);
    }
    // What has left the one window is not in the other, though that would still cover it.
    for mut window in windows() {
        assert_eq!(admitted(&mut *window, &from, ms(200), 8), 8);
        window.carry(&from, &to, ms(2_500));
        assert_eq!(window.remaining(&to, ms(2_500)), 100);
    }
    // Half of seven is still covered: four, which count from now on.
    let mut counter = SlidingCounter::new();
    assert_eq!(admitted(&mut counter, &from, ms(200), 7), 7);
    counter.carry(&from, &to, ms(1_500));
    assert_eq!(counter.estimate(&to, ms(1_500)), 4.0);
    assert_eq!(counter.full_at(&to, ms(1_500)), ms(20_000));
}

// S-RATE-05
#[test]
fn a_set_carries_each_of_its_members() {
    let (from, to) = (terms(10, 5), with(10, 10, 7, 10 * SECOND, ms(0)));
    let mut set = Set::new(Verdict::Strictest, &Set::DEFAULT);
    assert_eq!(admitted(&mut set, &from, ms(0), 9), 5);
    set.carry(&from, &to, ms(0));
    assert_eq!((set.remaining(&to, ms(0)), set.full_at(&to, ms(0))), (2, ms(20_000)));
}

// S-RATE-06: a rate that moves needs no carrying.
#[test]
fn another_rate_counts_from_now_on() {
    let slow = with(10, 100, 5, SECOND, ms(0));
    let fast = slow.at_rate(Rate::per_second(100), ms(100));
    for bucket in [&mut TokenBucket::new() as &mut dyn Limiter, &mut LeakyBucket::new()] {
        assert_eq!(admitted(bucket, &slow, ms(0), 9), 5);
        // One at the slow rate, two at the fast one.
        assert_eq!(admitted(bucket, &fast, ms(120), 9), 3);
    }
    for mut window in windows() {
        assert_eq!(admitted(&mut *window, &slow, ms(0), 99), 10);
        assert_eq!(admitted(&mut *window, &fast, ms(100), 99), 90);
        let slow = fast.at_rate(Rate::per_second(10), ms(100));
        assert_eq!(window.remaining(&slow, ms(100)), 0);
    }
}
