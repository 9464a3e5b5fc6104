//! The question that one caller asks for all who wait: [`Turn`].

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use breaker_core::{FailureKind, Rejected, Tick};

use super::entry::Flight;
use super::leases::Place;
use super::shared::Shared;
use super::store::{Answer, Wanted};
use super::ticket::{Ticket, Verdict};

/// A caller at its place.
pub(super) struct Turn<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) kept: &'a str,
    pub(super) at: Place,
    pub(super) ticket: &'a Arc<Ticket>,
}

impl Turn<'_> {
    /// Goes on asking the store, if it is this caller's turn; ready when there is something new.
    pub(super) fn drive(&self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.shared.clock.now();
        let mut shard = self.shared.leases.shard(self.at.shard);
        let now = shard.at(now);
        let Some(entry) = shard.entry(self.at) else { return Poll::Pending };
        if !entry.is_driven_by(self.ticket) {
            return Poll::Pending;
        }
        let flight = match entry.flight.take() {
            Some(flight) => {
                drop(shard);
                Ok(flight)
            }
            None => {
                let wanted = entry.wanted(&self.shared.rules, now);
                drop(shard);
                fly(self.shared, self.kept, wanted)
            }
        };
        match flight {
            Ok(mut flight) => match flight.asking.as_mut().poll(cx) {
                Poll::Pending => {
                    self.put_back(flight);
                    Poll::Pending
                }
                Poll::Ready(answered) => {
                    let sent = flight.sent;
                    let answer = landed(*flight, answered);
                    self.settle(answer.map(|answer| (answer, sent)).ok());
                    Poll::Ready(())
                }
            },
            Err(_) => {
                self.settle(None);
                Poll::Ready(())
            }
        }
    }

    /// Where others find it, if this caller goes.
    fn put_back(&self, flight: Box<Flight>) {
        let mut shard = self.shared.leases.shard(self.at.shard);
        let unused = match shard.entry(self.at) {
            Some(entry) if entry.is_driven_by(self.ticket) => entry.flight.replace(flight),
            _ => Some(flight),
        };
        drop(shard);
        drop(unused);
    }

    /// Tells those who wait what the store said, and has the next one ask where some still wait.
    fn settle(&self, answer: Option<(Answer, Tick)>) {
        let mut wake = Vec::new();
        let rules = &self.shared.rules;
        let now = self.shared.clock.now();
        let mut shard = self.shared.leases.shard(self.at.shard);
        let now = shard.at(now);
        let number = shard.next_number();
        let Some(entry) = shard.entry(self.at) else { return };
        if !entry.is_driven_by(self.ticket) {
            return;
        }
        match answer {
            Some(answer) => entry.answered(rules, answer, (now, number), &mut wake),
            None => entry.failed(&mut wake),
        }
        let unused = entry.next_driver(now.after(rules.patience), &mut wake);
        drop(shard);
        drop(unused);
        wake_all(wake);
    }

    /// The caller goes. What it was told and has not heard comes back.
    pub(super) fn leave(&self) -> Option<Verdict> {
        let told = self.ticket.leave();
        let now = self.shared.clock.now();
        let mut wake = Vec::new();
        let mut shard = self.shared.leases.shard(self.at.shard);
        let now = shard.at(now);
        let due = now.after(self.shared.rules.patience);
        let unused = match shard.entry(self.at) {
            Some(entry) if entry.is_driven_by(self.ticket) => entry.next_driver(due, &mut wake),
            _ => None,
        };
        drop(shard);
        drop(unused);
        wake_all(wake);
        told
    }

    /// The caller goes because it has waited for too long. If whoever asks for it is late, too, and
    /// has perhaps been forgotten by its own task, nobody need wait for that one any longer.
    pub(super) fn leave_late(&self) -> Option<Verdict> {
        let told = self.leave();
        let now = self.shared.clock.now();
        let mut wake = Vec::new();
        let mut shard = self.shared.leases.shard(self.at.shard);
        let now = shard.at(now);
        let mut unused = None;
        if let Some(entry) = shard.entry(self.at) {
            if entry.driver.as_ref().is_some_and(|driver| driver.due <= now) {
                unused = entry.flight.take();
                entry.driver = None;
                entry.failed(&mut wake);
            }
        }
        drop(shard);
        drop(unused);
        wake_all(wake);
        told
    }
}

/// Sends a question, if the circuit lets it.
pub(super) fn fly(
    shared: &Arc<Shared>,
    kept: &str,
    wanted: Wanted,
) -> Result<Box<Flight>, Rejected> {
    let permit = shared.circuit.try_acquire()?;
    let sent = shared.clock.now();
    let asking = Arc::clone(&shared.store).ask(kept, wanted);
    Ok(Box::new(Flight { asking, permit, sent }))
}

/// Has the circuit know how a question ended.
#[allow(clippy::large_types_passed_by_value, reason = "it ends here")]
pub(super) fn landed(
    flight: Flight,
    answered: Result<Answer, FailureKind>,
) -> Result<Answer, FailureKind> {
    match answered {
        Ok(_) => flight.permit.success(),
        Err(kind) => flight.permit.failure(kind),
    }
    answered
}

/// Not under a lock: a waker is somebody else's code.
fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
