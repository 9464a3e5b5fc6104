//! What a timeout looks like at a moment: [`Snapshot`].

use std::time::Duration;

use breaker_core::Name;

use crate::config::TimeoutStrategy;
use crate::estimator::{Adjustment, Estimator};

/// All figures of a timeout, at one moment. The calls are those in the window which had to be waited
/// for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// What it is called.
    pub name: Name,
    /// How long a call may take.
    pub timeout: Duration,
    /// The share of the calls that did not time out, 0..=1; 1 where there are none.
    pub success_rate: f64,
    /// How many calls there are.
    pub samples: u32,
    /// How many of them timed out.
    pub timed_out: u32,
    /// How many were given up, those that timed out among them.
    pub given_up: u32,
    /// The mean of those that were answered; zero where there are none.
    pub mean: Duration,
    /// Their standard deviation.
    pub std: Duration,
    /// The longest.
    pub max: Duration,
    /// The median of all; `None` where there are none, or where half of them were given up.
    pub median: Option<Duration>,
    /// The percentile that is followed; `None` where there are none, or where it falls among those
    /// that were given up.
    pub percentile: Option<Duration>,
    /// Whether more than a fifth of the last 32 calls timed out: then it is not lowered.
    pub congested: bool,
    /// How often it has moved.
    pub moved: u64,
    /// How it moved last.
    pub last: Option<Adjustment>,
    strategy: TimeoutStrategy,
}

impl Snapshot {
    pub(crate) fn of(estimator: &Estimator) -> Self {
        let (window, config) = (estimator.window(), estimator.config());
        Self {
            name: config.name,
            timeout: estimator.timeout(),
            success_rate: estimator.success_rate(),
            samples: window.len(),
            timed_out: window.timed_out(),
            given_up: window.censored(),
            mean: window.mean(),
            std: window.std(),
            max: window.max(),
            median: window.median(),
            percentile: window.quantile(config.part()),
            congested: estimator.is_congested(),
            moved: estimator.moved(),
            last: estimator.last(),
            strategy: config.strategy,
        }
    }

    /// Why it is as it is, in a sentence.
    #[must_use]
    pub fn explain(&self) -> String {
        let Self { name, timeout, samples, timed_out, mean, .. } = self;
        let begin = format!("{name}: calls may take {timeout:.1?}");
        if self.strategy == TimeoutStrategy::Fixed {
            return format!("{begin}, always");
        }
        if *samples == 0 {
            return format!("{begin}; no call was waited for yet");
        }
        let known = format!("of the newest {samples} calls {timed_out} timed out");
        let why = match self.percentile {
            None => "the percentile falls among those that were given up".to_owned(),
            Some(percentile) => format!("the percentile is {percentile:.1?}"),
        };
        let held = if self.congested { "; it is not lowered while so many time out" } else { "" };
        format!("{begin}; {known}, the others took {mean:.1?} on average, and {why}{held}")
    }
}
