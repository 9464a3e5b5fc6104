//! Rate limits as a Tower layer.

mod adjust;
mod controller;
pub mod limiter;
mod rate;
mod terms;

pub use adjust::Adjust;
pub use controller::{RateChange, RateController};
pub use rate::Rate;
pub use terms::{Meter, Terms};
