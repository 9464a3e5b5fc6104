//! Requests that may be made twice by a rule of the user's own: [`idempotent_fn`].

use std::fmt;

use breaker_core::{About, Replay};

/// Says of further requests that they may be made twice: those that `inner` says it of, and those
/// that this closure does. It is asked for each request before that is sent.
///
/// ```
/// # use http::Request;
/// use portcullis_http::replay;
///
/// let replay = replay::idempotent_fn(replay::clones(), |request: &Request<String>| {
///     request.uri().path() == "/search"
/// });
/// ```
#[must_use]
pub const fn idempotent_fn<Req, R, F>(inner: R, mark: F) -> Marked<R, F>
where
    F: Fn(&Req) -> bool,
{
    Marked { inner, mark }
}

/// What [`idempotent_fn`] makes.
#[derive(Clone, Copy)]
pub struct Marked<R, F> {
    inner: R,
    mark: F,
}

impl<R, F, Req> Replay<Req> for Marked<R, F>
where
    R: Replay<Req>,
    F: Fn(&Req) -> bool,
{
    type Kept = (R::Kept, bool);

    fn keep(&self, request: &mut Req) -> Option<(R::Kept, bool)> {
        let mark = (self.mark)(request);
        Some((self.inner.keep(request)?, mark))
    }

    fn again(&self, kept: &(R::Kept, bool), attempt: u32) -> Option<Req> {
        self.inner.again(&kept.0, attempt)
    }

    fn about(&self, kept: &(R::Kept, bool)) -> About {
        let mut about = self.inner.about(&kept.0);
        about.idempotent |= kept.1;
        about
    }
}

impl<R: fmt::Debug, F> fmt::Debug for Marked<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marked").field("inner", &self.inner).finish_non_exhaustive()
    }
}
