//! One bucket and those who wait for it: [`Seat`]. Pure, but for the wakers that it hands out.

use std::task::Waker;
use std::time::Duration;

use breaker_core::{Quota, Tick};

use crate::limiter::{Decision, Limiter, State};
use crate::line::{Aftermath, Line, Turn};
use crate::planted::planted;
use crate::terms::Terms;

/// One bucket, and those who wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) state: State,
    line: Option<Box<Line>>,
}

/// Why a call is not admitted at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Short {
    /// It would be admitted at this moment.
    Until(Tick),
    /// It never would be.
    Never,
}

impl Seat {
    pub(crate) const fn new(state: State) -> Self {
        Self { state, line: None }
    }

    /// Admits a call at once, or not at all. Whoever waits goes first, but what costs nothing takes
    /// nothing from them.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        terms: &Terms,
        now: Tick,
        cost: u32,
        out: &mut Aftermath,
    ) -> Result<(), Short> {
        // Also beside a line, and where more was taken than the bucket holds by now.
        if cost == 0 {
            return Ok(());
        }
        if self.line.is_some() {
            self.admit_behind(terms, now, cost, out)?;
        }
        match self.state.admit(terms, now, cost) {
            Decision::Admitted => Ok(()),
            Decision::Wait(at) => Err(Short::Until(at)),
            Decision::Never => Err(Short::Never),
        }
    }

    /// Settles what is due in the line, and refuses a call while somebody waits.
    #[cold]
    fn admit_behind(
        &mut self,
        terms: &Terms,
        now: Tick,
        cost: u32,
        out: &mut Aftermath,
    ) -> Result<(), Short> {
        self.settle(terms, now, out);
        match &mut self.line {
            Some(line) if !line.is_empty() => {
                let ready = line.ready_at(&self.state, terms, now, cost);
                Err(ready.map_or(Short::Never, Short::Until))
            }
            _ => Ok(()),
        }
    }

    fn settle(&mut self, terms: &Terms, now: Tick, out: &mut Aftermath) {
        if let Some(line) = &mut self.line {
            line.settle(&mut self.state, terms, now, out);
        }
        self.close();
    }

    /// A line after which nobody will ask takes no room.
    fn close(&mut self) {
        if self.line.as_ref().is_some_and(|line| line.is_over()) {
            self.line = None;
        }
    }

    /// Lets a call join the line, where it would be served by `latest`; hands out its number.
    pub(crate) fn join(
        &mut self,
        terms: &Terms,
        (now, latest): (Tick, Tick),
        cost: u32,
    ) -> Result<u64, Short> {
        let ready = match &mut self.line {
            Some(line) => line.ready_at(&self.state, terms, now, cost),
            None => self.state.ready_at(terms, now, cost),
        };
        match ready {
            Some(at) if at <= latest => {
                let line = self.line.get_or_insert_default();
                Ok(line.join(&self.state, terms, (now, latest), cost))
            }
            Some(at) => Err(Short::Until(at)),
            None => Err(Short::Never),
        }
    }

    /// What the call with this number is told that asks after its turn.
    pub(crate) fn turn(
        &mut self,
        terms: &Terms,
        now: Tick,
        number: u64,
        (waker, out): (Waker, &mut Aftermath),
    ) -> Turn {
        let turn = match &mut self.line {
            Some(line) => {
                line.settle(&mut self.state, terms, now, out);
                line.turn(&self.state, terms, now, number, (waker, out))
            }
            None => Turn::Refused(Short::Never),
        };
        self.close();
        turn
    }

    /// Takes a call out of the line that has given up; whether it was still there.
    pub(crate) fn leave(
        &mut self,
        terms: &Terms,
        now: Tick,
        number: u64,
        out: &mut Aftermath,
    ) -> bool {
        let left = self.line.as_mut().and_then(|line| line.leave(number, out));
        if let Some(owed) = left.and_then(|left| left.owed) {
            self.give_back(terms, now, owed, out);
        }
        self.close();
        left.is_some()
    }

    /// Gives back what a call took.
    pub(crate) fn give_back(
        &mut self,
        terms: &Terms,
        now: Tick,
        (taken, cost): (Tick, u32),
        out: &mut Aftermath,
    ) {
        self.state.give_back(terms, now, taken, cost);
        self.stir(out);
    }

    /// Says that something has changed, and has the first woken.
    pub(crate) fn stir(&mut self, out: &mut Aftermath) {
        if let Some(line) = &mut self.line {
            line.upset();
            line.wake_first(out);
        }
    }

    /// Says that the rate has moved.
    pub(crate) fn upset(&mut self) {
        if let Some(line) = &mut self.line {
            line.upset();
        }
    }

    /// Whether it equals a new one, so that nothing is lost with it.
    pub(crate) fn is_new(&self, terms: &Terms, now: Tick) -> bool {
        let full = self.state.full_at(terms, now) <= now || planted("debts-forgotten");
        self.line.is_none() && full
    }

    /// What is granted, and what is left.
    pub(crate) fn quota(&self, terms: &Terms, now: Tick) -> Quota {
        let waits = self.line.as_ref().is_some_and(|line| !line.is_empty());
        let left = if waits { 0 } else { self.state.remaining(terms, now) };
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
