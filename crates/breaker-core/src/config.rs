//! The configuration of a circuit: plain data whose leaves cannot be wrong.

mod cusum;
mod errors;
mod profile;
mod ramp;
mod recovery;
mod shares;
mod spec;
mod trickle;
mod trip;
mod tuner;
mod value;

use std::time::Duration;

use crate::name::Name;
use crate::outcome::{CountAs, Counted, FailureKind};
use crate::pace::Pace;
use crate::percent::Percent;

pub use cusum::Cusum;
pub use errors::{ConfigError, ConfigErrors};
pub use profile::StrategyKind;
pub(crate) use ramp::RampForm;
pub use ramp::{OnRelapse, Ramp, RampSpeed};
pub(crate) use recovery::Verdict;
pub use recovery::{OnStayElapsed, Recovery, Trials};
pub use spec::ConfigReader;
pub use trickle::Trickle;
pub(crate) use trip::{Span, TripOn, WindowRule};
pub use trip::{Trip, Window};
pub use tuner::Tuner;
pub use value::Value;

/// What a circuit does, in numbers: when it opens, for how long, and how it closes again.
///
/// A config is `Copy`, its setters are `const`, and its leaves refuse wrong values: in a constant
/// a wrong value does not compile. Values that come from outside go through
/// [`CircuitBreakerConfig::from_value`] (or `serde`), which finds all problems at once.
///
/// ```
/// use breaker_core::{CircuitBreakerConfig, Percent, Trip, Window};
/// use std::time::Duration;
///
/// const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new()
///     .named("payments")
///     .trip(Trip::failure_rate(Percent::new(50), Window::last(20).min_calls(10)))
///     .open_for(Duration::from_secs(5))
///     .permitted_calls(3);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct CircuitBreakerConfig {
    pub(crate) name: Name,
    pub(crate) strategy: StrategyKind,
    pub(crate) trip: Trip,
    pub(crate) tuner: Tuner,
    pub(crate) slow_call_duration: Duration,
    pub(crate) open_period: Pace,
    pub(crate) recovery: Recovery,
    pub(crate) on_drop: OnDrop,
    pub(crate) enforce: Percent,
    pub(crate) open_refusal_share: Percent,
    pub(crate) count_as: CountAs,
    pub(crate) totals: bool,
    pub(crate) outage_history: u16,
}

/// What a call says that was dropped before it ended.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum OnDrop {
    /// Dropped at or after `slow_call_duration` it is a timeout, before it says nothing.
    #[default]
    SlowIsFailure,
    /// It says nothing.
    Neutral,
    /// It is a timeout.
    Failure,
}

impl CircuitBreakerConfig {
    /// The core profile: opens after 5 consecutive failures, for 60 s (doubling to 5 minutes,
    /// with equal jitter, so that the first time is 30 s to 60 s), and closes after 3 good trials.
    pub const fn new() -> Self {
        Self {
            name: Name::new("circuit"),
            strategy: StrategyKind::Basic,
            trip: Trip::consecutive(5),
            tuner: Tuner::Off,
            slow_call_duration: Duration::from_secs(10),
            open_period: Pace::exponential(Duration::from_secs(60)),
            recovery: Recovery::Trials(Trials::new(3)),
            on_drop: OnDrop::SlowIsFailure,
            enforce: Percent::FULL,
            open_refusal_share: Percent::FULL,
            count_as: CountAs::new(),
            totals: false,
            outage_history: 16,
        }
    }

    /// The name of the circuit, in refusals, events and metrics; default `circuit`.
    ///
    /// # Panics
    /// When the name is empty or longer than 63 bytes.
    pub const fn named(mut self, name: &str) -> Self {
        self.name = Name::new(name);
        self
    }

    /// Takes trip conditions and recovery from a strategy of the family, and from the adaptive one
    /// the tuner; default [`StrategyKind::Basic`].
    pub const fn strategy(mut self, kind: StrategyKind) -> Self {
        self.tuner = self.tuner.under(self.strategy, kind);
        self.strategy = kind;
        self.trip = kind.trip();
        self.recovery = kind.recovery();
        self
    }

    /// When the circuit opens; default 5 consecutive failures.
    pub const fn trip(mut self, trip: Trip) -> Self {
        self.trip = trip;
        self
    }

    /// Whether the threshold of the failure rate follows what is usual; default [`Tuner::Off`].
    /// Without a failure rate there is nothing to tune.
    pub const fn tuner(mut self, tuner: Tuner) -> Self {
        self.tuner = tuner;
        self
    }

    /// From which duration a call is slow; default 10 s.
    ///
    /// # Panics
    /// When `duration` is zero.
    pub const fn slow_call_duration(mut self, duration: Duration) -> Self {
        assert!(!duration.is_zero(), "slow_call_duration is above zero");
        self.slow_call_duration = duration;
        self
    }

    /// How long the circuit stays open at first: the default pace (doubling up to five minutes)
    /// from another base. Its equal jitter shortens each period by up to a half.
    ///
    /// # Panics
    /// When `base` lies outside 1 ms..=1 day.
    pub const fn open_for(self, base: Duration) -> Self {
        self.open_period(Pace::exponential(base))
    }

    /// How long the circuit stays open, opening by opening; default 60 s, doubling up to five
    /// minutes, with equal jitter. [`Recovery::Trickle`] uses its cap only.
    pub const fn open_period(mut self, pace: Pace) -> Self {
        self.open_period = pace;
        self
    }

    /// How the circuit recovers; default 3 trials that must all succeed.
    ///
    /// # Panics
    /// When a step of a ramp has to last at least as long as it may last at most.
    pub const fn recovery(mut self, recovery: Recovery) -> Self {
        if let Some(ramp) = recovery.ramp() {
            assert!(ramp.has_time(), "min_step_time is below max_half_open_stay");
        }
        self.recovery = recovery;
        self
    }

    /// Recovers by this many trials, which must all succeed.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=10,000.
    pub const fn permitted_calls(self, calls: u32) -> Self {
        self.recovery(Recovery::Trials(Trials::new(calls)))
    }

    /// What a dropped call says; default [`OnDrop::SlowIsFailure`].
    pub const fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// The share of refusals that are enforced; the rest is admitted and only counted. Default
    /// 100 %; 0 % watches without touching traffic.
    pub const fn enforce(mut self, share: Percent) -> Self {
        self.enforce = share;
        self
    }

    /// The share of calls that are refused while open; the rest passes, is counted in the
    /// totals, and does not move the state. Default 100 %.
    pub const fn open_refusal_share(mut self, share: Percent) -> Self {
        self.open_refusal_share = share;
        self
    }

    /// How failures of this kind count; defaults: see [`CountAs`].
    pub const fn count_as(mut self, kind: FailureKind, counted: Counted) -> Self {
        self.count_as = self.count_as.with(kind, counted);
        self
    }

    /// Whether each success is counted in the totals although neither a time window nor an
    /// observer needs it; default no.
    pub const fn totals(mut self, totals: bool) -> Self {
        self.totals = totals;
        self
    }

    /// From how many past outages the next recovery is estimated; default 16. Each takes four
    /// bytes, from its end on.
    ///
    /// # Panics
    /// When `outages` lies outside 3..=256.
    pub const fn outage_history(mut self, outages: u16) -> Self {
        assert!(outages >= 3 && outages <= 256, "outage_history lies in 3..=256");
        self.outage_history = outages;
        self
    }

    /// The name of the circuit.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The strategy of the family that this configuration follows.
    #[must_use]
    pub const fn strategy_kind(&self) -> StrategyKind {
        self.strategy
    }

    /// Whether each success is counted: by request, or because the evidence never comes to rest.
    pub(crate) fn counts_successes(&self) -> bool {
        self.totals || self.trip.judges_by_time()
    }

    /// Whether durations of calls are evidence.
    pub(crate) fn judges_slow_calls(&self) -> bool {
        let by_trials = self.recovery.trials().is_some_and(Trials::judges_slow_calls);
        by_trials || self.trip.judges_slow_calls()
    }

    /// Whether evidence, or the tuner, needs to know when a call ended.
    pub(crate) fn judges_by_time(&self) -> bool {
        self.trip.judges_by_time() || self.tuned().is_some()
    }
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self::new()
    }
}
