//! Who tells callers about a quota? [`Announce`], [`AsRefused`].

use breaker_core::{Name, Quota, Rejected};

/// Tells the callers of a limit how much of their quota is left.
///
/// A layer asks it after the refusal was made, and where [`wants_admitted`](Self::wants_admitted)
/// says so, after each call that was admitted.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no place in the response `{Res}` for the state of a quota",
    note = "`RateLimitHeaders` writes into `http::Response`; `AsRefused` fits every response"
)]
pub trait Announce<Res> {
    /// Adds to the answer of a call that was refused, in place of what the refusal says of it.
    fn refused(&self, response: &mut Res, rejected: &Rejected);

    /// Adds to the answer of a call that the limit `name` has admitted.
    fn admitted(&self, response: &mut Res, name: &Name, quota: &Quota);

    /// Whether [`admitted`](Self::admitted) does anything; if not, the quota need not be asked for.
    fn wants_admitted(&self) -> bool;
}

/// Leaves answers as the refusal made them: the default.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AsRefused;

impl<Res> Announce<Res> for AsRefused {
    fn refused(&self, _: &mut Res, _: &Rejected) {}

    fn admitted(&self, _: &mut Res, _: &Name, _: &Quota) {}

    fn wants_admitted(&self) -> bool {
        false
    }
}
