//! Rate limits as a Tower layer.

pub mod limiter;
mod rate;
mod terms;

pub use rate::Rate;
pub use terms::{Meter, Terms};
