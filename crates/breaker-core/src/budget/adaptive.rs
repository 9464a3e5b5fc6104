//! The budget that reads congestion: [`Adaptive`].

use std::time::Duration;

use super::rules::{MILLI, is_shortage};
use crate::clock::Tick;
use crate::outcome::{FailureKind, Outcome};
use crate::percent::Percent;

/// The state of [`Budget::adaptive`](super::Budget::adaptive), in thousandths of a token.
///
/// At rest, with all tokens there and the greatest refill, a success changes nothing, and so nobody
/// counts it. A window begins then with the first bad result. That one is not counted itself: it
/// was chosen for being bad, and with it in the window one timeout in twenty would look like three
/// in ten far too often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Adaptive {
    tokens: u32,
    /// What a success brings.
    beta: u32,
    congested_at: Option<Tick>,
    window: Option<Results>,
}

/// What came in since the window began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Results {
    since: Tick,
    all: u32,
    bad: u32,
}

impl Adaptive {
    pub(super) const CAP: u32 = 20 * MILLI;
    const START: u32 = 10 * MILLI;
    const AFTER_CONGESTION: u32 = 3 * MILLI;
    const AFTER_CLOSE: u32 = 2 * MILLI;

    const BETA: u32 = 300;
    const LEAST_BETA: u32 = 20;
    const STEP: u32 = 20;

    /// How long congestion is remembered.
    const MEMORY: Duration = Duration::from_secs(3);

    pub(super) const fn new() -> Self {
        Self { tokens: Self::START, beta: Self::BETA, congested_at: None, window: None }
    }

    /// Whether a success changes nothing.
    pub(super) const fn is_at_rest(&self) -> bool {
        self.is_full() && self.window.is_none()
    }

    const fn is_full(&self) -> bool {
        self.tokens == Self::CAP && self.beta == MILLI
    }

    /// An attempt ended.
    pub(super) fn ended(&mut self, outcome: Outcome, now: Tick) {
        let bad = match outcome {
            Outcome::Success => false,
            Outcome::Failure(kind) => is_shortage(kind),
            Outcome::Ignored => return,
        };
        let empty = Results { since: now, all: 0, bad: 0 };
        if self.is_at_rest() {
            if bad {
                self.window = Some(empty);
            }
            return;
        }
        if outcome == Outcome::Success {
            self.tokens = Self::CAP.min(self.tokens + self.beta);
        }
        let mut window = self.window.unwrap_or(empty);
        window.all += 1;
        window.bad += u32::from(bad);
        self.window = Some(window);
        if window.is_over(now) {
            self.window = None;
            self.judge(window, now);
        }
    }

    fn judge(&mut self, window: Results, now: Tick) {
        if window.is_congested() {
            self.beta = Self::LEAST_BETA.max(self.beta / 2);
            self.tokens = self.tokens.min(Self::AFTER_CONGESTION);
            self.congested_at = Some(now);
        } else if !self.is_congested(now) {
            self.beta = MILLI.min(self.beta + Self::STEP);
        }
    }

    pub(super) fn is_congested(&self, now: Tick) -> bool {
        self.congested_at.is_some_and(|at| now.since(at) <= Self::MEMORY)
    }

    /// Takes what another attempt costs after this failure, if it is there.
    pub(super) fn retry(&mut self, kind: FailureKind) -> bool {
        self.take(Self::cost(kind))
    }

    /// A hedge is one call more for a callee that may be short of capacity already.
    pub(super) fn hedge(&mut self, now: Tick) -> bool {
        !self.is_congested(now) && self.take(MILLI)
    }

    fn take(&mut self, cost: u32) -> bool {
        let left = self.tokens.checked_sub(cost);
        self.tokens = left.unwrap_or(self.tokens);
        left.is_some()
    }

    /// A retry that was paid is not made.
    pub(super) fn refund(&mut self, kind: FailureKind) {
        self.tokens = Self::CAP.min(self.tokens + Self::cost(kind));
    }

    /// The watched circuit has closed: what comes first there are not the retries of its outage.
    pub(super) fn closed(&mut self) {
        self.tokens = self.tokens.min(Self::AFTER_CLOSE);
    }

    const fn cost(kind: FailureKind) -> u32 {
        if matches!(kind, FailureKind::Timeout) { 2 * MILLI } else { MILLI }
    }

    pub(super) const fn tokens(&self) -> u32 {
        self.tokens
    }

    pub(super) const fn beta(&self) -> u32 {
        self.beta
    }
}

#[cfg(all(test, not(shuttle)))]
impl Adaptive {
    /// As it is once all has gone well for long.
    pub(super) const RESTED: Self =
        Self { tokens: Self::CAP, beta: MILLI, congested_at: None, window: None };
}

impl Results {
    const ENOUGH: u32 = 10;
    /// An older window ends with fewer.
    const FEW: u32 = 4;
    const OLD: Duration = Duration::from_millis(500);
    const BEARABLE: Percent = Percent::new(20);
    /// One bad result is no share, however few there are beside it.
    const LEAST_BAD: u32 = 2;

    fn is_over(&self, now: Tick) -> bool {
        self.all >= Self::ENOUGH || self.all >= Self::FEW && now.since(self.since) > Self::OLD
    }

    const fn is_congested(&self) -> bool {
        self.bad >= Self::LEAST_BAD && Self::BEARABLE.exceeded_by(self.bad, self.all)
    }
}
