//! What a circuit has learnt: how long outages last, and which failure rate is usual.

use std::fmt::Write;
use std::time::Duration;

use super::Rough;
use crate::config::Tuner;
use crate::percent::Percent;

/// What past outages say about the present one.
///
/// An outage lasts from the first opening to the close that trials brought about, so it is never
/// shorter than the circuit's own open period. The last 16 are kept
/// ([`outage_history`](crate::CircuitBreakerConfig::outage_history)), in memory only.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct RecoveryEstimate {
    /// How many past outages this rests on: at least 3.
    pub outages: u32,
    /// Half of them lasted no longer than this.
    pub median: Duration,
    /// Nine of ten of them lasted no longer than this (by nearest rank).
    pub p90: Duration,
    /// What is probably left of the present outage: the median of those that lasted longer than
    /// it has so far, less the time that has passed. `None` while closed, and where the present
    /// outage is the longest.
    pub remaining: Option<Duration>,
    /// Within which bounds that is, and how sure. `None` where fewer than 3 lasted longer.
    pub interval: Option<RecoveryInterval>,
}

/// The bounds of an estimate: they hold whatever the distribution of outages is.
///
/// Of m past outages that lasted longer than the present one has so far, the bounds are the
/// k-th shortest and the k-th longest. If outages are alike and independent, the next one ends
/// between them with probability (m + 1 - 2k) / (m + 1): Wilks, "Determination of sample sizes
/// for setting tolerance limits", Annals of Mathematical Statistics 12 (1941). The largest k that
/// leaves four fifths is taken; below 9 outages there is none, and the whole range is given with
/// the lower confidence that it has: half for 3.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct RecoveryInterval {
    /// The least that is left.
    pub shortest: Duration,
    /// The most that is left.
    pub longest: Duration,
    /// How probable it is that the rest lies between the two.
    pub confidence: Percent,
}

/// What the tuner of the failure rate does: see [`Tuner`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tuning {
    /// Whether it suggests or applies.
    pub mode: Tuner,
    /// The threshold of the configuration.
    pub configured: Percent,
    /// The threshold at which the circuit opens now.
    pub in_force: Percent,
    /// Where the tuner has the threshold: the one in force, or only a suggestion.
    pub suggested: Percent,
    /// The failure rate that is usual; `None` before the first call.
    pub baseline: Option<f64>,
    /// Whether an operator keeps it from moving the threshold.
    pub frozen: bool,
}

impl RecoveryEstimate {
    pub(super) fn explain(&self, text: &mut String) -> std::fmt::Result {
        write!(text, "; past outages lasted about {}", Rough(self.median))?;
        match self.remaining {
            Some(rest) => write!(text, "; probably back in about {}", Rough(rest)),
            None => write!(text, "; this one is longer than all of them"),
        }
    }
}

impl Tuning {
    /// The threshold that is in force, and that of the configuration where it is another one.
    pub(super) fn explain(&self, text: &mut String) -> std::fmt::Result {
        let Self { configured, in_force, suggested, .. } = self;
        write!(text, "{in_force}")?;
        if in_force != configured {
            write!(text, ", tuned from {configured},")?;
        } else if suggested != configured {
            write!(text, ", {suggested} is suggested,")?;
        }
        Ok(())
    }
}
