//! Calls that wait, each on a seat: [`Seat`].

use std::task::Waker;

use breaker_core::{Class, Priority, Reason, Tick};

use crate::desk::out::{Out, Turn};
use crate::desk::pass::Pass;
use crate::desk::{Desk, State, Taken};
use crate::planted::planted;
use crate::queue::Left;

/// A call that waits.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) verdict: Verdict,
    pub(super) waker: Option<Waker>,
    pub(super) priority: Priority,
    /// Which slots it may take.
    pub(super) class: Class,
    pub(super) since: Tick,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Nobody,
    Waits,
    Granted(Taken, Tick),
    Refused(Reason),
}

impl State {
    /// Tells those who left the queue why.
    pub(super) fn settle_left(&mut self, out: &mut Out) {
        for Left { id, reason } in out.left.drain(..) {
            self.counts.count(reason);
            let seat = &mut self.seats[id as usize];
            seat.verdict = Verdict::Refused(reason);
            out.wakers.extend(seat.waker.take());
        }
    }

    pub(super) fn seat(&mut self, priority: Priority, since: Tick) -> u32 {
        let class = priority.class();
        let seat = Seat { verdict: Verdict::Waits, waker: None, priority, class, since };
        match self.free.pop() {
            Some(id) => {
                self.seats[id as usize] = seat;
                id
            }
            None => {
                self.seats.push(seat);
                self.seats.len() as u32 - 1
            }
        }
    }

    /// Frees a seat, and hands out the waker that was left there.
    pub(super) fn vacate(&mut self, id: u32) -> Option<Waker> {
        let seat = &mut self.seats[id as usize];
        seat.verdict = Verdict::Nobody;
        let waker = seat.waker.take();
        self.free.push(id);
        if self.free.len() == self.seats.len() {
            // Nobody sits: what a burst needed is kept up to a bound.
            self.free.clear();
            self.seats.clear();
            self.seats.shrink_to(64);
            self.free.shrink_to(64);
        }
        waker
    }

    /// What the call on this seat is told; where it does not go on waiting, the seat is free.
    pub(crate) fn turn(
        &mut self,
        desk: &Desk,
        (now, pass): (Tick, Pass),
        (id, deadline): (u32, Tick),
        waker: Waker,
        out: &mut Out,
    ) -> Turn {
        if self.seats[id as usize].verdict == Verdict::Waits && now >= deadline {
            self.queue.settle(&self.config, now, &mut out.left);
            self.settle_left(out);
            self.serve(desk, now, pass, out);
            // Its time is over, whatever the queue says: it must not ask for ever.
            if self.seats[id as usize].verdict == Verdict::Waits {
                self.queue.leave(id);
                self.counts.count(Reason::QueueTimeout);
                self.seats[id as usize].verdict = Verdict::Refused(Reason::QueueTimeout);
            }
        }
        let seat = &mut self.seats[id as usize];
        let priority = seat.priority;
        match seat.verdict {
            Verdict::Granted(taken, at) => {
                out.wakers.extend(self.vacate(id));
                Turn::Takes(taken, at)
            }
            Verdict::Refused(reason) => {
                out.wakers.extend(self.vacate(id));
                Turn::Refused(self.refusal(reason, now, priority, out))
            }
            Verdict::Waits | Verdict::Nobody => {
                out.old = seat.waker.replace(waker);
                Turn::Waits(deadline)
            }
        }
    }

    /// Takes a call off its seat that has given up; the slot that it had been given, if any.
    pub(crate) fn leave(&mut self, id: u32, out: &mut Out) -> Option<Taken> {
        let verdict = self.seats[id as usize].verdict;
        let taken = match verdict {
            Verdict::Granted(taken, _) => Some(taken),
            Verdict::Waits => {
                self.queue.leave(id);
                self.counts.left += 1;
                None
            }
            Verdict::Refused(_) | Verdict::Nobody => None,
        };
        out.old = self.vacate(id);
        taken.filter(|_| !planted("leaves-with-a-slot"))
    }

    /// Lets a call that waits compete as one of this priority.
    pub(crate) fn raise(&mut self, now: Tick, id: u32, to: Priority) {
        let seat = &mut self.seats[id as usize];
        if seat.verdict == Verdict::Waits && seat.class <= to.class() {
            seat.class = to.class();
            self.queue.raise(&self.config, now, id, to);
        }
    }
}
