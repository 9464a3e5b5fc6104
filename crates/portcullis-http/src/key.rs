//! Which circuit or limit is this request about? [`extension`], [`header`], [`host`].

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;

use breaker_core::Key;
use http::header::HOST;
use http::{HeaderName, Request};

/// A key taken from a value in the request's extensions, such as axum's `MatchedPath`.
///
/// A request without the value has no key. Give it the template of a route, never the path that
/// was asked for: there are as many paths as a stranger likes.
///
/// ```
/// # use breaker_core::Key;
/// # use http::Request;
/// #[derive(Clone)]
/// struct MatchedPath(&'static str); // axum::extract::MatchedPath looks like this
/// impl MatchedPath {
///     fn as_str(&self) -> &str {
///         self.0
///     }
/// }
///
/// let key = portcullis_http::key::extension(MatchedPath::as_str);
/// let mut request = Request::new(());
/// assert_eq!(key.key(&request), None);
/// request.extensions_mut().insert(MatchedPath("/users/{id}"));
/// assert_eq!(key.key(&request).unwrap().as_str(), "/users/{id}");
/// ```
#[must_use]
pub fn extension<T>(text: fn(&T) -> &str) -> Extension<T> {
    Extension { text, digest: Digest::default() }
}

/// A key taken from a header, such as `x-tenant`; its first value counts.
///
/// A request without the header, or with an empty one, has no key.
///
/// # Panics
/// When the name is none that a header can have.
#[must_use]
pub fn header(name: &'static str) -> Header {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a header");
    Header { name, digest: Digest::default() }
}

/// A key taken from the host and port that the request is for, in lower case.
///
/// Clients have them in the URI; where that has none, the `Host` header counts.
#[must_use]
pub fn host() -> Host {
    Host { digest: Digest::default() }
}

/// The key made by [`extension`].
pub struct Extension<T> {
    text: fn(&T) -> &str,
    digest: Digest,
}

impl<B, T> Key<Request<B>> for Extension<T>
where
    T: Send + Sync + 'static,
{
    type Key = KeyText;

    fn key(&self, request: &Request<B>) -> Option<KeyText> {
        self.digest.key((self.text)(request.extensions().get()?).as_bytes())
    }
}

impl<T> Clone for Extension<T> {
    fn clone(&self) -> Self {
        Self { text: self.text, digest: self.digest.clone() }
    }
}

impl<T> fmt::Debug for Extension<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Extension").field(&PhantomData::<T>).finish()
    }
}

/// The key made by [`header`].
#[derive(Clone, Debug)]
pub struct Header {
    name: HeaderName,
    digest: Digest,
}

impl<B> Key<Request<B>> for Header {
    type Key = KeyText;

    fn key(&self, request: &Request<B>) -> Option<KeyText> {
        self.digest.key(request.headers().get(&self.name)?.as_bytes())
    }
}

/// The key made by [`host`].
#[derive(Clone, Debug)]
pub struct Host {
    digest: Digest,
}

impl<B> Key<Request<B>> for Host {
    type Key = KeyText;

    fn key(&self, request: &Request<B>) -> Option<KeyText> {
        let host = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => request.headers().get(HOST)?.to_str().ok()?,
        };
        // What stands before the "@" is a name and a password, not a place.
        let host = host.rsplit('@').next()?;
        self.digest.key(host.to_ascii_lowercase().as_bytes())
    }
}

/// A key of at most 65 bytes, kept in place: no request can make it grow.
///
/// A value of up to 64 bytes of UTF-8 is its own key. Any other value becomes its beginning and a
/// digest, together 65 bytes, so that it equals no short value. The digest is seeded at random
/// when the key is made: nobody can compute a value that falls together with somebody else's.
/// The price is that such a label differs from process to process.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyText {
    bytes: [u8; Self::LONG],
    len: u8,
}

impl KeyText {
    /// The longest value, in bytes, that is its own key.
    pub const MAX_LEN: usize = 64;

    const LONG: usize = Self::MAX_LEN + 1;
    /// A separator and 16 digits follow.
    const BEGINNING: usize = Self::LONG - 17;

    /// The key that the value `text` has; `None` for one that is empty or too long.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (1..=Self::MAX_LEN).contains(&text.len()).then(|| Self::of(text))
    }

    /// The text of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Made from whole characters only, so the fallback is never taken.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    fn of(text: &str) -> Self {
        let mut bytes = [0; Self::LONG];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self { bytes, len: text.len() as u8 }
    }
}

impl AsRef<str> for KeyText {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Shortens what is too long to be a key.
#[derive(Clone, Debug, Default)]
struct Digest(RandomState);

impl Digest {
    fn key(&self, value: &[u8]) -> Option<KeyText> {
        match std::str::from_utf8(value) {
            Ok("") => None,
            Ok(text) => Some(KeyText::new(text).unwrap_or_else(|| self.shortened(text, value))),
            Err(error) => {
                let (readable, _) = value.split_at(error.valid_up_to());
                let readable = std::str::from_utf8(readable).unwrap_or_default();
                Some(self.shortened(readable, value))
            }
        }
    }

    fn shortened(&self, readable: &str, value: &[u8]) -> KeyText {
        let mut end = readable.len().min(KeyText::BEGINNING);
        while !readable.is_char_boundary(end) {
            end -= 1;
        }
        let width = KeyText::BEGINNING + 1 - end;
        KeyText::of(&format!("{}{:~<width$}{:016x}", &readable[..end], "", self.0.hash_one(value)))
    }
}
