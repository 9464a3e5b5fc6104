//! The component `adaptive_throttle`: [`Throttled`].

use std::time::Duration;

use breaker_core::{FailureKind, ManualClock, Outcome, Percent, Priority, Tick};
use portcullis_priority::{PriorityQueue, QueueConfig, Throttle};
use serde_json::{Map, Value};

use super::answer::{Answer, Seen};
use super::case::Manner;
use super::component::Subject;
use super::config::finish;
use super::fields::Fields;
use super::verdict::Mismatch;

/// The formula, and a queue that goes by it.
pub(crate) struct Throttled {
    keys: Keys,
    clock: ManualClock,
    queue: PriorityQueue,
    /// What the formula said in this step.
    rate: Option<f64>,
    answers: Vec<Answer>,
}

/// What a throttle is made of; a step may say otherwise.
#[derive(Clone, Copy, Default)]
struct Keys {
    multiplier: Option<f64>,
    aggression: Option<f64>,
    max_rate: Option<f64>,
}

impl Throttled {
    pub(crate) fn build(config: &Map<String, Value>, manner: Manner<'_>) -> Result<Self, Mismatch> {
        let mut fields = Fields::new("the config", config);
        let keys = Keys::read(&mut fields)?;
        // It says in words what the other keys say in numbers.
        for words in ["formula", "note"] {
            fields.text(words)?;
        }
        finish(&fields, manner)?;
        let clock = ManualClock::new();
        let config = QueueConfig::new().throttle(keys.throttle()?);
        let queue = PriorityQueue::with_clock(config, clock.clone());
        Ok(Self { keys, clock, queue, rate: None, answers: Vec::new() })
    }

    /// One call, and whether the callee took it. The queue may refuse it, which counts as well.
    fn record(&self, outcome: &str) -> Result<(), Mismatch> {
        let outcome = match outcome {
            "success" => Outcome::Success,
            "failure" => Outcome::Failure(FailureKind::Overload { retry_after: None }),
            other => return Err(Mismatch::unknown("outcome", other)),
        };
        match self.queue.try_acquire(Priority::NORMAL) {
            Ok(mut slot) => {
                slot.answered(outcome);
                Ok(())
            }
            Err(_) if outcome != Outcome::Success => Ok(()),
            Err(_) => Err(Mismatch::new("a call that is made", "one that is refused here")),
        }
    }
}

impl Keys {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Mismatch> {
        let mut multiplier = fields.number("K")?;
        for threshold in ["threshold", "success_threshold"] {
            multiplier = fields.number(threshold)?.map(f64::recip).or(multiplier);
        }
        let (aggression, max_rate) = (fields.number("aggression")?, fields.number("max_rate")?);
        Ok(Self { multiplier, aggression, max_rate })
    }

    fn or(self, other: Self) -> Self {
        Self {
            multiplier: self.multiplier.or(other.multiplier),
            aggression: self.aggression.or(other.aggression),
            max_rate: self.max_rate.or(other.max_rate),
        }
    }

    fn throttle(self) -> Result<Throttle, Mismatch> {
        let within = |number: f64| match number {
            number if (1.0..=100.0).contains(&number) => Ok(number),
            number => Err(Mismatch::new("a number in 1..=100", number.to_string())),
        };
        let mut throttle = match self.multiplier {
            Some(multiplier) => Throttle::sre(within(multiplier)?),
            None => return Err(Mismatch::new("`K` in the config", "no such field")),
        };
        if let Some(aggression) = self.aggression {
            throttle = throttle.aggression(within(aggression)?);
        }
        if let Some(share) = self.max_rate {
            let wrong = || Mismatch::new("a rate in 0..=1", share.to_string());
            throttle = throttle.max_share(Percent::from_fraction(share).ok_or_else(wrong)?);
        }
        Ok(throttle)
    }
}

impl Subject for Throttled {
    fn begin(&mut self, at: Duration) -> Result<(), Mismatch> {
        self.clock.set(Tick::ZERO.after(at));
        self.rate = None;
        self.answers.clear();
        Ok(())
    }

    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "rate" => {
                let throttle = Keys::read(fields)?.or(self.keys).throttle()?;
                let (requests, accepts) = (fields.count("requests"), fields.count("accepts"));
                let requests = fields.needed("requests", requests)?;
                let accepts = fields.needed("accepts", accepts)?;
                self.rate = Some(throttle.share_of(requests, accepts));
            }
            "record" => {
                let outcome = fields.text("outcome");
                self.record(fields.needed("outcome", outcome)?)?;
            }
            "decide" => {
                let random = fields.number("random")?.unwrap_or(0.5);
                let refused = random < self.queue.snapshot().throttled_share;
                let answer = Answer::Refused { retry_after: None };
                self.answers.push(if refused { answer } else { Answer::Admitted });
            }
            "observe" => {}
            "drop_probability" => return Err(Mismatch::not_offered(op)),
            other => return Err(Mismatch::unknown("op", other)),
        }
        Ok(())
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        let rate = self.rate.unwrap_or_else(|| self.queue.snapshot().throttled_share);
        Ok(match key {
            "rejection_rate" => Seen::Number(Some(rate)),
            "rejection_rate_min" => Seen::AtLeast(rate),
            "permitted" => Seen::Answers(self.answers.clone()),
            other => return Err(Mismatch::unknown("expectation", other)),
        })
    }
}
