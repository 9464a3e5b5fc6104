//! The timeout that the samples speak for.

use std::time::Duration;

use super::Estimator;
use crate::config::TimeoutStrategy;

impl Estimator {
    /// By this the timeout grows for calls that timed out.
    const GROWTH: f64 = 1.5;
    /// Doubt that lets it grow once more while the last growth is fresh.
    const AGAIN: f64 = 3.0;

    /// The timeout that the samples speak for.
    pub(super) fn wanted(&mut self, congested: bool) -> Option<Duration> {
        let few = self.window.len() < self.config.samples_needed();
        let rank = self.window.quantile(self.config.part());
        let Some(rank) = rank else { return self.grown(few) };
        if few && self.config.strategy != TimeoutStrategy::Adaptive {
            return None;
        }
        let wanted = self.config.bounded(self.by_strategy(rank.as_secs_f64()));
        if wanted >= self.timeout {
            return Some(wanted);
        }
        if congested || self.is_congested() {
            return None;
        }
        if self.window.censored() == 0 {
            return Some(wanted);
        }
        // Twice the median, but that is no reason to grow.
        let least = self.window.median()?.saturating_mul(2).min(self.timeout);
        Some(wanted.max(least))
    }

    /// The percentile falls among the calls that were given up: nobody knows where it is, but that it
    /// is beyond. While the last growth is fresh, the calls that led to it are in the window still, so
    /// that it takes new ones to grow once more.
    fn grown(&mut self, few: bool) -> Option<Duration> {
        let fresh = self.since_growth < self.config.window;
        let enough = if fresh { Self::AGAIN } else { 1.0 };
        let few = few && !self.is_congested();
        if few || self.doubt < enough || self.timeout >= self.config.max {
            return None;
        }
        self.doubt = 0.0;
        self.since_growth = 0;
        Some(self.config.bounded(self.timeout.as_secs_f64() * Self::GROWTH))
    }

    /// In seconds.
    fn by_strategy(&self, rank: f64) -> f64 {
        let percentile = rank * f64::from(self.config.factor_milli) / 1_000.0;
        let rate = self.success_rate();
        match self.config.strategy {
            TimeoutStrategy::Percentile => percentile,
            // Calls that all take as long deviate by nothing, and would be cut off.
            TimeoutStrategy::Adaptive => self.by_deviation(rate).max(rank),
            TimeoutStrategy::Hybrid => {
                self.by_deviation(rate).mul_add(1.0 - rate, percentile * rate)
            }
            TimeoutStrategy::Fixed => self.timeout.as_secs_f64(),
        }
    }

    fn by_deviation(&self, rate: f64) -> f64 {
        let (mean, std) = (self.window.mean().as_secs_f64(), self.window.std().as_secs_f64());
        let base = 2.0_f64.mul_add(std, mean);
        if rate < 0.95 {
            base * (2.0 - rate)
        } else if rate > 0.99 {
            base * 0.95
        } else {
            base
        }
    }
}
