use proptest::prelude::*;

use super::*;

/// Moves as far as it has to.
const FREE: TimeoutConfig = TimeoutConfig::new().max_change(10.0);
const STEPS: [u64; 5] = [100, 200, 300, 400, 500];

// S-TIMEOUT-01
#[test]
fn a_timeout_is_the_percentile_times_the_factor() {
    near(after(FREE.strategy(TimeoutStrategy::Percentile), STEPS).timeout(), 720.0);
}

// S-TIMEOUT-01
#[test]
fn a_timeout_begins_where_it_is_told_and_stays_within_its_bounds() {
    let mut it = Estimator::new(TimeoutConfig::new());
    assert_eq!((it.timeout(), it.success_rate()), (ms(1_000), 1.0));
    assert_eq!((it.window().mean(), it.last()), (Duration::ZERO, None));
    it = after(FREE, [1]);
    assert_eq!(it.timeout(), ms(100));
    assert_eq!(after(FREE, [100_000]).timeout(), ms(11_000), "ten times itself more");
    assert_eq!(after(FREE, [100_000; 2]).timeout(), ms(30_000));
    assert_eq!(after(TimeoutConfig::fixed(ms(7)), 1..=1_000).timeout(), ms(7));
}

// S-TIMEOUT-02
#[test]
fn mean_and_two_deviations_are_a_timeout() {
    near(after(FREE.strategy(TimeoutStrategy::Adaptive), STEPS).timeout(), 553.7);
}

// S-TIMEOUT-02
#[test]
fn calls_that_time_out_lengthen_the_mean() {
    let mut it = after(FREE.strategy(TimeoutStrategy::Adaptive).percentile(50.0), [100; 10]);
    near(it.timeout(), 100.0);
    it.record(Tick::ZERO, Sample::TimedOut(ms(1_000)), false);
    near(it.timeout(), 100.0 * (2.0 - 10.0 / 11.0));
}

// S-TIMEOUT-03
#[test]
fn the_mixture_is_weighted_by_the_success_rate() {
    near(after(FREE, STEPS).timeout(), 720.0);
    let mut it = after(FREE.percentile(50.0).factor(3.0), [200; 8]);
    let _ = it.record(Tick::ZERO, Sample::TimedOut(ms(300)), false);
    let _ = it.record(Tick::ZERO, Sample::TimedOut(ms(300)), false);
    near(it.timeout(), [0.2 * 200.0 * 1.2, 0.8 * 600.0].iter().sum());
}

// S-TIMEOUT-03
#[test]
fn the_rate_counts_timeouts_and_nothing_else() {
    let mut it = after(TimeoutConfig::new(), [100, 100]);
    it.record(Tick::ZERO, Sample::TimedOut(ms(1_000)), false);
    assert!((it.success_rate() - 2.0 / 3.0).abs() < 1e-9);
    let before = it.timeout();
    for _ in 0..100 {
        it.record(Tick::ZERO, Sample::Failed(ms(1)), false);
        it.record(Tick::ZERO, Sample::Cancelled(ms(10_000)), false);
    }
    assert!(it.success_rate() > 0.66, "{}", it.success_rate());
    assert_eq!(it.timeout(), before);
}

// S-TIMEOUT-04
#[test]
fn a_percentile_among_calls_that_timed_out_lets_the_timeout_grow() {
    let mut it = after(FREE, [700; 20]);
    near(it.timeout(), 1_050.0);
    let limit = it.timeout();
    let grown = (0..2).find_map(|_| it.record(Tick::ZERO, Sample::TimedOut(limit), false));
    near(grown.expect("it grows").to, 1_575.0);
    // Those that began before say nothing of what it is now.
    for _ in 0..50 {
        assert_eq!(it.record(Tick::ZERO, Sample::TimedOut(limit), false), None);
    }
    let limit = it.timeout();
    let grown = (0..3).filter_map(|_| it.record(Tick::ZERO, Sample::TimedOut(limit), false));
    assert_eq!(grown.count(), 1, "new ones do");
}

// S-TIMEOUT-04
#[test]
fn a_timeout_with_no_answer_at_all_grows_to_the_longest() {
    let mut it = Estimator::new(TimeoutConfig::new());
    for _ in 0..200 {
        it.record(Tick::ZERO, Sample::TimedOut(it.timeout()), false);
    }
    assert_eq!(it.timeout(), ms(30_000));
}

// S-TIMEOUT-04
#[test]
fn it_is_not_lowered_below_twice_the_median_while_calls_that_timed_out_are_known() {
    let config = FREE.strategy(TimeoutStrategy::Percentile).percentile(50.0).factor(1.0);
    let mut it = after(config, [300; 20]);
    near(it.timeout(), 300.0);
    it.record(Tick::ZERO, Sample::TimedOut(it.timeout()), false);
    for _ in 0..28 {
        it.record(Tick::ZERO, Sample::Answered(ms(100)), false);
    }
    // The percentile is 100 ms by now, and what is known of the one call is that it took 300.
    assert_eq!(it.window().censored(), 1);
    near(it.timeout(), 200.0);
    for _ in 0..100 {
        it.record(Tick::ZERO, Sample::Answered(ms(100)), false);
    }
    assert_eq!(it.window().censored(), 0);
    near(it.timeout(), 100.0);
}

// S-TIMEOUT-04
#[test]
fn a_call_that_was_cancelled_has_a_rank_only_beyond_the_median() {
    let mut it = after(TimeoutConfig::new(), [100; 10]);
    it.record(Tick::ZERO, Sample::Cancelled(ms(50)), false);
    assert_eq!(it.window().len(), 10);
    it.record(Tick::ZERO, Sample::Cancelled(ms(150)), false);
    assert_eq!((it.window().len(), it.window().timed_out()), (11, 0));
}

// S-TIMEOUT-05
#[test]
fn one_adjustment_moves_it_by_half_at_most() {
    let mut it = Estimator::new(TimeoutConfig::new());
    it.record(Tick::ZERO, Sample::Answered(ms(150)), false);
    assert_eq!(it.timeout(), ms(500));
    it.record(Tick::ZERO, Sample::Answered(ms(160)), false);
    assert_eq!(it.timeout(), ms(250));
    let steps: Vec<_> = it.history().map(|step| (step.from, step.to)).collect();
    assert_eq!(steps, [(ms(1_000), ms(500)), (ms(500), ms(250))]);
    assert_eq!(after(TimeoutConfig::new(), [9_000; 2]).timeout(), ms(2_250));
}

// S-TIMEOUT-05
#[test]
fn it_moves_only_every_so_many_calls() {
    let config = TimeoutConfig::new().adjust_every(10);
    assert_eq!(after(config, [150; 9]).timeout(), ms(1_000));
    assert_eq!(after(config, [150; 10]).timeout(), ms(500));
    assert_eq!(after(config, [150; 19]).timeout(), ms(500));
    assert_eq!(after(config, [150; 20]).timeout(), ms(250));
}

// S-TIMEOUT-05
#[test]
fn one_call_that_stands_out_hardly_moves_it() {
    for window in [10, 20, 50, 100, 1_000] {
        let config = TimeoutConfig::new().window(window);
        for others in 5..150 {
            let mut it = after(config, vec![100; others]);
            let before = it.timeout().as_secs_f64();
            it.record(Tick::ZERO, Sample::Answered(ms(20_000)), false);
            it.record(Tick::ZERO, Sample::Answered(ms(100)), false);
            let change = it.timeout().as_secs_f64() / before;
            assert!(change < 1.05, "{change} after {others} of {window}");
        }
    }
}

// S-TIMEOUT-05
#[test]
fn three_calls_that_stand_out_in_a_row_are_a_new_level() {
    let mut it = after(FREE.window(10), [100; 10]);
    near(it.timeout(), 150.0);
    for _ in 0..2 {
        it.record(Tick::ZERO, Sample::Answered(ms(900)), false);
    }
    near(it.timeout(), 150.0);
    it.record(Tick::ZERO, Sample::Answered(ms(900)), false);
    near(it.timeout(), 1_350.0);
    let mut it = after(FREE.window(10), [100; 10]);
    for answer in [900, 900, 100].repeat(30) {
        it.record(Tick::ZERO, Sample::Answered(ms(answer)), false);
    }
    near(it.timeout(), 150.0);
}

// S-TIMEOUT-05
#[test]
fn it_is_not_lowered_while_the_callee_is_congested() {
    let mut it = after(TimeoutConfig::new(), [900; 100]);
    let before = it.timeout();
    for _ in 0..200 {
        assert_eq!(it.record(Tick::ZERO, Sample::Answered(ms(10)), true), None);
    }
    assert_eq!(it.timeout(), before);
    it.record(Tick::ZERO, Sample::Answered(ms(10)), false);
    assert!(it.timeout() < before);
    // By itself, too: more than a fifth of the last 32 calls, though the window has forgotten them.
    let mut it = after(FREE.window(10), [900; 30]);
    let before = it.timeout();
    for _ in 0..8 {
        it.record(Tick::ZERO, Sample::TimedOut(ms(1)), false);
    }
    for _ in 0..24 {
        assert_eq!((it.is_congested(), it.timeout()), (true, before));
        it.record(Tick::ZERO, Sample::Answered(ms(10)), false);
    }
    assert_eq!(it.window().censored(), 0);
    for _ in 0..2 {
        it.record(Tick::ZERO, Sample::Answered(ms(10)), false);
    }
    assert!(!it.is_congested() && it.timeout() < before, "{:?}", it.timeout());
}

// S-TIMEOUT-01
#[test]
fn a_high_percentile_needs_two_calls_beyond_it() {
    for (rate, calls) in [(0.01, 200), (0.001, 2_000)] {
        let config = TimeoutConfig::false_timeouts(rate);
        assert_eq!(after(config, vec![100; calls - 1]).timeout(), ms(1_000));
        assert!(after(config, vec![100; calls]).timeout() < ms(1_000), "{rate}");
    }
    // But half a window has to do.
    let config = TimeoutConfig::new().percentile(99.9);
    assert_eq!(after(config, [100; 49]).timeout(), ms(1_000));
    assert!(after(config, [100; 50]).timeout() < ms(1_000));
}

#[test]
fn the_history_is_bounded_and_another_configuration_keeps_what_it_can() {
    let config = TimeoutConfig::new().history(3);
    let mut it = after(config, (1..=50).map(|n| n * 100));
    assert_eq!(it.history().count(), 3);
    assert_eq!(it.history().last(), it.last());
    let calls = it.window().len();
    let moved = it.reconfigure(Tick::ZERO, config.history(1).bounds(ms(1), ms(2)));
    assert_eq!((it.timeout(), moved.map(|moved| moved.to)), (ms(2), Some(ms(2))));
    assert_eq!((it.window().len(), it.history().count()), (calls, 1));
    it.reconfigure(Tick::ZERO, config.window(50).history(0));
    assert_eq!((it.window().len(), it.history().count()), (0, 0));
    it.reconfigure(Tick::ZERO, TimeoutConfig::fixed(ms(70)));
    assert_eq!(it.timeout(), ms(70));
    it.reset(Tick::ZERO);
    assert_eq!((it.timeout(), it.last()), (ms(70), None));
}

fn samples() -> impl proptest::strategy::Strategy<Value = (u64, Sample, bool)> {
    let duration = prop_oneof![0..10_000_000_000_u64, Just(0), Just(u64::MAX), any::<u64>()];
    (0..4, duration, any::<u64>(), any::<bool>()).prop_map(|(kind, nanos, at, congested)| {
        let after = if nanos == u64::MAX { Duration::MAX } else { Duration::from_nanos(nanos) };
        let sample = match kind {
            0 => Sample::Answered(after),
            1 => Sample::Failed(after),
            2 => Sample::TimedOut(after),
            _ => Sample::Cancelled(after),
        };
        (at, sample, congested)
    })
}

proptest! {
    // S-TIMEOUT-01 S-TIMEOUT-05
    #[test]
    fn whatever_calls_take_it_stays_within_its_bounds(
        calls in proptest::collection::vec(samples(), 0..300),
        strategy in 0..4_usize,
        (window, percentile, change) in (10..200_u32, 0.01..99.99_f64, 0.001..10.0_f64),
        (factor, every, history) in (1.0..10.0_f64, 1..20_u32, 0..5_u32),
    ) {
        let all = [TimeoutStrategy::Percentile, TimeoutStrategy::Adaptive, TimeoutStrategy::Hybrid, TimeoutStrategy::Fixed];
        let config = TimeoutConfig::new()
            .strategy(all[strategy])
            .window(window)
            .percentile(percentile)
            .factor(factor)
            .max_change(change)
            .adjust_every(every)
            .history(history);
        let mut it = Estimator::new(config);
        for (at, sample, congested) in calls {
            let (before, held) = (it.timeout(), it.timeout().as_secs_f64());
            let moved = it.record(Tick::from_nanos(at), sample, congested);
            prop_assert!((config.min..=config.max).contains(&it.timeout()));
            let by = (it.timeout().as_secs_f64() - held).abs();
            prop_assert!(by <= held * (change + 0.001), "{by} of {held}");
            prop_assert!(!congested || it.timeout() >= before);
            prop_assert_eq!(moved.is_some(), it.timeout() != before);
            prop_assert!(it.window().len() <= window);
            prop_assert!(it.history().count() <= history as usize);
            prop_assert!((0.0..=1.0).contains(&it.success_rate()));
        }
    }
}
