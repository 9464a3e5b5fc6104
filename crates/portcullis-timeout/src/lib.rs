#![doc = include_str!("../README.md")]

mod config;
#[allow(dead_code)]
mod estimator;
mod histogram;

pub use config::{TimeoutConfig, TimeoutStrategy};
pub use estimator::Adjustment;
