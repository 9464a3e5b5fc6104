//! One half of the newest latencies, in buckets: [`Half`].

use std::time::Duration;

/// Buckets per octave, as a power of two: the middle of a bucket is off by 0.8 % at most.
pub(super) const FINE: u32 = 6;
/// The first octave begins at 2^10 ns, about a microsecond.
const FIRST: u32 = 10;
/// The last one ends at 2^42 ns, about 73 minutes.
pub(super) const OCTAVES: usize = 32;
pub(super) const BUCKETS: usize = OCTAVES << FINE;
pub(super) const SHORTEST: u64 = 1 << FIRST;
pub(super) const LONGEST: u64 = (1 << (FIRST + OCTAVES as u32)) - 1;

/// One of the two halves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Half {
    /// None before the first call.
    pub(super) buckets: Box<[u16]>,
    /// The sums of the buckets of each octave, so that a quantile looks at few of them.
    pub(super) octaves: [u32; OCTAVES],
    pub(super) finished: u32,
    pub(super) censored: u32,
    pub(super) timed_out: u32,
    /// How many have a part in the sums.
    pub(super) summed: u32,
    pub(super) sum: u128,
    pub(super) squares: u128,
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Half {
    pub(super) const fn new(buckets: Box<[u16]>) -> Self {
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

    pub(super) const fn len(&self) -> u32 {
        self.finished + self.censored
    }

    pub(super) fn rank(&mut self, nanos: u64) {
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

    pub(super) fn sum(&mut self, nanos: u64) {
        self.summed += 1;
        self.sum += u128::from(nanos);
        self.squares += u128::from(nanos) * u128::from(nanos);
    }

    pub(super) fn clear(&mut self) {
        if self.len() == 0 {
            return;
        }
        let mut buckets = std::mem::take(&mut self.buckets);
        buckets.fill(0);
        *self = Self::new(buckets);
    }

    pub(super) fn in_bucket(&self, bucket: usize) -> u32 {
        self.buckets.get(bucket).map_or(0, |count| u32::from(*count))
    }
}

pub(super) fn nanos(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(LONGEST).min(LONGEST)
}

/// Which bucket holds so many nanoseconds: the octave, and the six bits below its highest one.
pub(super) fn bucket(nanos: u64) -> usize {
    let nanos = nanos.clamp(SHORTEST, LONGEST);
    let octave = nanos.ilog2();
    let within = (nanos >> (octave - FINE)) & ((1 << FINE) - 1);
    (((octave - FIRST) as usize) << FINE) + within as usize
}

/// The middle of a bucket.
pub(super) fn middle(bucket: usize) -> u64 {
    let (octave, within) = (bucket >> FINE, bucket & ((1 << FINE) - 1));
    let width = 1_u64 << (octave as u32 + FIRST - FINE);
    ((1 << FINE) + within as u64) * width + width / 2
}
