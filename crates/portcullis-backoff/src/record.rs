//! What is remembered of one key: [`Record`], and of one run of failures: [`Sequence`].

#[cfg(test)]
mod tests;

use std::time::Duration;

use breaker_core::{Chance, Percent, Tick};

use crate::delays::{DelayKind, Delays, Facts};
use crate::pattern::{Pattern, PatternDetector};
use crate::selector::{Known, Selector};

/// One run of failures, of a call or of a key.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sequence {
    pub(crate) attempts: u32,
    /// The last delay.
    pub(crate) last: Option<Duration>,
}

impl Sequence {
    /// After a success the next delay is the first.
    pub(crate) const fn reset(&mut self) {
        *self = Self { attempts: 0, last: None };
    }
}

/// The past of one key. A key that never failed has none, and costs a word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    past: Option<Box<Past>>,
}

#[derive(Clone, Debug)]
struct Past {
    detector: PatternDetector,
    last_failure: Option<Tick>,
    /// The period of the pattern that was told.
    told: Option<u32>,
    /// Delays that were given, and their sum.
    given: u64,
    sum: Duration,
    selector: Selector,
}

/// A delay, and how it came about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Next {
    pub(crate) delay: Duration,
    pub(crate) kind: DelayKind,
    /// Whether it is longer than the first.
    pub(crate) grown: bool,
    /// A pattern that was not there before.
    pub(crate) found: Option<Pattern>,
}

impl Record {
    /// The delay before the next attempt, so many times as long as others.
    pub(crate) fn next(
        &mut self,
        delays: &Delays,
        (seq, times): (&mut Sequence, u32),
        now: Tick,
        usage: Option<Percent>,
        chance: &mut Chance,
    ) -> Next {
        let past = self.past_under(delays);
        seq.attempts = seq.attempts.saturating_add(1);
        let pattern = past.detector.pattern(now);
        let period = pattern.map(|pattern| pattern.period);
        let found = pattern.filter(|_| past.told != period);
        past.told = period;
        // The failure at hand is among the outcomes already.
        let history = past.detector.len(now) > 1;
        let known = Known { history, pattern: pattern.is_some(), usage };
        let kind = past.selector.choose(delays, known, now, chance);
        let weights = past.selector.weights(now);
        let pattern = pattern.map(|found| found.times(times));
        let facts = Facts { attempt: seq.attempts, last: seq.last, usage, pattern, weights };
        let (delay, grown) = delays.times(times).draw(kind, &facts, chance);
        past.selector.used(kind);
        past.given = past.given.saturating_add(1);
        past.sum = past.sum.saturating_add(delay);
        seq.last = Some(delay);
        Next { delay, kind, grown, found }
    }

    /// Takes note of the end of an attempt: `after` which delay it was made, if after one.
    pub(crate) fn ended(
        &mut self,
        delays: &Delays,
        now: Tick,
        after: Option<(DelayKind, bool)>,
        success: bool,
        usage: Option<Percent>,
    ) {
        if success && after.is_none() && self.is_at_rest(now) {
            // Healthy: what is out of the window needs no memory either.
            if let Some(past) = &mut self.past {
                past.detector.clear();
            }
            return;
        }
        let past = self.past_under(delays);
        past.detector.ended(now, success);
        if !success {
            past.last_failure = past.last_failure.max(Some(now));
        }
        if let Some((kind, grown)) = after {
            past.selector.credit(kind, grown, success, usage, now);
        }
    }

    /// Whether a success, of an attempt that was not delayed, would change nothing: no failure is
    /// remembered within the window.
    pub(crate) fn is_at_rest(&self, now: Tick) -> bool {
        let Some(past) = &self.past else { return true };
        past.last_failure.is_none_or(|at| now.since(at) > past.detector.window)
    }

    /// The share of successes among the outcomes that are remembered.
    pub(crate) fn success_rate(&self, now: Tick) -> Option<f64> {
        let detector = &self.past.as_ref()?.detector;
        let len = detector.len(now);
        (len > 0).then(|| detector.successes(now) as f64 / len as f64)
    }

    /// The mean of all delays that were given.
    pub(crate) fn mean_delay(&self) -> Option<Duration> {
        let past = self.past.as_ref().filter(|past| past.given > 0)?;
        let mean = past.sum.as_nanos() / u128::from(past.given);
        Some(Duration::from_nanos(mean.try_into().unwrap_or(u64::MAX)))
    }

    /// What is known of the strategies.
    pub(crate) fn selector(&self) -> Option<&Selector> {
        self.past.as_ref().map(|past| &past.selector)
    }

    fn past_under(&mut self, delays: &Delays) -> &mut Past {
        let past = self.past.get_or_insert_with(|| {
            Box::new(Past {
                detector: PatternDetector::new(delays.pattern_window),
                last_failure: None,
                told: None,
                given: 0,
                sum: Duration::ZERO,
                selector: Selector::default(),
            })
        });
        past.detector.window = delays.pattern_window;
        past
    }
}
