//! The admission of one call: [`Permit`], and the [`PanicGuard`] around code that may panic.

use std::fmt;
use std::time::Duration;

use super::CircuitBreaker;
use super::tell::{Before, tell_settled};
use crate::clock::Tick;
use crate::machine::Ticket;
use crate::observe::{EventKind, Interest};
use crate::outcome::{FailureKind, Outcome};
use crate::state::State;

/// Proof that a call was admitted. It ends exactly once: with an outcome, or dropped.
///
/// A dropped permit is a cancelled call: by default it counts as a timeout if it was already
/// slow, and says nothing otherwise ([`OnDrop`](crate::OnDrop)). Dropping never panics and never
/// blocks.
#[must_use = "a permit that is dropped is a cancelled call"]
pub struct Permit {
    breaker: CircuitBreaker,
    /// The ticket and when the call began; `None` once it has ended.
    open: Option<(Ticket, Option<Tick>)>,
}

impl Permit {
    pub(super) const fn new(breaker: CircuitBreaker, ticket: Ticket) -> Self {
        Self { breaker, open: Some((ticket, None)) }
    }

    /// The call ended well.
    pub fn success(self) {
        self.record(Outcome::Success);
    }

    /// The call failed.
    pub fn failure(self, kind: FailureKind) {
        self.record(Outcome::Failure(kind));
    }

    /// The call ended.
    pub fn record(mut self, outcome: Outcome) {
        let told = self.settle(outcome, None);
        self.breaker.slot.consult();
        go_on(told);
    }

    /// The call ended, and took `duration`.
    pub fn record_timed(mut self, outcome: Outcome, duration: Duration) {
        let told = self.settle(outcome, Some(duration));
        self.breaker.slot.consult();
        go_on(told);
    }

    /// Notes that the call takes time from now on, unless that is noted already.
    pub fn stamp(&mut self) {
        if let Some((_, began @ None)) = &mut self.open {
            *began = Some(self.breaker.slot.around.clock.now());
        }
    }

    /// How long the call has taken since it was stamped, or since the last lap; the time runs
    /// anew from the next stamp on.
    ///
    /// For calls that show signs of life: a body whose frames flow is not slow, however long it
    /// is.
    pub fn lap(&mut self) -> Duration {
        match &mut self.open {
            Some((_, began)) => began
                .take()
                .map_or(Duration::ZERO, |began| self.breaker.slot.around.clock.now().since(began)),
            None => Duration::ZERO,
        }
    }

    /// Puts the permit around a piece of code that may panic.
    pub fn guard(self) -> PanicGuard {
        self.guard_as(Outcome::Failure(FailureKind::Panic))
    }

    /// Puts the permit around a piece of code whose panic means `outcome`.
    pub fn guard_as(self, outcome: Outcome) -> PanicGuard {
        PanicGuard { permit: Some(self), outcome }
    }

    /// The circuit that gave it.
    #[must_use]
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    /// Ends the permit; hands back what an observer panicked with.
    fn settle(&mut self, outcome: Outcome, known: Option<Duration>) -> Told {
        let Some((ticket, began)) = self.open.take() else { return Ok(()) };
        let slot = &self.breaker.slot;
        let well = outcome == Outcome::Success;
        let timed = !well || slot.times_successes(began.is_some());
        let now = if timed { slot.around.clock.now() } else { Tick::ZERO };
        let measured = began.filter(|_| timed).map(|began| now.since(began));
        let duration = known.or(measured);
        let ((), told) = slot.step_quietly(|core, done, news, wanted| {
            let before = Before::of(core);
            let settled = core.machine.settle(&core.config, ticket, outcome, duration, now, done);
            let duration = duration.unwrap_or_default();
            tell_settled(core, outcome, settled, duration, before, news, wanted);
        });
        told
    }

    /// Ends the permit of a call that was dropped.
    fn cancel(&mut self) {
        let Some((ticket, began)) = self.open.take() else { return };
        let slot = &self.breaker.slot;
        let now = slot.around.clock.now();
        let elapsed = began.map(|began| now.since(began));
        // A drop must not panic: what an observer panicked with ends here.
        let _ = slot.step_quietly(|core, done, news, wanted| {
            let before = Before::of(core);
            let settled = core.machine.cancel(&core.config, ticket, elapsed, now, done);
            let elapsed = elapsed.unwrap_or_default();
            match settled {
                Some(settled) => {
                    let timeout = Outcome::Failure(FailureKind::Timeout);
                    tell_settled(core, timeout, settled, elapsed, before, news, wanted);
                }
                None if core.machine.state() == State::Disabled => {}
                None => news.add(wanted, || EventKind::Cancelled { elapsed }, Interest::CALLS),
            }
        });
        slot.consult();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("breaker", &self.breaker.name()).finish_non_exhaustive()
    }
}

/// A permit around a piece of code that may panic: dropped without being released, it records
/// the panic.
///
/// Panics are told apart by position, not by `thread::panicking()`, which is wrong under
/// `catch_unwind` and true during unrelated panics.
#[derive(Debug)]
#[must_use = "dropped at once it records a panic"]
pub struct PanicGuard {
    permit: Option<Permit>,
    outcome: Outcome,
}

impl PanicGuard {
    /// The code has ended without a panic: the permit goes on.
    pub fn release(mut self) -> Permit {
        match self.permit.take() {
            Some(permit) => permit,
            None => unreachable!("a guard holds its permit until it is released"),
        }
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if let Some(mut permit) = self.permit.take() {
            // Already panicking: what an observer panics with ends here.
            let _ = permit.settle(self.outcome, None);
            permit.breaker.slot.consult();
        }
    }
}

/// Lets the panic of an observer go on, once all the rest is done.
fn go_on(told: Told) {
    if let Err(panic) = told {
        std::panic::resume_unwind(panic);
    }
}

type Told = Result<(), Box<dyn std::any::Any + Send>>;
