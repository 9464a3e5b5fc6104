//! What follows from the values of a configuration.

use std::time::Duration;

use super::TimeoutConfig;
use crate::histogram::Histogram;

impl TimeoutConfig {
    /// The percentile in ten-thousandths.
    pub(crate) fn part(&self) -> u32 {
        u32::from(self.percentile).min(9_999)
    }

    /// Two calls beyond the percentile.
    fn samples_beyond(&self) -> u32 {
        20_000_u32.div_ceil(10_000 - self.part()).min((self.window / 2).max(1))
    }

    /// How many calls have to be known before the percentile is followed.
    pub(crate) fn samples_needed(&self) -> u32 {
        if self.part() < 9_900 { 1 } else { self.samples_beyond() }
    }

    pub(crate) fn histogram(&self) -> Histogram {
        Histogram::new(self.window, self.half_life, self.samples_beyond())
    }

    pub(crate) fn same_window(&self, other: &Self) -> bool {
        let shape = |config: &Self| (config.window, config.half_life, config.samples_beyond());
        shape(self) == shape(other)
    }

    /// So many seconds, within the bounds.
    pub(crate) fn bounded(&self, seconds: f64) -> Duration {
        let (min, max) = (self.min.as_secs_f64(), self.max.as_secs_f64());
        let within = Duration::from_secs_f64(seconds.max(min).min(max));
        within.max(self.min).min(self.max)
    }

    /// As far as one adjustment may go.
    pub(crate) fn step(&self, from: Duration, wanted: Duration) -> Duration {
        let nanos = from.as_nanos();
        let most = nanos * u128::from(self.max_change_milli) / 1_000;
        let to = wanted.as_nanos().clamp(nanos.saturating_sub(most), nanos + most);
        let to = Duration::from_nanos(u64::try_from(to).unwrap_or(u64::MAX));
        to.max(self.min).min(self.max)
    }
}
