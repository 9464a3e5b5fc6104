use super::half::{BUCKETS, LONGEST, SHORTEST, bucket};
use super::*;

const AGE: Duration = Duration::from_secs(30);

fn millis(window: u32, samples: impl IntoIterator<Item = u64>) -> Histogram {
    let mut histogram = Histogram::new(window, AGE, 1);
    for sample in samples {
        histogram.record(Tick::ZERO, Duration::from_millis(sample));
    }
    histogram
}

fn near(found: Option<Duration>, millis: f64) {
    let found = found.map_or(f64::NAN, |found| found.as_secs_f64() * 1e3);
    assert!((found / millis - 1.0).abs() < 0.008, "{found} ms is not {millis} ms");
}

#[test]
fn a_quantile_lies_between_two_ranks() {
    let histogram = millis(100, [100, 200, 300, 400, 500]);
    near(histogram.quantile(9_500), 480.0);
    near(histogram.median(), 300.0);
    near(histogram.quantile(0), 100.0);
    near(histogram.quantile(10_000), 500.0);
    assert_eq!(histogram.mean(), Duration::from_millis(300));
    near(Some(histogram.std()), 141.421_356);
    assert_eq!(histogram.max(), Duration::from_millis(500));
}

#[test]
fn of_fifteen_samples_in_a_window_of_ten_the_newest_ten_remain() {
    let histogram = millis(10, 1..=15);
    assert_eq!(histogram.len(), 10);
    near(histogram.quantile(0), 6.0);
    assert_eq!(histogram.mean(), Duration::from_micros(10_500));
    for count in 10..100 {
        let kept = millis(10, 1..=count).len();
        assert!((6..=10).contains(&kept), "{kept} of {count}");
    }
}

#[test]
fn each_latency_is_found_again_within_a_hundredth() {
    let mut nanos = SHORTEST;
    while nanos <= LONGEST {
        let found = middle(bucket(nanos));
        let off = found.abs_diff(nanos) as f64 / nanos as f64;
        assert!(off <= 0.008, "{nanos} became {found}");
        nanos += nanos / 97 + 1;
    }
    assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
}

#[test]
fn calls_that_were_given_up_rank_above_all_others() {
    let mut histogram = millis(100, [100; 9]);
    histogram.record_censored(Tick::ZERO);
    near(histogram.quantile(8_800), 100.0);
    assert_eq!(histogram.quantile(9_500), None);
    assert_eq!((histogram.len(), histogram.finished(), histogram.censored()), (10, 9, 1));
    assert_eq!(millis(10, []).median(), None);
}

#[test]
fn what_is_older_than_two_half_lives_is_forgotten() {
    let mut histogram = millis(100, [9_000; 20]);
    let at = |secs: u64| Tick::from_millis(secs * 1_000);
    histogram.record(at(29), Duration::from_millis(1));
    histogram.record(at(30), Duration::from_millis(1));
    assert_eq!(histogram.len(), 22);
    histogram.record(at(60), Duration::from_millis(1));
    assert_eq!((histogram.len(), histogram.max()), (2, Duration::from_millis(1)));
}

#[test]
fn a_half_is_kept_until_it_has_enough() {
    let mut histogram = Histogram::new(100, AGE, 10);
    for second in 0..200 {
        histogram.record(Tick::from_millis(second * 10_000), Duration::from_millis(1));
        let least = (second as u32 + 1).min(10);
        assert!(histogram.len() >= least, "{} at {second}", histogram.len());
    }
}

#[test]
fn the_largest_window_of_the_longest_latencies_overflows_nothing() {
    let mut histogram = Histogram::new(u32::MAX, Duration::MAX, 1);
    for _ in 0..150_000 {
        histogram.record(Tick::MAX, Duration::MAX);
    }
    assert_eq!(histogram.len(), Histogram::MAX_WINDOW);
    assert_eq!(histogram.mean().as_nanos() as u64, LONGEST);
    assert_eq!(histogram.std(), Duration::ZERO);
    assert_eq!(histogram.median().map(|median| median.as_nanos() as u64), Some(LONGEST));
}
