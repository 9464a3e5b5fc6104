#![doc = include_str!("../README.md")]

mod anchor;
mod breaker;
mod budget;
mod call;
mod clock;
mod config;
mod deadline;
mod events;
mod explain;
mod key;
mod keyed;
pub mod machine;
mod name;
mod observe;
mod outcome;
mod pace;
mod percent;
mod planted;
mod priority;
mod probe;
#[cfg(test)]
mod proofs;
mod quota;
mod rejected;
mod replay;
mod retry_path;
mod scope;
mod slot;
mod state;
mod strategy;
mod sync;
#[cfg(feature = "tracing")]
mod tracing;
mod window;

pub use anchor::{Anchor, Anchored, Seldom};
pub use breaker::{CircuitBreaker, Permit};
pub use budget::{Budget, BudgetMark, BudgetSnapshot, RetryBudget};
pub use call::CallError;
#[cfg(feature = "tokio")]
pub use clock::TokioClock;
pub use clock::{Clock, ManualClock, MonotonicClock, Tick};
pub use config::{
    CircuitBreakerConfig, ConfigError, ConfigErrors, ConfigReader, Cusum, OnDrop, OnRelapse,
    OnStayElapsed, Ramp, RampSpeed, Recovery, StrategyKind, Trials, Trickle, Trip, Tuner, Value,
    Window,
};
pub use deadline::Deadline;
pub use events::{Change, Events, Next};
pub use explain::{Order, RampPhase, RecoveryEstimate, RecoveryInterval, Snapshot, Tuning};
pub use key::Key;
pub use keyed::CircuitBreakers;
pub use machine::{IllegalTransition, Override, Saved};
pub use name::{InvalidName, Name};
pub use observe::{Event, EventKind, Interest, Observe, Observers};
pub use outcome::{
    Advice, Classify, CountAs, Counted, ErrorsAreFailures, FailureKind, Outcome, OutcomeFn,
};
pub use pace::{Chance, Jitter, Pace};
pub use percent::Percent;
pub use priority::{Class, InvalidPriority, Prioritize, Priority};
pub use probe::{ResourceGauge, ResourceProbe, SystemProbe, Usage};
pub use quota::Quota;
pub use rejected::{AsError, Cause, Condition, Expire, Reason, Refuse, Rejected};
pub use replay::{About, Cloned, Replay, Verb};
pub use retry_path::RetryPath;
pub use state::{State, Totals, Transition, Transitions, Why};
pub use strategy::{DependencyGate, GateVerdict, Strategy};
#[cfg(feature = "tracing")]
pub use tracing::{Spans, TracingObserver};
pub use window::Tally;
