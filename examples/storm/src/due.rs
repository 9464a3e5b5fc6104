//! What the protected shop owes at its till.

use portcullis_priority::Class;

use crate::rush::Rush;
use crate::table::{millis, percent};

/// By how much a class may fare better than one that matters more: of a thousand requests, a few
/// come at a lucky moment.
const LUCK: f64 = 0.01;

/// A promise about an overload.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// At least this share of the critical requests gets a good answer in time.
    Critical { least: f64 },
    /// At least this share of the good answers that the till can give.
    Capacity { least: f64 },
    /// Who matters less fares no better, and of bulk no more than this share gets through.
    Order { bulk: f64 },
    /// Never more requests inside than slots.
    Slots,
    /// At least this share of all requests is refused, each with when to come again.
    Refusals { share: f64 },
    /// With half of the workers, the limit is at most this share of what it was before.
    Lowered { most: f64 },
    /// With all of them again, it is at least so many times what it was with half.
    Back { least: f64 },
    /// While the till has errors of its own, it is at least this share of what it was just before.
    Stands { least: f64 },
}

impl Due {
    /// Whether these figures bear it out. What was not measured is not held against anyone, and of
    /// a machine that stood still there is nothing to be had but order.
    pub(crate) fn holds(&self, till: &Rush) -> bool {
        if till.stood_still() && !matches!(self, Self::Slots) {
            return true;
        }
        let at_least = |figure: Option<f64>, least| figure.is_none_or(|figure| figure >= least);
        match *self {
            Self::Critical { least } => at_least(till.class(Class::Critical), least),
            Self::Capacity { least } => at_least(till.of_capacity, least),
            Self::Order { bulk } => {
                let shares: Vec<f64> = till.classes.into_iter().flatten().collect();
                let ordered = shares.windows(2).all(|pair| pair[0] <= pair[1] + LUCK);
                ordered && till.class(Class::Bulk).is_none_or(|share| share <= bulk)
            }
            Self::Slots => till.slots.is_some_and(|slots| till.peak <= slots),
            Self::Refusals { share } => {
                till.vague == 0 && till.refused as f64 >= till.requests as f64 * share
            }
            Self::Lowered { most } => till.moved(0, 1).is_none_or(|share| share <= most),
            Self::Back { least } => at_least(till.moved(1, 2), least),
            Self::Stands { least } => at_least(till.moved(2, 3), least),
        }
    }

    /// What is owed, with the figures that it is about.
    pub(crate) fn text(&self, bare: Option<&Rush>, till: &Rush) -> String {
        let text = self.figures(bare, till);
        if !till.stood_still() {
            return text;
        }
        format!("{text}; the machine itself was {} late", millis(till.late))
    }

    fn figures(&self, bare: Option<&Rush>, till: &Rush) -> String {
        let of = |class: Class| {
            let bare = share(bare.and_then(|bare| bare.class(class)));
            format!("{class} {} ({bare} of the bare shop)", share(till.class(class)))
        };
        match *self {
            Self::Critical { least } => format!("{}, owed at least {least}", of(Class::Critical)),
            Self::Capacity { least } => format!(
                "good answers of the till, of all it could give: {} ({} of the bare shop), owed at \
                 least {least}",
                share(till.of_capacity),
                share(bare.and_then(|bare| bare.of_capacity)),
            ),
            Self::Order { bulk } => {
                let classes = Class::ALL.into_iter().rev();
                let shares: Vec<_> = classes.map(|class| share(till.class(class))).collect();
                let shares = shares.join(", ");
                format!("from critical to bulk {shares}, owed in this order, bulk {bulk} at most")
            }
            Self::Slots => format!(
                "the most requests inside the till: {} ({} of the bare shop), owed at most its {} \
                 slots",
                till.peak,
                bare.map_or(0, |bare| bare.peak),
                till.slots.unwrap_or(0),
            ),
            Self::Refusals { share } => format!(
                "requests refused by 503 with Retry-After: {}, owed at least {share} x {}; \
                 without: {}, owed none",
                till.refused, till.requests, till.vague,
            ),
            Self::Lowered { most } => {
                format!("with half the workers {}, owed at most {most} x that", limit(till, 0, 1))
            }
            Self::Back { least } => {
                format!("with all of them {}, owed at least {least} x that", limit(till, 1, 2))
            }
            Self::Stands { least } => {
                format!("with errors {}, owed at least {least} x that", limit(till, 2, 3))
            }
        }
    }
}

/// The limit of a quarter beside that of another.
fn limit(till: &Rush, before: usize, quarter: usize) -> String {
    let text = |limit: Option<f64>| limit.map_or_else(none, |limit| format!("{limit:.1}"));
    format!("the limit is {}, and was {}", text(till.limits[quarter]), text(till.limits[before]))
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(none, percent)
}

fn none() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// From bulk to critical.
    const WELL: Rush = Rush {
        requests: 1_000,
        classes: [Some(0.0), Some(0.0), Some(0.2), Some(0.9), Some(1.0)],
        of_capacity: Some(0.97),
        peak: 9,
        slots: Some(9),
        limits: [Some(10.0), Some(5.0), Some(9.0), Some(9.0)],
        refused: 700,
        vague: 0,
        late: Duration::ZERO,
    };

    #[test]
    fn every_due_can_be_kept_and_broken() {
        let bulk_first = [Some(0.04), Some(0.0), Some(0.2), Some(0.9), Some(1.0)];
        let limits =
            |during, after, failing| [Some(10.0), Some(during), Some(after), Some(failing)];
        for (due, broken) in [
            (Due::Critical { least: 1.0 }, Rush { classes: [Some(0.9); 5], ..WELL }),
            (Due::Capacity { least: 0.97 }, Rush { of_capacity: Some(0.96), ..WELL }),
            (Due::Order { bulk: 0.05 }, Rush { classes: bulk_first, ..WELL }),
            (Due::Order { bulk: 0.05 }, Rush { classes: [Some(0.06); 5], ..WELL }),
            (Due::Slots, Rush { peak: 10, ..WELL }),
            (Due::Slots, Rush { slots: None, ..WELL }),
            (Due::Refusals { share: 0.7 }, Rush { refused: 699, ..WELL }),
            (Due::Refusals { share: 0.7 }, Rush { vague: 1, ..WELL }),
            (Due::Lowered { most: 0.5 }, Rush { limits: limits(5.1, 9.0, 9.0), ..WELL }),
            (Due::Back { least: 1.8 }, Rush { limits: limits(5.0, 8.9, 9.0), ..WELL }),
            (Due::Stands { least: 1.0 }, Rush { limits: limits(5.0, 9.0, 8.9), ..WELL }),
        ] {
            assert!(due.holds(&WELL), "{due:?}");
            assert!(!due.holds(&broken), "{due:?}");
        }
    }

    #[test]
    fn a_class_that_was_lucky_breaks_no_order() {
        let lucky = [Some(0.005), Some(0.0), Some(0.2), Some(0.9), Some(1.0)];
        assert!(Due::Order { bulk: 0.05 }.holds(&Rush { classes: lucky, ..WELL }));
    }

    #[test]
    fn a_limit_that_was_not_measured_is_not_held_against_anyone() {
        let hurried = Rush { limits: [None; 4], ..WELL };
        for due in
            [Due::Lowered { most: 0.5 }, Due::Back { least: 1.8 }, Due::Stands { least: 0.9 }]
        {
            assert!(due.holds(&hurried), "{due:?}");
        }
    }

    #[test]
    fn on_a_machine_that_stood_still_only_the_slots_are_owed() {
        let still = Rush { late: Duration::from_secs(1), peak: 10, classes: [None; 5], ..WELL };
        let lost = Rush { classes: [Some(0.0); 5], of_capacity: Some(0.1), ..still };
        assert!(Due::Critical { least: 0.99 }.holds(&lost));
        assert!(Due::Capacity { least: 0.95 }.holds(&lost));
        assert!(!Due::Slots.holds(&lost));
        let text = Due::Critical { least: 0.99 }.text(None, &lost);
        assert!(text.ends_with("; the machine itself was 1000 ms late"), "{text}");
    }

    #[test]
    fn the_text_names_what_was_seen() {
        let text = Due::Critical { least: 0.99 }.text(None, &WELL);
        assert_eq!(text, "critical 100.0 % (- of the bare shop), owed at least 0.99");
        let text = Due::Lowered { most: 0.75 }.text(None, &WELL);
        let told = "with half the workers the limit is 5.0, and was 10.0, owed at most 0.75 x that";
        assert_eq!(text, told);
    }
}
