//! Windows: what they span, and the component `sliding_window`.

use std::time::Duration;

use breaker_core::{CircuitBreaker, CircuitBreakerConfig, ManualClock, Tick, Value};
use serde_json::Map;

use super::answer::Seen;
use super::case::Manner;
use super::component::Subject;
use super::config::{duration, entry, finish, text, whole};
use super::fields::Fields;
use super::outcome::{Ended, Slow};
use super::verdict::Mismatch;

/// What a window spans.
pub(crate) enum Span {
    Calls {
        size: u64,
    },
    Time {
        length: Duration,
        buckets: u64,
    },
    /// No window, only a running count.
    None,
}

impl Span {
    pub(crate) fn read(fields: &mut Fields<'_>, manner: Manner<'_>) -> Result<Self, Mismatch> {
        match fields.text("bucket_alignment")? {
            None | Some("absolute") => {}
            Some(_) if manner.leaves_out_config("bucket_alignment") => {}
            Some(_) => return Err(Mismatch::not_offered("that bucket_alignment")),
        }
        let kind = fields.text("type");
        let span = match fields.needed("type", kind)? {
            "count" => {
                let size = fields.count("size");
                Self::Calls { size: fields.needed("size", size)? }
            }
            "time" => {
                let length = fields.millis("length_ms");
                let length = fields.needed("length_ms", length)?;
                Self::Time { length, buckets: fields.count("buckets")?.unwrap_or(10) }
            }
            "consecutive" => Self::None,
            "tumbling" => return Err(Mismatch::not_offered("a tumbling window")),
            other => return Err(Mismatch::unknown("window type", other)),
        };
        finish(fields, manner)?;
        Ok(span)
    }

    pub(crate) fn write(&self, entries: &mut Vec<(String, Value)>) {
        match self {
            Self::Calls { size } => entries.push(entry("window", whole(*size))),
            Self::Time { length, buckets } => {
                entries.push(entry("window", duration(*length)));
                entries.push(entry("buckets", whole(*buckets)));
            }
            Self::None => {}
        }
    }
}

/// The component: the window of a circuit that is forced closed, so that it records and never
/// trips.
pub(crate) struct SlidingWindow {
    clock: ManualClock,
    breaker: CircuitBreaker,
}

/// Which calls are slow: those that the case calls so, whatever their durations.
const SLOW: Duration = Duration::from_secs(1);

impl SlidingWindow {
    pub(crate) fn build(
        config: &Map<String, serde_json::Value>,
        manner: Manner<'_>,
    ) -> Result<Self, Mismatch> {
        let span = Span::read(&mut Fields::new("the config", config), manner)?;
        let mut entries = vec![entry("slow_call_duration", duration(SLOW))];
        if matches!(span, Span::None) {
            entries.push(entry("consecutive_failures", whole(1_000_000)));
        } else {
            entries.push(entry("consecutive_failures", text("off")));
            entries.push(entry("failure_rate", Value::Float(1.0)));
            entries.push(entry("slow_call_rate", Value::Float(1.0)));
            entries.push(entry("min_calls", whole(1)));
            span.write(&mut entries);
        }
        let config = CircuitBreakerConfig::from_value(&Value::Table(entries))
            .map_err(|errors| Mismatch::new("a window", errors.to_string()))?;
        let clock = ManualClock::new();
        let breaker = CircuitBreaker::with_clock_and_seed(config, clock.clone(), 0);
        breaker.force_closed("only its window is wanted");
        Ok(Self { clock, breaker })
    }
}

impl Subject for SlidingWindow {
    fn begin(&mut self, at: Duration) -> Result<(), Mismatch> {
        self.clock.set(Tick::ZERO.after(at));
        Ok(())
    }

    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "observe" => {}
            "record" => {
                let ended = Ended::read(fields);
                let ended = fields.needed("outcome", ended)?;
                let (outcome, duration) = ended.without_latency().told(Slow::From(SLOW))?;
                self.breaker.record_timed(outcome, duration);
            }
            other => return Err(Mismatch::unknown("op", other)),
        }
        Ok(())
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        let snapshot = self.breaker.snapshot();
        let tally = snapshot.tally;
        Ok(match key {
            "total" => Seen::count(tally.calls),
            "ok" => Seen::count(tally.calls - tally.failures),
            "failed" => Seen::count(tally.failures),
            "slow" => Seen::count(tally.slow),
            "failure_rate" => Seen::Rate(snapshot.failure_rate),
            "slow_rate" => Seen::Rate(snapshot.slow_rate),
            "duration_ms" => return Err(Mismatch::not_offered("a sum of durations")),
            "excluded" => return Err(Mismatch::not_offered("a count of ignored calls")),
            other => return Err(Mismatch::unknown("expectation", other)),
        })
    }
}
