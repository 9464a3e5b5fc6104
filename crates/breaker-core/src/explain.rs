//! What a circuit knows about itself: [`Snapshot`] in figures, [`Snapshot::explain`] in a sentence.

mod learnt;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Tick;
use crate::config::{CircuitBreakerConfig, Ramp, RampForm, Trip, TripOn};
use crate::machine::Saved;
use crate::name::Name;
use crate::percent::Percent;
use crate::rejected::Cause;
use crate::state::{State, Totals};
use crate::window::Tally;

pub use learnt::{RecoveryEstimate, RecoveryInterval, Tuning};

/// All figures of a circuit at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The name of the circuit.
    pub name: Name,
    /// The key of the circuit, where there is one per key.
    pub partition: Option<Name>,
    /// The state.
    pub state: State,
    /// The state that the circuit would be in without the operator's order.
    pub shadow: Option<State>,
    /// The operator's order that is in force.
    pub order: Option<Order>,
    /// Grows by one at every change of state, and at every reset.
    pub generation: u64,
    /// How long the present state lasts.
    pub in_state: Duration,
    /// How long each state has lasted in all, in the order of [`State::ALL`].
    pub time_in_state: [Duration; State::COUNT],
    /// The counts of the evidence in force: of the trials when half-open, of the window
    /// otherwise, or of the running count where there is no window. While open, what opened it.
    pub tally: Tally,
    /// The counts of each trip condition, in their order.
    pub(crate) tallies: [Tally; Trip::MAX_CONDITIONS],
    /// The name of the strategy of the user's that decides, where one does.
    pub strategy: Option<&'static str>,
    /// Whether a dependency gate is asked before each admission.
    pub gated: bool,
    /// Failures by calls in that evidence; `None` before the first call.
    pub failure_rate: Option<f64>,
    /// Slow calls by calls in that evidence; `None` before the first call.
    pub slow_rate: Option<f64>,
    /// The failure rate of the newer half of the (first) window less that of its older half, in
    /// -1.0..=1.0: above zero, things get worse. The halves are of the calls that a count window
    /// holds, or of the period; the middle call or bucket of an odd number is in neither. `None`
    /// without a window, below its `min_calls`, where a half is empty, and while not closed.
    pub trend: Option<f64>,
    pub(crate) trends: [Option<f64>; Trip::MAX_CONDITIONS],
    /// The moving average of successes, where one is kept.
    pub success_average: Option<f64>,
    pub(crate) averages: [Option<f64>; Trip::MAX_CONDITIONS],
    /// The score of the failures as a share of its threshold, where a
    /// [`Cusum`](crate::Cusum) is kept: 0.0 while all is well, above 1.0 the circuit opens.
    pub failure_score: Option<f64>,
    pub(crate) scores: [Option<f64>; Trip::MAX_CONDITIONS],
    /// How long ago the failures began of which that score tells: when the first of them ended.
    /// `None` while it is zero, and before the first failure after a recovery.
    pub since_onset: Option<Duration>,
    /// Failures in a row, where they are counted.
    pub consecutive_failures: Option<u32>,
    /// Openings since the circuit was last closed.
    pub consecutive_openings: u32,
    /// What opened the circuit, as long as it is not closed.
    pub cause: Option<Cause>,
    /// What is left of the open period, or until the next probe is due.
    pub remaining: Option<Duration>,
    /// What past outages say about the present one; `None` before three have ended.
    pub recovery: Option<RecoveryEstimate>,
    /// What the tuner of the failure rate does; `None` where it is off or has nothing to tune.
    pub tuning: Option<Tuning>,
    /// How long ago a call last failed.
    pub since_failure: Option<Duration>,
    /// Probes that have failed since the circuit opened.
    pub failed_probes: u32,
    /// Trials or probes that are out.
    pub trials_in_flight: u32,
    /// The admitted share of a recovery by ramp or by a strategy. In a slow start, the limit in
    /// flight as a part of the one at which the circuit closes.
    pub share: Option<Percent>,
    /// The most calls in flight in a slow start.
    pub limit: Option<u32>,
    /// The calls of a ramp's step that have to end well before it is left.
    pub(crate) needed: Option<u32>,
    /// What is left until time raises the share of a ramp; `None` also where it waits for calls.
    pub next_step: Option<Duration>,
    /// The most calls that a count window holds; `None` without one.
    pub window: Option<u32>,
    /// The period of a time window.
    pub window_period: Option<Duration>,
    /// Refusals since the last change of state.
    pub refused_in_state: u64,
    /// What happened since the circuit was made. Each success is counted where a time window, an
    /// observer or `totals(true)` asks for it; elsewhere those that would change nothing may be
    /// missing: see [`Snapshot::successes`].
    pub totals: Totals,
    pub(crate) successes_counted: bool,
    /// Grows by one with every `reconfigure`.
    pub config_version: u64,
    /// The configuration in force.
    pub config: CircuitBreakerConfig,
    /// When this was taken, on the circuit's clock.
    pub at: Tick,
}

/// An operator's order.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Order {
    /// Why it was given.
    pub reason: Arc<str>,
    /// When it ends by itself.
    pub remaining: Option<Duration>,
}

/// How far a recovery by ramp has come.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum RampPhase {
    /// At the base share.
    Initial,
    /// Above it, below half.
    Progressive,
    /// From half on.
    Final,
    /// The circuit is closed.
    Full,
}

impl RampPhase {
    pub(crate) const fn of(share: Percent, base: Percent) -> Self {
        if share.as_basis_points() <= base.as_basis_points() {
            Self::Initial
        } else if share.as_basis_points() < Percent::new(50).as_basis_points() {
            Self::Progressive
        } else {
            Self::Final
        }
    }

    /// The word in events, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Progressive => "progressive",
            Self::Final => "final",
            Self::Full => "full",
        }
    }
}

impl Snapshot {
    /// Calls that ended well since the circuit was made; `None` where nobody asked for each to be
    /// counted. A window of the last calls does not: once it is full of good calls, another one
    /// changes nothing.
    #[must_use]
    pub const fn successes(&self) -> Option<u64> {
        if self.successes_counted { Some(self.totals.successes) } else { None }
    }

    /// How far a recovery by ramp, or by a strategy, has come; full where it ends in a closed
    /// circuit, and `None` where nothing is climbing or nothing ever climbs.
    #[must_use]
    pub fn ramp_phase(&self) -> Option<RampPhase> {
        let ramp = self.config.recovery.ramp();
        let base = ramp.map_or(Percent::ZERO, Ramp::base_percent);
        let full = self.state == State::Closed && (ramp.is_some() || self.strategy.is_some());
        let climbing = self.share.map(|share| RampPhase::of(share, base));
        climbing.or(full.then_some(RampPhase::Full))
    }

    /// As much of this as should survive a restart.
    #[must_use]
    pub fn to_saved(&self) -> Saved {
        let state = match self.state {
            State::Open | State::HalfOpen => self.state,
            _ => State::Closed,
        };
        let remaining = self.remaining.unwrap_or_default();
        Saved { state, openings: self.consecutive_openings, remaining }
    }

    /// One sentence: why the circuit is as it is, and when that changes.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = match self.partition {
            Some(key) => format!("{}[{key}] is ", self.name),
            None => format!("{} is ", self.name),
        };
        // Writing to a String does not fail.
        let _ = match self.state {
            State::Closed => self.explain_closed(&mut text),
            State::Open => self.explain_open(&mut text),
            State::HalfOpen => self.explain_half_open(&mut text),
            State::ForcedOpen | State::ForcedClosed | State::Disabled | State::MetricsOnly => {
                self.explain_order(&mut text)
            }
        };
        if self.gated {
            text.push_str("; a dependency gate is asked before each call");
        }
        if self.config_version > 0 {
            let _ = write!(text, "; configuration v{}", self.config_version);
        }
        text
    }

    fn explain_closed(&self, text: &mut String) -> std::fmt::Result {
        write!(text, "closed")?;
        if let Some(strategy) = self.strategy {
            let Tally { calls, failures, .. } = self.tally;
            return write!(text, ": {failures} of {calls} calls failed; {strategy:?} decides");
        }
        let mut link = ':';
        // The first failure rate is the one that is tuned.
        let mut tuning = self.tuning;
        for (i, condition) in self.config.trip.conditions().enumerate() {
            write!(text, "{link} ")?;
            link = ',';
            let Tally { calls, failures, slow } = self.tallies[i];
            match condition {
                TripOn::Consecutive(threshold) => {
                    write!(text, "{failures} of {threshold} failures in a row")?;
                }
                TripOn::Window(rule) => {
                    match calls {
                        0 => write!(text, "no calls lately")?,
                        _ => write!(text, "{failures} of the last {calls} calls failed")?,
                    }
                    match self.trends[i].filter(|_| calls >= 10) {
                        Some(trend) if trend >= CLEAR_TREND => {
                            write!(text, ", more often of late")?;
                        }
                        Some(trend) if trend <= -CLEAR_TREND => {
                            write!(text, ", less often of late")?;
                        }
                        _ => {}
                    }
                    if let Some(rate) = rule.failure_rate {
                        write!(text, " (opens at ")?;
                        match tuning.take() {
                            Some(tuning) => tuning.explain(text)?,
                            None => write!(text, "{rate}")?,
                        }
                        write!(text, " of at least {})", rule.window.min_calls)?;
                    }
                    if let Some(count) = rule.failure_count {
                        write!(text, " (opens at {count})")?;
                    }
                    if let Some(rate) = rule.slow_rate {
                        write!(text, ", {slow} were slow (opens at {rate})")?;
                    }
                }
                TripOn::Average { threshold, .. } => {
                    let average = self.averages[i].unwrap_or(1.0) * 100.0;
                    write!(text, "successes average {average:.1} % (opens below {threshold})")?;
                }
                TripOn::Score(_) => {
                    let score = self.scores[i].unwrap_or(0.0) * 100.0;
                    write!(text, "failure score {score:.0} % (opens above 100 %)")?;
                    if calls > 0 {
                        write!(text, ", {failures} of {calls} calls failed")?;
                    }
                }
            }
        }
        Ok(())
    }

    fn explain_open(&self, text: &mut String) -> std::fmt::Result {
        write!(text, "open since {}", Rough(self.in_state))?;
        if let Some(cause) = self.cause {
            write!(text, ": {cause}")?;
        }
        if self.consecutive_openings > 1 {
            write!(text, "; opening number {} in a row", self.consecutive_openings)?;
        }
        let wait = self.remaining.unwrap_or_default();
        if self.config.recovery.trickle().is_none() {
            write!(text, "; tries again in {}", Rough(wait))?;
        } else {
            match (self.failed_probes, self.trials_in_flight) {
                (0, 0) => {}
                (failed, out) => write!(text, "; of its probes {failed} failed, {out} are out")?,
            }
            match wait.is_zero() {
                true => write!(text, "; the next call is a probe")?,
                false => write!(text, "; the next probe is due in {}", Rough(wait))?,
            }
        }
        self.recovery.map_or(Ok(()), |recovery| recovery.explain(text))
    }

    fn explain_half_open(&self, text: &mut String) -> std::fmt::Result {
        let Tally { calls, failures, .. } = self.tally;
        write!(text, "half-open since {}: ", Rough(self.in_state))?;
        match self.share {
            Some(_) if self.limit.is_some() => {
                write!(text, "up to {} calls at once are admitted; ", self.limit.unwrap_or(0))?;
            }
            Some(share) => write!(text, "{share} of the calls are admitted; ")?,
            None => write!(text, "{} trial calls are out; ", self.trials_in_flight)?,
        }
        match calls {
            0 => write!(text, "none has ended yet")?,
            _ => write!(text, "{failures} of {calls} that ended failed")?,
        }
        if let Some(strategy) = self.strategy {
            return write!(text, "; {strategy:?} decides");
        }
        match (self.config.recovery.trials(), self.next_step, self.needed) {
            (Some(trials), ..) => {
                write!(text, "; decides after at most {} trial calls", trials.permitted)
            }
            (None, Some(wait), _) => write!(text, "; the next step comes in {}", Rough(wait)),
            (None, None, needed) => self.explain_ramp(needed.unwrap_or_default(), text),
        }
    }

    fn explain_ramp(&self, needed: u32, text: &mut String) -> std::fmt::Result {
        match self.config.recovery.ramp().map(Ramp::form) {
            Some(RampForm::SlowStart { .. }) => write!(text, "; closes after {needed} good calls"),
            Some(RampForm::Power { .. } | RampForm::Exponential { .. }) => {
                write!(text, "; the next step waits for a good call")
            }
            _ => write!(text, "; the next step needs {needed} good calls"),
        }
    }

    fn explain_order(&self, text: &mut String) -> std::fmt::Result {
        let what = match self.state {
            State::ForcedOpen => "forced open",
            State::ForcedClosed => "forced closed",
            State::Disabled => "disabled",
            _ => "only watching",
        };
        write!(text, "{what} since {}", Rough(self.in_state))?;
        let Some(order) = &self.order else { return Ok(()) };
        write!(text, " by an operator ({:?})", order.reason)?;
        if self.state == State::MetricsOnly {
            write!(text, "; it would have refused {} calls", self.totals.would_refuse)?;
        }
        match order.remaining {
            Some(rest) => write!(text, "; ends in {}", Rough(rest)),
            None => write!(text, "; until it is released"),
        }
    }
}

/// From which difference on people are told of a trend: a few calls more or less are none.
const CLEAR_TREND: f64 = 0.25;

/// A duration as a person would say it: no more than three digits that matter.
struct Rough(Duration);

impl std::fmt::Display for Rough {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs_f64();
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..=9 => write!(f, "{seconds:.1} s"),
            10..=599 => write!(f, "{seconds:.0} s"),
            _ => write!(f, "{:.0} min", seconds / 60.0),
        }
    }
}
