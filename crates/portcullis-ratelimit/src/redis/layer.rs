//! A shared quota as a layer: [`SharedKey`].

use std::fmt::{self, Display, Write as _};
use std::hash::Hash;

use breaker_core::{Key, Name, Outcome, Quota};
use portcullis_http::{AsRefused, Auto, HttpOrGrpc};

use super::{Acquire, RedisLimiter, Share};
use crate::grant::{Admission, Sealed};
use crate::layer::RateLimitLayer;
use crate::limits::{Handled, Lines};
use crate::wait::RateLimitWaitLayer;

/// One quota per key, shared with other processes; requests without a key share one.
#[derive(Clone)]
pub struct SharedKey<F> {
    key: F,
    limiter: RedisLimiter,
}

/// One quota for all requests, shared with other processes.
#[derive(Clone, Debug)]
pub struct SharedByAll(RedisLimiter);

impl RateLimitWaitLayer<HttpOrGrpc, Auto, SharedByAll, AsRefused> {
    /// One quota for all requests, shared with other processes, with the answers of
    /// [`RateLimitLayer::new`].
    ///
    /// A request that the local lease does not cover waits for the store, until the deadline of the
    /// limit at the latest.
    pub fn shared(limiter: RedisLimiter) -> Self {
        Self::new(RateLimitLayer::over(SharedByAll(limiter)))
    }
}

impl<C, R, A> RateLimitWaitLayer<C, R, SharedByAll, A> {
    /// One quota per key of the request: the same key, as text, is the same quota in all processes.
    ///
    /// Values of more than 64 bytes are not the same for [`portcullis_http::key`], which shortens
    /// them to a digest of each process's own: give those to [`keyed_fn`](Self::keyed_fn), as a
    /// `String`.
    ///
    /// In the store and for the [`handle`](RateLimitWaitLayer::handle) the letter `k` stands before
    /// the text: `limiter.quota("kgold")`.
    pub fn keyed<F>(self, key: F) -> RateLimitWaitLayer<C, R, SharedKey<F>, A>
    where
        F: Key<http::Request<()>>,
    {
        self.keyed_by(key)
    }

    /// One quota per key that `key` picks from the request, with the request's type written out:
    /// `|request: &Request<Body>| ..`.
    pub fn keyed_fn<F, Req, K>(self, key: F) -> RateLimitWaitLayer<C, R, SharedKey<F>, A>
    where
        F: Fn(&Req) -> Option<K>,
        K: Clone + Display + Eq + Hash + Send + Sync + 'static,
    {
        self.keyed_by(key)
    }

    fn keyed_by<F>(self, key: F) -> RateLimitWaitLayer<C, R, SharedKey<F>, A> {
        self.with_limits(|SharedByAll(limiter)| SharedKey { key, limiter })
    }
}

impl<Req> Lines<Req> for SharedByAll {
    type Grant = Share;
    type Acquire = Acquire;

    fn acquire(&self, _: &Req, cost: u32) -> Acquire {
        self.0.acquire("", cost)
    }
}

impl Handled for SharedByAll {
    type Handle = RedisLimiter;

    fn handle(&self) -> RedisLimiter {
        self.0.clone()
    }
}

impl<Req, F: Key<Req>> Lines<Req> for SharedKey<F> {
    type Grant = Share;
    type Acquire = Acquire;

    fn acquire(&self, request: &Req, cost: u32) -> Acquire {
        match self.key.key(request) {
            // Behind a letter, so that no key equals the one of those without.
            Some(key) => with_text(&key, |text| self.limiter.acquire(text, cost)),
            None => self.limiter.acquire("", cost),
        }
    }
}

impl<F> Handled for SharedKey<F> {
    type Handle = RedisLimiter;

    fn handle(&self) -> RedisLimiter {
        self.limiter.clone()
    }
}

/// Hands on the text of a key with a letter before it; a short one takes no allocation.
fn with_text<T>(key: &impl Display, hand_on: impl FnOnce(&str) -> T) -> T {
    let mut short = Short { bytes: [0; 96], len: 0 };
    if write!(short, "k{key}").is_ok() {
        if let Ok(text) = std::str::from_utf8(&short.bytes[..short.len]) {
            return hand_on(text);
        }
    }
    let mut long = String::new();
    // A key that cannot say its text is what it has said so far.
    let _ = write!(long, "k{key}");
    hand_on(&long)
}

/// A text that is kept in place.
struct Short {
    bytes: [u8; 96],
    len: usize,
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let Some(room) = self.bytes.get_mut(self.len..end) else { return Err(fmt::Error) };
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Without the key, so that a closure is no hindrance.
impl<F> fmt::Debug for SharedKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKey").field("limiter", &self.limiter).finish_non_exhaustive()
    }
}

impl Sealed for Share {}

impl Admission for Share {
    fn undo(&self) {
        Self::undo(self);
    }

    /// A quota that is shared stays as it is.
    fn record(self, _: Outcome) {}

    fn wants_outcome(&self) -> bool {
        false
    }

    fn quota(&self) -> Option<(Name, Quota)> {
        Some((self.name(), Self::quota(self)?))
    }

    fn watch<T>(&self, part: impl FnOnce() -> T) -> T {
        part()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T1
    #[test]
    fn a_key_is_handed_on_whole_however_long_it_is() {
        for len in [0, 1, 95, 96, 5_000] {
            let key = "k".repeat(len);
            assert_eq!(with_text(&key, str::len), len + 1, "{len}");
        }
    }

    // T1
    #[test]
    fn a_key_that_cannot_say_its_text_ends_nothing() {
        struct Mute;
        impl Display for Mute {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("so far")?;
                Err(fmt::Error)
            }
        }
        assert_eq!(with_text(&Mute, str::to_owned), "kso far");
    }
}
