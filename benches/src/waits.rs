//! Whether a thread had to wait for a core: then its time says nothing about the code.

use std::fs;

/// Nanoseconds for which this thread could have run and did not, since it began. `None` where the
/// system does not tell.
pub(crate) fn of_this_thread() -> Option<u64> {
    let figures = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    figures.split_whitespace().nth(1)?.parse().ok()
}
