//! Requests whose body can be cloned: [`clones`].

use breaker_core::{About, Replay};
use http::Request;

use crate::replay::Kept;

/// Sends clones of a request, where its body is `Clone`.
///
/// A request of the client reqwest is cloned where its body is no stream.
#[must_use]
pub const fn clones() -> Clones {
    Clones
}

/// What [`clones`] makes: it keeps a clone of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clones;

impl<B: Clone> Replay<Request<B>> for Clones {
    type Kept = Kept<B>;

    fn keep(&self, request: &mut Request<B>) -> Option<Kept<B>> {
        Some(Kept::new(request, request.body().clone()))
    }

    fn again(&self, kept: &Kept<B>, attempt: u32) -> Option<Request<B>> {
        Some(kept.again(kept.body.clone(), attempt))
    }

    fn about(&self, kept: &Kept<B>) -> About {
        kept.about()
    }
}
