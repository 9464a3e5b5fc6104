#![doc = include_str!("../README.md")]

pub use breaker_core as core;
#[cfg(feature = "tokio")]
pub use breaker_core::TokioClock;
pub use breaker_core::{
    AsError, CallError, Chance, CircuitBreaker, CircuitBreakerConfig, CircuitBreakers, Classify,
    Clock, ConfigError, ConfigErrors, CountAs, Counted, DependencyGate, ErrorsAreFailures, Event,
    EventKind, Events, FailureKind, GateVerdict, Interest, Jitter, Key, ManualClock,
    MonotonicClock, Name, Observe, OnDrop, OnRelapse, OnStayElapsed, Outcome, Override, Pace,
    PanicGuard, Percent, Permit, Ramp, RampSpeed, Reason, Recovery, Refuse, Rejected, Snapshot,
    State, Strategy, StrategyKind, Tick, Transition, Trials, Trip, Window,
};
#[cfg(feature = "tracing")]
pub use breaker_core::{Spans, TracingObserver};
pub use portcullis_breaker as breaker;
pub use portcullis_breaker::{
    BodyEndLayer, BodyEndService, CircuitBreakerLayer, CircuitBreakerService,
};
pub use portcullis_http as http;
pub use portcullis_http::{
    Auto, BoxError, BoxErrors, ErrorChain, Grpc, GrpcStatus, Http, HttpOrGrpc, JudgedBody,
    ProblemJson, keep_refusal, key, refusal_of,
};
