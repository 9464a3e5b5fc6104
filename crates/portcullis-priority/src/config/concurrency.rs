//! The configuration of a bulkhead: [`ConcurrencyLimit`].

use std::time::Duration;

use breaker_core::ConfigErrors;

use crate::config::QueueConfig;
use crate::limit::Limit;

/// How many calls run at a time, without classes: a bulkhead.
///
/// ```
/// use portcullis_priority::ConcurrencyLimit;
/// use std::time::Duration;
///
/// // 20 calls at a time; others are refused at once.
/// const DATABASE: ConcurrencyLimit = ConcurrencyLimit::new(20).named("database");
/// // The same, but others wait for up to 100 ms, in the order in which they came.
/// const PATIENT: ConcurrencyLimit = DATABASE.max_wait(Duration::from_millis(100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct ConcurrencyLimit(QueueConfig);

impl ConcurrencyLimit {
    /// So many calls at a time; others are refused at once.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=1,000,000.
    pub const fn new(calls: u32) -> Self {
        let queue = QueueConfig::slots(calls).ageing(false).named("concurrency");
        Self(queue).max_wait(Duration::ZERO)
    }

    /// As many calls at a time as the callee bears, by this algorithm and within its bounds; others
    /// are refused at once.
    pub const fn adaptive(limit: Limit) -> Self {
        let Self(queue) = Self::new(limit.most());
        Self(queue.limit(limit))
    }

    /// What refusals and events call it, 1 to 63 bytes; default `concurrency`.
    ///
    /// # Panics
    /// When `name` is empty or longer than 63 bytes.
    pub const fn named(self, name: &str) -> Self {
        Self(self.0.named(name))
    }

    /// How long a call waits for a slot, 0..=10 min; default zero: it is refused at once.
    ///
    /// # Panics
    /// When `wait` is longer than 10 minutes.
    pub const fn max_wait(self, wait: Duration) -> Self {
        let mut queue = self.0.custom_wait(wait);
        queue.max_wait = [queue.custom_wait; 5];
        Self(queue)
    }

    /// How many wait at most, 0..=1,000,000; default 1,000.
    ///
    /// # Panics
    /// When `waiters` is above 1,000,000.
    pub const fn capacity(self, waiters: u32) -> Self {
        Self(self.0.capacity(waiters))
    }

    /// Whether the values fit together.
    ///
    /// # Errors
    /// All that do not, each with the field, its value, what is allowed and what to do.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        self.0.check()
    }

    /// The same as the configuration of a queue, for what a bulkhead has no setter for.
    pub const fn into_queue(self) -> QueueConfig {
        self.0
    }
}

impl From<ConcurrencyLimit> for QueueConfig {
    fn from(limit: ConcurrencyLimit) -> Self {
        limit.0
    }
}
