use super::callee::{Callee, size};
use super::*;

/// Around 50 ms.
const MEDIAN: f64 = 0.05;
/// With bounds that do not matter.
const WIDE: TimeoutConfig = TimeoutConfig::new().bounds(ms(1), ms(30_000));

const fn wide(config: TimeoutConfig) -> TimeoutConfig {
    config.bounds(ms(1), ms(30_000))
}

// S-TIMEOUT-01
#[test]
fn no_more_calls_are_given_up_than_the_rate_allows() {
    let calls = size([15_000, 300_000]);
    println!("sigma | allowed | given up of {calls:7} | timeout / median");
    for sigma in [0.2, 0.5, 1.0] {
        let rates = [0.05, 0.01, 0.001];
        let by_rate = rates.map(|rate| (rate, wide(TimeoutConfig::false_timeouts(rate))));
        for (rate, config) in by_rate.into_iter().chain([(0.05, WIDE)]) {
            let mut callee = Callee::new(config, 7);
            for call in 0..10_000 + calls {
                if call == 10_000 {
                    callee.count_anew();
                }
                let needs = callee.lognormal(MEDIAN, sigma);
                callee.call(needs);
            }
            let (given_up, timeout) = (callee.share_of_timeouts(), callee.it.timeout());
            let times = timeout.as_secs_f64() / MEDIAN;
            println!("{sigma:5} | {rate:7} | {given_up:19.5} | {times:.1}");
            assert!(given_up <= rate, "{given_up} of {rate} at {sigma}");
        }
    }
}

// S-TIMEOUT-02
#[test]
fn no_call_is_given_up_of_a_callee_that_always_takes_as_long() {
    use TimeoutStrategy::{Adaptive, Hybrid, Percentile};
    for (strategy, window) in [(Adaptive, 10), (Adaptive, 100), (Hybrid, 100), (Percentile, 100)] {
        let config = TimeoutConfig::new().strategy(strategy).window(window);
        let mut callee = Callee::new(config, 7);
        for _ in 0..1_000 {
            callee.call(0.5);
        }
        assert_eq!(callee.timeouts, 0, "{strategy:?}, window of {window}");
    }
}

// S-TIMEOUT-04
#[test]
fn after_a_slow_down_and_its_end_it_is_back_within_one_window() {
    println!("slow by | gave up while slow | calls until it was back, of a window of 100");
    for (seed, times) in (1..=30).flat_map(|seed| [(seed, 3.0), (seed, 10.0)]) {
        let mut callee = Callee::new(WIDE, seed);
        // The halves turn at any time.
        for _ in 0..1_000 + seed {
            let needs = callee.lognormal(MEDIAN, 0.2);
            callee.call(needs);
        }
        let before = callee.it.timeout().as_secs_f64();
        callee.count_anew();
        for _ in 0..500 {
            let needs = callee.lognormal(times * MEDIAN, 0.2);
            callee.call(needs);
        }
        let (lost, slow) = (callee.timeouts, callee.it.timeout().as_secs_f64());
        assert!(slow > times * MEDIAN, "{slow} at {times}");
        let back = (1..=1_000).find(|_| {
            let needs = callee.lognormal(MEDIAN, 0.2);
            callee.call(needs);
            callee.it.timeout().as_secs_f64() < 1.25 * before
        });
        if seed <= 3 {
            println!("{times:7} | {lost:18} | {back:?}");
        }
        assert!(back.is_some_and(|calls| calls <= 100), "{back:?} for {times} and {seed}");
    }
}

// S-TIMEOUT-04
#[test]
fn a_callee_that_is_slower_for_good_is_waited_for_within_fifty_calls() {
    for seed in 1..=30 {
        let mut callee = Callee::new(WIDE, seed);
        for _ in 0..1_000 + seed {
            let needs = callee.lognormal(MEDIAN, 0.1);
            callee.call(needs);
        }
        for _ in 0..50 {
            let needs = callee.lognormal(3.0 * MEDIAN, 0.1);
            callee.call(needs);
        }
        let settled = callee.it.timeout().as_secs_f64();
        assert!(settled > 3.0 * MEDIAN, "{settled}");
        let mut highest = settled;
        for _ in 0..size([2_000, 10_000]) {
            let needs = callee.lognormal(3.0 * MEDIAN, 0.1);
            callee.call(needs);
            highest = highest.max(callee.it.timeout().as_secs_f64());
        }
        assert!(highest < 9.0 * MEDIAN, "{highest} after {settled}");
    }
}

// S-TIMEOUT-04
#[test]
fn calls_of_which_five_in_a_hundred_hang_do_not_let_it_creep_up() {
    let calls = size([100_000, 1_000_000]);
    let all = f64::from(calls);
    println!("config | timeout: mean, highest, in the last tenth, in multiples of the median");
    let rates = TimeoutConfig::false_timeouts(0.05);
    for (name, config) in [("default", WIDE), ("false_timeouts(0.05)", wide(rates))] {
        let mut callee = Callee::new(config, 3);
        let (mut sum, mut highest, mut late) = (0.0, 0.0_f64, 0.0);
        for call in 0..calls {
            let hangs = callee.share() < 0.05;
            let needs = if hangs { 1e6 } else { callee.lognormal(MEDIAN, 0.5) };
            callee.call(needs);
            let timeout = callee.it.timeout().as_secs_f64() / MEDIAN;
            sum += timeout / all;
            highest = highest.max(timeout);
            late += if call >= calls / 10 * 9 { timeout / (all / 10.0) } else { 0.0 };
        }
        println!("{name} | {sum:.2}, {highest:.2}, {late:.2}");
        assert!(late < 1.1 * sum, "{late} is more than {sum}");
        assert!(sum < 10.0 && highest < 50.0, "{sum} {highest}");
    }
}

// S-TIMEOUT-04
#[test]
fn a_callee_that_fails_fast_does_not_move_it() {
    let mut it = after(WIDE, [100; 100]);
    let before = it.timeout();
    for _ in 0..10_000 {
        it.record(Tick::ZERO, Sample::Failed(ms(1)), false);
    }
    assert_eq!(it.timeout(), before);
}
