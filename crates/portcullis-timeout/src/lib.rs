#![doc = include_str!("../README.md")]

mod config;
#[allow(dead_code)]
mod estimator;
mod hedge;
mod histogram;

pub use config::{TimeoutConfig, TimeoutStrategy};
pub use estimator::Adjustment;
pub use hedge::{Hedge, HedgeConfig, HedgeFuture, HedgeLayer, HedgeService, HedgeSnapshot};
