//! One bucket with what was last in force for it: [`Desk`].

use std::task::Waker;

use breaker_core::{Rejected, Tick};

use crate::config::RateLimit;
use crate::grant::Turning;
use crate::hub::{Hub, InForce};
use crate::lent::Lent;
use crate::lent::thread::here;
use crate::limiter::{Algorithm, State};
use crate::planted::planted;
use crate::seat::{Seat, Short, Turn, rejected};

/// One bucket, and what was in force when it was last looked at.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) seat: Seat,
    pub(crate) force: InForce,
    /// How many calls are lent to a thread at a time; none where the bucket is small, where its
    /// rate moves, or where it is no token bucket.
    pub(crate) share: u32,
    /// How many were lent to each share when it was last filled.
    lent: [u32; Lent::SHARES],
}

impl Desk {
    /// A full bucket that lends nothing.
    pub(crate) fn new(force: InForce) -> Self {
        Self { seat: Seat::under(&force), force, share: 0, lent: [0; Lent::SHARES] }
    }

    /// A full bucket that lends, if it is large enough.
    pub(crate) fn lending(force: InForce) -> Self {
        Self { share: share(&force.config), ..Self::new(force) }
    }

    /// Admits a call, having called in what it needs of what was lent; if there is enough, this
    /// thread is lent its share again.
    #[inline]
    pub(crate) fn admit(&mut self, now: Tick, cost: u32, lent: &Lent) -> Result<(), Short> {
        if self.share > 0 {
            if self.lend(now, cost, lent) {
                return Ok(());
            }
            self.call_in(now, lent);
        }
        self.seat.admit(&self.force.terms, now, cost)
    }

    /// Takes the cost of a call and lends a share of the bucket to this thread, if there is enough
    /// and nobody waits.
    fn lend(&mut self, now: Tick, cost: u32, lent: &Lent) -> bool {
        let terms = &self.force.terms;
        // Another thread may have filled the same share in between: it is as good as this one.
        let back = lent.call_in_here();
        if !planted("fills-twice") {
            self.seat.state.hold_back(terms, now, self.lent.iter().sum());
        }
        self.lent[here()] = 0;
        if back > 0 {
            let _ = self.seat.give_back(terms, now, (now, back));
        }
        let Some(all) = self.share.checked_add(cost) else { return false };
        if self.seat.admit(terms, now, all).is_err() {
            return false;
        }
        self.lent[here()] = self.share;
        lent.lend(self.share);
        true
    }

    /// Takes back into the bucket all that was lent and not spent.
    pub(crate) fn call_in(&mut self, now: Tick, lent: &Lent) {
        if self.lent == [0; Lent::SHARES] {
            return;
        }
        let terms = &self.force.terms;
        if !planted("fills-twice") {
            self.seat.state.hold_back(terms, now, self.lent.iter().sum());
        }
        let back = lent.call_in();
        self.lent = [0; Lent::SHARES];
        let _ = self.seat.give_back(terms, now, (now, back));
    }

    /// Takes over what is in force by now.
    #[inline]
    pub(crate) fn catch_up(&mut self, hub: &Hub, now: Tick) {
        if self.force.version != hub.version() {
            let force = hub.in_force();
            self.seat.carry(&self.force, &force, now);
            self.force = force;
        }
    }

    /// The same for a bucket that lends.
    #[inline]
    pub(crate) fn catch_up_lending(&mut self, hub: &Hub, now: Tick, lent: &Lent) {
        if self.force.version != hub.version() {
            self.call_in(now, lent);
            self.catch_up(hub, now);
            self.share = share(&self.force.config);
        }
    }

    pub(crate) fn rejected(&self, short: Short, now: Tick) -> Rejected {
        self.seat.rejected(&self.force, short, now)
    }
}

const fn share(config: &RateLimit) -> u32 {
    let steady = config.adjust.is_none() && config.throttle.is_none();
    match config.algorithm {
        Algorithm::TokenBucket if steady => Lent::size(config.burst),
        _ => 0,
    }
}

impl Seat {
    /// A full bucket.
    pub(crate) fn under(force: &InForce) -> Self {
        Self::new(State::new(force.config.algorithm))
    }

    /// Carries a bucket over to what is in force. A rate that moved by itself asks nothing of it;
    /// after a new configuration what was taken stays taken.
    pub(crate) fn carry(&mut self, from: &InForce, to: &InForce, now: Tick) {
        if from.era != to.era {
            self.go_over(from, to, now);
        }
    }

    /// Goes over to another configuration. What was taken stays taken.
    pub(crate) fn go_over(&mut self, from: &InForce, to: &InForce, now: Tick) {
        let old = (from.config.algorithm, &from.terms);
        self.state.go_over(old, (to.config.algorithm, &to.terms), now);
        if let Some(line) = &mut self.line {
            line.upset();
        }
    }

    pub(crate) fn rejected(&self, force: &InForce, short: Short, now: Tick) -> Rejected {
        rejected(force.config.name, short, now, self.quota(&force.terms, now))
    }

    /// Admits a call (`None`), or lets it join those who wait: its number, and how long it may wait.
    pub(crate) fn enter(
        &mut self,
        force: &InForce,
        hub: &Hub,
        now: Tick,
        cost: u32,
    ) -> Result<Option<(u64, Tick)>, Rejected> {
        let Err(short) = self.admit(&force.terms, now, cost) else { return Ok(None) };
        if !hub.wait() {
            return Err(self.rejected(force, short, now));
        }
        let latest = now.after(force.config.max_wait);
        self.join(&force.terms, now, cost, latest).map(|number| Some((number, latest))).map_err(
            |short| {
                hub.wait_no_more();
                self.rejected(force, short, now)
            },
        )
    }

    /// What a call that waits does next; hands out who is to be woken.
    pub(crate) fn next(
        &mut self,
        force: &InForce,
        now: Tick,
        who: (u64, u32),
        latest: Tick,
        waker: &Waker,
    ) -> (Turning, Option<Waker>) {
        match self.turn(&force.terms, now, who, latest, waker) {
            Turn::Go(taken, next) => (Turning::Go(taken), next),
            Turn::Refused(short, next) => {
                (Turning::Refused(self.rejected(force, short, now)), next)
            }
            Turn::Sleep(until) => (Turning::Sleep(until.since(now)), None),
            Turn::Behind => (Turning::Behind, None),
        }
    }
}

/// Ends the wait of a call that goes or is refused, and wakes the next, under no lock.
pub(crate) fn end_turn((turning, next): (Turning, Option<Waker>), hub: &Hub, now: Tick) -> Turning {
    if let Some(waker) = next {
        waker.wake();
    }
    match turning {
        Turning::Go(_) => hub.wait_no_more(),
        Turning::Refused(rejected) => {
            hub.wait_no_more();
            return Turning::Refused(hub.refuse(rejected, now));
        }
        Turning::Sleep(_) | Turning::Behind => {}
    }
    turning
}
