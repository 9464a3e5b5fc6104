//! Bugs that are put in on purpose, to see that the proofs find them.
//!
//! Only test builds can have one, and only if `PORTCULLIS_PLANTED` names it; in all others the
//! question is a constant. `cargo xtask controls` asks for each, and wants to see a proof fail.

/// Whether the bug of this name is put in.
#[cfg(test)]
pub(crate) fn planted(bug: &str) -> bool {
    use std::sync::LazyLock;
    static NAMED: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("PORTCULLIS_PLANTED").ok());
    NAMED.as_deref() == Some(bug)
}

/// Whether the bug of this name is put in: no.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn planted(_: &str) -> bool {
    false
}
