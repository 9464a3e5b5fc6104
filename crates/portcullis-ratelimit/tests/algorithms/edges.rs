//! Absurd figures, and clocks that go wrong.

use super::*;

fn moments() -> [Tick; 7] {
    [0, 1, 999_999_999, 1 << 53, 1 << 62, u64::MAX - 1, u64::MAX].map(ns)
}

fn absurd_terms() -> Vec<Terms> {
    let rates =
        [Rate::new(1, 1_000 * SECOND), Rate::per_second(3), Rate::per_second(1_000_000_000)];
    let mut terms = Vec::new();
    for rate in rates {
        for fastest in rates {
            for burst in [0, 1, 1_000_000_000, u32::MAX] {
                for window in [Duration::ZERO, Duration::from_nanos(1), SECOND, Duration::MAX] {
                    terms.push(Terms::new(rate, fastest, burst, window, ns(0)));
                    terms.push(Terms::new(rate, fastest, burst, window, ns(1 << 60)));
                    let later = *terms.last().expect("just pushed");
                    terms.push(later.at_rate(rates[0].min(fastest), Tick::MAX));
                }
            }
        }
    }
    terms
}

// S-RATE-12
#[test]
fn nothing_panics_on_absurd_figures() {
    for terms in absurd_terms() {
        for mut bucket in all() {
            for now in moments() {
                for cost in [0, 1, 1_000_000_000, u32::MAX] {
                    let ready = bucket.ready_at(&terms, now, cost);
                    assert!(ready.is_none_or(|at| at >= now));
                    bucket.admit(&terms, now, cost);
                    let one = bucket.ready_at(&terms, now, 1).is_some_and(|at| at <= now);
                    assert_eq!(bucket.remaining(&terms, now) > 0, one);
                    assert!(bucket.full_at(&terms, now) >= now);
                }
                bucket.give_back(&terms, now, ns(0), u32::MAX);
                // It was not admissible, and is taken all the same.
                bucket.take(&terms, now, u32::MAX);
                bucket.give_back(&terms, now, now, 1);
            }
            bucket.admit(&terms, ns(5), 1);
            let other = super::terms(7, 9);
            bucket.carry(&terms, &other, Tick::MAX);
            bucket.carry(&other, &terms, ns(7));
        }
    }
}

#[test]
fn what_is_ready_is_admitted_and_what_is_not_is_not_up_to_the_end_of_time() {
    for terms in absurd_terms() {
        for mut bucket in all() {
            for now in moments() {
                for cost in [1, 1_000_000_000] {
                    match bucket.admit(&terms, now, cost) {
                        Decision::Admitted => {}
                        Decision::Never => {
                            assert_ne!(bucket.admit(&terms, Tick::MAX, cost), Decision::Admitted);
                        }
                        Decision::Wait(at) => {
                            assert!(at > now);
                            assert_eq!(bucket.ready_at(&terms, at, cost), Some(at));
                        }
                    }
                }
            }
        }
    }
}

// S-RATE-01
#[test]
fn the_largest_burst_is_counted_to_the_call() {
    let terms = terms(1_000_000_000, 1_000_000_000);
    for mut bucket in buckets() {
        assert_eq!(bucket.admit(&terms, ms(0), 999_999_999), Decision::Admitted);
        assert_eq!(bucket.admit(&terms, ms(0), 2), Decision::Wait(ns(1)));
        assert_eq!(bucket.admit(&terms, ms(0), 1), Decision::Admitted);
        assert_eq!(bucket.admit(&terms, ms(1), 1_000_001), Decision::Wait(ns(1_000_001)));
        assert_eq!(bucket.remaining(&terms, ms(1)), 1_000_000);
        assert_eq!(bucket.admit(&terms, ms(0), u32::MAX), Decision::Never);
    }
}

// S-RATE-01
#[test]
fn a_clock_that_steps_back_mints_nothing_by_itself() {
    let terms = terms(5, 5);
    for mut bucket in all() {
        let first = admitted(&mut *bucket, &terms, ms(10_000), 99);
        assert_eq!(first, 5);
        for back in [9_999, 9_000, 100, 0] {
            assert_eq!(admitted(&mut *bucket, &terms, ms(back), 9), 0, "{back}");
            assert_eq!(bucket.remaining(&terms, ms(back)), 0);
            assert!(bucket.full_at(&terms, ms(back)) > ms(10_000));
        }
        assert_eq!(admitted(&mut *bucket, &terms, ms(10_000), 9), 0);
    }
}

// S-RATE-04
#[test]
fn a_log_keeps_its_order_when_the_clock_steps_back() {
    let terms = terms(5, 1);
    let mut log = SlidingLog::new();
    assert_eq!(admitted(&mut log, &terms, ms(10_000), 2), 2);
    assert_eq!(admitted(&mut log, &terms, ms(9_000), 2), 2);
    assert_eq!(log.full_at(&terms, ms(9_000)), ms(11_000));
    assert_eq!(admitted(&mut log, &terms, ms(10_999), 9), 1);
    assert_eq!(admitted(&mut log, &terms, ms(11_000), 9), 4);
}
