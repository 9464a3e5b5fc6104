#![doc = include_str!("../README.md")]

mod config;
mod elsewhere;
mod future;
mod handle;
mod hub;
mod keyed;
mod layer;
mod policy;
mod service;
mod snapshot;
mod sync;
mod target;
mod targets;

pub use breaker_core::{self, Budget, OutcomeFn, RetryBudget};
pub use config::BackoffConfig;
pub use elsewhere::{Elsewhere, Nowhere, To};
pub use future::ResponseFuture;
pub use handle::Backoff;
pub use layer::BackoffLayer;
pub use policy::{Decision, Why};
pub use portcullis_http::{self, BoxError, BoxErrors, replay};
pub use service::BackoffService;
pub use snapshot::Snapshot;
pub use targets::{Budgeted, ForAll, Mark, PerKey, Targets};
