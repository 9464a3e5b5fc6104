//! A budget as plain data, whichever it is: [`Rules`].

use super::adaptive::Adaptive;
use super::ratio::Ratio;
use super::tokens::{Throttle, Tokens};
use std::time::Duration;

use crate::clock::Tick;
use crate::outcome::{FailureKind, Outcome};

/// Thousandths in a whole.
pub(super) const MILLI: u32 = 1_000;

/// Whether the callee is short of capacity. A refusal by quota is about the caller, a connection
/// that breaks about a process, and an error of the application about neither.
pub(super) const fn is_shortage(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Timeout | FailureKind::Overload { .. } | FailureKind::ResourceExhausted
    )
}

/// The rules of a budget and their state; time is handed in, and nobody is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rules {
    Adaptive(Adaptive),
    Ratio(Ratio),
    Tokens(Tokens),
    Grpc(Throttle),
    Unlimited,
    Nothing,
}

impl Rules {
    /// A call begins.
    pub(super) fn called(&mut self, now: Tick) {
        if let Self::Ratio(rule) = self {
            rule.called(now);
        }
    }

    /// An attempt ended.
    pub(super) fn ended(&mut self, outcome: Outcome, now: Tick) {
        match self {
            Self::Adaptive(rule) => rule.ended(outcome, now),
            Self::Tokens(rule) => rule.ended(outcome),
            Self::Grpc(rule) => rule.ended(outcome),
            Self::Ratio(_) | Self::Unlimited | Self::Nothing => {}
        }
    }

    /// Takes what a retry costs after this failure.
    pub(super) fn retry(&mut self, kind: FailureKind, now: Tick) -> bool {
        match self {
            Self::Adaptive(rule) => rule.retry(kind),
            Self::Ratio(rule) => rule.take(now),
            Self::Tokens(rule) => rule.retry(kind),
            Self::Grpc(rule) => rule.grants(),
            Self::Unlimited => true,
            Self::Nothing => false,
        }
    }

    /// Takes what a hedge costs.
    pub(super) fn hedge(&mut self, now: Tick) -> bool {
        match self {
            Self::Adaptive(rule) => rule.hedge(now),
            Self::Ratio(rule) => rule.take(now),
            Self::Tokens(rule) => rule.hedge(),
            Self::Grpc(rule) => rule.grants(),
            Self::Unlimited => true,
            Self::Nothing => false,
        }
    }

    /// A retry that was paid so long ago is not made.
    pub(super) fn refund(&mut self, kind: FailureKind, held: Duration, now: Tick) {
        match self {
            Self::Adaptive(rule) => rule.refund(kind),
            Self::Ratio(rule) => rule.refund(now, held),
            Self::Tokens(rule) => rule.refund(kind),
            Self::Grpc(_) | Self::Unlimited | Self::Nothing => {}
        }
    }

    /// A watched circuit has closed.
    pub(super) fn closed(&mut self) {
        if let Self::Adaptive(rule) = self {
            rule.closed();
        }
    }

    /// Whether a success changes nothing.
    pub(super) const fn is_at_rest(&self) -> bool {
        match self {
            Self::Adaptive(rule) => rule.is_at_rest(),
            Self::Tokens(rule) => rule.is_at_rest(),
            Self::Grpc(rule) => rule.is_at_rest(),
            Self::Ratio(_) | Self::Unlimited | Self::Nothing => true,
        }
    }

    pub(super) fn is_congested(&self, now: Tick) -> bool {
        matches!(self, Self::Adaptive(rule) if rule.is_congested(now))
    }

    /// What is there, in tokens.
    pub(super) fn balance(&mut self, now: Tick) -> f64 {
        match self {
            Self::Adaptive(rule) => whole(rule.tokens()),
            Self::Ratio(rule) => rule.balance(now) as f64,
            Self::Tokens(rule) => whole(rule.tokens()),
            Self::Grpc(rule) => whole(rule.tokens()),
            Self::Unlimited => f64::INFINITY,
            Self::Nothing => 0.0,
        }
    }

    /// What a success brings, in tokens.
    pub(super) fn refill(&self) -> Option<f64> {
        match self {
            Self::Adaptive(rule) => Some(whole(rule.beta())),
            Self::Tokens(rule) => Some(whole(rule.refill())),
            Self::Grpc(rule) => Some(whole(rule.refill())),
            Self::Ratio(_) | Self::Unlimited | Self::Nothing => None,
        }
    }
}

/// Which of the events say something to a rule, so that for the others neither the clock is read
/// nor the lock taken.
impl Rules {
    pub(super) const fn counts_calls(&self) -> bool {
        matches!(self, Self::Ratio(_))
    }

    pub(super) const fn hears(&self, outcome: Outcome) -> bool {
        let hears = matches!(self, Self::Adaptive(_) | Self::Tokens(_) | Self::Grpc(_));
        hears && !matches!(outcome, Outcome::Ignored)
    }

    pub(super) const fn dates_results(&self) -> bool {
        matches!(self, Self::Adaptive(_))
    }

    pub(super) const fn dates_retries(&self) -> bool {
        matches!(self, Self::Ratio(_))
    }

    pub(super) const fn dates_hedges(&self) -> bool {
        matches!(self, Self::Adaptive(_) | Self::Ratio(_))
    }
}

fn whole(milli: u32) -> f64 {
    f64::from(milli) / f64::from(MILLI)
}
