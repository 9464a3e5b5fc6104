//! The newest latencies of a callee in fixed memory: [`Histogram`].

use std::time::Duration;

use breaker_core::Tick;

/// Buckets per octave, as a power of two: the middle of a bucket is off by 0.8 % at most.
const FINE: u32 = 6;
/// The first octave begins at 2^10 ns, about a microsecond.
const FIRST: u32 = 10;
/// The last one ends at 2^42 ns, about 73 minutes.
const OCTAVES: usize = 32;
const BUCKETS: usize = OCTAVES << FINE;
const SHORTEST: u64 = 1 << FIRST;
const LONGEST: u64 = (1 << (FIRST + OCTAVES as u32)) - 1;

/// The newest latencies, in buckets that grow with the latency, as HdrHistogram has them.
///
/// What is shorter than a microsecond counts as one, what is longer than 73 minutes as that. Two
/// halves take turns: the older one is forgotten when the newer one is full, or when it is a
/// half-life old and says enough by itself. It takes about 9 kB however large the window is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Histogram {
    /// Each holds so many at most.
    half: u32,
    half_life: Duration,
    /// A half with fewer is not old.
    at_least: u32,
    began: Option<Tick>,
    newer: Half,
    older: Half,
}

impl Histogram {
    /// The most samples of a window: a half of them fits a counter of 16 bits.
    pub(crate) const MAX_WINDOW: u32 = 100_000;

    /// Keeps the newest `window` samples at most (2..=100,000), and more than half of that, or
    /// `at_least` so many where those are not older than two half-lives.
    pub(crate) fn new(window: u32, half_life: Duration, at_least: u32) -> Self {
        let half = (window.min(Self::MAX_WINDOW) / 2).max(1);
        let at_least = at_least.clamp(1, half);
        let (newer, older) = (Half::new(Box::default()), Half::new(Box::default()));
        Self { half, half_life, at_least, began: None, newer, older }
    }

    /// Takes in a call that was answered after so long.
    pub(crate) fn record(&mut self, now: Tick, latency: Duration) {
        self.record_rank(now, latency);
        self.record_sum(latency);
    }

    /// Takes in a call that was given up before its answer came: it is taken to be slower than all
    /// that were answered.
    pub(crate) fn record_censored(&mut self, now: Tick) {
        self.make_room(now);
        self.newer.censored += 1;
    }

    /// Takes in a call that was given up because it took too long.
    pub(crate) fn record_timed_out(&mut self, now: Tick) {
        self.record_censored(now);
        self.newer.timed_out += 1;
    }

    /// Takes in an answer that has a rank, but no part in mean and deviation.
    pub(crate) fn record_rank(&mut self, now: Tick, latency: Duration) {
        self.make_room(now);
        self.newer.rank(nanos(latency));
    }

    /// Gives an answer that has a rank already its part in mean and deviation.
    pub(crate) fn record_sum(&mut self, latency: Duration) {
        self.newer.sum(nanos(latency));
    }

    fn make_room(&mut self, now: Tick) {
        let age = self.began.map_or(Duration::ZERO, |began| now.since(began));
        let full = self.newer.len() >= self.half;
        let old = age >= self.half_life && self.newer.len() >= self.at_least;
        if full || old {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.clear();
            self.began = None;
        }
        self.began.get_or_insert(now);
    }

    /// How many calls are kept.
    pub(crate) fn len(&self) -> u32 {
        self.newer.len() + self.older.len()
    }

    /// How many of them were given up.
    pub(crate) const fn censored(&self) -> u32 {
        self.newer.censored + self.older.censored
    }

    /// How many of them took too long.
    pub(crate) const fn timed_out(&self) -> u32 {
        self.newer.timed_out + self.older.timed_out
    }

    /// How many of them were answered.
    pub(crate) const fn finished(&self) -> u32 {
        self.newer.finished + self.older.finished
    }

    /// The latency that this part of the calls does not exceed, in ten-thousandths: 9,500 is the
    /// 95th percentile. Between two calls it is interpolated. `None` where there is no call, or where
    /// it falls among those that were given up.
    pub(crate) fn quantile(&self, part: u32) -> Option<Duration> {
        let last = u64::from(self.len().checked_sub(1)?);
        let place = last * u64::from(part.min(10_000));
        let (rank, rest) = (place / 10_000, place % 10_000);
        let below = self.ranked(rank)?;
        if rest == 0 {
            return Some(Duration::from_nanos(below));
        }
        let above = self.ranked(rank + 1)?;
        let share = above.saturating_sub(below) * rest / 10_000;
        Some(Duration::from_nanos(below + share))
    }

    /// The quantile of a half.
    pub(crate) fn median(&self) -> Option<Duration> {
        self.quantile(5_000)
    }

    /// The latency with so many below it.
    fn ranked(&self, rank: u64) -> Option<u64> {
        if rank >= u64::from(self.finished()) {
            return None;
        }
        let mut left = u32::try_from(rank).ok()?;
        for octave in 0..OCTAVES {
            let here = self.newer.octaves[octave] + self.older.octaves[octave];
            if left >= here {
                left -= here;
                continue;
            }
            for bucket in octave << FINE..(octave + 1) << FINE {
                let here = self.newer.in_bucket(bucket) + self.older.in_bucket(bucket);
                if left < here {
                    return Some(middle(bucket).clamp(self.min(), self.max_nanos()));
                }
                left -= here;
            }
        }
        None
    }

    const fn summed(&self) -> u32 {
        self.newer.summed + self.older.summed
    }

    fn min(&self) -> u64 {
        self.newer.min.min(self.older.min)
    }

    fn max_nanos(&self) -> u64 {
        self.newer.max.max(self.older.max)
    }

    /// The longest latency; zero where there is none.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max_nanos())
    }

    /// The exact mean of the latencies; zero where there is none.
    pub(crate) fn mean(&self) -> Duration {
        let sum = self.newer.sum + self.older.sum;
        Duration::from_nanos((sum / u128::from(self.summed().max(1))) as u64)
    }

    /// The exact standard deviation of the latencies, taken as all there are; zero where there is
    /// none.
    pub(crate) fn std(&self) -> Duration {
        let calls = u128::from(self.summed().max(1));
        let sum = self.newer.sum + self.older.sum;
        let squares = self.newer.squares + self.older.squares;
        // At most 10^5 * 10^5 * 2^84: it fits, and it is never below zero (Cauchy and Schwarz).
        let spread = (calls * squares).saturating_sub(sum * sum);
        Duration::from_nanos(((spread as f64).sqrt() / calls as f64) as u64)
    }
}

/// One of the two halves.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Half {
    /// None before the first call.
    buckets: Box<[u16]>,
    /// The sums of the buckets of each octave, so that a quantile looks at few of them.
    octaves: [u32; OCTAVES],
    finished: u32,
    censored: u32,
    timed_out: u32,
    /// How many have a part in the sums.
    summed: u32,
    sum: u128,
    squares: u128,
    min: u64,
    max: u64,
}

impl Half {
    const fn new(buckets: Box<[u16]>) -> Self {
        Self {
            buckets,
            octaves: [0; OCTAVES],
            finished: 0,
            censored: 0,
            timed_out: 0,
            summed: 0,
            sum: 0,
            squares: 0,
            min: LONGEST,
            max: 0,
        }
    }

    const fn len(&self) -> u32 {
        self.finished + self.censored
    }

    fn rank(&mut self, nanos: u64) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS].into_boxed_slice();
        }
        let bucket = bucket(nanos);
        self.buckets[bucket] += 1;
        self.octaves[bucket >> FINE] += 1;
        self.finished += 1;
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    fn sum(&mut self, nanos: u64) {
        self.summed += 1;
        self.sum += u128::from(nanos);
        self.squares += u128::from(nanos) * u128::from(nanos);
    }

    fn clear(&mut self) {
        if self.len() == 0 {
            return;
        }
        let mut buckets = std::mem::take(&mut self.buckets);
        buckets.fill(0);
        *self = Self::new(buckets);
    }

    fn in_bucket(&self, bucket: usize) -> u32 {
        self.buckets.get(bucket).map_or(0, |count| u32::from(*count))
    }
}

fn nanos(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(LONGEST).min(LONGEST)
}

/// Which bucket holds so many nanoseconds: the octave, and the six bits below its highest one.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.clamp(SHORTEST, LONGEST);
    let octave = nanos.ilog2();
    let within = (nanos >> (octave - FINE)) & ((1 << FINE) - 1);
    (((octave - FIRST) as usize) << FINE) + within as usize
}

/// The middle of a bucket.
fn middle(bucket: usize) -> u64 {
    let (octave, within) = (bucket >> FINE, bucket & ((1 << FINE) - 1));
    let width = 1_u64 << (octave as u32 + FIRST - FINE);
    ((1 << FINE) + within as u64) * width + width / 2
}

#[cfg(test)]
mod tests {
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
}
