//! Recovery by a share of the calls that grows: [`Ramp`].

use std::time::Duration;

use super::OnStayElapsed;
use super::recovery::{MAX_CALLS, MAX_STAY};
use super::shares::Shares;
use crate::percent::Percent;

/// Recovery by a share of the calls that grows while they succeed.
///
/// [`Ramp::new`] starts at 10 %, adds 10 % per good window (3 successes, at most 10 % errors), and
/// closes at 100 %. There are other forms: by a list of shares ([`Ramp::steps`]), by time
/// ([`Ramp::linear`], [`Ramp::exponential`]) and by calls in flight ([`Ramp::slow_start`]).
///
/// All of them are judged by the last 20 calls that ended in the ramp. When more of them failed
/// than [`recovery_error_rate`](Self::recovery_error_rate) allows, the ramp goes back a step, or
/// reopens the circuit where it has not begun to climb; five failures reopen in any case.
///
/// ```
/// use breaker_core::{CircuitBreakerConfig, Percent, Ramp, Recovery};
/// use std::time::Duration;
///
/// // The share grows from 10 % to all within half a minute, unless calls fail.
/// const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new()
///     .recovery(Recovery::Ramp(Ramp::linear(Duration::from_secs(30))));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Ramp {
    pub(crate) form: RampForm,
    pub(crate) base: Percent,
    pub(crate) step: Percent,
    pub(crate) error_rate: Percent,
    pub(crate) successes: u32,
    pub(crate) min_step_time: Duration,
    pub(crate) on_relapse: OnRelapse,
    pub(crate) speed: RampSpeed,
    pub(crate) max_stay: Duration,
    pub(crate) on_stay_elapsed: OnStayElapsed,
}

/// What makes a ramp climb.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum RampForm {
    /// A good window adds a step.
    Windows,
    /// A good window leads to the next share of a list.
    Steps(Shares),
    /// The share is `(t / over)^(1 / aggression)`.
    Power { over: Duration, aggression_milli: u16 },
    /// The share doubles with each period.
    Exponential { doubling: Duration },
    /// The limit in flight grows by one with each success, up to this one.
    SlowStart { until: u32 },
}

/// What a ramp does when errors come back above its base share.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum OnRelapse {
    /// It takes one step back.
    #[default]
    StepBack,
    /// It opens the circuit.
    Reopen,
}

/// How the steps of a ramp change.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RampSpeed {
    /// They do not.
    #[default]
    Fixed,
    /// A window without failure makes the step 1.5 times as long (up to 25 %), a failure halves
    /// it (down to 5 %).
    ///
    /// Where shares are listed or grow by time it is the speed that changes in this way, between
    /// a half and 2.5 times what was configured. A slow start adapts by itself, and takes no
    /// notice of this.
    Adaptive,
}

impl Ramp {
    /// The most shares of a ramp by steps.
    pub const MAX_STEPS: usize = 8;

    /// The limit in flight at which a slow start begins.
    pub(crate) const FIRST_LIMIT: u32 = 2;

    /// 10 %, then 10 % more after each 3 successes.
    pub const fn new() -> Self {
        Self {
            form: RampForm::Windows,
            base: Percent::new(10),
            step: Percent::new(10),
            error_rate: Percent::new(10),
            successes: 3,
            min_step_time: Duration::ZERO,
            on_relapse: OnRelapse::StepBack,
            speed: RampSpeed::Fixed,
            max_stay: MAX_STAY,
            on_stay_elapsed: OnStayElapsed::Reopen,
        }
    }

    /// These shares in turn, for 20 successes each (see [`successes`](Self::successes)); after the
    /// last one the circuit closes.
    ///
    /// A share at which too many calls fail leads back to the one before, which then lasts for
    /// twice as many successes, up to 16 times as many.
    ///
    /// ```
    /// use breaker_core::{Percent, Ramp};
    ///
    /// const PERCENT: [u8; 4] = [10, 25, 50, 100];
    /// let ramp = Ramp::steps(&PERCENT.map(Percent::new));
    /// ```
    ///
    /// # Panics
    /// When there are no shares or more than 8, one is zero, or one is not above the one before.
    pub const fn steps(shares: &[Percent]) -> Self {
        assert!(Shares::fit(shares), "the 1..=8 shares of a ramp rise from above 0 %");
        let mut ramp = Self::new();
        ramp.base = shares[0];
        ramp.form = RampForm::Steps(Shares::new(shares));
        ramp.successes(20)
    }

    /// The share grows evenly within this time, `t / over`, and is never below the base share: the
    /// slow start of nginx. The same as [`Ramp::aggressive`] with an aggression of one.
    ///
    /// Time alone proves nothing. The share moves on only when a call of the ramp has ended well,
    /// and one of the present share too if any was admitted; so it does not grow while all calls
    /// hang. At 100 % it waits for the good calls that are still missing (default 3).
    ///
    /// The share moves in steps of 5 % of the whole, or of a quarter of a doubling where it
    /// doubles. Too many failures set it back by a step of 10 %, or by half.
    ///
    /// # Panics
    /// When `over` lies outside 1 s..=1 hour.
    pub const fn linear(over: Duration) -> Self {
        Self::aggressive(over, 1.0)
    }

    /// As [`Ramp::linear`], with the share `(t / over)^(1 / aggression)`: the slow start of Envoy,
    /// whose smallest share is 10 % as well. Above one it grows fast at first.
    ///
    /// # Panics
    /// When `over` lies outside 1 s..=1 hour, or `aggression` outside 0.1..=10.0.
    pub const fn aggressive(over: Duration, aggression: f64) -> Self {
        assert!(Self::ramp_time_fits(over), "ramp_time lies in 1 s..=1 hour");
        assert!(
            aggression >= 0.1 && aggression <= 10.0,
            "the aggression of a ramp lies in 0.1..=10.0"
        );
        let aggression_milli = (aggression * 1_000.0 + 0.5) as u16;
        let mut ramp = Self::new();
        ramp.form = RampForm::Power { over, aggression_milli };
        ramp
    }

    /// As [`Ramp::linear`], with a share that doubles in each period: from 10 % to all within 3.3
    /// periods.
    ///
    /// # Panics
    /// When `doubling` lies outside 1 s..=1 hour.
    pub const fn exponential(doubling: Duration) -> Self {
        assert!(Self::ramp_time_fits(doubling), "ramp_time lies in 1 s..=1 hour");
        let mut ramp = Self::new();
        ramp.form = RampForm::Exponential { doubling };
        ramp
    }

    /// Two calls in flight at first, and one more with each success, which doubles them in each
    /// round trip; at `until` the circuit closes. The slow start of TCP (RFC 5681), with a
    /// threshold that is given: a circuit does not know the limit of the callee.
    ///
    /// It is the one form that follows the callee's own pace: nothing grows before an answer is
    /// there. Too many failures halve the limit. What is shown as the share is the limit as a
    /// part of `until`, noted at powers of two.
    ///
    /// # Panics
    /// When `until` lies outside 4..=10,000.
    pub const fn slow_start(until: u32) -> Self {
        assert!(until >= 4 && until <= MAX_CALLS, "slow_start_limit lies in 4..=10000");
        let mut ramp = Self::new();
        ramp.form = RampForm::SlowStart { until };
        ramp
    }

    /// The share at the beginning; default 10 %.
    ///
    /// # Panics
    /// When `share` is 0 % or 100 %, or the ramp is by steps or a slow start, which have their own.
    pub const fn base_share(mut self, share: Percent) -> Self {
        assert!(self.has_base(), "a ramp by steps and a slow start have no base_share");
        let inside = !share.is_zero() && share.as_basis_points() < Percent::ONE;
        assert!(inside, "base_share lies between 0 % and 100 %, both excluded");
        self.base = share;
        self
    }

    /// Whether a step can last as long as it must before it lasts too long.
    pub(crate) const fn has_time(&self) -> bool {
        self.min_step_time.as_nanos() < self.max_stay.as_nanos()
    }

    pub(crate) const fn form(&self) -> &RampForm {
        &self.form
    }

    /// What is shown as the share at the beginning.
    pub(crate) const fn base_percent(&self) -> Percent {
        match self.form {
            RampForm::SlowStart { until } => Self::part_of(Self::FIRST_LIMIT, until),
            _ => self.base,
        }
    }

    /// A limit in flight as a part of the one at which the circuit closes.
    pub(crate) const fn part_of(limit: u32, until: u32) -> Percent {
        let points = limit as u64 * Percent::ONE as u64 / until as u64;
        Percent::basis_points(if points < Percent::ONE as u64 {
            points as u16
        } else {
            Percent::ONE
        })
    }

    pub(crate) const fn ramp_time_fits(time: Duration) -> bool {
        time.as_secs() >= 1 && time.as_nanos() <= 3_600_000_000_000
    }

    const fn has_base(&self) -> bool {
        !matches!(self.form, RampForm::Steps(_) | RampForm::SlowStart { .. })
    }

    const fn has_step(&self) -> bool {
        matches!(self.form, RampForm::Windows | RampForm::Power { .. })
    }

    /// What a good window adds, and what errors take away from a share that grows by time;
    /// default 10 %.
    ///
    /// # Panics
    /// When `step` is zero, or the ramp is one of the others, which have no step of one length.
    pub const fn share_step(mut self, step: Percent) -> Self {
        assert!(self.has_step(), "only a ramp by windows, linear or aggressive has a share_step");
        assert!(!step.is_zero(), "share_step is above zero");
        self.step = step;
        self
    }

    /// Above which share of errors the ramp relapses; default 10 %.
    ///
    /// # Panics
    /// When `rate` is 100 %.
    pub const fn recovery_error_rate(mut self, rate: Percent) -> Self {
        assert!(rate.as_basis_points() < Percent::ONE, "recovery_error_rate is below 100 %");
        self.error_rate = rate;
        self
    }

    /// Successes of a good window; default 3, with steps 20. Where the share grows by time: those
    /// without which the circuit does not close. A slow start does not ask for it.
    ///
    /// # Panics
    /// When `successes` lies outside 1..=10,000.
    pub const fn successes(mut self, successes: u32) -> Self {
        assert!(successes >= 1 && successes <= MAX_CALLS, "success_threshold lies in 1..=10000");
        self.successes = successes;
        self
    }

    /// How long a step lasts at least; default no time. A slow start does not ask for it.
    ///
    /// # Panics
    /// When `time` is over 10 minutes.
    pub const fn min_step_time(mut self, time: Duration) -> Self {
        assert!(time.as_nanos() <= 600_000_000_000, "min_step_time lies in 0..=10 minutes");
        self.min_step_time = time;
        self
    }

    /// What happens when errors come back; default [`OnRelapse::StepBack`].
    pub const fn on_relapse(mut self, then: OnRelapse) -> Self {
        self.on_relapse = then;
        self
    }

    /// How the steps change; default [`RampSpeed::Fixed`].
    pub const fn speed(mut self, speed: RampSpeed) -> Self {
        self.speed = speed;
        self
    }

    /// How long a step may take, counted from its first call; default 60 s. As with
    /// [`Trials::max_stay`](crate::Trials::max_stay), a step that is quiet is not ended by it.
    ///
    /// # Panics
    /// When `stay` is zero.
    pub const fn max_stay(mut self, stay: Duration) -> Self {
        assert!(!stay.is_zero(), "max_half_open_stay is above zero");
        self.max_stay = stay;
        self
    }

    /// What happens when it takes longer; default [`OnStayElapsed::Reopen`].
    pub const fn on_stay_elapsed(mut self, then: OnStayElapsed) -> Self {
        self.on_stay_elapsed = then;
        self
    }
}

impl Default for Ramp {
    fn default() -> Self {
        Self::new()
    }
}
