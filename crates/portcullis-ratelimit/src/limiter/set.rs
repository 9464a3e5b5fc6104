//! Several buckets under one verdict: [`Set`].

use breaker_core::Tick;

use super::Limiter;
use super::state::{Algorithm, State};
use crate::terms::Terms;

/// When a [`Set`] admits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Verdict {
    /// When all of its members do. A call that is admitted is taken from each of them; where one
    /// refuses, nothing is taken from any.
    Strictest,
    /// When one of its members does. A call is taken from those that admit it, and not from those
    /// that would have refused: these could never recover otherwise.
    ///
    /// A call is given back to all, or not at all: the set remembers the last moment at which a
    /// call was taken from some of them only, and what was taken at that moment or before may be
    /// such a call.
    Loosest,
}

/// Several buckets of any algorithms, under one [`Verdict`].
///
/// ```text
/// strictest: admits when all admit,   ready at the latest moment of all
/// loosest:   admits when one admits,  ready at the earliest moment of all
/// ```
///
/// A strictest set without members admits everything, a loosest one nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Set {
    verdict: Verdict,
    /// When a call was last taken from some members only. Never in a strictest set.
    parted: Option<Tick>,
    members: Box<[State]>,
}

impl Set {
    /// The default set: token bucket, leaky bucket, fixed window and sliding counter.
    pub const DEFAULT: [Algorithm; 4] = [
        Algorithm::TokenBucket,
        Algorithm::LeakyBucket,
        Algorithm::FixedWindow,
        Algorithm::SlidingCounter,
    ];

    /// New buckets of these algorithms.
    #[must_use]
    pub fn new(verdict: Verdict, members: &[Algorithm]) -> Self {
        let members = members.iter().map(|&algorithm| State::new(algorithm)).collect();
        Self { verdict, parted: None, members }
    }

    /// The largest figure that one of its members gives.
    pub(crate) fn most(&self, figure: impl Fn(&State) -> u32) -> u32 {
        self.members.iter().map(figure).max().unwrap_or(0)
    }

    /// When it admits.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn admits(member: &State, terms: &Terms, now: Tick, cost: u32) -> bool {
        member.ready_at(terms, now, cost).is_some_and(|at| at <= now)
    }
}

impl Limiter for Set {
    fn ready_at(&self, terms: &Terms, now: Tick, cost: u32) -> Option<Tick> {
        let mut moments = self.members.iter().map(|member| member.ready_at(terms, now, cost));
        match self.verdict {
            Verdict::Strictest => moments.try_fold(now, |latest, at| Some(latest.max(at?))),
            Verdict::Loosest => moments.flatten().min(),
        }
    }

    fn take(&mut self, terms: &Terms, now: Tick, cost: u32) {
        for member in &mut self.members {
            if self.verdict == Verdict::Strictest || Self::admits(member, terms, now, cost) {
                member.take(terms, now, cost);
            } else {
                self.parted = Some(now);
            }
        }
    }

    fn give_back(&mut self, terms: &Terms, now: Tick, taken: Tick, cost: u32) {
        if self.parted.is_none_or(|parted| parted < taken) {
            for member in &mut self.members {
                member.give_back(terms, now, taken, cost);
            }
        }
    }

    fn remaining(&self, terms: &Terms, now: Tick) -> u32 {
        let members = self.members.iter().map(|member| member.remaining(terms, now));
        match self.verdict {
            Verdict::Strictest => members.min().unwrap_or(u32::MAX),
            Verdict::Loosest => members.max().unwrap_or(0),
        }
    }

    fn full_at(&self, terms: &Terms, now: Tick) -> Tick {
        self.members.iter().map(|member| member.full_at(terms, now)).max().unwrap_or(now)
    }

    fn carry(&mut self, from: &Terms, to: &Terms, now: Tick) {
        for member in &mut self.members {
            member.carry(from, to, now);
        }
    }
}
