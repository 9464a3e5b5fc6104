//! Calls that come: they take a slot, wait for one, or are refused. And slots that are handed over.

use std::time::Duration;

use breaker_core::{Class, EventKind, Priority, Reason, Tick};

use crate::desk::figures::Drain;
use crate::desk::out::{Asking, Entered, Out};
use crate::desk::pass::Pass;
use crate::desk::seats::Verdict;
use crate::desk::{Desk, State, Taken};
use crate::planted::planted;
use crate::queue::Entry;

impl State {
    /// Lets a call take a slot, or wait for one, or refuses it.
    pub(crate) fn enter(
        &mut self,
        desk: &Desk,
        (now, pass): (Tick, Pass),
        asking: &Asking,
        out: &mut Out,
    ) -> Entered {
        if let Err(reason) = self.lets(now, pass, asking.priority) {
            return Entered::Refused(self.refuse(reason, now, asking.priority, out));
        }
        // Where a slot is free, whoever has any time is let through: by him it is seen how long calls
        // take. If the average refused him, nobody would ever lower it.
        self.time(desk, asking.remaining);
        if asking.remaining.is_some_and(|left| left.is_zero()) {
            return Entered::Refused(self.refuse(Reason::TooLate, now, asking.priority, out));
        }
        self.serve(desk, now, pass, out);
        let class = asking.priority.class();
        // Whoever waits on fits none of the slots that are free now: they were offered.
        let taken = self.take(desk, pass, class);
        if let Some(taken) = taken {
            return self.started(desk, asking.priority, taken, out);
        }
        match self.join(desk, now, pass, asking, out) {
            Ok(joined) => joined,
            Err(reason) => Entered::Refused(self.refuse(reason, now, asking.priority, out)),
        }
    }

    /// Whether calls of this priority are admitted at all.
    pub(super) fn lets(&mut self, now: Tick, pass: Pass, priority: Priority) -> Result<(), Reason> {
        if priority < self.config.min_priority {
            return Err(Reason::BelowMinimum);
        }
        if priority.class() < pass.least || pass.bounded && self.is_bound() {
            return Err(pass.reason);
        }
        if let (Some(throttling), Some(throttle)) = (&mut self.throttling, &self.config.throttle) {
            if !throttling.admit(throttle, now, priority.class(), &mut self.chance) {
                return Err(Reason::Throttled);
            }
        }
        Ok(())
    }

    /// Has calls timed from the first one on whose caller is in a hurry.
    pub(super) fn time(&mut self, desk: &Desk, remaining: Option<Duration>) {
        if remaining.is_some() && !self.hurries {
            self.hurries = true;
            self.set_gate(desk);
        }
    }

    /// Until when a call that has to wait is of any use to its caller, unless it is of none.
    pub(super) fn has_time(&self, now: Tick, remaining: Option<Duration>) -> Result<Tick, Reason> {
        let Some(left) = remaining else { return Ok(Tick::MAX) };
        let typical = Duration::from_nanos(self.typical as u64);
        let spare = left.checked_sub(typical).filter(|spare| !spare.is_zero());
        Ok(now.after(spare.ok_or(Reason::TooLate)?))
    }

    pub(super) fn is_bound(&self) -> bool {
        self.critical_out >= self.config.critical_open_limit
    }

    pub(super) fn take(&mut self, desk: &Desk, pass: Pass, class: Class) -> Option<Taken> {
        if pass.bounded && self.is_bound() {
            return None;
        }
        let kind = desk.take_locked(class)?;
        if pass.bounded {
            self.critical_out += 1;
        }
        Some(Taken { kind, bounded: pass.bounded })
    }

    /// Says that a call has a slot that need not wait.
    pub(super) fn started(
        &self,
        desk: &Desk,
        priority: Priority,
        taken: Taken,
        out: &mut Out,
    ) -> Entered {
        let (running, depth) = (desk.running(), self.queue.len() as u32);
        out.tell(|| EventKind::Started { priority, waited: Duration::ZERO, running, depth });
        Entered::Takes(taken)
    }

    /// Lets a call wait, unless a slot is given back meanwhile.
    pub(super) fn join(
        &mut self,
        desk: &Desk,
        now: Tick,
        pass: Pass,
        asking: &Asking,
        out: &mut Out,
    ) -> Result<Entered, Reason> {
        let priority = asking.priority;
        let wait = self.config.wait_of(priority);
        if !asking.may_wait || wait.is_zero() || self.config.capacity == 0 {
            return Err(Reason::AtLimit);
        }
        if pass.bounded && self.is_bound() {
            // Nobody would wake it when the circuit closes.
            return Err(pass.reason);
        }
        let latest = self.has_time(now, asking.remaining)?;
        // From here on nobody gives a slot back unseen; one may have been a moment ago.
        if !planted("guards-late") {
            desk.guard(self);
        }
        if let Some(taken) = self.take(desk, pass, priority.class()) {
            return Ok(self.started(desk, priority, taken, out));
        }
        if self.queue.len() == 0 {
            self.drain = Drain { since: now, served: 0 };
        }
        let id = self.seat(priority, now);
        let entry = Entry { priority, cohort: asking.cohort, latest };
        let joined = self.queue.join(&self.config, now, id, entry, &mut out.left);
        self.settle_left(out);
        if let Err(reason) = joined {
            self.vacate(id);
            return Err(reason);
        }
        if planted("guards-late") {
            desk.guard(self);
        }
        let depth = self.queue.len() as u32;
        out.tell(|| EventKind::Queued { priority, depth });
        Ok(Entered::Waits(id, now.after(wait).min(latest)))
    }

    /// Hands free slots over to those who wait, the first of them first.
    pub(crate) fn serve(&mut self, desk: &Desk, now: Tick, pass: Pass, out: &mut Out) {
        if self.queue.len() == 0 {
            return;
        }
        if pass.least > Class::Bulk {
            self.queue.shed_below(pass.least.priority(), &mut out.left);
            for left in &mut out.left {
                left.reason = pass.reason;
            }
            self.settle_left(out);
        }
        while self.queue.len() > 0 {
            if pass.bounded && self.is_bound() {
                // As for those who come: nobody would wake them when the circuit closes.
                self.queue.shed_all(pass.reason, &mut out.left);
                return self.settle_left(out);
            }
            let fits = |class| desk.has_room(class);
            let next = self.queue.next(&self.config, now, fits, &mut out.left);
            self.settle_left(out);
            let Some(id) = next else { break };
            let class = self.seats[id as usize].class;
            let verdict = match self.take(desk, pass, class) {
                Some(taken) => Verdict::Granted(taken, now),
                // It was free a moment ago, and slots are taken under the lock only.
                None => Verdict::Refused(Reason::AtLimit),
            };
            self.drain.served = self.drain.served.saturating_add(1);
            let seat = &mut self.seats[id as usize];
            seat.verdict = verdict;
            if !planted("wakes-nobody") {
                out.wakers.extend(seat.waker.take());
            }
            let (priority, waited) = (seat.priority, now.since(seat.since));
            let (running, depth) = (desk.running(), self.queue.len() as u32);
            self.counts.waited += 1;
            out.tell(|| EventKind::Started { priority, waited, running, depth });
        }
    }
}
