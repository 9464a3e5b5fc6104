//! What a limit knows about itself: [`Snapshot`] in figures, [`Snapshot::explain`] in a sentence.

use std::fmt::Write as _;

use breaker_core::{Name, Quota};

use crate::hub::Hub;
use crate::limiter::Algorithm;
use crate::rate::Rate;
use crate::sync::Ordering;
use breaker_core::Usage;

/// All figures of a limit at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The name of the limit.
    pub name: Name,
    /// How it decides.
    pub algorithm: Algorithm,
    /// The rate of the configuration.
    pub configured: Rate,
    /// The rate in force.
    pub rate: Rate,
    /// The burst.
    pub burst: u32,
    /// What is granted and what is left; where there is a bucket per key, that of the requests
    /// without one.
    pub quota: Quota,
    /// The share of failed calls, in 0..=1, in the last period that was judged.
    pub error_rate: Option<f64>,
    /// What is in use of the machine, where that lowers the rate.
    pub usage: Usage,
    /// How many calls the present period has seen.
    pub samples: u32,
    /// How many calls wait.
    pub waiters: u32,
    /// How many calls were refused.
    pub refused: u64,
    /// How many admissions were given back.
    pub given_back: u64,
    /// How many keys have a bucket, where there is one per key.
    pub keys: Option<usize>,
    /// How many keys have given way to others or were idle for long.
    pub evicted: u64,
    /// How many calls had no key, where there is one limit per key: they share a bucket.
    pub unmatched: u64,
}

impl Snapshot {
    pub(crate) fn new(hub: &Hub, quota: Quota, keys: Option<usize>) -> Self {
        let force = hub.in_force();
        let controller = hub.controller();
        Self {
            name: force.config.name,
            algorithm: force.config.algorithm,
            configured: force.config.rate,
            rate: force.terms.rate(),
            burst: force.config.burst,
            quota,
            error_rate: controller.as_ref().and_then(|it| it.last_error_rate()),
            usage: hub.usage(),
            samples: controller.map_or(0, |it| it.samples()),
            waiters: hub.waiters(),
            refused: hub.refused.load(Ordering::Relaxed),
            given_back: hub.given_back.load(Ordering::Relaxed),
            keys,
            evicted: hub.evicted.load(Ordering::Relaxed),
            unmatched: hub.unmatched.load(Ordering::Relaxed),
        }
    }

    /// Why the limit is as it is, in a sentence:
    /// "per-client grants 50/s by token_bucket: 12 of 50 left, all of them in 0.8s; 3 calls refused".
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Self { name, rate, configured, .. } = self;
        write!(text, "{name} grants {rate}")?;
        if rate != configured {
            write!(text, " instead of {configured}")?;
            if let Some(worst) = self.usage.worst() {
                write!(text, ", with {worst} of the machine in use")?;
            }
            if let Some(errors) = self.error_rate {
                write!(text, ", after {:.1} % of the calls failed", errors * 100.0)?;
            }
        }
        write!(text, " by {}: ", self.algorithm.as_str())?;
        match self.keys {
            Some(1) => write!(text, "1 key has a bucket")?,
            Some(keys) => write!(text, "{keys} keys have a bucket")?,
            None => {
                let most =
                    if self.algorithm.uses_burst() { self.burst } else { self.quota.limit() };
                write!(text, "{} of {most} left", self.quota.remaining())?;
                if !self.quota.reset().is_zero() {
                    write!(text, ", all of them in {:.1?}", self.quota.reset())?;
                }
            }
        }
        match self.waiters {
            0 => {}
            1 => write!(text, "; 1 call waits")?,
            waiters => write!(text, "; {waiters} calls wait")?,
        }
        match self.refused {
            1 => write!(text, "; 1 call refused"),
            refused => write!(text, "; {refused} calls refused"),
        }
    }
}
