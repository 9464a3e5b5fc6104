#![doc = include_str!("../README.md")]

mod config;
mod deadlines;
mod estimator;
mod future;
mod handle;
mod hedge;
mod histogram;
mod home;
mod keyed;
mod layer;
mod service;
mod snapshot;
mod timeouts;
mod watch;

pub use breaker_core::{self, Deadline, OutcomeFn, Rejected};
pub use config::{TimeoutConfig, TimeoutStrategy};
pub use deadlines::{FromScope, Remaining};
pub use estimator::Adjustment;
pub use future::ResponseFuture;
pub use handle::AdaptiveTimeout;
pub use hedge::{Hedge, HedgeConfig, HedgeFuture, HedgeLayer, HedgeService, HedgeSnapshot};
pub use keyed::AdaptiveTimeouts;
pub use layer::AdaptiveTimeoutLayer;
pub use portcullis_http::{self, BoxError, BoxErrors};
pub use service::AdaptiveTimeoutService;
pub use snapshot::Snapshot;
pub use timeouts::{ForAll, PerKey, Timeouts};
pub use watch::Timing;
