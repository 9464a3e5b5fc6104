//! [`Name`]: a short text that is copied, not counted.

use std::fmt;
use std::ops::Deref;

/// The name of a circuit: 1 to 63 bytes of UTF-8, kept in place.
///
/// A name is `Copy` and `const`, so that a refusal can carry it without an allocation or a
/// reference count.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl Name {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 63;

    /// A name from a text.
    ///
    /// # Panics
    /// When the text is empty or longer than [`Name::MAX_LEN`] bytes; in a constant this is a
    /// compile error. For texts from outside use [`Name::cut`] or `Name::try_from`.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        match Self::checked(text) {
            Some(name) => name,
            None => panic!("a name has 1..=63 bytes"),
        }
    }

    /// The beginning of a text, cut at a character border where it is too long; "-" for "".
    #[must_use]
    pub fn cut(text: &str) -> Self {
        if text.is_empty() {
            return Self::new("-");
        }
        let mut end = text.len().min(Self::MAX_LEN);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::new(&text[..end])
    }

    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Made from whole characters only, so the fallback is never taken.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    const fn checked(text: &str) -> Option<Self> {
        let source = text.as_bytes();
        if source.is_empty() || source.len() > Self::MAX_LEN {
            return None;
        }
        let mut bytes = [0; Self::MAX_LEN];
        let mut i = 0;
        while i < source.len() {
            bytes[i] = source[i];
            i += 1;
        }
        Some(Self { bytes, len: source.len() as u8 })
    }
}

impl TryFrom<&str> for Name {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        Self::checked(text).ok_or(InvalidName(()))
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is empty or too long to be a [`Name`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidName(());

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name has 1..=63 bytes")
    }
}

impl std::error::Error for InvalidName {}
