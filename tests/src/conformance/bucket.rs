//! One limit, or one per key: [`Bucket`].

use breaker_core::{ManualClock, Quota, Rejected};
use portcullis::{Acquire, Grant, RateLimit, RateLimiter, RateLimiters};

use super::verdict::Mismatch;

/// One limit for all, or one per key; requests without a key share one.
pub(super) enum Bucket {
    Single(RateLimiter),
    Keyed(RateLimiters<String>),
}

impl Bucket {
    pub(super) fn new(config: RateLimit, keyed: bool, clock: &ManualClock) -> Self {
        if keyed {
            Self::Keyed(RateLimiters::with_clock(config, clock.clone()))
        } else {
            Self::Single(RateLimiter::with_clock(config, clock.clone()))
        }
    }

    pub(super) fn config(&self) -> RateLimit {
        match self {
            Self::Single(limit) => limit.config(),
            Self::Keyed(limits) => limits.config(),
        }
    }

    pub(super) fn reconfigure(&self, config: RateLimit) -> Result<(), Mismatch> {
        let changed = match self {
            Self::Single(limit) => limit.reconfigure(config),
            Self::Keyed(limits) => limits.reconfigure(config),
        };
        changed.map_err(|errors| Mismatch::new("a sound config", errors.to_string()))
    }

    pub(super) fn try_acquire(&self, key: Option<&String>, cost: u32) -> Result<Grant, Rejected> {
        match self {
            Self::Single(limit) => limit.try_acquire_n(cost),
            Self::Keyed(limits) => limits.try_acquire_n(&key.cloned().unwrap_or_default(), cost),
        }
    }

    pub(super) fn acquire(&self, key: Option<&String>, cost: u32) -> Acquire {
        match self {
            Self::Single(limit) => limit.acquire(cost),
            Self::Keyed(limits) => limits.acquire(&key.cloned().unwrap_or_default(), cost),
        }
    }

    pub(super) fn quota(&self, key: Option<&String>) -> Quota {
        match (self, key) {
            (Self::Single(limit), _) => limit.quota(),
            (Self::Keyed(limits), Some(key)) => limits.quota(key),
            (Self::Keyed(limits), None) => limits.quota(&String::new()),
        }
    }
}
