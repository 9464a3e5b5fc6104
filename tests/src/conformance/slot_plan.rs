//! From the config of a case to the slots that it is about: [`Plan`].

use std::time::Duration;

use portcullis_priority::{Class, ConcurrencyLimit, QueueConfig};
use serde_json::Value;

use super::fields::Fields;
use super::verdict::Mismatch;

/// What is to be built.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    Bulkhead { calls: u32, wait: Duration },
    Queue { calls: u32, backlog: u32, wait: Duration },
    Partitions { limit: u32, shares: Vec<(String, f64)> },
}

impl Plan {
    /// The class of all calls, where there is one only.
    pub(super) const CLASS: Class = Class::Normal;

    pub(super) fn read(component: &str, fields: &mut Fields<'_>) -> Result<Self, Mismatch> {
        if component == "partitioned_limiter" {
            return Self::partitions(fields);
        }
        let calls = fields.small_count("max_concurrent");
        let calls = fields.needed("max_concurrent", calls)?;
        if component == "bulkhead" {
            let wait = fields.millis("max_wait_ms")?.unwrap_or_default();
            return Ok(Self::Bulkhead { calls, wait });
        }
        let (backlog, wait) = (fields.small_count("backlog"), fields.millis("timeout_ms"));
        let (backlog, wait) =
            (fields.needed("backlog", backlog)?, fields.needed("timeout_ms", wait)?);
        Ok(Self::Queue { calls, backlog, wait })
    }

    /// Each partition is a class, the largest the highest.
    fn partitions(fields: &mut Fields<'_>) -> Result<Self, Mismatch> {
        let limit = fields.small_count("limit");
        let limit = fields.needed("limit", limit)?;
        let named = fields.take("partitions").and_then(Value::as_object).into_iter().flatten();
        let shares = named.map(|(name, share)| {
            let wrong = || Mismatch::new("a share in 0..=1", share.to_string());
            let share = share.as_f64().filter(|share| (0.0..=1.0).contains(share));
            Ok((name.clone(), share.ok_or_else(wrong)?))
        });
        let mut shares: Vec<_> = shares.collect::<Result<_, Mismatch>>()?;
        shares.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        if shares.is_empty() || shares.len() > Class::ALL.len() {
            return Err(Mismatch::new("one to five partitions", shares.len().to_string()));
        }
        Ok(Self::Partitions { limit, shares })
    }

    pub(super) fn config(&self) -> Result<QueueConfig, Mismatch> {
        let some = |slots: u32| match slots {
            1..=QueueConfig::MAX_SLOTS => Ok(slots),
            _ => Err(Mismatch::new("slots in 1..=1000000", slots.to_string())),
        };
        let bounded = |wait: Duration| {
            let wrong = || Mismatch::new("a wait of 10 minutes at most", format!("{wait:?}"));
            (wait <= QueueConfig::MAX_WAIT).then_some(wait).ok_or_else(wrong)
        };
        let config: QueueConfig = match *self {
            Self::Bulkhead { calls, wait } => {
                ConcurrencyLimit::new(some(calls)?).max_wait(bounded(wait)?).into()
            }
            Self::Queue { calls, backlog, wait } => QueueConfig::slots(some(calls)?)
                .capacity(if backlog == 0 { 0 } else { some(backlog)? })
                .max_wait(Self::CLASS, bounded(wait)?),
            Self::Partitions { limit, .. } => {
                let none = QueueConfig::slots(1).shared(0);
                let names = self.names().zip(Class::ALL);
                let reserved = |config: QueueConfig, (name, class): (&str, Class)| {
                    config.reserved(class, self.reserved(name)).max_wait(class, Duration::ZERO)
                };
                some(limit).map(|_| names.fold(none, reserved))?
            }
        };
        config.check().map_err(|errors| Mismatch::new("a sound config", errors.to_string()))?;
        Ok(config)
    }

    pub(super) fn wait(&self) -> Duration {
        match *self {
            Self::Bulkhead { wait, .. } | Self::Queue { wait, .. } => wait,
            Self::Partitions { .. } => Duration::ZERO,
        }
    }

    pub(super) fn resize(&mut self, to: u32) {
        match self {
            Self::Bulkhead { calls, .. } | Self::Queue { calls, .. } => *calls = to,
            Self::Partitions { limit, .. } => *limit = to,
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let shares = match self {
            Self::Partitions { shares, .. } => shares.as_slice(),
            _ => &[],
        };
        shares.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn class(&self, partition: &str) -> Option<Class> {
        self.names().zip(Class::ALL).find(|(name, _)| *name == partition).map(|(_, class)| class)
    }

    pub(super) fn reserved(&self, partition: &str) -> u32 {
        let Self::Partitions { limit, shares } = self else { return 0 };
        let share = shares.iter().find(|(name, _)| name == partition);
        // What is a hair below a number is that number: a tenth of ten is one.
        share.map_or(0, |(_, share)| (share * f64::from(*limit) + 1e-9) as u32)
    }
}
