#![doc = include_str!("../README.md")]

mod body_end;
mod circuits;
mod future;
mod layer;
mod service;

pub use body_end::{BodyEndFuture, BodyEndLayer, BodyEndService, PermitJudge};
pub use breaker_core::{self, CircuitBreaker, CircuitBreakerConfig};
pub use circuits::{Circuits, Keyed, Single};
pub use future::ResponseFuture;
pub use layer::CircuitBreakerLayer;
pub use portcullis_http::{self, BoxError, BoxErrors};
pub use service::CircuitBreakerService;
