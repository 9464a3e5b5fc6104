//! What hedges look like at a moment: [`HedgeSnapshot`].

use std::time::Duration;

use breaker_core::{Name, Tick};

use super::rule::{Counts, Rule};

/// All figures of hedges, at one moment; counts are since the beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HedgeSnapshot {
    /// What they are called.
    pub name: Name,
    /// How many calls could have been sent again and had to wait for their answer. Those that were
    /// ready at once are not counted.
    pub calls: u64,
    /// How many of them were sent a second time.
    pub hedged: u64,
    /// How many second attempts were answered first.
    pub won: u64,
    /// How many lasted longer than the delay and were not sent again, because the budget did not
    /// pay: it is spent, or the callee is congested.
    pub refused_by_budget: u64,
    /// The same, because the share that may be sent again was used up.
    pub refused_by_share: u64,
    /// The same, because too many were slow at that time.
    pub refused_while_slow: u64,
    /// The same, because a clone of the service was not ready at once, because it refused the second
    /// attempt, or because the request could not be made once more.
    pub not_ready: u64,
    /// After how long a call is sent again; `None` before enough of them were measured.
    pub delay: Option<Duration>,
    /// Whether none is sent again for a while, because too many are slow.
    pub paused: bool,
}

impl HedgeSnapshot {
    pub(crate) fn of(rule: &Rule, now: Tick) -> Self {
        let Counts { calls, hedged, won, over_share, over_budget, paused, not_ready } = rule.counts;
        Self {
            name: rule.config.name,
            calls,
            hedged,
            won,
            refused_by_budget: over_budget,
            refused_by_share: over_share,
            refused_while_slow: paused,
            not_ready,
            delay: rule.delay(),
            paused: rule.is_paused(now),
        }
    }

    /// The share of the calls that were sent a second time, 0..=1.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.hedged as f64 / self.calls.max(1) as f64
    }

    /// Why it is as it is, in a sentence.
    #[must_use]
    pub fn explain(&self) -> String {
        let Self { name, calls, hedged, won, .. } = self;
        let mut said = match self.delay {
            None => format!("{name}: too few calls were measured to send any again"),
            Some(delay) => {
                let millis = delay.as_secs_f64() * 1e3;
                format!("{name}: calls are sent again after {millis:.0} ms")
            }
        };
        if self.paused {
            said.push_str(", but none for now: too many are slow");
        }
        let percent = self.share() * 100.0;
        said.push_str(&format!("; {hedged} of {calls} were ({percent:.1} %), {won} of them won"));
        for (count, why) in [
            (self.refused_by_budget, "the budget did not pay"),
            (self.refused_by_share, "the share was used up"),
            (self.refused_while_slow, "too many were slow"),
            (self.not_ready, "the service was not ready"),
        ] {
            if count > 0 {
                said.push_str(&format!("; {count} were not, since {why}"));
            }
        }
        said
    }
}
