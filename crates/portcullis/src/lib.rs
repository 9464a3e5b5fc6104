#![doc = include_str!("../README.md")]

pub use breaker_core;
#[cfg(feature = "tokio")]
pub use breaker_core::TokioClock;
pub use breaker_core::{
    About, Advice, AsError, Budget, BudgetMark, BudgetSnapshot, CallError, Cause, Chance, Change,
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakers, Class, Classify, Clock, Condition,
    ConfigError, ConfigErrors, CountAs, Counted, Cusum, Deadline, DependencyGate,
    ErrorsAreFailures, Event, EventKind, Events, FailureKind, GateVerdict, IllegalTransition,
    Interest, Jitter, Key, ManualClock, MonotonicClock, Name, Next, Observe, OnDrop, OnRelapse,
    OnStayElapsed, Order, Outcome, OutcomeFn, Override, Pace, Percent, Permit, Prioritize,
    Priority, Quota, Ramp, RampSpeed, Reason, Recovery, RecoveryEstimate, RecoveryInterval, Refuse,
    Rejected, Replay, RetryBudget, RetryPath, Saved, Snapshot, State, Strategy, StrategyKind,
    Tally, Tick, Totals, Transition, Trials, Trickle, Trip, Tuner, Tuning, Value, Verb, Why,
    Window,
};
#[cfg(feature = "tracing")]
pub use breaker_core::{Spans, TracingObserver};
pub use portcullis_backoff;
#[cfg(feature = "tower")]
pub use portcullis_backoff::TowerBackoff;
pub use portcullis_backoff::{
    Backoff, BackoffConfig, BackoffFigures, BackoffLayer, BackoffService, Backoffs, DelayKind,
    Delays, Pattern, PatternDetector,
};
pub use portcullis_breaker;
pub use portcullis_breaker::{
    BodyEndLayer, BodyEndService, CircuitBreakerLayer, CircuitBreakerService,
};
pub use portcullis_http;
pub use portcullis_http::{
    Auto, BoxError, BoxErrors, CarryDeadlineLayer, CarryDeadlineService, CarryPriorityLayer,
    CarryPriorityService, ErrorChain, Grpc, GrpcStatus, Http, HttpOrGrpc, JudgedBody, ProblemJson,
    RateLimitHeaders, RetryMarksLayer, RetryMarksService, deadline, keep_refusal, key, priority,
    refusal_of, replay,
};
pub use portcullis_priority;
pub use portcullis_priority::{
    Call, Codel, ConcurrencyLayer, ConcurrencyLimit, Discipline, Displace, Limit, LimitAlgorithm,
    PriorityQueue, PriorityQueueLayer, PriorityQueueService, QueueConfig, Sample, Slot, Verdict,
    Wait,
};
pub use portcullis_ratelimit;
#[cfg(feature = "tokio")]
pub use portcullis_ratelimit::{Acquire, RateLimitWaitLayer, RateLimitWaitService};
pub use portcullis_ratelimit::{
    Adjust, Grant, Rate, RateLimit, RateLimitLayer, RateLimitService, RateLimiter, RateLimiters,
    ResourceProbe, SystemProbe, Throttle, Usage, limiter::Algorithm,
};
#[cfg(feature = "redis")]
pub use portcullis_ratelimit::{OnStoreFailure, RedisLimit, RedisLimiter};
pub use portcullis_timeout;
pub use portcullis_timeout::{
    AdaptiveTimeout, AdaptiveTimeoutLayer, AdaptiveTimeoutService, AdaptiveTimeouts, Hedge,
    HedgeConfig, HedgeLayer, HedgeService, HedgeSnapshot, TimeoutConfig, TimeoutStrategy, Timing,
};
