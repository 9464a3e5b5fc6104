#![doc = include_str!("../README.md")]

mod codel;
mod concurrency;
mod config;
mod desk;
mod enter;
mod future;
mod handle;
mod hold;
mod home;
mod layer;
mod limit;
#[cfg(all(test, loom))]
mod models;
mod planted;
mod pool;
#[cfg(all(test, not(any(loom, shuttle))))]
mod proofs;
mod queue;
#[cfg(all(test, shuttle))]
mod schedules;
mod service;
mod slot;
mod slots;
mod snapshot;
mod sync;
mod throttle;
mod wait;

pub use breaker_core::{self, Class, OutcomeFn, Priority, Rejected};
pub use codel::{Codel, CodelState};
pub use concurrency::ConcurrencyLayer;
pub use config::{ConcurrencyLimit, Discipline, Displace, QueueConfig};
pub use enter::{ByPriority, Enter, Equal, FairBy, Within};
pub use future::ResponseFuture;
pub use handle::{Call, PriorityQueue};
pub use hold::{Hold, ToEndOfBody, ToHead};
pub use layer::PriorityQueueLayer;
pub use limit::{
    Aimd, DeadlineAimd, Gradient2, Limit, LimitAlgorithm, Sample, ServiceTime, Vegas, Verdict,
};
pub use portcullis_http::{self, BoxError, BoxErrors};
pub use service::PriorityQueueService;
pub use slot::Slot;
pub use snapshot::Snapshot;
pub use throttle::Throttle;
pub use wait::Wait;
