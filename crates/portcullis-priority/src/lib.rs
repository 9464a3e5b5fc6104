#![doc = include_str!("../README.md")]
#![allow(dead_code, reason = "under construction")]

mod codel;
mod config;
mod limit;
mod planted;
mod queue;
mod throttle;

pub use breaker_core::{self, Class, Priority, Rejected};
pub use codel::Codel;
pub use config::{ConcurrencyLimit, Discipline, Displace, QueueConfig};
pub use limit::{
    Aimd, DeadlineAimd, Gradient2, Limit, LimitAlgorithm, Sample, ServiceTime, Vegas, Verdict,
};
pub use portcullis_http::{self, BoxError, BoxErrors};
pub use throttle::Throttle;
