//! One limit per key, in bounded memory: [`RateLimiters`].

mod shard;

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::task::Waker;

use breaker_core::{
    CallError, Clock, ConfigErrors, MonotonicClock, Name, Observe, Outcome, Quota, Reason,
    Rejected, Tick,
};

use self::shard::{Shard, Where};
use crate::config::RateLimit;
use crate::desk::{Desk, end_turn};
use crate::grant::{Grant, Home, Place, Turning};
use crate::hub::{Hub, InForce, Time};
use crate::line::Aftermath;
use crate::rate::Rate;
use crate::seat::Seat;
use crate::single::RateLimiter;
use crate::snapshot::Snapshot;
use crate::sync::{Mutex, Ordering, lock};
use breaker_core::{ResourceProbe, SystemProbe};

/// One limit per key, all of the same configuration unless a key has one of its own.
///
/// The map is bounded by [`max_keys`](RateLimit::max_keys). When it is full, a new key takes the
/// place of the one that has been idle longest among those whose bucket is full again: it equals a
/// new one, so nobody's limit is reset by pushing his key out. It looks at eight keys, beginning
/// with the one that was used longest ago; where none of them is full again, the key shares one
/// bucket with others like it, and so do requests without a key, in a bucket of their own. Keys that
/// are idle for a minute with a full bucket make room by themselves.
///
/// Keys are hashed with a random seed, since attackers choose them. Two keys of one 64-bit hash,
/// which happens once in some 10^17 pairs, share a bucket with the keys for which there is no place.
///
/// ```
/// use portcullis_ratelimit::{RateLimit, RateLimiters};
///
/// let tenants = RateLimiters::new(RateLimit::per_second(100).burst(1));
/// tenants.override_for(&"gold", RateLimit::per_second(5_000)).unwrap();
/// assert!(tenants.try_acquire(&"bronze").is_ok());
/// assert!(tenants.try_acquire(&"bronze").is_err());
/// assert!(tenants.try_acquire(&"silver").is_ok());
/// ```
pub struct RateLimiters<K> {
    shared: Arc<Keyed<K>>,
}

pub(crate) struct Keyed<K> {
    hub: Hub,
    hasher: RandomState,
    shards: Box<[Mutex<Shard<K>>]>,
    /// Shared by all keys beyond the bound, and by all requests without a key.
    shared: [Mutex<Desk>; 2],
}

const SHARDS: u16 = 64;
const OVERFLOW: u16 = SHARDS;
const UNMATCHED: u16 = SHARDS + 1;

impl<K: Clone + Eq + Hash + Send + Sync + 'static> RateLimiters<K> {
    /// Limits on the machine's monotonic clock. Each begins full.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`RateLimit::check`].
    #[must_use]
    pub fn new(config: RateLimit) -> Self {
        Self::with_clock(config, MonotonicClock::new())
    }

    /// Limits on this clock.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`RateLimit::check`].
    #[must_use]
    pub fn with_clock(config: RateLimit, clock: impl Clock + 'static) -> Self {
        Self::with_probe(config, clock, SystemProbe::new())
    }

    /// Limits on this clock, whose rate is lowered by what `probe` measures, where the configuration
    /// has a [`Throttle`](crate::Throttle).
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
        Self::under(Hub::new(config, Time::of(clock), Arc::new(probe)))
    }

    /// Limits with the configuration, the clock, the probe and the observers of `pattern`.
    #[must_use]
    pub fn like(pattern: &RateLimiter) -> Self {
        Self::under(pattern.hub().again())
    }

    fn under(hub: Hub) -> Self {
        let force = hub.in_force();
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new(force.clone()))).collect();
        let desk = || Mutex::new(Desk::new(force.clone()));
        let (hasher, shared) = (RandomState::new(), [desk(), desk()]);
        Self { shared: Arc::new(Keyed { hub, hasher, shards, shared }) }
    }

    /// Admits a call of this key at the cost of one, or refuses it.
    ///
    /// # Errors
    /// A [`Rejected`], with the exact time until the call would be admitted.
    pub fn try_acquire(&self, key: &K) -> Result<Grant, Rejected> {
        self.try_acquire_n(key, 1)
    }

    /// Admits a call of this key at this cost, or refuses it. A call that costs nothing is admitted.
    ///
    /// # Errors
    /// A [`Rejected`], with the exact time until the call would be admitted, or without one where
    /// it costs more than the limit ever grants at once.
    pub fn try_acquire_n(&self, key: &K, cost: u32) -> Result<Grant, Rejected> {
        self.admit(Some(key), cost)
    }

    /// The same, without a key from the bucket that all calls without one share.
    pub(crate) fn admit(&self, key: Option<&K>, cost: u32) -> Result<Grant, Rejected> {
        let keyed = &*self.shared;
        let now = keyed.now();
        let (place, admitted) = keyed.find(key, now, |seat, force, out| {
            let admitted = seat.admit(&force.terms, now, cost, out);
            admitted.map_err(|short| seat.rejected(force, (short, cost), now))
        });
        match admitted {
            Ok(()) => Ok(self.grant(place, now, cost)),
            Err(rejected) => Err(keyed.hub.refuse(rejected, now)),
        }
    }

    fn grant(&self, place: Place, taken: Tick, cost: u32) -> Grant {
        let adjusts = self.shared.hub.adjusts();
        Grant::new(self.shared.clone(), place, (taken, cost), adjusts)
    }

    /// Admits a call at this cost, or lets it join those of its key who wait.
    #[cfg(feature = "tokio")]
    pub(crate) fn enter(
        &self,
        key: Option<&K>,
        cost: u32,
    ) -> Result<crate::acquire::Entered, Rejected> {
        use crate::acquire::{Entered, Waiter};

        let keyed = &*self.shared;
        let now = keyed.now();
        let (place, entered) = keyed
            .find(key, now, |seat, force, out| seat.enter((force, &keyed.hub), now, cost, out));
        match entered {
            Ok(None) => Ok(Entered::Admitted(self.grant(place, now, cost))),
            Ok(Some(number)) => {
                let home = self.shared.clone();
                Ok(Entered::Waits(Waiter::new(home, place, (number, cost))))
            }
            Err(rejected) => Err(keyed.hub.refuse(rejected, now)),
        }
    }

    /// Waits until a call of this key is admitted, for [`max_wait`](RateLimit::max_wait) at most;
    /// whoever would wait longer is refused at once.
    #[cfg(feature = "tokio")]
    pub fn acquire(&self, key: &K, cost: u32) -> crate::Acquire {
        crate::Acquire::new(self.enter(Some(key), cost))
    }

    /// Runs a future if a call of this key at the cost of one is admitted; an `Err` is a failure.
    ///
    /// # Errors
    /// [`CallError::Refused`] without touching the future, or what the future failed with.
    pub async fn run<T, E>(
        &self,
        key: &K,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let grant = self.try_acquire(key).map_err(CallError::Refused)?;
        crate::call::run(grant, future).await
    }

    /// Gives a key a limit of its own, or takes another one for it. What the key has taken stays
    /// taken. A limit of its own stands as it is: neither errors nor resources move its rate.
    ///
    /// There is one entry for each key that is given one, in force until it is
    /// [ended](Self::end_override); they are not bounded by `max_keys`.
    ///
    /// # Errors
    /// What [`RateLimit::check`] finds; then nothing is changed.
    pub fn override_for(&self, key: &K, config: RateLimit) -> Result<(), ConfigErrors> {
        config.check()?;
        self.shared.own(key, Some(config));
        Ok(())
    }

    /// Puts a key under the limit of all again.
    pub fn end_override(&self, key: &K) {
        self.shared.own(key, None);
    }

    /// What is granted to this key and what is left of it; asking does not keep a place for it. Of a
    /// key without a place it says what it would have with one.
    #[must_use]
    pub fn quota(&self, key: &K) -> Quota {
        let now = self.shared.now();
        self.shared.peek(key, now)
    }

    /// How many keys have a bucket of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether no key has a bucket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has `observer` told of refusals and of changes of the rate from now on.
    pub fn observe(&self, observer: impl Observe + 'static) {
        self.shared.hub.observe(Arc::new(observer));
    }

    /// Puts another rate in force; see [`RateLimiter::change_rate`](crate::RateLimiter::change_rate).
    ///
    /// # Errors
    /// What [`RateLimit::check`] finds; then nothing is changed.
    pub fn change_rate(&self, rate: Rate) -> Result<(), ConfigErrors> {
        self.change(|config| config.rate(rate))
    }

    /// Puts another configuration in force for all keys but those with one of their own; see
    /// [`RateLimiter::reconfigure`](crate::RateLimiter::reconfigure). `max_keys` stays as it was.
    ///
    /// # Errors
    /// What [`RateLimit::check`] finds; then nothing is changed.
    pub fn reconfigure(&self, config: RateLimit) -> Result<(), ConfigErrors> {
        self.change(|_| config)
    }

    fn change(&self, change: impl FnOnce(RateLimit) -> RateLimit) -> Result<(), ConfigErrors> {
        self.shared.hub.reconfigure(change, || self.shared.stir_all())
    }

    /// The configuration in force.
    pub fn config(&self) -> RateLimit {
        *self.shared.hub.in_force().config
    }

    /// The rate in force just now.
    pub fn rate(&self) -> Rate {
        self.shared.now();
        self.shared.hub.in_force().terms.rate()
    }

    /// All figures, at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.now();
        let unmatched = Place { shard: UNMATCHED, index: 0, age: 0 };
        let (_, quota) = self.shared.quota(unmatched);
        Snapshot::new(&self.shared.hub, quota, Some(self.len()))
    }

    /// Why they are as they are, in a sentence.
    #[must_use]
    pub fn explain(&self) -> String {
        self.snapshot().explain()
    }
}

impl<K: Clone + Eq + Hash> Keyed<K> {
    /// The present moment, after a look at what moves the rate.
    fn now(&self) -> Tick {
        let now = self.hub.now();
        self.hub.look(now, || self.stir_all());
        now
    }

    fn shard_of(&self, key: &K) -> (u64, u16) {
        let hash = self.hasher.hash_one(key);
        // Other bits than those by which the map of the shard chooses.
        (hash, (hash >> 32) as u16 % SHARDS)
    }

    /// Does something with the bucket of a key, under its lock.
    fn find<T>(
        &self,
        key: Option<&K>,
        now: Tick,
        work: impl FnOnce(&mut Seat, &InForce, &mut Aftermath) -> T,
    ) -> (Place, T) {
        let Some(key) = key else {
            self.hub.unmatched.fetch_add(1, Ordering::Relaxed);
            return self.at_desk(UNMATCHED, now, work);
        };
        let (hash, number) = self.shard_of(key);
        let mut shard = lock(&self.shards[number as usize]);
        shard.catch_up(&self.hub, now);
        let place = shard.place_of(hash, key, now, &self.hub);
        // Keys that are gone are dropped after the lock, and so are wakers.
        let gone = shard.gone();
        let Some(Where { index, age }) = place else {
            drop(shard);
            drop(gone);
            return self.at_desk(OVERFLOW, now, work);
        };
        let mut out = Aftermath::default();
        let (seat, force) = shard.at(index);
        let done = work(seat, force, &mut out);
        drop(shard);
        drop(gone);
        out.finish();
        (Place { shard: number, index, age }, done)
    }

    fn at_desk<T>(
        &self,
        shard: u16,
        now: Tick,
        work: impl FnOnce(&mut Seat, &InForce, &mut Aftermath) -> T,
    ) -> (Place, T) {
        let mut out = Aftermath::default();
        let done = {
            let mut desk = lock(&self.shared[(shard - SHARDS) as usize]);
            desk.catch_up(&self.hub, now);
            let Desk { seat, force, .. } = &mut *desk;
            work(seat, force, &mut out)
        };
        out.finish();
        (Place { shard, index: 0, age: 0 }, done)
    }

    /// Does something with a bucket that was found before, if it is still that of the same key.
    fn again<T>(
        &self,
        place: Place,
        now: Tick,
        work: impl FnOnce(&mut Seat, &InForce, &mut Aftermath) -> T,
    ) -> Option<T> {
        if place.shard >= SHARDS {
            return Some(self.at_desk(place.shard, now, work).1);
        }
        let mut out = Aftermath::default();
        let done = {
            let mut shard = lock(&self.shards[place.shard as usize]);
            shard.catch_up(&self.hub, now);
            shard.again(place).map(|(seat, force)| work(seat, force, &mut out))
        };
        out.finish();
        done
    }

    fn peek(&self, key: &K, now: Tick) -> Quota {
        let (hash, number) = self.shard_of(key);
        let mut shard = lock(&self.shards[number as usize]);
        shard.catch_up(&self.hub, now);
        shard.quota(hash, key, now)
    }

    fn own(&self, key: &K, config: Option<RateLimit>) {
        let now = self.hub.now();
        let (hash, number) = self.shard_of(key);
        let mut out = Aftermath::default();
        {
            let mut shard = lock(&self.shards[number as usize]);
            shard.catch_up(&self.hub, now);
            shard.own(hash, key, config, now, &mut out);
        }
        out.finish();
    }

    /// Wakes the first of all who wait, because something has changed for all of them.
    fn stir_all(&self) {
        if self.hub.waiters() == 0 {
            return;
        }
        let now = self.hub.now();
        for shard in &self.shards {
            let mut out = Aftermath::default();
            {
                let mut shard = lock(shard);
                shard.catch_up(&self.hub, now);
                shard.stir(&mut out);
            }
            out.finish();
        }
        for shard in [OVERFLOW, UNMATCHED] {
            self.at_desk(shard, now, |seat, _, out| seat.stir(out));
        }
    }
}

impl<K: Clone + Eq + Hash + Send + Sync> Home for Keyed<K> {
    fn give_back(&self, place: Place, taken: Tick, cost: u32) {
        self.hub.given_back.fetch_add(1, Ordering::Relaxed);
        let now = self.hub.now();
        self.again(place, now, |seat, force, out| {
            seat.give_back(&force.terms, now, (taken, cost), out);
        });
    }

    fn adjusts(&self) -> bool {
        self.hub.adjusts()
    }

    fn record(&self, outcome: Outcome) {
        self.hub.record(outcome, || self.stir_all());
    }

    fn quota(&self, place: Place) -> (Name, Quota) {
        let now = self.hub.now();
        let known = self
            .again(place, now, |seat, force, _| (force.config.name, seat.quota(&force.terms, now)));
        known.unwrap_or_else(|| {
            // It gave way since, because it was full: so is a new one.
            let force = self.hub.in_force();
            (force.config.name, Seat::under(&force).quota(&force.terms, now))
        })
    }

    fn turn(&self, place: Place, who: (u64, u32), waker: &Waker) -> Turning {
        let (now, waker) = (self.now(), waker.clone());
        let turn =
            self.again(place, now, |seat, force, out| seat.next(force, now, who, (waker, out)));
        // A bucket for which somebody waits keeps its place; were it gone, nobody would be served.
        let turn = turn.unwrap_or_else(|| {
            Turning::Refused(Rejected::new(self.hub.name(), Reason::RateLimited))
        });
        end_turn(turn, &self.hub, now)
    }

    fn leave(&self, place: Place, number: u64) {
        let now = self.hub.now();
        let left =
            self.again(place, now, |seat, force, out| seat.leave(&force.terms, now, number, out));
        // An observer that panics while a call is refused lets it leave what it has left.
        if left == Some(true) {
            self.hub.wait_no_more();
        }
    }
}

impl<K> Clone for RateLimiters<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K> fmt::Debug for RateLimiters<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiters").field("hub", &self.shared.hub).finish_non_exhaustive()
    }
}
