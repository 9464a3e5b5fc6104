//! From the config of a case to the limits that it is about: [`Plan`].

use std::time::Duration;

use portcullis::{Algorithm, Rate, RateLimit};
use serde_json::{Map, Value};

use super::case::Manner;
use super::config::finish;
use super::fields::{Fields, show};
use super::verdict::Mismatch;

/// What a case is about: one limit, or the same quota by several algorithms.
pub(crate) struct Plan {
    /// By each of these algorithms all that is expected holds.
    pub(super) configs: Vec<RateLimit>,
    /// Whether there is a limit per key.
    pub(super) keyed: bool,
    /// In how much time the calls of a `set_limit` are granted.
    pub(super) period: Duration,
    /// How long a call waits that says nothing of it.
    pub(super) longest: Duration,
}

const SECOND: Duration = Duration::from_secs(1);

impl Plan {
    fn of(config: RateLimit, period: Duration) -> Self {
        Self { configs: vec![config], keyed: false, period, longest: RateLimit::MAX_WAIT }
    }

    pub(super) fn read(config: &Map<String, Value>, manner: Manner<'_>) -> Result<Self, Mismatch> {
        let mut fields = Fields::new("the config", config);
        let algorithm = fields.text("algorithm");
        let algorithm = fields.needed("algorithm", algorithm)?;
        let mut plan = match manner.bucket() {
            Some((rate, burst)) => {
                translated(&mut fields, algorithm, bucket(rate_of(rate)?, burst)?)?
            }
            None => written(&mut fields, algorithm)?,
        };
        if let Some(longest) = fields.time("max_wait_ms", "max_wait_ns")? {
            plan.longest = longest;
        }
        let keys = fields.take("max_keys");
        finish(&fields, manner)?;
        for config in &mut plan.configs {
            *config = wait(*config, plan.longest)?.max_waiters(10_000);
            if let Some(keys) = keys.and_then(Value::as_u64) {
                let fits = u32::try_from(keys).ok().filter(|keys| (1..=100_000_000).contains(keys));
                let wrong = || Mismatch::new("1..=100000000 keys", keys.to_string());
                *config = config.max_keys(fits.ok_or_else(wrong)?);
            }
            config.check().map_err(|errors| Mismatch::new("a sound config", errors.to_string()))?;
        }
        // In words it says that there is a bound: there always is.
        match keys {
            Some(keys) if !plan.keyed || !(keys.is_u64() || keys.is_string()) => {
                Err(Mismatch::new("a bound of keys, where there are keys", show(keys)))
            }
            _ => Ok(plan),
        }
    }
}

/// A limit as its config is written.
fn written(fields: &mut Fields<'_>, algorithm: &str) -> Result<Plan, Mismatch> {
    Ok(match algorithm {
        "token_bucket" => {
            let (rate, burst) = (fields.number("rate_per_s"), fields.small_count("burst"));
            let rate = fields.needed("rate_per_s", rate)?;
            let burst = fields.needed("burst", burst)?;
            Plan::of(bucket(rate_of(rate)?, burst)?, SECOND)
        }
        "gcra" => {
            let period = fields.time("period_ms", "period_ns");
            let period = fields.needed("period_ms", period)?;
            let more = fields.small_count("max_burst")?.map(|burst| burst.saturating_add(1));
            let limit = match (fields.small_count("limit")?, more) {
                (Some(limit), Some(more)) if limit != more => {
                    return Err(Mismatch::new(format!("a limit of {more}"), limit.to_string()));
                }
                (limit, more) => fields.needed("limit", Ok(limit.or(more)))?,
            };
            let own = bucket(rate(1, period)?, limit)?;
            let configs = vec![own, own.algorithm(Algorithm::Gcra)];
            Plan { configs, ..Plan::of(own, period) }
        }
        "per_key_token_bucket" => {
            let (permits, period) = permits(fields)?;
            let burst = fields.small_count("burst")?.unwrap_or(permits);
            Plan { keyed: true, ..Plan::of(bucket(rate(permits, period)?, burst)?, period) }
        }
        "fixed_cycle" | "fixed_window_with_debt" => {
            let (permits, period) = permits(fields)?;
            if !(RateLimit::MIN_WINDOW..=RateLimit::MAX_WINDOW).contains(&period) {
                return Err(Mismatch::new("a window in 1 ms..=1 day", format!("{period:?}")));
            }
            // What the constructor would not bear is said here.
            let _ = rate(permits, period)?;
            Plan::of(RateLimit::fixed_window(permits, period), period)
        }
        other @ ("smooth_interval"
        | "pacing_queue"
        | "warm_up_token_bucket"
        | "memory_adaptive"
        | "cubic") => return Err(Mismatch::not_offered(other)),
        other => return Err(Mismatch::unknown("algorithm", other)),
    })
}

/// A limit that `ours` puts in the place of another one, whose keys are known all the same.
fn translated(
    fields: &mut Fields<'_>,
    algorithm: &str,
    config: RateLimit,
) -> Result<Plan, Mismatch> {
    let (keyed, period) = match algorithm {
        "smooth_interval" => {
            let interval = fields.millis("interval_ms");
            (false, fields.needed("interval_ms", interval)?)
        }
        "pacing_queue" => (false, permits(fields)?.1),
        other => {
            let Plan { keyed, period, .. } = written(fields, other)?;
            (keyed, period)
        }
    };
    Ok(Plan { keyed, ..Plan::of(config, period) })
}

fn permits(fields: &mut Fields<'_>) -> Result<(u32, Duration), Mismatch> {
    let permits = fields.small_count("permits");
    let period = fields.time("period_ms", "period_ns");
    Ok((fields.needed("permits", permits)?, fields.needed("period_ms", period)?))
}

fn bucket(rate: Rate, burst: u32) -> Result<RateLimit, Mismatch> {
    if !(1..=RateLimit::MAX_BURST).contains(&burst) {
        return Err(Mismatch::new("a burst in 1..=1000000000", burst.to_string()));
    }
    Ok(RateLimit::per_second(1).rate(rate).burst(burst))
}

pub(super) fn rate(calls: u32, period: Duration) -> Result<Rate, Mismatch> {
    let wrong = || Mismatch::new("a rate in 0.001..=1e9/s", format!("{calls} in {period:?}"));
    Rate::checked(calls, period).ok_or_else(wrong)
}

pub(super) fn rate_of(per_second: f64) -> Result<Rate, Mismatch> {
    let wrong = || Mismatch::new("a rate in 0.001..=1e9/s", per_second.to_string());
    Rate::from_per_second(per_second).ok_or_else(wrong)
}

pub(super) fn wait(config: RateLimit, longest: Duration) -> Result<RateLimit, Mismatch> {
    if longest > RateLimit::MAX_WAIT {
        return Err(Mismatch::new("a wait of an hour at most", format!("{longest:?}")));
    }
    Ok(config.max_wait(longest))
}
