//! Whether a thread had to wait for a core: then its time says nothing about the code.

use std::fs;

/// Nanoseconds for which this thread could have run and did not, since it began. `None` where the
/// system does not tell.
#[must_use]
pub fn of_this_thread() -> Option<u64> {
    waited("/proc/thread-self/schedstat")
}

/// The same for another thread of this process.
#[must_use]
pub fn of_thread(number: u64) -> Option<u64> {
    waited(&format!("/proc/self/task/{number}/schedstat"))
}

/// The number of this thread; zero where the system does not tell.
#[must_use]
pub fn this_thread() -> u64 {
    let own = fs::read_link("/proc/thread-self").unwrap_or_default();
    own.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}

fn waited(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.split_whitespace().nth(1)?.parse().ok()
}
