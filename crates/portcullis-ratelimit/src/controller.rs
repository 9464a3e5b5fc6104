//! Moves a rate by the outcomes of calls: [`RateController`].

use breaker_core::Tick;

use crate::adjust::Adjust;
use crate::rate::Rate;

/// A rate that follows the share of failed calls, by the rule of [`Adjust`].
///
/// Plain data: it knows no clock and no lock. Moments are handed in, and must not step back from
/// call to call; one that does changes nothing. There is no timer behind it: a look that is due is
/// taken by whoever comes next, with an outcome or only to read. So calls before that moment are
/// judged, and the call that comes with it belongs to the next period.
///
/// ```
/// use breaker_core::Tick;
/// use portcullis_ratelimit::{Adjust, Rate, RateController};
///
/// let mut control = RateController::new(Adjust::new(), Rate::per_second(100), Tick::ZERO);
/// for call in 0..12 {
///     control.record(Tick::ZERO, call < 2);
/// }
/// let change = control.settle(Tick::from_millis(60_000)).expect("two of twelve failed");
/// assert_eq!((change.failed, change.samples), (2, 12));
/// assert_eq!(control.rate().to_string(), "66.667/s");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RateController {
    adjust: Adjust,
    /// The slowest and the fastest rate.
    bounds: (Rate, Rate),
    rate: Rate,
    /// When the present cool-down began.
    since: Tick,
    period: Period,
    /// The last period that was judged; without samples while there was none.
    last: Period,
}

/// A rate has moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct RateChange {
    /// The rate before.
    pub from: Rate,
    /// The rate after.
    pub to: Rate,
    /// How many calls failed in the period that moved it.
    pub failed: u32,
    /// How many calls there were in it; at least one.
    pub samples: u32,
}

/// Outcomes since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Period {
    failed: u32,
    samples: u32,
}

// ===== impl RateController =====

impl RateController {
    /// Begins at `rate`, held within the bounds of `adjust`; the first look is a cool-down away.
    ///
    /// Whether `adjust` contradicts itself says [`Adjust::check`]. Where it does all the same, the
    /// fastest rate is the stronger bound.
    #[must_use]
    pub fn new(adjust: Adjust, rate: Rate, now: Tick) -> Self {
        let none = Period::default();
        let bounds = adjust.bounds(rate);
        Self { adjust, bounds, rate: within(bounds, rate), since: now, period: none, last: none }
    }

    /// Counts an outcome, after the look that may have been due before it. What is returned has to
    /// be put in force at `now`.
    pub fn record(&mut self, now: Tick, failed: bool) -> Option<RateChange> {
        let due_before = self.look(now);
        self.period.count(failed);
        // After a look the cool-down has begun anew: never two changes at once.
        let due_by_it = self.look(now);
        due_before.or(due_by_it)
    }

    /// Takes the look that is due, if one is. What is returned has to be put in force at `now`.
    pub fn settle(&mut self, now: Tick) -> Option<RateChange> {
        self.look(now)
    }

    /// Another rate by order of an operator, held within the bounds: the samples and the cool-down
    /// begin anew. What the last period said stays readable.
    pub fn restart(&mut self, rate: Rate, now: Tick) {
        self.rate = within(self.bounds, rate);
        self.begin(now);
    }

    /// The rate in force, as of the last call that was given a moment.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// The share of failed calls in the last period that was judged, in 0..=1; `None` before the
    /// first.
    #[must_use]
    pub fn last_error_rate(&self) -> Option<f64> {
        (self.last.samples > 0).then(|| self.last.error_rate())
    }

    /// How many outcomes there are since the last look.
    #[must_use]
    pub const fn samples(&self) -> u32 {
        self.period.samples
    }

    /// From when on a look is due; `None` while there are too few outcomes for one.
    #[must_use]
    pub const fn due(&self) -> Option<Tick> {
        if self.period.samples < self.adjust.min_samples {
            return None;
        }
        Some(self.since.after(self.adjust.cooldown))
    }

    fn look(&mut self, now: Tick) -> Option<RateChange> {
        let cool = now.since(self.since) >= self.adjust.cooldown;
        if !cool || self.period.samples < self.adjust.min_samples {
            return None;
        }
        let (from, to) = (self.rate, self.judged());
        let Period { failed, samples } = self.period;
        self.last = self.period;
        self.rate = to;
        self.begin(now);
        (to != from).then_some(RateChange { from, to, failed, samples })
    }

    /// The rate that the present period asks for.
    fn judged(&self) -> Rate {
        let Period { failed, samples } = self.period;
        let Adjust { error_high, error_low, scale_thousandths, .. } = self.adjust;
        let scale = u32::from(scale_thousandths);
        let rate = if error_high.exceeded_by(failed, samples) {
            self.rate.times(1_000, scale)
        } else if !error_low.reached_by(failed, samples) {
            self.rate.times(scale, 1_000)
        } else {
            self.rate
        };
        within(self.bounds, rate)
    }

    fn begin(&mut self, now: Tick) {
        self.period = Period::default();
        self.since = self.since.max(now);
    }
}

fn within((slowest, fastest): (Rate, Rate), rate: Rate) -> Rate {
    rate.max(slowest).min(fastest)
}

// ===== impl RateChange =====

impl RateChange {
    /// The share of failed calls that moved the rate, in 0..=1.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        f64::from(self.failed) / f64::from(self.samples)
    }
}

// ===== impl Period =====

impl Period {
    /// A period that is full counts no further: failures alone must not go on growing.
    const fn count(&mut self, failed: bool) {
        if self.samples < u32::MAX {
            self.samples += 1;
            self.failed += failed as u32;
        }
    }

    fn error_rate(&self) -> f64 {
        f64::from(self.failed) / f64::from(self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_period_keeps_its_share_of_failures() {
        let rate = Rate::per_second(100);
        let mut control = RateController::new(Adjust::new(), rate, Tick::ZERO);
        control.period = Period { failed: u32::MAX / 20, samples: u32::MAX - 1 };
        for _ in 0..3 {
            assert_eq!(control.record(Tick::ZERO, true), None);
        }
        assert_eq!(control.samples(), u32::MAX);
        assert_eq!(control.settle(Tick::from_millis(60_000)), None);
        assert!((control.last_error_rate().expect("judged") - 0.05).abs() < 1e-9);
    }
}
