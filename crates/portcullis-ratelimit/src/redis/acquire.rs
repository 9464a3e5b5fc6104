//! The wait for a decision: [`Acquire`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use breaker_core::{Reason, Rejected};
use tokio::time::Sleep;

use super::entry::{Flight, Look};
use super::leases::Place;
use super::share::{Share, Source};
use super::shared::Shared;
use super::store::{Floor, Wanted};
use super::ticket::{Ticket, Verdict};
use super::turn::{Turn, fly, landed};

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
                entry.join(&ticket, now.after(rules.patience));
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
            let turn = Turn { shared: &self.shared, kept: &self.kept, at: *at, ticket };
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
            let turn = Turn { shared: &self.shared, kept: &self.kept, at: *at, ticket };
            if let Some(Verdict::Granted { lease }) = turn.leave() {
                self.shared.give_back(self.cost, Source::Lease { at: *at, lease });
            }
        }
    }
}
