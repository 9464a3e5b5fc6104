//! What the protected shop owes, phase by phase: the exit code rests on it.

use std::time::Duration;

use crate::figures::Figures;
use crate::table::{percent, seconds};

/// A figure of the protected shop, compared with that of the bare one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Claim {
    /// The share of good answers exceeds that of the bare shop by this; negative: may fall short.
    Goodput { gain: f64 },
    /// The same, for the routes that do not need the sick upstream.
    Others { gain: f64 },
    /// At most this share of the bare shop's calls reaches the sick upstream.
    SickCalls { share: f64 },
    /// Back to normal at most this much later than the bare shop.
    Recovery { slack: Duration },
}

impl Claim {
    /// Whether these figures bear the claim out. What was not measured is not held against anyone.
    pub(crate) fn holds(&self, bare: &Figures, protected: &Figures) -> bool {
        let gained = |bare: Option<f64>, protected: Option<f64>, gain: f64| {
            bare.zip(protected).is_none_or(|(bare, protected)| protected - bare >= gain)
        };
        match *self {
            Self::Goodput { gain } => gained(bare.goodput, protected.goodput, gain),
            Self::Others { gain } => gained(bare.others, protected.others, gain),
            Self::SickCalls { share } => bare
                .sick_calls
                .zip(protected.sick_calls)
                .is_none_or(|(bare, protected)| protected as f64 <= bare as f64 * share),
            Self::Recovery { slack } => bare
                .recovery
                .zip(protected.recovery)
                .is_none_or(|(bare, protected)| protected.at_least() <= bare.at_least() + slack),
        }
    }

    /// The claim with the figures that it is about.
    pub(crate) fn text(&self, bare: &Figures, protected: &Figures) -> String {
        match *self {
            Self::Goodput { gain } => share("goodput", bare.goodput, protected.goodput, gain),
            Self::Others { gain } => {
                share("goodput of the other routes", bare.others, protected.others, gain)
            }
            Self::SickCalls { share } => format!(
                "calls to the sick upstream: {}, owed at most {} x {}",
                number(protected.sick_calls),
                share,
                number(bare.sick_calls),
            ),
            Self::Recovery { slack } => format!(
                "95 % goodput again after {}, owed at most {} + {}",
                protected.recovery.map_or_else(none, |recovery| recovery.to_string()),
                bare.recovery.map_or_else(none, |recovery| recovery.to_string()),
                seconds(slack),
            ),
        }
    }

    /// The key of the figure that the claim is about, in the JSON of a run.
    pub(crate) const fn figure(&self) -> &'static str {
        match self {
            Self::Goodput { .. } => "goodput",
            Self::Others { .. } => "others_goodput",
            Self::SickCalls { .. } => "sick_calls",
            Self::Recovery { .. } => "recovery_seconds",
        }
    }
}

fn share(what: &str, bare: Option<f64>, protected: Option<f64>, gain: f64) -> String {
    let sign = if gain < 0.0 { '-' } else { '+' };
    let (bare, protected) = (bare.map_or_else(none, percent), protected.map_or_else(none, percent));
    format!("{what}: {protected}, owed at least {bare} {sign} {:.0} points", gain.abs() * 100.0)
}

fn number(count: Option<u64>) -> String {
    count.map_or_else(none, |count| count.to_string())
}

fn none() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Recovery;

    fn figures(goodput: f64, sick_calls: u64, recovery: Recovery) -> Figures {
        Figures {
            goodput: Some(goodput),
            others: Some(goodput),
            sick_calls: Some(sick_calls),
            recovery: Some(recovery),
            ..Figures::default()
        }
    }

    fn after(millis: u64) -> Recovery {
        Recovery::After(Duration::from_millis(millis))
    }

    #[test]
    fn a_share_may_fall_short_only_by_what_the_claim_allows() {
        let bare = figures(0.90, 0, after(0));
        for (protected, holds) in [(0.95, true), (0.885, true), (0.87, false)] {
            let protected = figures(protected, 0, after(0));
            assert_eq!(Claim::Goodput { gain: -0.02 }.holds(&bare, &protected), holds);
            assert_eq!(Claim::Others { gain: -0.02 }.holds(&bare, &protected), holds);
        }
    }

    #[test]
    fn a_gain_is_owed_where_the_phase_is_meant_to_help() {
        let (bare, same) = (figures(0.5, 0, after(0)), figures(0.5, 0, after(0)));
        assert!(!Claim::Goodput { gain: 0.05 }.holds(&bare, &same));
        assert!(Claim::Goodput { gain: 0.05 }.holds(&bare, &figures(0.6, 0, after(0))));
    }

    #[test]
    fn calls_that_are_not_spared_break_the_claim() {
        let bare = figures(1.0, 1_000, after(0));
        let claim = Claim::SickCalls { share: 0.5 };
        assert!(claim.holds(&bare, &figures(1.0, 500, after(0))));
        assert!(!claim.holds(&bare, &figures(1.0, 501, after(0))));
    }

    #[test]
    fn never_recovering_counts_as_the_whole_rest() {
        let claim = Claim::Recovery { slack: Duration::from_secs(1) };
        let never = Recovery::NotWithin(Duration::from_secs(4));
        let (bare, lost) = (figures(1.0, 0, after(500)), figures(1.0, 0, never));
        assert!(!claim.holds(&bare, &lost));
        assert!(claim.holds(&lost, &bare));
        assert!(claim.holds(&bare, &figures(1.0, 0, after(1_500))));
    }

    #[test]
    fn what_was_not_measured_is_not_held_against_anyone() {
        let nothing = Figures::default();
        assert!(Claim::Goodput { gain: 0.5 }.holds(&nothing, &nothing));
        assert!(Claim::SickCalls { share: 0.0 }.holds(&nothing, &nothing));
    }

    #[test]
    fn the_text_names_both_figures() {
        let text = Claim::Goodput { gain: -0.02 }
            .text(&figures(0.9, 0, after(0)), &figures(0.95, 0, after(0)));
        assert_eq!(text, "goodput: 95.0 %, owed at least 90.0 % - 2 points");
    }
}
