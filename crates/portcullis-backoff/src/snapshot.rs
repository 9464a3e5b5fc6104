//! The figures of a target: [`Snapshot`].

use std::fmt::Write as _;
use std::time::Duration;

use breaker_core::{BudgetSnapshot, Name};

use crate::policy::{Decision, Failed, Why};

/// The figures of a target, or of all targets of a layer, at one moment.
///
/// Calls that went well at once are not counted: while all is well, nothing is written.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The name of the layer.
    pub name: Name,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts beyond the first ones, those at the alternative among them.
    pub retried: u64,
    /// Of these, how many were sent to the alternative.
    pub redirected: u64,
    /// How often further attempts at a target were held back.
    pub backed_off: u64,
    /// Calls that went well after a repetition.
    pub succeeded_after_retry: u64,
    /// Calls that failed as often as they may be made.
    pub exhausted: u64,
    /// Calls that were not repeated because the budget was used up or the circuit open.
    pub refused_by_budget: u64,
    /// Calls that were not repeated for another reason.
    pub failed_fast: u64,
    /// Calls whose caller went away while they waited.
    pub given_up: u64,
    /// The delays of all repetitions together.
    pub delayed: Duration,
    /// The budget; of keyed targets, that of calls without a key.
    pub budget: BudgetSnapshot,
}

/// What a target counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) failed: u64,
    pub(crate) retried: u64,
    pub(crate) redirected: u64,
    pub(crate) backed_off: u64,
    pub(crate) succeeded_after_retry: u64,
    pub(crate) exhausted: u64,
    pub(crate) refused_by_budget: u64,
    pub(crate) failed_fast: u64,
    pub(crate) given_up: u64,
    pub(crate) delayed: Duration,
}

impl Counts {
    pub(crate) fn take_in(&mut self, decision: &Decision, failed: &Failed) {
        self.failed += u64::from(!failed.refused);
        match *decision {
            Decision::FailFast(Why::Attempts) => self.exhausted += 1,
            Decision::FailFast(Why::Budget) => self.refused_by_budget += 1,
            Decision::FailFast(_) => self.failed_fast += 1,
            Decision::Retry(delay) | Decision::BackOff(delay) | Decision::Redirect(delay) => {
                self.retried += 1;
                self.backed_off += u64::from(matches!(decision, Decision::BackOff(_)));
                self.redirected += u64::from(matches!(decision, Decision::Redirect(_)));
                self.delayed = self.delayed.saturating_add(delay);
            }
        }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            failed: self.failed + other.failed,
            retried: self.retried + other.retried,
            redirected: self.redirected + other.redirected,
            backed_off: self.backed_off + other.backed_off,
            succeeded_after_retry: self.succeeded_after_retry + other.succeeded_after_retry,
            exhausted: self.exhausted + other.exhausted,
            refused_by_budget: self.refused_by_budget + other.refused_by_budget,
            failed_fast: self.failed_fast + other.failed_fast,
            given_up: self.given_up + other.given_up,
            delayed: self.delayed.saturating_add(other.delayed),
        }
    }

    pub(crate) const fn shown(self, name: Name, budget: BudgetSnapshot) -> Snapshot {
        let Self {
            failed,
            retried,
            redirected,
            backed_off,
            succeeded_after_retry,
            exhausted,
            refused_by_budget,
            failed_fast,
            given_up,
            delayed,
        } = self;
        Snapshot {
            name,
            failed,
            retried,
            redirected,
            backed_off,
            succeeded_after_retry,
            exhausted,
            refused_by_budget,
            failed_fast,
            given_up,
            delayed,
            budget,
        }
    }
}

impl Snapshot {
    /// The figures in a sentence or two.
    #[must_use]
    pub fn explain(&self) -> String {
        let Self { name, failed, retried, .. } = self;
        if *failed == 0 {
            return format!("{name}: no attempt has failed.");
        }
        let mut text = format!("{name}: {failed} attempts failed, {retried} were repeated");
        if *retried > 0 {
            let mean = self.delayed / u32::try_from(*retried).unwrap_or(u32::MAX);
            let well = self.succeeded_after_retry;
            let _ = write!(text, " after {mean:.0?} on average, and {well} calls went well so");
        }
        let (budget, attempts) = (self.refused_by_budget, self.exhausted);
        let _ = write!(
            text,
            "; {attempts} calls failed as often as they may be made, {budget} were beyond the budget"
        );
        text.push('.');
        text
    }
}
