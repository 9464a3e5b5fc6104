//! Who is told what happens: [`Observe`], [`Event`].

use std::any::Any;
use std::fmt;
use std::ops::BitOr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Tick;
use crate::explain::RampPhase;
use crate::machine::Adjustment;
use crate::name::Name;
use crate::outcome::{Counted, FailureKind, Outcome};
use crate::percent::Percent;
use crate::priority::Priority;
use crate::rejected::Rejected;
use crate::state::{State, Transition};

/// Is told what happens to a circuit, after all locks have been let go.
///
/// `()` observes nothing. An observer that panics harms neither the circuit nor other observers;
/// the panic goes on in the call that caused the event.
///
/// Where there is an observer, whatever it is interested in, every call takes the circuit's lock,
/// on arrival and at its end. Who wants changes only can
/// [`subscribe`](crate::CircuitBreaker::subscribe) to them, which costs calls nothing.
pub trait Observe: Send + Sync {
    /// What it wants to hear; asked for every event, so that it can change at any time. Nothing
    /// is built for events that nobody wants.
    fn interest(&self) -> Interest {
        Interest::CHANGES | Interest::REFUSALS | Interest::CALLS
    }

    /// Something happened.
    fn event(&self, event: &Event<'_>) {
        let _ = event;
    }
}

impl Observe for () {
    fn interest(&self) -> Interest {
        Interest::NOTHING
    }
}

impl<O: Observe + ?Sized> Observe for Arc<O> {
    fn interest(&self) -> Interest {
        (**self).interest()
    }

    fn event(&self, event: &Event<'_>) {
        (**self).event(event);
    }
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Interest(u8);

impl Interest {
    /// None.
    pub const NOTHING: Self = Self(0);

    /// Changes of state, of the admitted share, of thresholds, strategy and configuration.
    pub const CHANGES: Self = Self(1);

    /// Refusals.
    pub const REFUSALS: Self = Self(2);

    /// Calls that ended.
    pub const CALLS: Self = Self(4);

    /// Each question for admission and each update of the state, for spans.
    pub const STEPS: Self = Self(8);

    /// Whether one of the kinds in `other` is among these.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Something that happened to a circuit.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "layers make their own")]
pub struct Event<'a> {
    /// The name of the circuit or limit.
    pub circuit: &'a Name,
    /// The key of the circuit, where there is one per key; limits do not tell their keys.
    pub partition: Option<&'a Name>,
    /// When, on the circuit's clock.
    pub at: Tick,
    /// What.
    pub kind: &'a EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The state changed.
    StateChanged {
        /// From what to what, and why.
        transition: Transition,
        /// The reason that an operator gave.
        order: Option<Arc<str>>,
    },
    /// A recovery by ramp began.
    RampStarted {
        /// The admitted share.
        share: Percent,
    },
    /// The admitted share grew.
    RampStep {
        /// The share before.
        from: Percent,
        /// The share after.
        to: Percent,
        /// How far the ramp has come.
        phase: RampPhase,
    },
    /// The admitted share shrank.
    RampRelapsed {
        /// The share before.
        from: Percent,
        /// The share after.
        to: Percent,
    },
    /// Another strategy decides from now on.
    StrategySwapped {
        /// Its name.
        to: &'static str,
    },
    /// The strategy in force panicked; the configuration's own has replaced it.
    StrategyPanicked,
    /// The tuner would move the threshold of the failure rate.
    ThresholdSuggested {
        /// Where it has the threshold before.
        from: Percent,
        /// Where it has it after.
        to: Percent,
        /// The failure rate that is usual.
        baseline: Percent,
    },
    /// The tuner has moved the threshold of the failure rate.
    ThresholdChanged {
        /// The threshold before.
        from: Percent,
        /// The threshold after.
        to: Percent,
        /// The failure rate that is usual.
        baseline: Percent,
    },
    /// The rate of a limit has moved by itself.
    RateChanged {
        /// The rate before, in calls per second.
        from: f64,
        /// The rate after, in calls per second.
        to: f64,
        /// The share of failed calls, in 0..=1, in the last period that was judged; zero where none
        /// was, or where something else moved the rate.
        error_rate: f64,
    },
    /// A limit of calls in flight has moved.
    LimitChanged {
        /// The calls that were let run at a time.
        from: u32,
        /// The calls that are let run at a time from now on.
        to: u32,
    },
    /// Calls below another priority than before are refused.
    MinimumChanged {
        /// The least priority that was admitted.
        from: Priority,
        /// The least priority that is admitted from now on.
        to: Priority,
    },
    /// A call waits for a slot.
    Queued {
        /// How important it is.
        priority: Priority,
        /// How many wait, with it.
        depth: u32,
    },
    /// A call has got a slot.
    Started {
        /// How important it is.
        priority: Priority,
        /// How long it waited.
        waited: Duration,
        /// How many calls run, with it.
        running: u32,
        /// How many wait still.
        depth: u32,
    },
    /// A call has given its slot back.
    Finished {
        /// How important it was.
        priority: Priority,
        /// How many calls run still.
        running: u32,
    },
    /// A call failed, and is to be repeated.
    Retried {
        /// The number of the attempt that failed; the first is 1.
        attempt: u32,
        /// How it failed.
        kind: FailureKind,
        /// How long it waits before the next one.
        delay: Duration,
    },
    /// A call failed, and is not repeated.
    NotRetried {
        /// The number of the attempt that failed; the first is 1.
        attempt: u32,
        /// How it failed.
        kind: FailureKind,
        /// Why it is not.
        why: &'static str,
    },
    /// Further attempts at a callee are held back.
    BackedOff {
        /// For how long.
        delay: Duration,
    },
    /// Failures come back at regular intervals.
    PatternFound {
        /// After so many attempts they do.
        period: u32,
        /// After so long.
        interval: Duration,
    },
    /// A second attempt was sent beside the first, which had not been answered.
    Hedged {
        /// After how long.
        after: Duration,
    },
    /// A timeout has moved.
    TimeoutChanged {
        /// The timeout before.
        from: Duration,
        /// The timeout from now on.
        to: Duration,
    },
    /// Another configuration is in force.
    Reconfigured {
        /// Its number.
        version: u64,
    },
    /// A call was refused.
    Refused(Rejected),
    /// A call ended.
    Settled {
        /// How.
        outcome: Outcome,
        /// What that counted as.
        counted: Counted,
        /// How long it took; zero where it was ready at once.
        duration: Duration,
        /// Whether it was slow.
        slow: bool,
        /// Whether it belonged to an older generation, and so decided nothing.
        late: bool,
    },
    /// A call was dropped, and that says nothing.
    Cancelled {
        /// After how long.
        elapsed: Duration,
    },
    /// Somebody asked for admission.
    Checked {
        /// The state.
        state: State,
        /// Failures in the evidence.
        failures: u32,
        /// How long ago a call last failed.
        since_failure: Option<Duration>,
        /// Trials that are out.
        trials_in_flight: u32,
        /// The answer.
        admitted: bool,
    },
    /// An outcome was taken in.
    Updated {
        /// The state before.
        from: State,
        /// The state after.
        to: State,
        /// Failures in the evidence before.
        failures_before: u32,
        /// Failures in the evidence after.
        failures_after: u32,
        /// Trials that are out.
        trials_in_flight: u32,
    },
}

impl EventKind {
    /// What is told of a step of the tuner.
    pub(crate) const fn of_adjustment(step: &Adjustment) -> Self {
        let Adjustment { from, to, baseline, .. } = *step;
        if step.applied {
            Self::ThresholdChanged { from, to, baseline }
        } else {
            Self::ThresholdSuggested { from, to, baseline }
        }
    }

    /// The kind of event that this is.
    #[must_use]
    pub const fn interest(&self) -> Interest {
        match self {
            Self::Refused(_) => Interest::REFUSALS,
            Self::Settled { .. }
            | Self::Cancelled { .. }
            | Self::Queued { .. }
            | Self::Started { .. }
            | Self::Finished { .. }
            | Self::Retried { .. }
            | Self::NotRetried { .. }
            | Self::Hedged { .. } => Interest::CALLS,
            Self::Checked { .. } | Self::Updated { .. } => Interest::STEPS,
            _ => Interest::CHANGES,
        }
    }
}

/// A list of observers that is replaced as a whole: what a layer of the family tells its events.
#[derive(Clone, Default)]
pub struct Observers(Arc<[Arc<dyn Observe>]>);

impl Observers {
    /// The same list, and one more.
    #[must_use]
    pub fn and(&self, one_more: Arc<dyn Observe>) -> Self {
        Self(self.0.iter().cloned().chain([one_more]).collect())
    }

    /// What any of them wants to hear. One that panics here does so again when it is told.
    #[must_use]
    pub fn interest(&self) -> Interest {
        self.0.iter().fold(Interest::NOTHING, |all, observer| {
            let asked = catch_unwind(AssertUnwindSafe(|| observer.interest()));
            all | asked.unwrap_or(Interest::NOTHING)
        })
    }

    /// Tells all of them, with no lock taken.
    ///
    /// # Errors
    /// The first panic of an observer, once everybody has been told.
    pub fn tell(&self, event: &Event<'_>) -> Result<(), Box<dyn Any + Send>> {
        let mut first = Ok(());
        for observer in self.0.iter() {
            let told = catch_unwind(AssertUnwindSafe(|| {
                if observer.interest().includes(event.kind.interest()) {
                    observer.event(event);
                }
            }));
            first = first.and(told);
        }
        first
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}
