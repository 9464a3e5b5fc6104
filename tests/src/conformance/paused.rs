//! Tokio's time, standing still but for what waits: [`runtime`].

use tokio::runtime::{Builder, Runtime};

use super::verdict::Mismatch;

/// A runtime whose time goes on only where everybody waits.
pub(crate) fn runtime() -> Result<Runtime, Mismatch> {
    let mut builder = Builder::new_current_thread();
    let failed = |error: std::io::Error| Mismatch::new("a runtime", error.to_string());
    builder.enable_time().start_paused(true).build().map_err(failed)
}
