//! What the tests of the whole workspace share.

pub mod conformance;
pub mod heard;
pub mod loopback;
pub mod sim;

use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(1).unwrap_or(Path::new(".")).to_owned()
}
