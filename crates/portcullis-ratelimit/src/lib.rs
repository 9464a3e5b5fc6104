//! Rate limits as a Tower layer.

mod adjust;
mod controller;
pub mod limiter;
mod probe;
mod rate;
mod terms;

pub use adjust::Adjust;
pub use controller::{RateChange, RateController};
pub use probe::{ResourceGauge, ResourceProbe, SystemProbe, Throttle, Usage, effective_rate};
pub use rate::Rate;
pub use terms::{Meter, Terms};
