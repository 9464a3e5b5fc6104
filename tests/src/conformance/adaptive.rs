//! The component `adaptive_limiter`: [`Adaptive`].

use std::time::Duration;

use breaker_core::Tick;
use portcullis_priority::{
    Aimd, DeadlineAimd, Gradient2, Limit, LimitAlgorithm, Sample, Vegas, Verdict as Load,
};
use serde_json::{Map, Value};

use super::answer::Seen;
use super::case::Manner;
use super::component::Subject;
use super::config::finish;
use super::fields::{Fields, show};
use super::verdict::Mismatch;

/// A limit that moves.
pub(crate) struct Adaptive {
    limit: Box<dyn LimitAlgorithm>,
    at: Duration,
}

/// Before a case begins, so that all of its calls have begun at some time.
const EARLIER: Duration = Duration::from_secs(1_000);

impl Adaptive {
    pub(crate) fn build(config: &Map<String, Value>, manner: Manner<'_>) -> Result<Self, Mismatch> {
        let mut fields = Fields::new("the config", config);
        let algorithm = fields.text("algorithm");
        let mut limit = algorithm_of(fields.needed("algorithm", algorithm)?, &mut fields)?;
        let whole = |calls: u32, least| match calls {
            calls if (least..=Limit::MAX).contains(&calls) => Ok(calls),
            calls => Err(Mismatch::new(format!("calls in {least}..=1000000"), calls.to_string())),
        };
        if let Some(calls) = fields.small_count("initial")? {
            limit = limit.start(whole(calls, 1)?);
        }
        if let Some(calls) = fields.small_count("max")? {
            limit = limit.max(whole(calls, 1)?);
        }
        if let Some(calls) = fields.small_count("min")? {
            limit = limit.min(whole(calls, 0)?);
        }
        finish(&fields, manner)?;
        Ok(Self { limit: limit.begin(), at: Duration::ZERO })
    }

    fn sample(&mut self, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        let (took, running) = (fields.millis("rtt_ms"), fields.small_count("inflight"));
        let took = fields.needed("rtt_ms", took)?;
        let in_flight = fields.needed("inflight", running)?;
        let dropped = fields.flag("dropped")?.unwrap_or(false);
        let ended = EARLIER + self.at;
        let early = || Mismatch::new("a call of 1000 s at most", format!("{took:?}"));
        let started = ended.checked_sub(took).ok_or_else(early)?;
        let tick = |time| Tick::ZERO.after(time);
        let verdict = if dropped { Load::TimedOut } else { Load::Answered };
        self.limit.sample(&Sample {
            started: tick(started),
            ended: tick(ended),
            in_flight,
            verdict,
        });
        Ok(())
    }
}

impl Subject for Adaptive {
    fn begin(&mut self, at: Duration) -> Result<(), Mismatch> {
        self.at = at;
        Ok(())
    }

    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "sample" => self.sample(fields),
            "observe" => Ok(()),
            "window" | "try_acquire" | "complete" | "call" | "cap" => {
                Err(Mismatch::not_offered(op))
            }
            other => Err(Mismatch::unknown("op", other)),
        }
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        match key {
            "limit" => Ok(Seen::count(self.limit.limit())),
            "limit_min" => Ok(Seen::AtLeast(self.limit.limit().into())),
            "cap" | "counted" | "measuring" | "min_rtt_ms" | "permitted" => {
                Err(Mismatch::not_offered(key))
            }
            other => Err(Mismatch::unknown("expectation", other)),
        }
    }
}

/// The algorithm as its config is written. What is off where it is absent is the collecting of
/// several calls, so that each call moves the limit by itself; the deadline knows no such thing.
fn algorithm_of(name: &str, fields: &mut Fields<'_>) -> Result<Limit, Mismatch> {
    Ok(match name {
        "vegas" => vegas(fields)?,
        "gradient2" => gradient2(fields)?,
        "aimd" => {
            let limit = Aimd::new(timeout(fields)?);
            let backoff = fields.number("backoff")?;
            backoff.map_or(limit, |backoff| limit.backoff(backoff)).into_limit()
        }
        "deadline" => {
            let limit = DeadlineAimd::new(timeout(fields)?);
            let backoff = fields.number("backoff")?;
            backoff.map_or(limit, |backoff| limit.backoff(backoff)).into_limit()
        }
        other @ ("failsafe_gradient" | "envoy_gradient" | "bbr_check") => {
            return Err(Mismatch::not_offered(other));
        }
        other => return Err(Mismatch::unknown("algorithm", other)),
    })
}

/// The lengths of the queue are whole calls, or so many times the logarithm.
fn vegas(fields: &mut Fields<'_>) -> Result<Limit, Mismatch> {
    let (alpha, beta) = (fields.take("alpha"), fields.take("beta"));
    let vegas = Vegas::new().window(1);
    let whole = |value: &Value| value.as_u64().and_then(|calls| u32::try_from(calls).ok());
    let times =
        |value: &Value| value.as_str()?.strip_suffix(" log10").and_then(|times| times.parse().ok());
    let vegas = match (alpha, beta) {
        (None, None) => vegas,
        (Some(alpha), Some(beta)) => {
            match (whole(alpha).zip(whole(beta)), times(alpha).zip(times(beta))) {
                (Some((alpha, beta)), _) => vegas.fixed_queue(alpha, beta),
                (None, Some((alpha, beta))) => vegas.queue(alpha, beta),
                (None, None) => return Err(Mismatch::new("calls as alpha", show(alpha))),
            }
        }
        _ => return Err(Mismatch::new("alpha and beta", "one of them")),
    };
    let smoothing = fields.number("smoothing")?;
    Ok(smoothing.map_or(vegas, |share| vegas.smoothing(share)).into_limit())
}

fn gradient2(fields: &mut Fields<'_>) -> Result<Limit, Mismatch> {
    let mut gradient = Gradient2::new().window(1);
    if let Some(share) = fields.number("smoothing")? {
        gradient = gradient.smoothing(share);
    }
    if let Some(calls) = fields.small_count("queue_size")? {
        gradient = gradient.queue_size(calls);
    }
    if let Some(times) = fields.number("tolerance")? {
        gradient = gradient.tolerance(times);
    }
    if let Some(windows) = fields.small_count("long_window")? {
        gradient = gradient.long_window(windows);
    }
    if let Some(windows) = fields.small_count("warmup")? {
        gradient = gradient.warm_up(windows);
    }
    Ok(gradient.into_limit())
}

fn timeout(fields: &mut Fields<'_>) -> Result<Duration, Mismatch> {
    let timeout = fields.millis("timeout_ms");
    let timeout = fields.needed("timeout_ms", timeout)?;
    let sound = Duration::from_millis(1)..=Duration::from_secs(3_600);
    let wrong = || Mismatch::new("a timeout in 1 ms..=1 h", format!("{timeout:?}"));
    sound.contains(&timeout).then_some(timeout).ok_or_else(wrong)
}
