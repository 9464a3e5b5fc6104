//! One bucket and those who wait for it: [`Seat`]. Pure, but for the wakers that it hands out.

use std::task::Waker;
use std::time::Duration;

use breaker_core::{Name, Quota, Reason, Rejected, Tick};

use crate::limiter::{Decision, Limiter, State};
use crate::line::Line;
use crate::planted::planted;
use crate::terms::Terms;

/// One bucket, and those who wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) state: State,
    pub(crate) line: Option<Box<Line>>,
}

/// Why a call is not admitted at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Short {
    /// It would be admitted at this moment.
    Until(Tick),
    /// It never would be.
    Never,
}

/// What the first of a line does next.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It goes as of this moment, and this one is to be woken.
    Go(Tick, Option<Waker>),
    /// It is refused, and this one is to be woken.
    Refused(Short, Option<Waker>),
    /// It sleeps until this moment.
    Sleep(Tick),
    /// It is not the first.
    Behind,
}

impl Seat {
    pub(crate) const fn new(state: State) -> Self {
        Self { state, line: None }
    }

    fn has_line(&self) -> bool {
        self.line.as_ref().is_some_and(|line| !line.is_empty())
    }

    /// Admits a call at once, or not at all. Whoever waits goes first, but what costs nothing takes
    /// nothing from them.
    #[inline]
    pub(crate) fn admit(&mut self, terms: &Terms, now: Tick, cost: u32) -> Result<(), Short> {
        // Also beside a line, and where more was taken than the bucket holds by now.
        if cost == 0 {
            return Ok(());
        }
        if let Some(line) = self.line.as_mut().filter(|line| !line.is_empty()) {
            let ready = line.ready_at(&self.state, terms, now, cost);
            return Err(ready.map_or(Short::Never, Short::Until));
        }
        match self.state.admit(terms, now, cost) {
            Decision::Admitted => Ok(()),
            Decision::Wait(at) => Err(Short::Until(at)),
            Decision::Never => Err(Short::Never),
        }
    }

    /// Lets a call join the line, where it would be served by `latest`; hands out its number.
    pub(crate) fn join(
        &mut self,
        terms: &Terms,
        now: Tick,
        cost: u32,
        latest: Tick,
    ) -> Result<u64, Short> {
        let line = self.line.get_or_insert_default();
        match line.ready_at(&self.state, terms, now, cost) {
            Some(at) if at <= latest => Ok(line.join(&self.state, terms, now, cost)),
            Some(at) => Err(Short::Until(at)),
            None => Err(Short::Never),
        }
    }

    /// What the call with this number does next, which waits until `latest` at most.
    pub(crate) fn turn(
        &mut self,
        terms: &Terms,
        now: Tick,
        (number, cost): (u64, u32),
        latest: Tick,
        waker: &Waker,
    ) -> Turn {
        let Some(line) = &mut self.line else { return Turn::Refused(Short::Never, None) };
        if !line.is_first(number, waker) {
            return Turn::Behind;
        }
        // As of when it could have gone: who is polled late does not make others late.
        match self.state.ready_at(terms, line.first_since(now), cost) {
            Some(at) if at <= now && at <= latest => {
                self.state.take(terms, at, cost);
                line.served(at);
                Turn::Go(at, line.advance())
            }
            Some(at) if now >= latest => {
                line.upset();
                Turn::Refused(Short::Until(at), line.advance())
            }
            Some(at) => Turn::Sleep(at.min(latest)),
            None => {
                line.upset();
                Turn::Refused(Short::Never, line.advance())
            }
        }
    }

    /// Takes a call out of the line that has given up.
    #[must_use]
    pub(crate) fn leave(&mut self, number: u64) -> Option<Waker> {
        self.line.as_mut()?.leave(number)
    }

    /// Gives back what a call took; hands out who is to be woken.
    #[must_use]
    pub(crate) fn give_back(
        &mut self,
        terms: &Terms,
        now: Tick,
        (taken, cost): (Tick, u32),
    ) -> Option<Waker> {
        self.state.give_back(terms, now, taken, cost);
        self.stir()
    }

    /// Says that something has changed; hands out who is to be woken.
    #[must_use]
    pub(crate) fn stir(&mut self) -> Option<Waker> {
        let line = self.line.as_mut()?;
        line.upset();
        line.wake_first()
    }

    /// Whether it equals a new one, so that nothing is lost with it.
    pub(crate) fn is_new(&self, terms: &Terms, now: Tick) -> bool {
        !self.has_line() && (self.state.full_at(terms, now) <= now || planted("debts-forgotten"))
    }

    /// What is granted, and what is left.
    pub(crate) fn quota(&self, terms: &Terms, now: Tick) -> Quota {
        let left = if self.has_line() { 0 } else { self.state.remaining(terms, now) };
        let reset = self.state.full_at(terms, now).since(now);
        // A bucket that holds more than a window: what it holds, and how long that takes to refill.
        if terms.burst() > terms.limit() && self.state.has_burst() {
            let nanos = terms.rate().period().as_nanos() * u128::from(terms.burst());
            let refill = nanos.div_ceil(u128::from(terms.rate().calls()));
            let refill = Duration::from_nanos(u64::try_from(refill).unwrap_or(u64::MAX));
            return Quota::new(terms.burst(), refill, left, reset);
        }
        Quota::new(terms.limit(), terms.window(), left, reset)
    }
}

/// A refusal, with the time until the call would be admitted.
pub(crate) fn rejected(name: Name, short: Short, now: Tick, quota: Quota) -> Rejected {
    match short {
        Short::Until(at) => {
            Rejected::new(name, Reason::RateLimited).with_retry_after(at.since(now))
        }
        Short::Never => Rejected::new(name, Reason::CostTooHigh),
    }
    .with_quota(quota)
}
