//! The words for what a circuit is and how it changes: [`State`], [`Transition`], [`Totals`].

use std::fmt;

use crate::clock::Tick;
use crate::machine::Adjustment;
use crate::percent::Percent;
use crate::rejected::{Cause, Condition};

/// The state of a circuit. Closed lets through, open refuses.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum State {
    /// Calls pass and are watched.
    Closed,
    /// Calls are refused, until the open period is over.
    Open,
    /// Some calls pass, on trial.
    HalfOpen,
    /// An operator has all calls refused.
    ForcedOpen,
    /// An operator has all calls admitted; they are recorded, but nothing trips.
    ForcedClosed,
    /// An operator has switched the circuit off: calls pass, nothing is recorded.
    Disabled,
    /// Calls pass; the circuit runs in shadow and counts what it would have refused.
    MetricsOnly,
}

impl State {
    pub(crate) const COUNT: usize = 7;

    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::ForcedClosed,
        Self::Disabled,
        Self::MetricsOnly,
    ];

    /// The word in events, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A change of state.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why.
    pub why: Why,
    /// Whether this happened in the shadow of [`State::MetricsOnly`], without touching traffic.
    pub shadow: bool,
    /// When it was due; it may have been noticed later.
    pub at: Tick,
    /// The generation that it began.
    pub generation: u64,
    /// What opened the circuit, as long as it is not closed.
    pub cause: Option<Cause>,
}

/// Why a state changed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// A condition opened the circuit.
    Tripped(Condition),
    /// The open period was over.
    OpenPeriodElapsed,
    /// A call that passed on trial while the circuit was open ended well.
    ProbeSucceeded,
    /// The trials were good.
    TrialsSucceeded,
    /// The share had grown to the whole.
    RampCompleted,
    /// The strategy in force closed the circuit.
    Strategy,
    /// The trials took too long, and the configuration says: close.
    StayElapsed,
    /// An operator gave an order.
    Forced,
    /// An operator took an order back.
    Released,
    /// An order had run its time.
    Expired,
    /// An operator began anew.
    Reset,
    /// An operator asked for trials at once.
    AttemptReset,
}

impl Why {
    /// The word in events, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tripped(condition) => condition.as_str(),
            Self::OpenPeriodElapsed => "open_period_elapsed",
            Self::ProbeSucceeded => "probe_succeeded",
            Self::TrialsSucceeded => "trials_succeeded",
            Self::RampCompleted => "ramp_completed",
            Self::Strategy => "strategy",
            Self::StayElapsed => "half_open_stay_elapsed",
            Self::Forced => "forced",
            Self::Released | Self::Expired => "released",
            Self::Reset | Self::AttemptReset => "reset",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The few changes of one step: none, nearly always, and then nothing is allocated.
#[derive(Clone, Debug, Default)]
pub struct Transitions(Vec<Done>);

/// What the machine did by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Done {
    Changed(Transition),
    /// Time moved the admitted share.
    Share {
        from: Percent,
        to: Percent,
    },
    /// The tuner moved the threshold, or would.
    Adjusted(Adjustment),
}

impl Transitions {
    /// No transitions.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The transitions, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Transition> {
        self.0.iter().filter_map(|done| match done {
            Done::Changed(transition) => Some(transition),
            Done::Share { .. } | Done::Adjusted(_) => None,
        })
    }

    /// The admitted shares before and after each change that time made, in order.
    pub fn shares(&self) -> impl Iterator<Item = (Percent, Percent)> {
        self.0.iter().filter_map(|done| match *done {
            Done::Share { from, to } => Some((from, to)),
            Done::Changed(_) | Done::Adjusted(_) => None,
        })
    }

    /// What the tuner did, in order.
    pub fn adjustments(&self) -> impl Iterator<Item = &Adjustment> {
        self.0.iter().filter_map(|done| match done {
            Done::Adjusted(adjustment) => Some(adjustment),
            Done::Changed(_) | Done::Share { .. } => None,
        })
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Done> {
        self.0.iter()
    }

    pub(crate) fn push(&mut self, transition: Transition) {
        self.0.push(Done::Changed(transition));
    }

    pub(crate) fn push_share(&mut self, from: Percent, to: Percent) {
        self.0.push(Done::Share { from, to });
    }

    pub(crate) fn adjust(&mut self, adjustment: Adjustment) {
        self.0.push(Done::Adjusted(adjustment));
    }
}

/// What happened since the circuit was made.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// Calls that ended well; see [`Snapshot::totals`](crate::Snapshot) for when it is counted.
    pub successes: u64,
    /// Calls that counted as failures.
    pub failures: u64,
    /// Calls that said nothing.
    pub ignored: u64,
    /// Calls that were dropped and said nothing.
    pub cancelled: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Calls that passed although the rules refused them.
    pub would_refuse: u64,
    /// Openings in shadow.
    pub would_open: u64,
    /// Of those that ended and were timed: how many were slow. Failures always are timed,
    /// successes where evidence, a strategy or an observer asks for their duration.
    pub slow: u64,
    /// Of those that ended: how many belonged to an older generation.
    pub late: u64,
}
