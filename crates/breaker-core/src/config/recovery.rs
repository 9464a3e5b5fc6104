//! How a circuit closes again: [`Recovery`] by [`Trials`] or by a [`Ramp`].

use std::time::Duration;

use crate::percent::Percent;

/// How a circuit closes again, once its open period is over.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Recovery {
    /// A fixed number of trial calls decides.
    Trials(Trials),
    /// A growing share of the calls is admitted.
    Ramp(Ramp),
}

impl Recovery {
    pub(crate) const fn max_stay(&self) -> Duration {
        match self {
            Self::Trials(trials) => trials.max_stay,
            Self::Ramp(ramp) => ramp.max_stay,
        }
    }

    pub(crate) const fn on_stay_elapsed(&self) -> OnStayElapsed {
        match self {
            Self::Trials(trials) => trials.on_stay_elapsed,
            Self::Ramp(ramp) => ramp.on_stay_elapsed,
        }
    }
}

/// What becomes of a circuit whose trials give no verdict in time.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum OnStayElapsed {
    /// It opens again.
    #[default]
    Reopen,
    /// It closes.
    Close,
}

const MAX_CALLS: u32 = 10_000;
const MAX_STAY: Duration = Duration::from_secs(60);

/// Recovery by a fixed number of trial calls.
///
/// ```
/// use breaker_core::{CircuitBreakerConfig, Percent, Recovery, Trials};
///
/// // Ten trials, of which fewer than half may fail.
/// const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new()
///     .recovery(Recovery::Trials(Trials::new(10).by_rate(Percent::new(50))));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Trials {
    pub(crate) permitted: u32,
    pub(crate) verdict: Verdict,
    pub(crate) max_stay: Duration,
    pub(crate) on_stay_elapsed: OnStayElapsed,
}

/// When trials are good enough.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Verdict {
    /// Any failure reopens, this many successes close.
    AllSucceed { successes: u32 },
    /// The rates over all trials decide, as soon as the rest cannot change them.
    Rate { failures: Percent, slow: Option<Percent> },
}

impl Trials {
    /// This many trials, in flight together at most and in all; any failure reopens, and when
    /// all have succeeded the circuit closes.
    ///
    /// # Panics
    /// When `permitted` lies outside 1..=10,000.
    pub const fn new(permitted: u32) -> Self {
        assert!(permitted >= 1 && permitted <= MAX_CALLS, "permitted_calls lies in 1..=10000");
        Self {
            permitted,
            verdict: Verdict::AllSucceed { successes: permitted },
            max_stay: MAX_STAY,
            on_stay_elapsed: OnStayElapsed::Reopen,
        }
    }

    /// Closes after fewer successes than there are trials; any failure reopens.
    ///
    /// # Panics
    /// When `successes` is zero or more than the permitted calls.
    pub const fn successes(mut self, successes: u32) -> Self {
        assert!(
            successes >= 1 && successes <= self.permitted,
            "success_threshold lies in 1..=permitted_calls"
        );
        self.verdict = Verdict::AllSucceed { successes };
        self
    }

    /// Reopens when this share of the trials failed, else closes; as soon as it is certain.
    ///
    /// # Panics
    /// When `failures` is zero.
    pub const fn by_rate(mut self, failures: Percent) -> Self {
        assert!(!failures.is_zero(), "trial_failure_rate is above zero");
        self.verdict = Verdict::Rate { failures, slow: None };
        self
    }

    /// Reopens also when this share of the trials was slow. Comes after [`Trials::by_rate`].
    ///
    /// # Panics
    /// When `slow` is zero, or the verdict is not by rate.
    pub const fn slow_rate(mut self, slow: Percent) -> Self {
        assert!(!slow.is_zero(), "trial_slow_rate is above zero");
        match self.verdict {
            Verdict::Rate { failures, .. } => {
                self.verdict = Verdict::Rate { failures, slow: Some(slow) };
            }
            Verdict::AllSucceed { .. } => panic!("trial_slow_rate needs a verdict by rate"),
        }
        self
    }

    /// How long the trials may take, counted from the first one; default 60 s.
    ///
    /// It is an end for trials that hang: when it elapses while nothing is in flight and no trial
    /// has failed, a circuit that would reopen waits for the next trial instead, and the stay
    /// counts anew from there.
    ///
    /// # Panics
    /// When `stay` is zero.
    pub const fn max_stay(mut self, stay: Duration) -> Self {
        assert!(!stay.is_zero(), "max_half_open_stay is above zero");
        self.max_stay = stay;
        self
    }

    /// What happens when they take longer; default [`OnStayElapsed::Reopen`].
    pub const fn on_stay_elapsed(mut self, then: OnStayElapsed) -> Self {
        self.on_stay_elapsed = then;
        self
    }

    pub(crate) const fn judges_slow_calls(&self) -> bool {
        matches!(self.verdict, Verdict::Rate { slow: Some(_), .. })
    }
}

/// Recovery by a share of the calls that grows while they succeed.
///
/// Starts at 10 %, adds 10 % per good window (3 successes, at most 10 % errors), and closes at
/// 100 %. Errors make it step back, or reopen at the base share.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Ramp {
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
    Adaptive,
}

impl Ramp {
    /// 10 %, then 10 % more after each 3 successes.
    pub const fn new() -> Self {
        Self {
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

    /// The share at the beginning; default 10 %.
    ///
    /// # Panics
    /// When `share` is 0 % or 100 %.
    pub const fn base_share(mut self, share: Percent) -> Self {
        let inside = !share.is_zero() && share.as_basis_points() < Percent::ONE;
        assert!(inside, "base_share lies between 0 % and 100 %, both excluded");
        self.base = share;
        self
    }

    /// Whether a step can last as long as it must before it lasts too long.
    pub(crate) const fn has_time(&self) -> bool {
        self.min_step_time.as_nanos() < self.max_stay.as_nanos()
    }

    pub(crate) const fn base_percent(&self) -> Percent {
        self.base
    }

    /// What a good window adds; default 10 %.
    ///
    /// # Panics
    /// When `step` is zero.
    pub const fn share_step(mut self, step: Percent) -> Self {
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

    /// Successes of a good window; default 3.
    ///
    /// # Panics
    /// When `successes` lies outside 1..=10,000.
    pub const fn successes(mut self, successes: u32) -> Self {
        assert!(successes >= 1 && successes <= MAX_CALLS, "success_threshold lies in 1..=10000");
        self.successes = successes;
        self
    }

    /// How long a step lasts at least; default no time.
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
    /// [`Trials::max_stay`], a step that is quiet is not ended by it.
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
