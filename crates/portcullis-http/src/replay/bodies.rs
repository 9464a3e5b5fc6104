//! Requests whose body is kept while it is being sent: [`bodies`].

use std::fmt;

use breaker_core::{About, Replay};
use bytes::Bytes;
use http::Request;
use http_body::Body;

use crate::replay::memory::Place;
use crate::replay::{Kept, ReplayBody};

/// Keeps the body of a request while it is being sent, where it is no `Clone`.
///
/// `make` makes your body out of any other: `tonic::body::Body::new`, `axum::body::Body::new`,
/// `BoxBody::new`. The first attempt sends the body as it comes, and remembers what it sends. If it
/// is given up, the next one sends that again, and goes on with the rest. Nothing is held back or
/// copied ahead, and a stream stays one.
///
/// There is no further attempt
/// - where the body is longer than the [`limit`](Bodies::limit): what was remembered is dropped, and
///   the body that is being sent goes on as it was;
/// - where the body itself has failed or panicked;
/// - where somebody still holds the body of the last attempt, such as the task of a connection, and
///   it has not ended. A server that answers before it has read all leads to that.
///
/// Your body has to be `Default`, which is an empty one. A body that is empty costs nothing. Any other costs two allocations: one for the place that the
/// attempts share, and one for what your body is boxed in. What is remembered refers to the same
/// memory that is sent; small frames are copied together.
///
/// ```
/// # use http_body_util::combinators::UnsyncBoxBody;
/// # use bytes::Bytes;
/// # type BoxBody = UnsyncBoxBody<Bytes, std::io::Error>;
/// use portcullis_http::replay;
///
/// let replay = replay::bodies(BoxBody::new).limit(1 << 20);
/// ```
#[must_use]
pub const fn bodies<B, F>(make: F) -> Bodies<F>
where
    F: Fn(ReplayBody<B>) -> B,
{
    Bodies { make, limit: 65_536 }
}

/// What [`bodies`] makes.
#[derive(Clone, Copy)]
pub struct Bodies<F> {
    make: F,
    limit: usize,
}

impl<F> Bodies<F> {
    /// How many bytes of a body are remembered, its trailers among them; default 65,536.
    ///
    /// # Panics
    /// Where it is more than 16 MiB. In a constant it does not compile then.
    #[must_use]
    pub const fn limit(mut self, bytes: usize) -> Self {
        assert!(bytes <= 16 << 20, "at most 16 MiB of a body are remembered");
        self.limit = bytes;
        self
    }
}

impl<F, B> Replay<Request<B>> for Bodies<F>
where
    F: Fn(ReplayBody<B>) -> B,
    B: Body<Data = Bytes> + Default + Unpin,
{
    /// `None` for a body that is empty.
    type Kept = Kept<Option<Place<B>>>;

    fn keep(&self, request: &mut Request<B>) -> Option<Self::Kept> {
        if request.body().is_end_stream() {
            return Some(Kept::new(request, None));
        }
        if request.body().size_hint().lower() > self.limit as u64 {
            return None;
        }
        let (first, place) = ReplayBody::first(std::mem::take(request.body_mut()), self.limit);
        *request.body_mut() = (self.make)(first);
        Some(Kept::new(request, Some(place)))
    }

    fn again(&self, kept: &Self::Kept, attempt: u32) -> Option<Request<B>> {
        let body = match &kept.body {
            None => B::default(),
            Some(place) => (self.make)(ReplayBody::next(place)?),
        };
        Some(kept.again(body, attempt))
    }

    fn about(&self, kept: &Self::Kept) -> About {
        kept.about()
    }
}

impl<F> fmt::Debug for Bodies<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bodies").field("limit", &self.limit).finish_non_exhaustive()
    }
}
