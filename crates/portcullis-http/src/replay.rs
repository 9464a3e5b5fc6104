//! Can this request be sent again? [`Clones`].

use breaker_core::Replay;
use http::{HeaderName, Request};

/// The header by which a request tells the number of its attempt; the first one has none.
pub const X_RETRY_ATTEMPT: HeaderName = HeaderName::from_static("x-retry-attempt");

/// The header that says `false` where no further attempts are wanted: in a request, of those who
/// get it, and in an answer, of those who got that.
pub const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Keeps a clone of a request whose body is `Clone`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clones;

impl<B: Clone> Replay<Request<B>> for Clones {
    type Kept = Request<B>;

    fn keep(&self, request: &mut Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }

    fn again(&self, kept: &Request<B>, _: u32) -> Option<Request<B>> {
        Some(kept.clone())
    }
}

/// Says of requests that they may be made twice.
#[derive(Clone, Copy, Debug)]
pub struct Marked<R, F> {
    replay: R,
    mark: F,
}

impl<R, F> Marked<R, F> {
    /// Marks what `replay` keeps.
    pub const fn new(replay: R, mark: F) -> Self {
        Self { replay, mark }
    }
}

impl<Req, R: Replay<Req>, F: Fn(&Req) -> bool> Replay<Req> for Marked<R, F> {
    type Kept = (R::Kept, bool);

    fn keep(&self, request: &mut Req) -> Option<Self::Kept> {
        let mark = (self.mark)(request);
        self.replay.keep(request).map(|kept| (kept, mark))
    }

    fn again(&self, kept: &Self::Kept, attempt: u32) -> Option<Req> {
        self.replay.again(&kept.0, attempt)
    }
}
