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
