//! A response body that tells a judge how it ended: [`JudgedBody`].

use std::pin::Pin;
use std::task::{Context, Poll};

use breaker_core::{FailureKind, Outcome};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Response, StatusCode, response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::judge::{Guard, Held, Judge};
use crate::{grpc, outcome_of_trailers};

pin_project! {
    /// A response body that is watched to its end, where a call is judged.
    ///
    /// A body is seldom polled until it says that there is no more. So the end is also seen
    /// - at once: the head is a failure, the body is empty, or HTTP allows none (`HEAD`, 1xx, 204, 304);
    /// - with the last byte, where the length is known;
    /// - with the frame after which the body calls itself ended;
    /// - with the trailers. gRPC has its status there, so its end is not seen before.
    ///
    /// A body that breaks is a [`FailureKind::Connection`], one that panics a [`FailureKind::Panic`],
    /// and one that is dropped before its end drops its judge, which means cancelled.
    #[derive(Debug)]
    pub struct JudgedBody<B, J> {
        #[pin]
        inner: B,
        judge: Option<J>,
        end: End,
    }
}

impl<B, J> JudgedBody<B, J> {
    /// Watches the body of an answer to a request of this method, whose head was judged `head`.
    ///
    /// A head that is no success is judged at once, for no body makes it better.
    pub fn watch(method: &Method, head: Outcome, response: Response<B>, judge: J) -> Response<Self>
    where
        B: Body,
        J: Judge,
    {
        let (parts, inner) = response.into_parts();
        let guard = Guard::new(judge);
        let end = End::of(&parts, &inner);
        let verdict = if head != Outcome::Success {
            Some(head)
        } else if is_bodiless(method, parts.status) {
            Some(Outcome::Success)
        } else {
            end.reached(&inner)
        };
        let judge = settle(guard, verdict);
        Response::from_parts(parts, Self { inner, judge, end })
    }

    /// A body that nobody judges, such as that of a refusal.
    pub const fn unjudged(inner: B) -> Self {
        Self { inner, judge: None, end: End::Unknown }
    }

    /// The body that is watched.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }

    /// The body alone; a judge that is still there is dropped.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B, G> JudgedBody<B, Held<G>> {
    /// Holds a guard, such as a slot, until the body of an answer to a request of this method has
    /// ended, whatever its head says: then the guard is dropped, once.
    ///
    /// The end is seen where [`JudgedBody`] sees it. A body that is given up drops its guard after
    /// itself. The guard must not panic when it is dropped.
    pub fn hold(method: &Method, response: Response<B>, guard: G) -> Response<Self>
    where
        B: Body,
    {
        // A failure would be judged at once, but its body takes as long as any other.
        Self::watch(method, Outcome::Success, response, Held::new(guard))
    }
}

impl<B: Default, J> Default for JudgedBody<B, J> {
    fn default() -> Self {
        Self::unjudged(B::default())
    }
}

impl<B, J> Body for JudgedBody<B, J>
where
    B: Body,
    J: Judge,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(judge) = this.judge.take() else { return this.inner.poll_frame(cx) };
        let guard = Guard::new(judge);
        let polled = this.inner.as_mut().poll_frame(cx);
        let verdict = match &polled {
            Poll::Pending => None,
            Poll::Ready(None) => Some(this.end.without_trailers()),
            Poll::Ready(Some(Err(_))) => Some(Outcome::Failure(FailureKind::Connection)),
            Poll::Ready(Some(Ok(frame))) => match frame.trailers_ref() {
                Some(trailers) => Some(this.end.with_trailers(trailers)),
                None => {
                    this.end.count(frame);
                    this.end.reached(&*this.inner)
                }
            },
        };
        *this.judge = settle(guard, verdict);
        match (&polled, this.judge) {
            (Poll::Pending, Some(judge)) => judge.pending(),
            (Poll::Ready(_), Some(judge)) => judge.frame(),
            (_, None) => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What the end of the body is known by, besides its being said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Unknown,
    /// So many bytes are still to come.
    Length(u64),
    /// Trailers with a gRPC status are to come.
    GrpcTrailers,
}

impl End {
    fn of<B: Body>(head: &response::Parts, body: &B) -> Self {
        if grpc::has_trailers(&head.headers) && !head.headers.contains_key(grpc::STATUS) {
            return Self::GrpcTrailers;
        }
        let length = content_length(&head.headers).or_else(|| body.size_hint().exact());
        length.map_or(Self::Unknown, Self::Length)
    }

    fn count<D: bytes::Buf>(&mut self, frame: &Frame<D>) {
        if let (Self::Length(left), Some(data)) = (self, frame.data_ref()) {
            *left = left.saturating_sub(data.remaining() as u64);
        }
    }

    /// The verdict, if nothing more is to come.
    fn reached<B: Body>(self, body: &B) -> Option<Outcome> {
        (self == Self::Length(0) || body.is_end_stream()).then(|| self.without_trailers())
    }

    /// A gRPC stream that ends without a status has failed for an unknown reason.
    fn without_trailers(self) -> Outcome {
        match self {
            Self::GrpcTrailers => Outcome::Failure(FailureKind::Unknown),
            Self::Length(_) | Self::Unknown => Outcome::Success,
        }
    }

    fn with_trailers(self, trailers: &HeaderMap) -> Outcome {
        match self {
            Self::GrpcTrailers => outcome_of_trailers(trailers),
            Self::Length(_) | Self::Unknown => Outcome::Success,
        }
    }
}

/// Calls the judge, or gives it back where there is no verdict yet.
fn settle<J: Judge>(guard: Guard<J>, verdict: Option<Outcome>) -> Option<J> {
    let judge = guard.release()?;
    match verdict {
        Some(outcome) => {
            judge.judge(outcome);
            None
        }
        None => Some(judge),
    }
}

/// Answers that end with their head, whatever their headers promise.
fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD
        || method == Method::CONNECT && status.is_success()
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
