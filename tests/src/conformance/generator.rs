//! Operations that are a little course of their own: cycles, closing, and the end of time.

use std::time::Duration;

use breaker_core::{Clock, FailureKind, Outcome, State, Tick};

use super::circuits::Circuits;
use super::fields::Fields;
use super::verdict::Mismatch;

impl Circuits {
    /// Opens, unless the last cycle did by its failed trial; waits; fails the trial.
    pub(super) fn open_and_fail_the_trial(&mut self) -> Result<(), Mismatch> {
        let breaker = self.only()?.breaker.clone();
        if breaker.state() == State::Closed {
            breaker.trip().map_err(|error| Mismatch::new("an opening", error.to_string()))?;
        }
        let opened = breaker.snapshot();
        // What the open period was told can be seen by its length.
        let number = if self.only()?.numbered_periods {
            (opened.in_state + opened.remaining.unwrap_or_default()).as_secs_f64()
        } else {
            f64::from(opened.consecutive_openings)
        };
        self.attempts.push(number - 1.0);
        self.wait_until_half_open()?;
        self.try_once(Outcome::Failure(FailureKind::Internal))?;
        self.listen()
    }

    /// Closes by good trials.
    pub(super) fn close(&mut self) -> Result<(), Mismatch> {
        let breaker = self.only()?.breaker.clone();
        if breaker.state() == State::Open {
            self.wait_until_half_open()?;
        }
        while breaker.state() == State::HalfOpen {
            self.try_once(Outcome::Success)?;
        }
        match breaker.state() {
            State::Closed => self.listen(),
            other => Err(Mismatch::new("a closed circuit", other.to_string())),
        }
    }

    /// Opens so late that the open period would end `overflow_by_ms` after the end of time.
    pub(super) fn open_at_end_of_time(&mut self, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        let over = fields.millis("overflow_by_ms");
        let over = fields.needed("overflow_by_ms", over)?;
        let period = self.only()?.pace.longest(1);
        if over > period {
            return Err(Mismatch::new("an overflow shorter than the period", format!("{over:?}")));
        }
        let early = u64::try_from((period - over).as_nanos()).unwrap_or(u64::MAX);
        self.clock.set(Tick::from_nanos(u64::MAX - early));
        let tripped = self.only()?.breaker.trip();
        tripped.map_err(|error| Mismatch::new("an opening", error.to_string()))
    }

    fn wait_until_half_open(&mut self) -> Result<(), Mismatch> {
        let breaker = self.only()?.breaker.clone();
        let snapshot = breaker.snapshot();
        // A clock that was put back must catch up with what the circuit has seen.
        let behind = snapshot.at.since(self.clock.now());
        self.wait(snapshot.remaining.unwrap_or_default() + behind);
        match breaker.state() {
            State::HalfOpen => Ok(()),
            other => Err(Mismatch::new("a half-open circuit", other.to_string())),
        }
    }

    fn wait(&mut self, time: Duration) {
        self.waited += time;
        self.clock.advance(time);
    }

    fn try_once(&mut self, outcome: Outcome) -> Result<(), Mismatch> {
        let permit = self.only()?.breaker.try_acquire();
        permit.map_err(|rejected| Mismatch::new("a trial", rejected.to_string()))?.record(outcome);
        Ok(())
    }
}
