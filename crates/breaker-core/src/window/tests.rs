//! Windows by themselves, without thresholds that would end a history early.

use proptest::prelude::*;

use super::calls::CallWindow;
use super::time::TimeWindow;
use super::*;

proptest! {
    #[test]
    fn a_window_takes_in_successes_by_words_as_it_does_one_by_one(
        size in prop_oneof![1..=70_u32, 100..=300_u32],
        calls in prop::collection::vec(any::<(bool, bool)>(), 0..400),
        n in 0..=400_u32,
    ) {
        let mut together = CallWindow::new(size);
        for (failed, slow) in calls {
            together.record(failed, slow);
        }
        let mut single = together.clone();
        together.record_successes(n);
        (0..n).for_each(|_| single.record(false, false));
        prop_assert_eq!(together, single);
    }
}

#[test]
fn a_full_time_window_stays_full() {
    let mut window = TimeWindow::new(1_000, 1);
    window.record(true, true, Tick::ZERO);
    for _ in 0..2 {
        window.record_successes(u32::MAX, Tick::ZERO);
        assert_eq!(window.sum, Tally { calls: u32::MAX, failures: 1, slow: 1 });
    }
    window.advance(Tick::from_nanos(1_000));
    assert_eq!(window.sum, Tally::default());
}

/// S-WIN-03: what is kept per circuit is fixed.
#[test]
fn a_plain_streak_needs_nothing_on_the_heap() {
    assert!(size_of::<Item>() <= 16 && size_of::<Evidence>() <= 24);
    let evidence = Evidence::new(&Trip::consecutive(5));
    assert!(matches!(evidence.0, Items::One(_)), "{evidence:?}");
}

/// S-WIN-03: a call touches one word of a window, however large it is, and no window grows.
#[test]
fn an_update_touches_one_word_and_memory_is_fixed() {
    for size in [1, 64, 65, 1_000, 65_536] {
        let mut window = CallWindow::new(size);
        let words = window.bits().map(<[u64]>::len);
        assert_eq!(words, [size.div_ceil(64) as usize; 2]);
        for call in 0..2 * size + 100 {
            // To compare all words of a large window each time would take long.
            let before = (call % (1 + size / 50) == 0).then(|| window.clone());
            window.record(call % 3 == 0, call % 5 == 0);
            if let Some(before) = before {
                let pairs = before.bits().into_iter().zip(window.bits());
                let touched = pairs
                    .map(|(old, new)| old.iter().zip(new).filter(|(old, new)| old != new).count());
                assert!(touched.into_iter().all(|touched| touched <= 1), "{size}: call {call}");
            }
        }
        assert_eq!(window.bits().map(<[u64]>::len), words);
        assert_eq!(window.tally.calls, size);
    }
}

/// S-WIN-03, S-WIN-02: the longest idle time is no longer to catch up with than one window.
#[test]
fn a_time_window_catches_up_at_once_with_any_idle_time() {
    let mut window = TimeWindow::new(100_000_000, 100);
    window.record(true, false, Tick::ZERO);
    window.record(true, false, Tick::MAX);
    assert_eq!((window.sum.calls, window.buckets().len()), (1, 100));
    let held: u32 = window.buckets().iter().map(|bucket| bucket.calls).sum();
    assert_eq!(held, 1);
}
