//! What the protected shop owes at its depot.

use std::time::Duration;

use crate::drill::{AFTER, DURING, Drilled};
use crate::figures::Recovery;
use crate::table::{millis, percent, seconds};

/// A promise about a drill.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owed {
    /// At least this share of the requests gets a good answer while something is the matter.
    Goodput { least: f64 },
    /// That share exceeds the one of the bare shop by this; negative: may fall short.
    Gain { gain: f64 },
    /// No more attempts than this reach the depot, for each request that is due meanwhile.
    Amplification { most: f64 },
    /// Good seconds begin again at most this long after the heal.
    Recovery { within: Duration },
}

impl Owed {
    /// Whether these figures bear it out. What was not measured is not held against anyone, and of
    /// a machine that stood still only the number of attempts is asked.
    pub(crate) fn holds(&self, bare: Option<&Drilled>, drilled: &Drilled) -> bool {
        if drilled.stood_still() && !matches!(self, Self::Amplification { .. }) {
            return true;
        }
        let goodput = drilled.goodput[DURING];
        match *self {
            Self::Goodput { least } => goodput.is_none_or(|share| share >= least),
            Self::Gain { gain } => bare
                .and_then(|bare| bare.goodput[DURING])
                .zip(goodput)
                .is_none_or(|(bare, protected)| protected - bare >= gain),
            Self::Amplification { most } => {
                drilled.amplification[DURING].is_none_or(|times| times <= most)
            }
            Self::Recovery { within } => match drilled.recovery {
                Some(Recovery::After(time)) => time <= within,
                Some(Recovery::NotWithin(_)) => false,
                None => true,
            },
        }
    }

    /// What is owed, with the figures that it is about.
    pub(crate) fn text(&self, bare: Option<&Drilled>, drilled: &Drilled) -> String {
        let text = self.figures(bare, drilled);
        if !drilled.stood_still() {
            return text;
        }
        format!("{text}; the machine itself was {} late", millis(drilled.late))
    }

    fn figures(&self, bare: Option<&Drilled>, drilled: &Drilled) -> String {
        let of_bare = |read: fn(&Drilled) -> String| bare.map_or_else(none, read);
        let goodput = |drilled: &Drilled| drilled.goodput[DURING].map_or_else(none, percent);
        match *self {
            Self::Goodput { least } => format!(
                "good answers of the depot: {}, owed at least {}",
                goodput(drilled),
                percent(least)
            ),
            Self::Gain { gain } => format!(
                "good answers of the depot: {}, owed at least {} {} {:.0} points",
                goodput(drilled),
                of_bare(goodput),
                if gain < 0.0 { '-' } else { '+' },
                gain.abs() * 100.0,
            ),
            Self::Amplification { most } => format!(
                "attempts per request: {} ({} of the bare shop), owed at most {most}; after it: {} \
                 ({})",
                times(drilled.amplification[DURING]),
                of_bare(|bare| times(bare.amplification[DURING])),
                times(drilled.amplification[AFTER]),
                of_bare(|bare| times(bare.amplification[AFTER])),
            ),
            Self::Recovery { within } => format!(
                "good again after {} ({} of the bare shop), owed at most {}",
                recovered(drilled),
                of_bare(recovered),
                seconds(within),
            ),
        }
    }
}

/// When a depot was good again.
pub(crate) fn recovered(drilled: &Drilled) -> String {
    match drilled.recovery {
        Some(Recovery::After(time)) => seconds(time),
        Some(Recovery::NotWithin(_)) => "never".to_owned(),
        None => none(),
    }
}

/// How many attempts were made for each request.
pub(crate) fn times(amplification: Option<f64>) -> String {
    amplification.map_or_else(none, |times| format!("x {times:.2}"))
}

fn none() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Drilled = Drilled {
        goodput: [Some(1.0), Some(0.98), Some(1.0)],
        amplification: [Some(1.0), Some(1.1), Some(1.0)],
        recovery: Some(Recovery::After(Duration::from_secs(1))),
        late: Duration::ZERO,
    };
    const ILL: Drilled = Drilled {
        goodput: [Some(1.0), Some(0.5), Some(0.0)],
        amplification: [Some(1.0), Some(2.9), Some(3.0)],
        recovery: Some(Recovery::NotWithin(Duration::from_secs(8))),
        late: Duration::ZERO,
    };
    const ALL: [Owed; 4] = [
        Owed::Goodput { least: 0.98 },
        Owed::Gain { gain: 0.0 },
        Owed::Amplification { most: 1.1 },
        Owed::Recovery { within: Duration::from_secs(1) },
    ];

    #[test]
    fn everything_owed_can_be_kept_and_broken() {
        let late = Drilled { recovery: Some(Recovery::After(Duration::from_secs(2))), ..WELL };
        for owed in ALL {
            assert!(owed.holds(Some(&WELL), &WELL), "{owed:?}");
            assert!(!owed.holds(Some(&WELL), &ILL), "{owed:?}");
        }
        assert!(!Owed::Recovery { within: Duration::from_secs(1) }.holds(None, &late));
    }

    #[test]
    fn what_was_not_measured_is_not_held_against_anyone() {
        for owed in ALL {
            assert!(owed.holds(None, &Drilled::default()), "{owed:?}");
        }
    }

    #[test]
    fn on_a_machine_that_stood_still_only_the_number_of_attempts_is_owed() {
        let still = Drilled { late: Duration::from_secs(1), ..ILL };
        let kept = ALL.map(|owed| owed.holds(Some(&WELL), &still));
        assert_eq!(kept, [true, true, false, true]);
        let text = ALL[0].text(None, &still);
        assert!(text.ends_with("; the machine itself was 1000 ms late"), "{text}");
    }

    #[test]
    fn the_text_names_what_was_seen_on_both_sides() {
        let text = |owed: Owed| owed.text(Some(&ILL), &WELL);
        for (owed, told) in ALL.into_iter().zip([
            "good answers of the depot: 98.0 %, owed at least 98.0 %",
            "good answers of the depot: 98.0 %, owed at least 50.0 % + 0 points",
            "attempts per request: x 1.10 (x 2.90 of the bare shop), owed at most 1.1; after it: \
             x 1.00 (x 3.00)",
            "good again after 1.0 s (never of the bare shop), owed at most 1.0 s",
        ]) {
            assert_eq!(text(owed), told);
        }
    }
}
