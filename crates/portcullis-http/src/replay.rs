//! Can this request be sent again, and may it? [`clones`], [`bodies`], [`idempotent_fn`].
//!
//! What is asked of a request before it is repeated is read from its head:
//!
//! - It may be made twice if its method says so (RFC 9110, 9.2.2), or a header `idempotency-key`
//!   that is not empty, or the extension [`Idempotent`]. The method of a gRPC request says nothing.
//! - Its priority is the [`Priority`](breaker_core::Priority) in its extensions, else
//!   [`Priority::current`](breaker_core::Priority::current). Its deadline is the
//!   [`Deadline`](breaker_core::Deadline) in its extensions or
//!   [`Deadline::current`](breaker_core::Deadline::current), whichever is earlier.
//! - Somebody else repeats it where it says that it is a repetition ([`X_RETRY_ATTEMPT`]), or that
//!   there are to be none ([`X_SHOULD_RETRY`]), or the [`RetryPath`](breaker_core::RetryPath) says so on which it came.

mod bodies;
mod body;
mod clones;
mod head;
mod marked;
mod memory;

use http::HeaderName;

pub use self::bodies::{Bodies, bodies};
pub use self::body::ReplayBody;
pub use self::clones::{Clones, clones};
pub(crate) use self::head::number_in;
pub use self::head::{Attempt, Idempotent, Kept};
#[cfg(feature = "reqwest-0-13")]
pub(crate) use self::head::{about, number};
pub use self::marked::{Marked, idempotent_fn};

/// The header by which a request tells the number of its attempt; the first one has none.
pub const X_RETRY_ATTEMPT: HeaderName = HeaderName::from_static("x-retry-attempt");

/// The header that says `false` where no further attempts are wanted: in a request, of those who
/// get it, and in an answer, of those who got that.
pub const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The header by which a request that is no repetition of itself may be made twice all the same.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
