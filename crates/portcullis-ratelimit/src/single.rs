//! One limit for all calls, without Tower: [`RateLimiter`].

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use breaker_core::{
    CallError, Clock, ConfigErrors, MonotonicClock, Name, Observe, Outcome, Quota, Rejected, Tick,
};

use crate::config::RateLimit;
use crate::desk::{Desk, end_turn};
use crate::grant::{Grant, Home, Place, Turning};
use crate::hub::{Hub, Time};
use crate::lent::Lent;
use crate::line::Aftermath;
use crate::planted::planted;
use crate::rate::Rate;
use crate::snapshot::Snapshot;
use crate::sync::{Mutex, Ordering, lock};
use breaker_core::{ResourceProbe, SystemProbe};

/// One limit, shared by its clones.
///
/// ```
/// use portcullis_ratelimit::{RateLimit, RateLimiter};
///
/// let limit = RateLimiter::new(RateLimit::per_second(100).burst(2));
/// assert!(limit.try_acquire().is_ok() && limit.try_acquire().is_ok());
/// let refused = limit.try_acquire().unwrap_err();
/// println!("{refused}");      // call refused by rate-limit: the quota is used up; try again in 10.0ms
/// ```
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Single>,
}

pub(crate) struct Single {
    lent: Lent,
    hub: Hub,
    desk: Mutex<Desk>,
}

impl RateLimiter {
    /// A limit on the machine's monotonic clock. It begins full.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`RateLimit::check`].
    #[must_use]
    pub fn new(config: RateLimit) -> Self {
        Self::with_clock(config, MonotonicClock::new())
    }

    /// A limit on this clock.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`RateLimit::check`].
    #[must_use]
    pub fn with_clock(config: RateLimit, clock: impl Clock + 'static) -> Self {
        Self::with_probe(config, clock, SystemProbe::new())
    }

    /// A limit on this clock, whose rate is lowered by what `probe` measures, where the
    /// configuration has a [`Throttle`](crate::Throttle).
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`RateLimit::check`].
    #[must_use]
    pub fn with_probe(
        config: RateLimit,
        clock: impl Clock + 'static,
        probe: impl ResourceProbe + 'static,
    ) -> Self {
        if let Err(errors) = config.check() {
            panic!("{errors}");
        }
        let hub = Hub::new(config, Time::of(clock), Arc::new(probe));
        let desk = Mutex::new(Desk::lending(hub.in_force()));
        Self { shared: Arc::new(Single { lent: Lent::new(), desk, hub }) }
    }

    /// Admits a call at the cost of one, or refuses it.
    ///
    /// # Errors
    /// A [`Rejected`], with the exact time until the call would be admitted.
    pub fn try_acquire(&self) -> Result<Grant, Rejected> {
        self.try_acquire_n(1)
    }

    /// Admits a call at this cost, or refuses it. A call that costs nothing is admitted.
    ///
    /// # Errors
    /// A [`Rejected`], with the exact time until the call would be admitted, or without one where
    /// it costs more than the limit ever grants at once.
    #[inline]
    pub fn try_acquire_n(&self, cost: u32) -> Result<Grant, Rejected> {
        if let Some(since) = self.shared.lent.spend(cost) {
            return Ok(self.lent_grant(since, cost));
        }
        self.at_desk(cost)
    }

    /// Admits a call of which the cost has been lent to this thread.
    #[inline]
    pub(crate) fn acquire_at_once(&self, cost: u32) -> Option<Grant> {
        self.shared.lent.spend(cost).map(|since| self.lent_grant(since, cost))
    }

    /// What was lent was taken when it was lent, and from a bucket whose rate is not adjusted.
    #[inline]
    fn lent_grant(&self, since: Tick, cost: u32) -> Grant {
        Grant::new(self.shared.clone(), Place::ONLY, (since, cost), false)
    }

    #[inline(never)]
    fn at_desk(&self, cost: u32) -> Result<Grant, Rejected> {
        let single = &*self.shared;
        let now = single.now();
        let mut out = Aftermath::default();
        let rejected = {
            let mut desk = lock(&single.desk);
            desk.catch_up_lending(&single.hub, now, &single.lent, &mut out);
            match desk.admit(now, cost, &single.lent, &mut out) {
                Ok(()) => None,
                Err(short) => Some(desk.seat.rejected(&desk.force, (short, cost), now)),
            }
        };
        out.finish();
        match rejected {
            None => Ok(self.grant(now, cost)),
            Some(rejected) => Err(single.hub.refuse(rejected, now)),
        }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    #[inline]
    fn grant(&self, taken: Tick, cost: u32) -> Grant {
        let adjusts = self.shared.hub.adjusts();
        Grant::new(self.shared.clone(), Place::ONLY, (taken, cost), adjusts)
    }

    /// Admits a call at this cost, or lets it join those who wait; `Err` where it would wait too
    /// long, or too many do.
    #[cfg(feature = "tokio")]
    pub(crate) fn enter(&self, cost: u32) -> Result<crate::acquire::Entered, Rejected> {
        use crate::acquire::{Entered, Waiter};

        let single = &*self.shared;
        if let Some(grant) = self.acquire_at_once(cost) {
            return Ok(Entered::Admitted(grant));
        }
        let now = single.now();
        let entered = single
            .at_desk(now, |desk, out| desk.seat.enter((&desk.force, &single.hub), now, cost, out));
        match entered {
            Ok(None) => Ok(Entered::Admitted(self.grant(now, cost))),
            Ok(Some(number)) => {
                let home = self.shared.clone();
                Ok(Entered::Waits(Waiter::new(home, Place::ONLY, (number, cost))))
            }
            Err(rejected) => Err(single.hub.refuse(rejected, now)),
        }
    }

    /// Waits until a call at this cost is admitted, for [`max_wait`](RateLimit::max_wait) at most;
    /// whoever would wait longer is refused at once.
    #[cfg(feature = "tokio")]
    pub fn acquire(&self, cost: u32) -> crate::Acquire {
        crate::Acquire::new(self.enter(cost))
    }

    /// Runs a future if a call at the cost of one is admitted; an `Err` is a failure.
    ///
    /// # Errors
    /// [`CallError::Refused`] without touching the future, or what the future failed with.
    pub async fn run<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let grant = self.try_acquire().map_err(CallError::Refused)?;
        crate::call::run(grant, future).await
    }

    /// Has `observer` told of refusals and of changes of the rate from now on.
    pub fn observe(&self, observer: impl Observe + 'static) {
        self.shared.hub.observe(Arc::new(observer));
    }

    /// Puts another rate in force. What was gained up to now was gained at the old one, and what was
    /// taken stays taken. The burst stays as it is.
    ///
    /// # Errors
    /// What [`RateLimit::check`] finds; then nothing is changed.
    pub fn change_rate(&self, rate: Rate) -> Result<(), ConfigErrors> {
        self.change(|config| config.rate(rate))
    }

    /// Puts another configuration in force: at once, and as a whole. What was taken stays taken and
    /// counts against what is in force now; whoever waits goes on waiting.
    ///
    /// # Errors
    /// What [`RateLimit::check`] finds; then nothing is changed.
    pub fn reconfigure(&self, config: RateLimit) -> Result<(), ConfigErrors> {
        self.change(|_| config)
    }

    fn change(&self, change: impl FnOnce(RateLimit) -> RateLimit) -> Result<(), ConfigErrors> {
        let single = &*self.shared;
        single.hub.reconfigure(change, || {
            if !planted("stirs-nobody") {
                single.stir();
            }
        })
    }

    /// The configuration in force.
    pub fn config(&self) -> RateLimit {
        *self.shared.hub.in_force().config
    }

    /// The rate in force just now: that of the configuration, or what errors and resources have made
    /// of it.
    pub fn rate(&self) -> Rate {
        self.shared.now();
        self.shared.hub.in_force().terms.rate()
    }

    /// What is granted and what is left of it.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.shared.quota(Place::ONLY).1
    }

    /// All figures, at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.now();
        let quota = self.shared.quota(Place::ONLY).1;
        Snapshot::new(&self.shared.hub, quota, None)
    }

    /// Why it is as it is, in a sentence.
    #[must_use]
    pub fn explain(&self) -> String {
        self.snapshot().explain()
    }
}

impl Single {
    /// The present moment, after a look at what moves the rate.
    fn now(&self) -> Tick {
        let now = self.hub.now();
        self.hub.look(now, || self.stir());
        now
    }

    /// Does something with the bucket, under its lock, after all shares have been called in.
    fn at_desk<T>(&self, now: Tick, work: impl FnOnce(&mut Desk, &mut Aftermath) -> T) -> T {
        let mut out = Aftermath::default();
        let done = {
            let mut desk = lock(&self.desk);
            desk.catch_up_lending(&self.hub, now, &self.lent, &mut out);
            desk.call_in(now, &self.lent, &mut out);
            work(&mut desk, &mut out)
        };
        out.finish();
        done
    }

    /// Says that something has changed.
    fn stir(&self) {
        self.at_desk(self.hub.now(), |desk, out| desk.seat.stir(out));
    }
}

impl Home for Single {
    fn give_back(&self, _: Place, taken: Tick, cost: u32) {
        self.hub.given_back.fetch_add(1, Ordering::Relaxed);
        let now = self.hub.now();
        self.at_desk(now, |desk, out| {
            desk.seat.give_back(&desk.force.terms, now, (taken, cost), out);
        });
    }

    fn adjusts(&self) -> bool {
        self.hub.adjusts()
    }

    fn record(&self, outcome: Outcome) {
        self.hub.record(outcome, || self.stir());
    }

    fn quota(&self, _: Place) -> (Name, Quota) {
        let now = self.hub.now();
        self.at_desk(now, |desk, _| {
            (desk.force.config.name, desk.seat.quota(&desk.force.terms, now))
        })
    }

    fn turn(&self, _: Place, who: (u64, u32), waker: &Waker) -> Turning {
        let (now, waker) = (self.now(), waker.clone());
        let turn =
            self.at_desk(now, |desk, out| desk.seat.next(&desk.force, now, who, (waker, out)));
        end_turn(turn, &self.hub, now)
    }

    fn leave(&self, _: Place, number: u64) {
        let now = self.hub.now();
        let left =
            self.at_desk(now, |desk, out| desk.seat.leave(&desk.force.terms, now, number, out));
        // An observer that panics while a call is refused lets it leave what it has left.
        if left {
            self.hub.wait_no_more();
        }
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").field("hub", &self.shared.hub).finish()
    }
}
