//! What a process knows of one key: [`Entry`]. Plain data; time is an argument.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use breaker_core::{Name, Permit, Quota, Reason, Rejected, Tick};

use super::gcra::{Gcra, Interval, Moment};
use super::store::{Answer, Asking, Floor, Wanted};
use super::ticket::{Ticket, Verdict};

/// What is the same for all keys of a limit.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) name: Name,
    pub(super) whole: Gcra,
    /// What this process grants by itself while the store is down.
    pub(super) own: Gcra,
    pub(super) interval: Interval,
    pub(super) slice: u32,
    pub(super) lease_time: Duration,
    pub(super) deadline: Duration,
    /// After this time somebody who asks for others has been forgotten by its own task: its
    /// question was over by the deadline.
    pub(super) patience: Duration,
}

/// What a process knows of one key.
#[derive(Default)]
pub(super) struct Entry {
    lease: Lease,
    /// When the bucket in the store will be full at the earliest, by the local clock.
    seen: Moment,
    /// The same by the clock of the store, to hand back to it.
    floor: Floor,
    /// When the bucket will be full out of which this process grants by itself.
    own: Moment,
    queue: VecDeque<Arc<Ticket>>,
    pub(super) driver: Option<Driver>,
    /// The question on its way, unless its driver has it in hand.
    pub(super) flight: Option<Box<Flight>>,
}

/// Calls that were taken and not yet spent.
#[derive(Default)]
struct Lease {
    number: u64,
    left: u32,
    until: Tick,
}

/// The caller that asks the store on behalf of all that wait for a key.
pub(super) struct Driver {
    pub(super) ticket: Arc<Ticket>,
    /// When others need not wait for it any longer.
    pub(super) due: Tick,
}

/// A question on its way.
pub(super) struct Flight {
    pub(super) asking: Asking,
    pub(super) permit: Permit,
    pub(super) sent: Tick,
}

/// What can be said to a caller without the store.
pub(super) enum Look {
    /// Its cost was taken out of this lease.
    Granted { lease: u64 },
    /// The quota is used up.
    Refused(Rejected),
    /// Only the store knows.
    Ask,
}

impl Entry {
    /// Decides about a call where that needs no store.
    pub(super) fn look(&mut self, rules: &Rules, now: Tick, cost: u32) -> Look {
        // Those who wait came earlier.
        let first = self.queue.is_empty();
        if first && self.spend(now, cost) {
            return Look::Granted { lease: self.lease.number };
        }
        match self.refusal(rules, now, cost, self.held(now)) {
            Some(rejected) => Look::Refused(rejected),
            None => Look::Ask,
        }
    }

    fn spend(&mut self, now: Tick, cost: u32) -> bool {
        let good = self.held(now) >= cost;
        if good {
            self.lease.left -= cost;
        }
        good
    }

    /// How much of the lease is left.
    const fn held(&self, now: Tick) -> u32 {
        if now.as_nanos() < self.lease.until.as_nanos() { self.lease.left } else { 0 }
    }

    /// The refusal that the store would give, as far as it is known: what it said last, it can
    /// only have become fuller since.
    fn refusal(&self, rules: &Rules, now: Tick, cost: u32, held: u32) -> Option<Rejected> {
        let ready = rules.whole.ready(self.seen, cost);
        let refused = now < ready && held < cost;
        refused.then(|| {
            Rejected::new(rules.name, Reason::RateLimited)
                .with_retry_after(ready.since(now))
                .with_quota(rules.whole.quota(self.seen, now, held))
        })
    }

    /// What is left, as far as this process knows.
    pub(super) fn quota(&self, rules: &Rules, now: Tick) -> Quota {
        rules.whole.quota(self.seen, now, self.held(now))
    }

    /// Gives calls back to the lease that they were taken from.
    pub(super) fn give_back(&mut self, rules: &Rules, lease: u64, cost: u32) {
        if self.lease.number == lease {
            self.lease.left = self.lease.left.saturating_add(cost).min(rules.slice);
        }
    }

    /// Decides about a call without the store, as one process among others: `Err` is when it would
    /// be admitted, and the quota of the process.
    pub(super) fn share(
        &mut self,
        rules: &Rules,
        now: Tick,
        cost: u32,
    ) -> Result<(), (Tick, Quota)> {
        let ready = rules.own.ready(self.own, cost);
        if ready > now {
            return Err((ready, rules.own.quota(self.own, now, 0)));
        }
        self.own = rules.own.take(self.own, now, cost);
        Ok(())
    }

    pub(super) fn give_back_share(&mut self, rules: &Rules, cost: u32) {
        self.own = rules.own.give_back(self.own, cost);
    }

    /// Whether another key may have its place: nobody waits, and its own bucket is full again, so
    /// that its end gains nobody anything.
    pub(super) fn may_go(&self, rules: &Rules, now: Tick) -> bool {
        self.driver.is_none() && self.queue.is_empty() && rules.own.is_full(self.own, now)
    }

    /// Whether it is as good as new: then its end costs nobody anything either.
    pub(super) fn is_idle(&self, rules: &Rules, now: Tick) -> bool {
        self.held(now) == 0 && rules.whole.is_full(self.seen, now)
    }

    /// Puts a caller into the queue; who is first asks the store.
    pub(super) fn join(&mut self, ticket: &Arc<Ticket>, due: Tick) {
        self.queue.push_back(Arc::clone(ticket));
        if self.driver.is_none() {
            self.driver = Some(Driver { ticket: Arc::clone(ticket), due });
        }
    }

    pub(super) fn is_driven_by(&self, ticket: &Arc<Ticket>) -> bool {
        self.driver.as_ref().is_some_and(|driver| Arc::ptr_eq(&driver.ticket, ticket))
    }

    /// What those who wait want: enough for one of them, and up to a slice or enough for all.
    pub(super) fn wanted(&self, rules: &Rules, now: Tick) -> Wanted {
        let waiting = self.queue.iter().filter(|ticket| !ticket.is_gone());
        let costs = waiting.map(|ticket| ticket.cost);
        let least = costs.clone().min().unwrap_or(1);
        let all = costs.fold(0_u32, u32::saturating_add);
        let most = all.max(rules.slice).min(rules.whole.burst());
        let held = self.held(now);
        let most = most.saturating_sub(held).max(1);
        Wanted { least: least.saturating_sub(held).clamp(1, most), most, floor: self.floor }
    }

    /// The store has answered: hands out what it granted, in the order in which the callers came.
    pub(super) fn answered(
        &mut self,
        rules: &Rules,
        (answer, sent): (Answer, Tick),
        (now, number): (Tick, u64),
        wake: &mut Vec<Waker>,
    ) {
        self.learn(rules, answer, now);
        let mut left = self.held(now);
        if answer.granted > 0 {
            left = left.saturating_add(answer.granted);
            self.lease.number = number;
            self.lease.until = sent.after(rules.lease_time);
        }
        while let Some(ticket) = self.queue.front() {
            let cost = ticket.cost;
            if left >= cost {
                if ticket.tell(Verdict::Granted { lease: self.lease.number }, wake) {
                    left -= cost;
                }
            } else if let Some(rejected) = self.refusal(rules, now, cost, left) {
                ticket.tell(Verdict::Refused(rejected), wake);
            } else if !ticket.is_gone() {
                break;
            }
            self.queue.pop_front();
        }
        // What nobody came for, and is more than a slice, is lost.
        self.lease.left = left.min(rules.slice);
    }

    fn learn(&mut self, rules: &Rules, answer: Answer, now: Tick) {
        let Answer { floor, ahead, .. } = answer;
        self.floor = floor;
        self.seen = rules.whole.beyond(now, ahead, floor.parts, rules.interval.per);
    }

    /// The store has failed: all who wait have to do without it.
    pub(super) fn failed(&mut self, wake: &mut Vec<Waker>) {
        for ticket in self.queue.drain(..) {
            ticket.tell(Verdict::Undecided, wake);
        }
    }

    /// Has the first who waits ask the store. What comes back is a question that nobody waits for
    /// any more.
    #[must_use]
    pub(super) fn next_driver(&mut self, due: Tick, wake: &mut Vec<Waker>) -> Option<Box<Flight>> {
        while let Some(ticket) = self.queue.front() {
            if !ticket.is_gone() {
                ticket.call(wake);
                self.driver = Some(Driver { ticket: Arc::clone(ticket), due });
                return None;
            }
            self.queue.pop_front();
        }
        self.driver = None;
        self.flight.take()
    }
}
