//! A key that no request can make grow: [`KeyText`].

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// A key of at most 65 bytes, kept in place: no request can make it grow.
///
/// A value of up to 64 bytes of UTF-8 is its own key. Any other value becomes its beginning and a
/// digest, together 65 bytes, so that it equals no short value. The digest is seeded at random
/// when the key is made: nobody can compute a value that falls together with somebody else's.
/// The price is that such a label differs from process to process.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
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

/// Of the text alone: most texts are much shorter than the longest.
impl Hash for KeyText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes[..usize::from(self.len)].hash(state);
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
pub(super) struct Digest(RandomState);

impl Digest {
    pub(super) fn key(&self, value: &[u8]) -> Option<KeyText> {
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
