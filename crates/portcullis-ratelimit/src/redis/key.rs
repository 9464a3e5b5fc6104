//! What a key is called in the store.

use std::borrow::Cow;

use ::redis::Script;

/// The longest key that is kept as it is, in bytes.
pub(super) const LONGEST: usize = 128;

/// The key as it is kept, here and in the store: one that is longer than 128 bytes as its digest.
pub(super) fn kept(key: &str) -> Cow<'_, str> {
    if key.len() <= LONGEST { Cow::Borrowed(key) } else { Cow::Owned(digest(key)) }
}

/// The name in the store of a key.
pub(super) fn in_store(prefix: &str, limit: &str, kept: &str) -> String {
    format!("{prefix}{limit}:{kept}")
}

/// The length and SHA-1. Two keys that somebody made to have one digest share one bucket, which is
/// the worse for whoever made them; nobody can make a key that has the digest of somebody else's.
fn digest(key: &str) -> String {
    // The client names scripts by this digest, and so brings it along.
    let digest = Script::new(key);
    // Longer than any key that is kept as it is: so no key can be made to look like it.
    format!("{:#>LONGEST$}:{}", key.len(), digest.get_hash())
}

#[cfg(test)]
mod tests {
    use super::*;

    // T1
    #[test]
    fn a_key_of_a_megabyte_is_kept_short_and_apart_from_all_others() {
        let long = "k".repeat(1 << 20);
        let other = format!("{}l", &long[1..]);
        assert_eq!(kept(&long), kept(&long.clone()));
        assert_ne!(kept(&long), kept(&other));
        assert_eq!(kept(&long).len(), LONGEST + 41);
        // Its short form as a key of its own is long, and has another.
        let forged = kept(&long).into_owned();
        assert_ne!(kept(&forged), forged);
        assert_eq!(kept("a b\n\0"), "a b\n\0");
    }
}
