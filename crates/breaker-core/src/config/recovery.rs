//! How a circuit closes again: [`Recovery`], and the form by [`Trials`].

use std::time::Duration;

use super::{Ramp, Trickle};
use crate::percent::Percent;

/// How a circuit closes again.
///
/// Trials and ramps begin when the open period is over. Where an outage ends by itself and soon,
/// that is what costs most: on average half a period passes before anybody looks. Probes look
/// in proportion to the traffic instead.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Recovery {
    /// A fixed number of trial calls decides.
    Trials(Trials),
    /// A growing share of the calls is admitted.
    Ramp(Ramp),
    /// Single calls pass while the circuit is open, in proportion to the traffic.
    Trickle(Trickle),
}

impl Recovery {
    pub(crate) const fn max_stay(&self) -> Duration {
        match self {
            Self::Trials(trials) => trials.max_stay,
            Self::Ramp(ramp) | Self::Trickle(Trickle { ramp: Some(ramp), .. }) => ramp.max_stay,
            Self::Trickle(_) => ONE_TRIAL.max_stay,
        }
    }

    pub(crate) const fn on_stay_elapsed(&self) -> OnStayElapsed {
        match self {
            Self::Trials(trials) => trials.on_stay_elapsed,
            Self::Ramp(ramp) | Self::Trickle(Trickle { ramp: Some(ramp), .. }) => {
                ramp.on_stay_elapsed
            }
            Self::Trickle(_) => ONE_TRIAL.on_stay_elapsed,
        }
    }

    /// The trials that decide while half-open, unless a ramp does.
    pub(crate) const fn trials(&self) -> Option<&Trials> {
        match self {
            Self::Trials(trials) => Some(trials),
            Self::Ramp(_) | Self::Trickle(Trickle { ramp: Some(_), .. }) => None,
            Self::Trickle(_) => Some(ONE_TRIAL),
        }
    }

    /// The ramp that is climbed while half-open, unless trials decide.
    pub(crate) const fn ramp(&self) -> Option<&Ramp> {
        match self {
            Self::Ramp(ramp) | Self::Trickle(Trickle { ramp: Some(ramp), .. }) => Some(ramp),
            Self::Trials(_) | Self::Trickle(_) => None,
        }
    }

    /// The probes that pass while open, if any do.
    pub(crate) const fn trickle(&self) -> Option<&Trickle> {
        match self {
            Self::Trickle(trickle) => Some(trickle),
            Self::Trials(_) | Self::Ramp(_) => None,
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

pub(super) const MAX_CALLS: u32 = 10_000;
pub(super) const MAX_STAY: Duration = Duration::from_secs(60);

/// What decides where an operator makes a circuit half-open that knows probes only.
const ONE_TRIAL: &Trials = &Trials::new(1);

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
