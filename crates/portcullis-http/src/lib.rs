#![doc = include_str!("../README.md")]

mod advice;
mod announce;
mod answer;
mod base64;
mod box_errors;
mod carry;
mod carry_deadline;
mod classify;
mod date;
pub mod deadline;
mod details;
mod dialect;
mod error;
mod expire;
mod fill;
mod grpc;
mod json;
mod judge;
mod judged_body;
pub mod key;
mod marks;
pub mod priority;
mod rate_limit_headers;
mod refuse;
pub mod replay;
#[cfg(feature = "reqwest-0-13")]
mod reqwest_0_13;
mod retry_after;
mod status;
mod terms;
mod wire;

pub use announce::{Announce, AsRefused};
pub use answer::{keep_refusal, refusal_of};
pub use box_errors::{BoxErrors, BoxErrorsFuture, BoxErrorsService};
pub use carry::{CarryPriorityLayer, CarryPriorityService};
pub use carry_deadline::{CarryDeadlineLayer, CarryDeadlineService};
pub use classify::{ErrorChain, Grpc, Http, HttpOrGrpc};
pub use dialect::Dialect;
pub use error::{Failed, outcome_of_error};
pub use grpc::{outcome_of_grpc, outcome_of_trailers};
pub use judge::{Held, Judge};
pub use judged_body::JudgedBody;
pub use marks::{RetryMarksFuture, RetryMarksLayer, RetryMarksService};
pub use rate_limit_headers::RateLimitHeaders;
pub use refuse::{Auto, GrpcStatus, ProblemJson};
pub use retry_after::{MAX_RETRY_AFTER, retry_after};
pub use status::outcome_of_status;

/// An error of any type, boxed: the one that can carry a refusal.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
