#![doc = include_str!("../README.md")]

mod backoffs;
mod config;
mod delays;
mod pattern;
mod record;
mod selector;
#[cfg(feature = "tower")]
mod tower_backoff;

pub use backoffs::{BackoffFigures, Backoffs};
pub use config::BackoffConfig;
pub use delays::{DelayKind, Delays};
pub use pattern::{Pattern, PatternDetector};
#[cfg(feature = "tower")]
pub use tower_backoff::TowerBackoff;
