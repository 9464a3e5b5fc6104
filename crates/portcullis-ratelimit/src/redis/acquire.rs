//! The wait for a decision: [`Acquire`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use breaker_core::{FailureKind, Reason, Rejected};
use tokio::time::Sleep;

use super::entry::{Flight, Look};
use super::leases::Place;
use super::share::{Share, Source};
use super::shared::Shared;
use super::store::{Answer, Floor, Wanted};
use super::ticket::{Ticket, Verdict};

/// Resolves to a share of the quota, or to a refusal, by the deadline at the latest.
///
/// Dropped before that, it takes nothing; where it was asking the store on behalf of others, one of
/// them goes on.
#[must_use = "futures do nothing unless they are polled"]
pub struct Acquire(State);

enum State {
    Decided(Result<Share, Rejected>),
    Waiting(Box<Waiting>),
    Done,
}

/// A caller who needs the store.
pub(super) struct Waiting {
    shared: Arc<Shared>,
    kept: Box<str>,
    shard: u32,
    cost: u32,
    stage: Stage,
}

enum Stage {
    Start,
    /// In the queue of the key. Whoever joined as its driver goes by the deadline of the question.
    Queued {
        at: Place,
        ticket: Arc<Ticket>,
        deadline: Option<Pin<Box<Sleep>>>,
    },
    /// There is no place for the key: it asks for itself.
    Alone(Box<Flight>),
    Over,
}

// ===== impl Acquire =====

impl Acquire {
    pub(super) const fn decided(decided: Result<Share, Rejected>) -> Self {
        Self(State::Decided(decided))
    }

    pub(super) fn waiting(shared: Arc<Shared>, kept: Box<str>, shard: u32, cost: u32) -> Self {
        let stage = Stage::Start;
        Self(State::Waiting(Box::new(Waiting { shared, kept, shard, cost, stage })))
    }

    /// The decision, if it needed no question to the store. It is not decided twice: whoever takes
    /// it does not poll any more.
    pub fn now(&mut self) -> Option<Result<Share, Rejected>> {
        match std::mem::replace(&mut self.0, State::Done) {
            State::Decided(decided) => Some(decided),
            other => {
                self.0 = other;
                None
            }
        }
    }
}

impl Future for Acquire {
    type Output = Result<Share, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(decided) = self.now() {
            return Poll::Ready(decided);
        }
        match &mut self.0 {
            State::Waiting(waiting) => match waiting.poll(cx) {
                Poll::Ready(decided) => {
                    self.0 = State::Done;
                    Poll::Ready(decided)
                }
                Poll::Pending => Poll::Pending,
            },
            // As after the end of other futures: it never comes back.
            State::Decided(_) | State::Done => Poll::Pending,
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if let Some(Ok(share)) = self.now() {
            share.give_back();
        }
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.0 {
            State::Decided(_) => "decided",
            State::Waiting(_) => "waiting",
            State::Done => "done",
        };
        f.debug_tuple("Acquire").field(&state).finish()
    }
}

// ===== impl Waiting =====

impl Waiting {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Share, Rejected>> {
        if matches!(self.stage, Stage::Start) {
            if let Some(decided) = self.start() {
                self.stage = Stage::Over;
                return Poll::Ready(decided);
            }
        }
        let decided = match &self.stage {
            Stage::Queued { .. } => self.poll_queued(cx),
            Stage::Alone(_) => self.poll_alone(cx),
            Stage::Start | Stage::Over => Poll::Pending,
        };
        if decided.is_ready() {
            self.stage = Stage::Over;
        }
        decided
    }

    /// Looks once more, since time has passed, and takes a place in the queue.
    fn start(&mut self) -> Option<Result<Share, Rejected>> {
        let shared = &self.shared;
        let (rules, room) = (&shared.rules, shared.leases.per_shard());
        let now = shared.clock.now();
        let mut shard = shared.leases.shard(self.shard);
        let now = shard.at(now);
        let place = shard.place((self.shard, room), &self.kept, rules, now);
        let Some((at, entry)) = place.and_then(|at| shard.entry(at).map(|entry| (at, entry)))
        else {
            drop(shard);
            return self.start_alone();
        };
        let verdict = match entry.look(rules, now, self.cost) {
            Look::Granted { lease } => Verdict::Granted { lease },
            Look::Refused(rejected) => Verdict::Refused(rejected),
            Look::Ask => {
                let ticket = Ticket::new(self.cost);
                entry.join(&ticket, now.after(rules.deadline));
                let drives = entry.is_driven_by(&ticket);
                drop(shard);
                let deadline =
                    (!drives).then(|| Box::pin(tokio::time::sleep(self.shared.rules.deadline)));
                self.stage = Stage::Queued { at, ticket, deadline };
                return None;
            }
        };
        drop(shard);
        self.shared.told(verdict, at, self.cost)
    }

    fn poll_queued(&mut self, cx: &mut Context<'_>) -> Poll<Result<Share, Rejected>> {
        loop {
            let Stage::Queued { at, ticket, deadline } = &mut self.stage else {
                return Poll::Pending;
            };
            if let Poll::Ready(verdict) = ticket.poll(cx.waker()) {
                let told = self.shared.told(verdict, *at, self.cost);
                return Poll::Ready(told.unwrap_or_else(|| self.alone()));
            }
            let mut turn = Turn { shared: &self.shared, kept: &self.kept, at: *at, ticket };
            if turn.drive(cx).is_ready() {
                continue;
            }
            let late = deadline.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
            if !late {
                return Poll::Pending;
            }
            let told = turn.leave_late().and_then(|verdict| {
                let at = turn.at;
                self.shared.told(verdict, at, self.cost)
            });
            return Poll::Ready(told.unwrap_or_else(|| self.alone()));
        }
    }

    /// Decides without the store.
    fn alone(&self) -> Result<Share, Rejected> {
        let again = self.shared.circuit.known_refusal().and_then(|open| open.retry_after());
        self.shared.alone((self.shard, &self.kept), self.cost, again)
    }

    fn start_alone(&mut self) -> Option<Result<Share, Rejected>> {
        let wanted = Wanted { least: self.cost, most: self.cost, floor: Floor::default() };
        match fly(&self.shared, &self.kept, wanted) {
            Ok(flight) => self.stage = Stage::Alone(flight),
            Err(_) => return Some(self.alone()),
        }
        None
    }

    fn poll_alone(&mut self, cx: &mut Context<'_>) -> Poll<Result<Share, Rejected>> {
        let Stage::Alone(flight) = &mut self.stage else { return Poll::Pending };
        let Poll::Ready(answered) = flight.asking.as_mut().poll(cx) else { return Poll::Pending };
        let Stage::Alone(flight) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Poll::Pending;
        };
        let Ok(answer) = landed(*flight, answered) else { return Poll::Ready(self.alone()) };
        let shared = &self.shared;
        let granted = answer.granted >= self.cost;
        let mut shard = shared.leases.shard(self.shard);
        if granted {
            shard.counts.granted += 1;
            drop(shard);
            return Poll::Ready(Ok(shared.share(self.cost, Source::Store)));
        }
        shard.counts.refused += 1;
        drop(shard);
        let (rules, now) = (&shared.rules, shared.clock.now());
        let full = rules.whole.beyond(now, answer.ahead, answer.floor.parts, rules.interval.per);
        let wait = rules.whole.ready(full, self.cost).since(now);
        Poll::Ready(Err(Rejected::new(rules.name, Reason::RateLimited)
            .with_retry_after(wait)
            .with_quota(rules.whole.quota(full, now, 0))))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Stage::Queued { at, ticket, .. } = &self.stage {
            let mut turn = Turn { shared: &self.shared, kept: &self.kept, at: *at, ticket };
            if let Some(Verdict::Granted { lease }) = turn.leave() {
                self.shared.give_back(self.cost, Source::Lease { at: *at, lease });
            }
        }
    }
}

// ===== The question that one asks for all =====

/// A caller at its place.
struct Turn<'a> {
    shared: &'a Arc<Shared>,
    kept: &'a str,
    at: Place,
    ticket: &'a Arc<Ticket>,
}

impl Turn<'_> {
    /// Goes on asking the store, if it is this caller's turn; ready when there is something new.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.shared.clock.now();
        let mut shard = self.shared.leases.shard(self.at.shard);
        let now = shard.at(now);
        let Some(entry) = shard.entry(self.at) else { return Poll::Pending };
        if !entry.is_driven_by(self.ticket) {
            return Poll::Pending;
        }
        let flight = entry.flight.take();
        let wanted = entry.wanted(&self.shared.rules, now);
        drop(shard);
        let flight = match flight {
            Some(flight) => Ok(flight),
            None => fly(self.shared, self.kept, wanted),
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
    fn settle(&self, answer: Option<(Answer, breaker_core::Tick)>) {
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
        let unused = entry.next_driver(now.after(rules.deadline), &mut wake);
        drop(shard);
        drop(unused);
        wake_all(wake);
    }

    /// The caller goes. What it was told and has not heard comes back.
    fn leave(&mut self) -> Option<Verdict> {
        let told = self.ticket.leave();
        let now = self.shared.clock.now();
        let mut wake = Vec::new();
        let mut shard = self.shared.leases.shard(self.at.shard);
        let now = shard.at(now);
        let due = now.after(self.shared.rules.deadline);
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
    fn leave_late(&mut self) -> Option<Verdict> {
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
fn fly(shared: &Arc<Shared>, kept: &str, wanted: Wanted) -> Result<Box<Flight>, Rejected> {
    let permit = shared.circuit.try_acquire()?;
    let sent = shared.clock.now();
    let asking = Arc::clone(&shared.store).ask(kept, wanted);
    Ok(Box::new(Flight { asking, permit, sent }))
}

/// Has the circuit know how a question ended.
#[allow(clippy::large_types_passed_by_value, reason = "it ends here")]
fn landed(flight: Flight, answered: Result<Answer, FailureKind>) -> Result<Answer, FailureKind> {
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
