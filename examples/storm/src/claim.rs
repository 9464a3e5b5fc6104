//! What the protected shop owes, phase by phase: the exit code rests on it.

use std::time::Duration;

use crate::due::Due;
use crate::figures::{Admitted, Figures};
use crate::owed::Owed;
use crate::table::{percent, seconds};

/// A figure of the protected shop, compared with that of the bare one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Claim {
    /// The share of good answers exceeds that of the bare shop by this; negative: may fall short.
    Goodput { gain: f64 },
    /// The same, for the requests that the fault is not about: other routes, or other callers.
    Others { gain: f64 },
    /// At most this share of the bare shop's calls reaches the sick upstream.
    SickCalls { share: f64 },
    /// No more of the greedy caller than its quota gets in, and no less than this share of it.
    Quota { least: f64 },
    /// At least this share of what the greedy caller sends is refused: by 429, each with when to
    /// come again.
    Refusals { share: f64 },
    /// What is owed at the till.
    Till(Due),
    /// What is owed at the depot.
    Depot(Owed),
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
            Self::Quota { least } => protected.greedy.is_none_or(|greedy| {
                let Admitted { calls, quota } = greedy.admitted;
                quota.is_some_and(|most| calls <= most && calls as f64 >= most as f64 * least)
            }),
            Self::Refusals { share } => protected.greedy.is_none_or(|greedy| {
                protected.curt == 0 && greedy.refused as f64 >= greedy.requests as f64 * share
            }),
            Self::Till(due) => protected.till.is_none_or(|till| due.holds(&till)),
            Self::Depot(owed) => {
                protected.depot.is_none_or(|depot| owed.holds(bare.depot.as_ref(), &depot))
            }
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
                share("goodput of the others", bare.others, protected.others, gain)
            }
            Self::SickCalls { share } => format!(
                "calls to the sick upstream: {}, owed at most {} x {}",
                number(protected.sick_calls),
                share,
                number(bare.sick_calls),
            ),
            Self::Quota { least } => format!(
                "requests of the greedy caller that got in: {} ({} of the bare shop), owed at most \
                 its quota of {} and at least {least} x that",
                number(protected.greedy.map(|greedy| greedy.admitted.calls)),
                number(bare.greedy.map(|greedy| greedy.admitted.calls)),
                number(protected.greedy.and_then(|greedy| greedy.admitted.quota)),
            ),
            Self::Refusals { share } => format!(
                "requests of the greedy caller refused by 429 with Retry-After: {}, owed at least \
                 {share} x {}; without: {}, owed none",
                number(protected.greedy.map(|greedy| greedy.refused)),
                number(protected.greedy.map(|greedy| greedy.requests)),
                protected.curt,
            ),
            Self::Till(due) => {
                protected.till.map_or_else(none, |till| due.text(bare.till.as_ref(), &till))
            }
            Self::Depot(owed) => {
                protected.depot.map_or_else(none, |depot| owed.text(bare.depot.as_ref(), &depot))
            }
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
            Self::Quota { .. } => "greedy_admitted",
            Self::Refusals { .. } => "greedy_refused",
            Self::Till(_) => "till",
            Self::Depot(_) => "depot",
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
    use crate::figures::{Greedy, Recovery};

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

    fn flood(calls: u64, refused: u64) -> Figures {
        let admitted = Admitted { calls, quota: Some(100) };
        Figures {
            greedy: Some(Greedy { requests: 1_000, refused, admitted }),
            ..Figures::default()
        }
    }

    #[test]
    fn the_greedy_caller_gets_its_quota_and_not_one_request_more() {
        let claim = Claim::Quota { least: 0.5 };
        let bare = Figures::default();
        for (calls, holds) in [(49, false), (50, true), (100, true), (101, false)] {
            assert_eq!(claim.holds(&bare, &flood(calls, 0)), holds, "{calls}");
        }
        let mut unlimited = flood(60, 0);
        unlimited.greedy = unlimited.greedy.map(|greedy| {
            let admitted = Admitted { quota: None, ..greedy.admitted };
            Greedy { admitted, ..greedy }
        });
        assert!(!claim.holds(&bare, &unlimited));
    }

    #[test]
    fn one_refusal_that_does_not_say_when_to_come_again_breaks_the_claim() {
        let claim = Claim::Refusals { share: 0.5 };
        let bare = Figures::default();
        assert!(claim.holds(&bare, &flood(0, 500)));
        assert!(!claim.holds(&bare, &flood(0, 499)));
        assert!(!claim.holds(&bare, &Figures { curt: 1, ..flood(0, 900) }));
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
        assert!(Claim::Quota { least: 1.0 }.holds(&nothing, &nothing));
    }

    #[test]
    fn the_text_names_both_figures() {
        let text = Claim::Goodput { gain: -0.02 }
            .text(&figures(0.9, 0, after(0)), &figures(0.95, 0, after(0)));
        assert_eq!(text, "goodput: 95.0 %, owed at least 90.0 % - 2 points");
    }
}
