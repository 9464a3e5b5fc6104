//! The budgets that are a purse: [`Tokens`], and gRPC's [`Throttle`].

use super::rules::MILLI;
use crate::outcome::{FailureKind, Outcome};

/// The state of [`Budget::tokens`](super::Budget::tokens), in thousandths of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Tokens {
    purse: Purse,
    cost: u32,
    cost_after_timeout: u32,
}

/// The state of [`Budget::grpc`](super::Budget::grpc), in thousandths of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Throttle(Purse);

/// Starts full, and is filled by successes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Purse {
    tokens: u32,
    capacity: u32,
    per_success: u32,
}

impl Purse {
    const fn full(capacity: u32, per_success: u32) -> Self {
        Self { tokens: capacity, capacity, per_success }
    }

    fn put(&mut self, tokens: u32) {
        // Both are below 2^30.
        self.tokens = self.capacity.min(self.tokens + tokens);
    }

    const fn is_full(&self) -> bool {
        self.tokens == self.capacity
    }
}

impl Tokens {
    pub(super) const fn new(
        capacity: u32,
        per_success: u32,
        cost: u32,
        cost_after_timeout: u32,
    ) -> Self {
        Self { purse: Purse::full(capacity, per_success), cost, cost_after_timeout }
    }

    pub(super) fn ended(&mut self, outcome: Outcome) {
        if outcome == Outcome::Success {
            self.purse.put(self.purse.per_success);
        }
    }

    pub(super) fn retry(&mut self, kind: FailureKind) -> bool {
        self.take(self.cost_of(kind))
    }

    pub(super) fn hedge(&mut self) -> bool {
        self.take(self.cost)
    }

    fn take(&mut self, cost: u32) -> bool {
        let left = self.purse.tokens.checked_sub(cost);
        self.purse.tokens = left.unwrap_or(self.purse.tokens);
        left.is_some()
    }

    pub(super) fn refund(&mut self, kind: FailureKind) {
        self.purse.put(self.cost_of(kind));
    }

    const fn cost_of(&self, kind: FailureKind) -> u32 {
        if matches!(kind, FailureKind::Timeout) { self.cost_after_timeout } else { self.cost }
    }

    pub(super) const fn is_at_rest(&self) -> bool {
        self.purse.is_full()
    }

    pub(super) const fn tokens(&self) -> u32 {
        self.purse.tokens
    }

    pub(super) const fn refill(&self) -> u32 {
        self.purse.per_success
    }
}

impl Throttle {
    pub(super) const fn new(max: u32, ratio: u32) -> Self {
        Self(Purse::full(max, ratio))
    }

    pub(super) fn ended(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Success => self.0.put(self.0.per_success),
            // The callee answered.
            Outcome::Failure(FailureKind::InvalidRequest) | Outcome::Ignored => {}
            Outcome::Failure(_) => self.0.tokens = self.0.tokens.saturating_sub(MILLI),
        }
    }

    /// A retry costs nothing; its failure will.
    pub(super) const fn grants(&self) -> bool {
        self.0.tokens > self.0.capacity / 2
    }

    pub(super) const fn is_at_rest(&self) -> bool {
        self.0.is_full()
    }

    pub(super) const fn tokens(&self) -> u32 {
        self.0.tokens
    }

    pub(super) const fn refill(&self) -> u32 {
        self.0.per_success
    }
}
