//! What is drawn by lot: configurations, outcomes and waits.

use std::time::Duration;

use crate::config::{
    CircuitBreakerConfig, Cusum, OnDrop, OnRelapse, OnStayElapsed, Ramp, RampSpeed, Recovery,
    Trials, Trickle, Trip, Tuner, Window,
};
use crate::outcome::{Counted, FailureKind, Outcome};
use crate::pace::{Chance, Jitter, Pace};
use crate::percent::Percent;

/// From here on a call is slow, in most configurations.
pub(super) const SLOW: Duration = Duration::from_secs(1);

/// A source of lots that is the same in every run with its seed.
pub(super) struct Dice(Chance);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(Chance::seeded(seed))
    }

    /// A number in `0..bound`.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// A number in `1..=most`.
    pub(super) const fn upto(&mut self, most: u32) -> u32 {
        1 + self.below(most as u64) as u32
    }

    /// True once in `of` times.
    pub(super) const fn once_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    pub(super) const fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn percent(&mut self) -> Percent {
        Percent::new(self.pick(&[1, 20, 50, 50, 75, 100]))
    }

    pub(super) fn outcome(&mut self) -> Outcome {
        let hint = self.pick(&[None, Some(SLOW), Some(60 * SLOW)]);
        match self.below(8) {
            0..=3 => Outcome::Success,
            4 => Outcome::Failure(FailureKind::Timeout),
            5 => Outcome::Failure(FailureKind::Overload { retry_after: hint }),
            6 => Outcome::Failure(FailureKind::InvalidRequest),
            _ => Outcome::Ignored,
        }
    }

    /// Mostly short; now and then on a border, or long.
    pub(super) fn wait(&mut self) -> Duration {
        match self.below(8) {
            0 => Duration::from_nanos(1),
            1 => Duration::from_millis(500),
            2 => SLOW,
            3 => Duration::from_millis(self.below(5_000)),
            4 if self.once_in(4) => Duration::from_secs(self.below(120)),
            _ => Duration::from_millis(self.below(300)),
        }
    }

    pub(super) fn config(&mut self) -> CircuitBreakerConfig {
        let mut config = CircuitBreakerConfig::new()
            .named(self.pick(&["ledger", "stock", "mail"]))
            .trip(self.trip())
            .recovery(self.recovery())
            .open_period(self.pace())
            .slow_call_duration(self.pick(&[SLOW, SLOW, 10 * SLOW]))
            .on_drop(self.pick(&[OnDrop::SlowIsFailure, OnDrop::Neutral, OnDrop::Failure]))
            .totals(self.once_in(3));
        if self.once_in(6) {
            config = config.enforce(self.pick(&[Percent::ZERO, Percent::new(30)]));
        }
        if self.once_in(6) {
            config = config.open_refusal_share(Percent::new(70));
        }
        if self.once_in(6) {
            config = config.tuner(self.pick(&[Tuner::Suggest, Tuner::Apply]));
        }
        if self.once_in(6) {
            config = config.outage_history(4);
        }
        if self.once_in(8) {
            config = config.count_as(FailureKind::Timeout, Counted::Success);
        }
        config
    }

    fn trip(&mut self) -> Trip {
        let first = self.condition();
        if self.once_in(3) { first.or(self.condition()) } else { first }
    }

    fn condition(&mut self) -> Trip {
        match self.below(8) {
            0 => Trip::consecutive(self.upto(4)),
            1 => Trip::cusum(self.pick(&[Cusum::hard(), Cusum::classic(), Cusum::early_warning()])),
            2 => Trip::success_average(Percent::new(60), self.upto(10)),
            3 => Trip::failure_rate(self.percent(), self.calls()),
            4 => Trip::slow_rate(self.percent(), self.calls()),
            5 => Trip::failure_rate(self.percent(), self.period()),
            6 => Trip::slow_rate(self.percent(), self.period()),
            _ => Trip::failure_count(self.upto(4), self.period()),
        }
    }

    fn calls(&mut self) -> Window {
        let size = self.pick(&[1, 3, 8, 20, 70]);
        Window::last(size).min_calls(self.upto(size))
    }

    fn period(&mut self) -> Window {
        let buckets = self.upto(4);
        Window::in_buckets(Duration::from_millis(500) * buckets, buckets as u16)
            .min_calls(self.upto(8))
    }

    fn pace(&mut self) -> Pace {
        let pace = Pace::exponential(SLOW).cap(8 * SLOW);
        pace.jitter(self.pick(&[Jitter::None, Jitter::Equal, Jitter::Full]))
    }

    fn recovery(&mut self) -> Recovery {
        let then = self.pick(&[OnStayElapsed::Reopen, OnStayElapsed::Close]);
        if self.once_in(3) {
            let ramps = [
                Ramp::new(),
                Ramp::new(),
                Ramp::linear(3 * SLOW),
                Ramp::exponential(SLOW),
                Ramp::slow_start(5),
            ];
            let ramp = self.pick(&ramps);
            if ramp != Ramp::new() {
                return Recovery::Ramp(ramp.max_stay(4 * SLOW).on_stay_elapsed(then));
            }
            let ramp = ramp
                .base_share(Percent::new(40))
                .share_step(Percent::new(30))
                .recovery_error_rate(self.pick(&[Percent::ZERO, Percent::new(50)]))
                .successes(self.upto(2))
                .on_relapse(self.pick(&[OnRelapse::StepBack, OnRelapse::Reopen]))
                .speed(self.pick(&[RampSpeed::Fixed, RampSpeed::Adaptive]));
            return Recovery::Ramp(ramp.max_stay(4 * SLOW).on_stay_elapsed(then));
        }
        if self.once_in(5) {
            let trickle = Trickle::new().intervals(SLOW / 10, SLOW);
            let trickle = if self.once_in(2) { trickle.without_jitter() } else { trickle };
            return Recovery::Trickle(trickle);
        }
        let permitted = self.upto(4);
        let trials = Trials::new(permitted);
        let trials = match self.below(3) {
            0 => trials,
            1 => trials.successes(self.upto(permitted)),
            _ => trials.by_rate(self.percent()),
        };
        let by_slow = self.once_in(2) && permitted > 1;
        let trials =
            if by_slow { trials.by_rate(self.percent()).slow_rate(self.percent()) } else { trials };
        Recovery::Trials(trials.max_stay(3 * SLOW).on_stay_elapsed(then))
    }
}
