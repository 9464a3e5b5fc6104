//! What a body remembers of itself, and where attempts leave it for each other.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

/// Frames that are shorter are copied together: a reference to each would take more than they do.
const SMALL: usize = 256;

/// What has been sent of a body.
pub(super) struct Memory {
    pub(super) chunks: Vec<Bytes>,
    /// Small frames since the last chunk.
    tail: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
    /// Bytes that may still be remembered.
    room: usize,
}

impl Memory {
    pub(super) const fn new(limit: usize) -> Self {
        Self { chunks: Vec::new(), tail: Vec::new(), trailers: None, room: limit }
    }

    /// Remembers a frame; false where it is too long, or of a kind that is not known.
    pub(super) fn keep(&mut self, frame: &Frame<Bytes>) -> bool {
        if let Some(data) = frame.data_ref() {
            let fits = self.take(data.len());
            if fits {
                self.add(data);
            }
            return fits;
        }
        let Some(trailers) = frame.trailers_ref() else { return false };
        // As HPACK counts them (RFC 7541, 4.1).
        let size = trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
        let fits = self.take(size.sum());
        if fits {
            self.trailers = Some(trailers.clone());
        }
        fits
    }

    fn take(&mut self, size: usize) -> bool {
        let rest = self.room.checked_sub(size);
        self.room = rest.unwrap_or_default();
        rest.is_some()
    }

    fn add(&mut self, data: &Bytes) {
        if data.len() < SMALL {
            self.tail.extend_from_slice(data);
        } else {
            self.gather();
            self.chunks.push(data.clone());
        }
    }

    /// Makes a chunk of the small frames.
    pub(super) fn gather(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push(std::mem::take(&mut self.tail).into());
        }
    }
}

/// Where the attempts for one request leave the body for each other.
///
/// It is empty while an attempt is on its way, so that there is one at a time; and it stays so where
/// there can be no further one. It belongs to what is kept of the request: when that is gone, bodies
/// no longer remember anything.
pub struct Place<B>(Arc<Mutex<Option<Resting<B>>>>);

/// The way home of a body.
pub(super) struct Home<B>(Weak<Mutex<Option<Resting<B>>>>);

/// A body between two attempts.
pub(super) struct Resting<B> {
    /// `None` where it was read to its end.
    pub(super) original: Option<B>,
    pub(super) memory: Memory,
}

impl<B> Place<B> {
    pub(super) fn empty() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    pub(super) fn home(&self) -> Home<B> {
        Home(Arc::downgrade(&self.0))
    }

    pub(super) fn take(&self) -> Option<Resting<B>> {
        // Nothing panics under the lock: a value is moved in or out.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<B> Home<B> {
    /// Whether there can be another attempt.
    pub(super) fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }

    pub(super) fn put(&self, resting: Resting<B>) {
        if let Some(place) = self.0.upgrade() {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(resting);
        }
    }
}

impl<B> fmt::Debug for Place<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}
