//! Rate limits as a Tower layer.

pub mod limiter;
mod rate;
#[cfg(feature = "redis")]
pub mod redis;
mod terms;

#[cfg(feature = "redis")]
pub use self::redis::{OnStoreFailure, RedisLimit, RedisLimiter};
pub use rate::Rate;
pub use terms::{Meter, Terms};
