//! A call that waits for its answer: [`Watch`].

use std::time::Duration;

use breaker_core::{Anchored, Deadline, FailureKind, Outcome, Tick};

use super::handle::Home;
use super::rule::{Delay, Not};

/// A refusal that comes later is not one of a second attempt that was never made: a budget may have
/// forgotten by then what it cost.
const SOON: Duration = Duration::from_secs(1);

/// Follows a call that waits for its answer, and says what became of it.
pub(crate) struct Watch {
    home: Anchored<Home>,
    started: Tick,
    /// When it was sent again.
    sent: Tick,
    /// Whether it has lasted longer than its delay.
    late: bool,
    /// Whether it has taken a share for a second attempt that nobody has made or given up yet.
    owes: bool,
    /// Whether its first attempt is measured already.
    measured: bool,
}

impl Watch {
    /// A call begins to wait; and after how long it is sent again, where it can be before its
    /// deadline.
    pub(crate) fn begin(
        home: Anchored<Home>,
        deadline: Option<Deadline>,
    ) -> (Self, Option<Duration>) {
        let started = home.now();
        let delay = home.rule().waits();
        let purse = home.purse();
        if purse.own {
            purse.budget.called();
        }
        // A second attempt that comes too late is not worth its price.
        let in_time = |Delay { delay, typical }: &Delay| {
            deadline.is_none_or(|at| at.left(started) > delay.saturating_add(*typical))
        };
        let delay = delay.filter(in_time).map(|found| found.delay);
        let (sent, late, owes, measured) = (Tick::MAX, false, false, false);
        (Self { home, started, sent, late, owes, measured }, delay)
    }

    /// It has lasted longer than its delay. Whether a second attempt may be prepared.
    pub(crate) fn is_late(&mut self) -> bool {
        self.late = true;
        let now = self.home.now();
        let free = self.home.rule().is_late(now);
        self.owes = free;
        if free && self.home.purse().budget.is_congested() {
            self.not_sent(Not::Paid);
            return false;
        }
        free
    }

    pub(crate) fn not_sent(&mut self, why: Not) {
        self.owes = false;
        self.home.rule().not_sent(why);
    }

    /// Pays for a second attempt, which is ready to be sent.
    pub(crate) fn pay(&mut self) -> bool {
        let paid = self.home.purse().budget.try_hedge();
        if !paid {
            self.not_sent(Not::Paid);
        }
        self.owes = false;
        paid
    }

    /// The second attempt is on its way.
    pub(crate) fn sent(&mut self) {
        self.home.rule().counts.hedged += 1;
        self.sent = self.home.now();
        self.home.tell_hedged(self.sent, self.sent.since(self.started));
    }

    /// The second attempt was refused: there was none.
    pub(crate) fn refused(&self) {
        self.home.rule().refused();
        let held = self.home.now().since(self.sent);
        if held <= SOON {
            // Of a kind that costs what a hedge does.
            self.home.purse().budget.refund(FailureKind::Connection, held);
        }
    }

    /// The second attempt was answered first.
    pub(crate) fn won(&self) {
        self.home.rule().counts.won += 1;
    }

    /// The first attempt has ended; `answered`, where that says how long answers take.
    pub(crate) fn first_ended(&mut self, answered: bool) {
        // How soon it failed does not say how long an answer takes; that it took long does.
        if self.measured || !(answered || self.late) {
            return;
        }
        self.measured = true;
        let now = self.home.now();
        let took = now.since(self.started);
        let mut rule = self.home.rule();
        if self.late { rule.measured(now, took) } else { rule.in_time(now, took) }
    }

    /// An attempt whose answer nobody outside sees has failed.
    pub(crate) fn unseen(&self, outcome: Outcome) {
        self.home.purse().budget.ended(outcome);
    }

    /// This is what the caller gets.
    pub(crate) fn seen(&self, outcome: Outcome) {
        let purse = self.home.purse();
        if purse.own {
            purse.budget.ended(outcome);
        }
    }
}

/// A call that was given up, or whose second attempt was faster, has lasted at least so long. Before
/// its delay that says nothing.
impl Drop for Watch {
    fn drop(&mut self) {
        // Whatever panics has been told; a clock that panics, too, would end the process.
        if !std::thread::panicking() {
            self.first_ended(false);
        }
        // What prepares a second attempt has panicked.
        if self.owes {
            self.not_sent(Not::Ready);
        }
    }
}
