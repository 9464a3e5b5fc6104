//! The cases of other crates, each configured as near to ours as it can be.
//!
//! Versions are pinned: what is said of a crate is said of the version that was run.

mod bulkheads;
mod cases;
mod limits;
mod retries;
pub mod tower_resilience;

pub use cases::{Functional, peers};
