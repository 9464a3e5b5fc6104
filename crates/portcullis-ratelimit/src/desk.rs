//! One bucket with what was last in force for it: [`Desk`].

use std::task::Waker;

use breaker_core::{Reason, Rejected, Tick};

use crate::config::RateLimit;
use crate::grant::Turning;
use crate::hub::{Hub, InForce};
use crate::lent::Lent;
use crate::lent::thread::here;
use crate::limiter::{Algorithm, State};
use crate::line::{Aftermath, Turn};
use crate::planted::planted;
use crate::seat::{Seat, Short};

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
    pub(crate) fn admit(
        &mut self,
        now: Tick,
        cost: u32,
        lent: &Lent,
        out: &mut Aftermath,
    ) -> Result<(), Short> {
        if self.share > 0 {
            if self.lend(now, cost, lent, out) {
                return Ok(());
            }
            self.call_in(now, lent, out);
        }
        self.seat.admit(&self.force.terms, now, cost, out)
    }

    /// Takes the cost of a call and lends a share of the bucket to this thread, if there is enough
    /// and nobody waits.
    fn lend(&mut self, now: Tick, cost: u32, lent: &Lent, out: &mut Aftermath) -> bool {
        let terms = &self.force.terms;
        // Another thread may have filled the same share in between: it is as good as this one.
        let back = lent.call_in_here();
        if !planted("fills-twice") {
            self.seat.state.hold_back(terms, now, self.lent.iter().sum());
        }
        self.lent[here()] = 0;
        if back > 0 {
            self.seat.give_back(terms, now, (now, back), out);
        }
        let Some(all) = self.share.checked_add(cost) else { return false };
        if self.seat.admit(terms, now, all, out).is_err() {
            return false;
        }
        self.lent[here()] = self.share;
        lent.lend(self.share, now);
        true
    }

    /// Takes back into the bucket all that was lent and not spent.
    pub(crate) fn call_in(&mut self, now: Tick, lent: &Lent, out: &mut Aftermath) {
        if self.lent == [0; Lent::SHARES] {
            return;
        }
        let terms = &self.force.terms;
        if !planted("fills-twice") {
            self.seat.state.hold_back(terms, now, self.lent.iter().sum());
        }
        let back = lent.call_in();
        self.lent = [0; Lent::SHARES];
        self.seat.give_back(terms, now, (now, back), out);
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
    pub(crate) fn catch_up_lending(
        &mut self,
        hub: &Hub,
        now: Tick,
        lent: &Lent,
        out: &mut Aftermath,
    ) {
        if self.force.version != hub.version() {
            self.call_in(now, lent, out);
            self.catch_up(hub, now);
            self.share = share(&self.force.config);
        }
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
        if from.era == to.era {
            self.upset();
        } else {
            self.go_over(from, to, now);
        }
    }

    /// Goes over to another configuration. What was taken stays taken.
    pub(crate) fn go_over(&mut self, from: &InForce, to: &InForce, now: Tick) {
        let old = (from.config.algorithm, &from.terms);
        self.state.go_over(old, (to.config.algorithm, &to.terms), now);
        self.upset();
    }

    /// A refusal, with the time until the call would be admitted.
    pub(crate) fn rejected(
        &self,
        force: &InForce,
        (short, cost): (Short, u32),
        now: Tick,
    ) -> Rejected {
        let (name, quota) = (force.config.name, self.quota(&force.terms, now));
        match short {
            Short::Until(at) => {
                Rejected::new(name, Reason::RateLimited).with_retry_after(at.since(now))
            }
            // A window that is small because the rate has fallen: nobody knows for how long.
            Short::Never if cost <= force.config.most() => Rejected::new(name, Reason::RateLimited),
            Short::Never => Rejected::new(name, Reason::CostTooHigh),
        }
        .with_quota(quota)
    }

    /// Admits a call (`None`), or lets it join those who wait: its number.
    pub(crate) fn enter(
        &mut self,
        (force, hub): (&InForce, &Hub),
        now: Tick,
        cost: u32,
        out: &mut Aftermath,
    ) -> Result<Option<u64>, Rejected> {
        let Err(short) = self.admit(&force.terms, now, cost, out) else { return Ok(None) };
        let latest = now.after(force.config.max_wait);
        let in_time = matches!(short, Short::Until(at) if at <= latest);
        if !in_time || !hub.wait() {
            return Err(self.rejected(force, (short, cost), now));
        }
        match self.join(&force.terms, (now, latest), cost) {
            Ok(number) => Ok(Some(number)),
            Err(short) => {
                hub.wait_no_more();
                Err(self.rejected(force, (short, cost), now))
            }
        }
    }

    /// What a call that waits does next.
    pub(crate) fn next(
        &mut self,
        force: &InForce,
        now: Tick,
        (number, cost): (u64, u32),
        (waker, out): (Waker, &mut Aftermath),
    ) -> Turning {
        match self.turn(&force.terms, now, number, (waker, out)) {
            Turn::Go(taken) => Turning::Go(taken),
            Turn::Refused(short) => Turning::Refused(self.rejected(force, (short, cost), now)),
            Turn::Sleep(until) => Turning::Sleep(until.since(now)),
        }
    }
}

/// Ends the wait of a call that goes or is refused. No lock may be taken.
pub(crate) fn end_turn(turning: Turning, hub: &Hub, now: Tick) -> Turning {
    match turning {
        Turning::Go(_) => hub.wait_no_more(),
        Turning::Refused(rejected) => {
            hub.wait_no_more();
            return Turning::Refused(hub.refuse(rejected, now));
        }
        Turning::Sleep(_) => {}
    }
    turning
}
