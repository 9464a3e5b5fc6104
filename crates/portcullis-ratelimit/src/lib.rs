#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "what only calls that wait need"))]

#[cfg(feature = "tokio")]
mod acquire;
mod adjust;
mod call;
mod config;
mod controller;
mod desk;
mod future;
mod grant;
mod hub;
mod keyed;
mod layer;
mod lent;
pub mod limiter;
mod limits;
mod line;
#[cfg(all(test, loom))]
mod models;
mod planted;
#[cfg(all(test, not(loom)))]
mod proofs;
mod rate;
#[cfg(feature = "redis")]
pub mod redis;
mod seat;
mod service;
mod single;
mod snapshot;
mod sync;
mod terms;
mod throttle;
#[cfg(feature = "tokio")]
mod wait;

#[cfg(feature = "tokio")]
pub use acquire::Acquire;
pub use adjust::Adjust;
pub use breaker_core::{
    self, OutcomeFn, Rejected, ResourceGauge, ResourceProbe, SystemProbe, Usage,
};
pub use config::RateLimit;
pub use controller::{RateChange, RateController};
pub use future::ResponseFuture;
pub use grant::{Admission, Grant};
pub use keyed::RateLimiters;
pub use layer::RateLimitLayer;
pub use limiter::Algorithm;
#[cfg(feature = "tokio")]
pub use limits::Lines;
pub use limits::{Costed, ForAll, Handled, Limits, PerKey, Watched};
pub use portcullis_http::{self, BoxError, BoxErrors, RateLimitHeaders, key};
pub use rate::Rate;
#[cfg(feature = "redis")]
pub use redis::{OnStoreFailure, RedisLimit, RedisLimiter};
pub use service::RateLimitService;
pub use single::RateLimiter;
pub use snapshot::Snapshot;
pub use terms::{Meter, Terms};
pub use throttle::{Throttle, effective_rate};
#[cfg(feature = "tokio")]
pub use wait::{RateLimitWaitLayer, RateLimitWaitService, WaitFuture};
