//! What is fed with arbitrary bytes: by `tests/fuzz.rs` every day, and by the crate in `fuzz/`.

pub(crate) mod config;
pub(crate) mod events;
pub(crate) mod feed;
