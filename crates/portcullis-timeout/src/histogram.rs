//! The newest latencies of a callee in fixed memory: [`Histogram`].

mod half;
#[cfg(test)]
mod tests;

use std::time::Duration;

use breaker_core::Tick;

use self::half::{FINE, Half, OCTAVES, middle, nanos};

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
