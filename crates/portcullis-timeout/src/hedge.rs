//! A second attempt for calls that take long: [`HedgeLayer`].

mod attempt;
mod beside;
mod config;
mod future;
mod handle;
mod layer;
mod rule;
mod service;
mod snapshot;
mod watch;

pub use config::HedgeConfig;
pub use future::HedgeFuture;
pub use handle::Hedge;
pub use layer::HedgeLayer;
pub use service::HedgeService;
pub use snapshot::HedgeSnapshot;
