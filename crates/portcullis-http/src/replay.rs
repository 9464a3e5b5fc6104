//! Can this request be sent again? [`Clones`].

use breaker_core::Replay;
use http::Request;

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
