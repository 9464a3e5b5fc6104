//! The component `rate_limiter`: [`Limits`].

use std::time::Duration;

use breaker_core::Tick;
use portcullis::RateLimit;
use serde_json::{Map, Value};

use super::answer::Seen;
use super::case::Manner;
use super::component::Subject;
use super::fields::Fields;
use super::limit::Limit;
use super::quota::{Plan, rate, rate_of, wait};
use super::verdict::Mismatch;

/// One limit by each algorithm that decides the same: all of them are asked, and all of them have
/// to say so.
pub(crate) struct Limits {
    all: Vec<Limit>,
    period: Duration,
    longest: Duration,
}

impl Limits {
    pub(crate) fn build(config: &Map<String, Value>, manner: Manner<'_>) -> Result<Self, Mismatch> {
        let Plan { configs, keyed, period, longest } = Plan::read(config, manner)?;
        let all = configs.into_iter().map(|config| Limit::new(config, keyed));
        Ok(Self { all: all.collect::<Result<_, _>>()?, period, longest })
    }

    fn each(
        &mut self,
        mut act: impl FnMut(&mut Limit) -> Result<(), Mismatch>,
    ) -> Result<(), Mismatch> {
        self.all.iter_mut().try_for_each(&mut act)
    }

    fn set_limit(&mut self, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        let permits = fields.small_count("permits")?;
        let rate = match fields.number("rate_per_s")? {
            Some(per_second) => Some(rate_of(per_second)?),
            None => permits.map(|permits| rate(permits, self.period)).transpose()?,
        };
        let burst = fields.small_count("burst")?;
        if rate.is_none() && burst.is_none() {
            return Err(Mismatch::new("`permits` in the step", "no such field"));
        }
        if burst.is_some_and(|burst| !(1..=RateLimit::MAX_BURST).contains(&burst)) {
            return Err(Mismatch::new("a burst in 1..=1000000000", format!("{burst:?}")));
        }
        self.each(|limit| {
            let config = limit.config();
            let config = rate.map_or(config, |rate| config.rate(rate));
            limit.reconfigure(burst.map_or(config, |burst| config.burst(burst)))
        })
    }
}

impl Subject for Limits {
    fn begin(&mut self, at: Duration) -> Result<(), Mismatch> {
        self.each(|limit| limit.begin(Tick::ZERO.after(at)))
    }

    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "observe" => Ok(()),
            "set_limit" => self.set_limit(fields),
            "cancel" => {
                let id = fields.text("id");
                let id = fields.needed("id", id)?;
                self.each(|limit| limit.cancel(id))
            }
            "try_acquire" => {
                let cost = fields.small_count("permits")?.unwrap_or(1);
                let key = fields.text("key")?;
                self.each(|limit| limit.try_acquire(key, cost))
            }
            "reserve" => {
                let cost = fields.small_count("permits")?.unwrap_or(1);
                let (key, id) = (fields.text("key")?, fields.text("id")?);
                let longest = fields.time("max_wait_ms", "max_wait_ns")?.unwrap_or(self.longest);
                self.each(|limit| {
                    limit.reconfigure(wait(limit.config(), longest)?)?;
                    limit.reserve(key, id, cost)
                })
            }
            other => Err(Mismatch::unknown("op", other)),
        }
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        let mut all = self.all.iter().map(|limit| limit.seen(key));
        let first = all.next().ok_or_else(|| Mismatch::new("a limit", "none"))??;
        for other in all {
            let other = other?;
            if other != first {
                return Err(Mismatch::new(format!("{first} by all algorithms"), other.to_string()));
            }
        }
        Ok(first)
    }

    fn end(&mut self) -> Result<(), Mismatch> {
        self.each(Limit::end)
    }
}
