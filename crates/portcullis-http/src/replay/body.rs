//! A body that remembers what it has sent: [`ReplayBody`].

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::replay::memory::{Home, Memory, Place, Resting};

/// The body of one attempt: it sends what the attempts before it have sent, and then goes on with
/// the rest of the original, which it remembers in turn.
///
/// Where it is dropped before its end, memory and rest go back for the next attempt.
pub struct ReplayBody<B> {
    /// Is `None` where the body has ended, and while foreign code runs.
    course: Option<Course<B>>,
}

/// A body on its way.
struct Course<B> {
    /// The rest of the original; `None` where that was read to its end.
    original: Option<B>,
    memory: Memory,
    /// How many of the remembered chunks were sent again.
    sent: usize,
    /// How many bytes of them are still to be.
    left: u64,
    /// Whether trailers are remembered that are still to be.
    trailers: bool,
    /// Is `None` where the body became too long, or has failed: then nothing is remembered.
    home: Option<Home<B>>,
}

impl<B> ReplayBody<B> {
    /// The body of the first attempt, and the place where it goes when that is given up.
    pub(super) fn first(original: B, limit: usize) -> (Self, Place<B>) {
        let place = Place::empty();
        let resting = Resting { original: Some(original), memory: Memory::new(limit) };
        (Self::begin(resting, place.home()), place)
    }

    /// The body of the next attempt; `None` while the last one still has it, and where it is lost.
    pub(super) fn next(place: &Place<B>) -> Option<Self> {
        place.take().map(|resting| Self::begin(resting, place.home()))
    }

    fn begin(Resting { original, mut memory }: Resting<B>, home: Home<B>) -> Self {
        memory.gather();
        let left = memory.chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let trailers = memory.trailers.is_some();
        Self {
            course: Some(Course { original, memory, sent: 0, left, trailers, home: Some(home) }),
        }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // If the original panics, it is gone, and so is its way home.
        let Some(mut course) = self.course.take() else { return Poll::Ready(None) };
        let polled = match course.remembered() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => course.poll(cx),
        };
        if course.is_ended() {
            course.rest();
        } else {
            self.course = Some(course);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.course.as_ref().is_none_or(Course::is_ended)
    }

    fn size_hint(&self) -> SizeHint {
        let Some(course) = &self.course else { return SizeHint::with_exact(0) };
        let rest = course.original.as_ref().map_or(SizeHint::with_exact(0), B::size_hint);
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(course.left)) {
            hint.set_upper(upper);
        }
        hint.set_lower(rest.lower().saturating_add(course.left));
        hint
    }
}

impl<B> Drop for ReplayBody<B> {
    fn drop(&mut self) {
        if let Some(course) = self.course.take() {
            course.rest();
        }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody").finish_non_exhaustive()
    }
}

impl<B> Course<B> {
    /// The next frame of those that were sent before.
    fn remembered(&mut self) -> Option<Frame<Bytes>> {
        if self.left > 0 {
            let chunk = self.memory.chunks.get(self.sent)?.clone();
            self.sent += 1;
            self.left = self.left.saturating_sub(chunk.len() as u64);
            return Some(Frame::data(chunk));
        }
        let again = std::mem::take(&mut self.trailers);
        self.memory.trailers.clone().filter(|_| again).map(Frame::trailers)
    }

    /// Leaves what can be sent again to the next attempt.
    fn rest(self) {
        if let Some(home) = self.home {
            home.put(Resting { original: self.original, memory: self.memory });
        }
    }
}

impl<B> Course<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// The next frame of the original.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(original) = &mut self.original else { return Poll::Ready(None) };
        let polled = Pin::new(original).poll_frame(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => self.original = None,
            Poll::Ready(Some(Err(_))) => self.forget(),
            Poll::Ready(Some(Ok(frame))) => {
                let wanted = self.home.as_ref().is_some_and(Home::is_there);
                if !(wanted && self.memory.keep(frame)) {
                    self.forget();
                }
                if frame.is_trailers() {
                    // They are the last frame.
                    self.original = None;
                }
            }
        }
        polled
    }

    fn is_ended(&self) -> bool {
        self.left == 0 && !self.trailers && self.original.as_ref().is_none_or(B::is_end_stream)
    }

    /// Drops what is remembered: there will be no further attempt.
    fn forget(&mut self) {
        self.home = None;
        self.memory = Memory::new(0);
    }
}
