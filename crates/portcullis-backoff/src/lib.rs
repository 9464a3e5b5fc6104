#![doc = include_str!("../README.md")]

mod backoffs;
mod config;
mod delays;
mod elsewhere;
mod future;
mod handle;
mod hub;
mod keyed;
mod layer;
mod pattern;
mod policy;
mod record;
mod selector;
mod service;
mod snapshot;
mod sync;
mod target;
mod targets;
#[cfg(feature = "tower")]
mod tower_backoff;

pub use backoffs::{BackoffFigures, Backoffs};
pub use breaker_core::{self, Budget, OutcomeFn, RetryBudget};
pub use config::BackoffConfig;
pub use delays::{DelayKind, Delays};
pub use elsewhere::{Elsewhere, Nowhere, To};
pub use future::ResponseFuture;
pub use handle::Backoff;
pub use layer::BackoffLayer;
pub use pattern::{Pattern, PatternDetector};
pub use policy::{Decision, Why};
pub use portcullis_http::{self, BoxError, BoxErrors, replay};
pub use service::BackoffService;
pub use snapshot::Snapshot;
pub use targets::{Budgeted, ForAll, Mark, PerKey, Targets};
#[cfg(feature = "tower")]
pub use tower_backoff::TowerBackoff;
