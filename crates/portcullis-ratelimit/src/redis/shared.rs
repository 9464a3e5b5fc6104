//! What the handles of one limit share: [`Shared`].

use std::sync::Arc;
use std::time::Duration;

use ::redis::Client;
use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Clock, ConfigErrors, Name, OnDrop, Pace, Quota, Reason,
    Rejected,
};

use super::config::{OnStoreFailure, RedisLimit};
use super::entry::{Look, Rules};
use super::gcra::Gcra;
use super::key::kept;
use super::leases::{Leases, Place};
use super::share::{Share, Source};
use super::store::Store;
use super::ticket::Verdict;

pub(super) struct Shared {
    pub(super) config: RedisLimit,
    pub(super) rules: Rules,
    pub(super) leases: Leases,
    pub(super) store: Arc<Store>,
    /// Of the store. While it is open, nothing is sent.
    pub(super) circuit: CircuitBreaker,
    pub(super) clock: Arc<dyn Clock>,
}

/// What was found out at once, or where it is to be found out.
pub(super) enum First {
    Decided(Result<Share, Rejected>),
    Ask { shard: u32 },
}

impl Shared {
    pub(super) fn new(
        config: RedisLimit,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigErrors> {
        config.check()?;
        let whole = Gcra::new(config.rate, config.burst);
        let store = Arc::new(Store::new(&config, client));
        let rules = Rules {
            name: config.name,
            whole,
            own: whole.among(config.instances),
            interval: store.interval(),
            slice: config.slice_in_force(),
            lease_time: config.lease_time,
            deadline: config.deadline,
            patience: config.deadline.saturating_mul(2),
        };
        let circuit = CircuitBreaker::with_clock(guard(&config), Arc::clone(&clock));
        let leases = Leases::new(config.max_keys);
        Ok(Self { config, rules, leases, store, circuit, clock })
    }

    /// Spends from what was taken already.
    pub(super) fn try_local(self: &Arc<Self>, key: &str, cost: u32) -> Option<Share> {
        let kept = kept(key);
        let now = self.clock.now();
        let number = self.leases.shard_of(&kept);
        let mut shard = self.leases.shard(number);
        let now = shard.at(now);
        let (at, entry) = shard.find(number, &kept)?;
        let Look::Granted { lease } = entry.look(&self.rules, now, cost) else { return None };
        shard.counts.granted += 1;
        drop(shard);
        Some(self.share(cost, Source::Lease { at, lease }))
    }

    /// Decides where no question is needed.
    pub(super) fn first(self: &Arc<Self>, kept: &str, cost: u32) -> First {
        let now = self.clock.now();
        let number = self.leases.shard_of(kept);
        let mut shard = self.leases.shard(number);
        let now = shard.at(now);
        if cost > self.config.burst {
            shard.counts.refused += 1;
            return First::Decided(Err(Rejected::new(self.rules.name, Reason::CostTooHigh)));
        }
        if let Some((at, entry)) = shard.find(number, kept) {
            match entry.look(&self.rules, now, cost) {
                Look::Granted { lease } => {
                    shard.counts.granted += 1;
                    drop(shard);
                    return First::Decided(Ok(self.share(cost, Source::Lease { at, lease })));
                }
                Look::Refused(rejected) => {
                    shard.counts.refused += 1;
                    return First::Decided(Err(rejected));
                }
                Look::Ask => {}
            }
        }
        if cost == 0 {
            // Nobody need be asked for it.
            shard.counts.granted += 1;
            drop(shard);
            return First::Decided(Ok(self.share(cost, Source::Nothing)));
        }
        drop(shard);
        match self.circuit.known_refusal() {
            Some(open) => {
                let open = self.circuit.refuse_known(open);
                First::Decided(self.alone((number, kept), cost, open.retry_after()))
            }
            None => First::Ask { shard: number },
        }
    }

    /// What a caller gets who was told so at a place.
    pub(super) fn told(
        self: &Arc<Self>,
        verdict: Verdict,
        at: Place,
        cost: u32,
    ) -> Option<Result<Share, Rejected>> {
        let mut shard = self.leases.shard(at.shard);
        match verdict {
            Verdict::Granted { lease } => {
                shard.counts.granted += 1;
                drop(shard);
                Some(Ok(self.share(cost, Source::Lease { at, lease })))
            }
            Verdict::Refused(rejected) => {
                shard.counts.refused += 1;
                Some(Err(rejected))
            }
            Verdict::Undecided => None,
        }
    }

    /// Decides without the store, as was chosen; `again` is when the store is asked again.
    pub(super) fn alone(
        self: &Arc<Self>,
        (number, kept): (u32, &str),
        cost: u32,
        again: Option<Duration>,
    ) -> Result<Share, Rejected> {
        let down = Rejected::new(self.rules.name, Reason::StoreDown);
        let down = again.map_or(down, |again| down.with_retry_after(again));
        let decided = match self.config.on_store_failure {
            OnStoreFailure::FailOpen => Ok(Source::Nothing),
            OnStoreFailure::FailClosed => Err(down),
            // It never has so many: only the store could admit it.
            OnStoreFailure::LocalShare if cost > self.rules.own.burst() => Err(down),
            OnStoreFailure::LocalShare => self.own_share((number, kept), cost),
        };
        let mut shard = self.leases.shard(number);
        match &decided {
            Ok(_) => shard.counts.admitted_alone += 1,
            Err(_) => shard.counts.refused_alone += 1,
        }
        drop(shard);
        decided.map(|source| self.share(cost, source))
    }

    fn own_share(&self, (number, kept): (u32, &str), cost: u32) -> Result<Source, Rejected> {
        let now = self.clock.now();
        let rules = &self.rules;
        let mut shard = self.leases.shard(number);
        let now = shard.at(now);
        let at = shard.place((number, self.leases.per_shard()), kept, rules, now);
        let (source, entry) = match at {
            Some(at) => (Source::Own { at }, shard.entry(at)),
            None => (Source::Overflow { shard: number }, Some(&mut shard.overflow)),
        };
        // What was placed a moment ago, under the same lock, is there.
        let Some(entry) = entry else { return Ok(source) };
        match entry.share(rules, now, cost) {
            Ok(()) => Ok(source),
            Err((ready, quota)) => Err(Rejected::new(rules.name, Reason::RateLimited)
                .with_retry_after(ready.since(now))
                .with_quota(quota)),
        }
    }

    pub(super) fn give_back(&self, cost: u32, source: Source) {
        let (number, at) = match source {
            Source::Lease { at, .. } | Source::Own { at } => (at.shard, Some(at)),
            Source::Overflow { shard } => (shard, None),
            Source::Store | Source::Nothing => return,
        };
        let mut shard = self.leases.shard(number);
        let entry = match at {
            Some(at) => shard.entry(at),
            None => Some(&mut shard.overflow),
        };
        let Some(entry) = entry else { return };
        match source {
            Source::Lease { lease, .. } => entry.give_back(&self.rules, lease, cost),
            _ => entry.give_back_share(&self.rules, cost),
        }
        shard.counts.given_back += 1;
    }

    pub(super) fn quota_at(&self, at: Place) -> Option<Quota> {
        let now = self.clock.now();
        let mut shard = self.leases.shard(at.shard);
        let now = shard.at(now);
        shard.entry(at).map(|entry| entry.quota(&self.rules, now))
    }

    pub(super) fn quota(&self, key: &str) -> Option<Quota> {
        let kept = kept(key);
        let number = self.leases.shard_of(&kept);
        let at = self.leases.shard(number).find(number, &kept).map(|(at, _)| at);
        at.and_then(|at| self.quota_at(at))
    }

    pub(super) fn share(self: &Arc<Self>, cost: u32, source: Source) -> Share {
        Share::new(Arc::clone(self), cost, source)
    }
}

/// The circuit of the store: five failures in a row open it, and one good answer closes it again.
fn guard(config: &RedisLimit) -> CircuitBreakerConfig {
    const AGAIN: Pace = Pace::exponential(Duration::from_secs(1)).factor(1.0);
    let name = Name::cut(&format!("{}-store", config.name));
    CircuitBreakerConfig::new()
        .named(&name)
        .open_period(AGAIN)
        .permitted_calls(1)
        .slow_call_duration(config.deadline)
        .on_drop(OnDrop::SlowIsFailure)
}
