//! How many attempts a callee is sent beyond the first ones: [`RetryBudget`], [`Budget`].

use crate::anchor::{Anchor, Anchored};
use crate::breaker::CircuitBreaker;
use crate::clock::{Clock, MonotonicClock};
use crate::outcome::{FailureKind, Outcome};

/// The rule of a [`RetryBudget`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Budget;

impl Budget {
    /// Follows what the callee bears.
    pub const fn adaptive() -> Self {
        Self
    }
}

/// The attempts beyond the first ones that a callee is sent.
#[derive(Clone, Debug)]
pub struct RetryBudget(Anchored<()>);

/// The figures of a budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetSnapshot;

impl RetryBudget {
    /// On the machine's monotonic clock.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self::with_clock(budget, MonotonicClock::new())
    }

    /// On this clock.
    #[must_use]
    pub fn with_clock(_: Budget, _: impl Clock + 'static) -> Self {
        Self(Anchored::new(()))
    }

    /// A call begins: its first attempt.
    #[inline]
    pub fn called(&self) {}

    /// An attempt ended.
    pub fn ended(&self, _: Outcome) {}

    /// Takes what another attempt costs after this failure.
    #[must_use]
    pub fn try_retry(&self, _: FailureKind) -> bool {
        true
    }

    /// Takes what a hedge costs.
    #[must_use]
    pub fn try_hedge(&self) -> bool {
        true
    }

    /// Whether the callee has been short of capacity lately.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        false
    }

    /// Watches a circuit.
    pub fn watch(&self, _: &CircuitBreaker) {}

    /// The figures.
    #[must_use]
    pub fn snapshot(&self) -> BudgetSnapshot {
        BudgetSnapshot
    }

    /// The mark by which calls find it again.
    #[must_use]
    pub fn anchor(&self) -> Anchor<()> {
        self.0.anchor()
    }
}
