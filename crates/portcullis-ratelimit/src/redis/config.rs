//! The figures of a shared quota: [`RedisLimit`].

use std::time::Duration;

use breaker_core::{ConfigErrors, ConfigReader, Name, Value};

use super::gcra::{Interval, MOST_BURST};
use crate::rate::Rate;

/// A quota that many processes share through a Redis server, in numbers.
///
/// Strange texts are refused where they are given; what is wrong with the numbers, and what
/// contradicts what, [`check`](Self::check) says all at once.
///
/// ```
/// use portcullis_ratelimit::{OnStoreFailure, Rate, RedisLimit};
///
/// const LIMIT: RedisLimit = RedisLimit::new(Rate::per_second(100), 50, OnStoreFailure::LocalShare)
///     .named("search")
///     .instances(4);
/// assert!(LIMIT.check().is_ok());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct RedisLimit {
    pub(super) name: Name,
    pub(super) rate: Rate,
    pub(super) burst: u32,
    pub(super) on_store_failure: OnStoreFailure,
    pub(super) slice: Option<u32>,
    pub(super) lease_time: Duration,
    pub(super) deadline: Duration,
    pub(super) instances: u32,
    pub(super) max_keys: u32,
    pub(super) prefix: Name,
}

/// Who decides while the store gives no answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum OnStoreFailure {
    /// Each process for itself: it grants its part of the quota, a burst and a rate divided by
    /// [`RedisLimit::instances`], and at least a burst of one.
    LocalShare,
    /// Nobody: all are admitted.
    FailOpen,
    /// Nobody: all are refused, as [`StoreDown`](breaker_core::Reason::StoreDown).
    FailClosed,
}

impl OnStoreFailure {
    /// The word of it: `local_share`, `fail_open` or `fail_closed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LocalShare => "local_share",
            Self::FailOpen => "fail_open",
            Self::FailClosed => "fail_closed",
        }
    }
}

impl RedisLimit {
    /// So many calls in so much time, up to `burst` of them at once, over all processes. What
    /// happens while the store gives no answer has no default: somebody has to want it.
    pub const fn new(rate: Rate, burst: u32, on_store_failure: OnStoreFailure) -> Self {
        Self {
            name: Name::new("limit"),
            rate,
            burst,
            on_store_failure,
            slice: None,
            lease_time: Duration::from_secs(1),
            deadline: Duration::from_millis(50),
            instances: 1,
            max_keys: 10_000,
            prefix: Name::new("portcullis:"),
        }
    }

    /// The name of the limit, in refusals and in the keys of the store; default `limit`. Limits of
    /// one name and [`prefix`](Self::prefix) share their quotas.
    ///
    /// # Panics
    /// When the name is empty or longer than 63 bytes.
    pub const fn named(mut self, name: &str) -> Self {
        self.name = Name::new(name);
        self
    }

    /// How many calls a process takes at a time: 1 asks the store for each call, more makes calls
    /// cheap and the quota coarser. Default a tenth of the burst, rounded up. 1 to the burst.
    pub const fn slice(mut self, calls: u32) -> Self {
        self.slice = Some(calls);
        self
    }

    /// How long calls that were taken may be spent; then what is left of them is lost. Default
    /// 1 s; 1 ms to an hour.
    pub const fn lease_time(mut self, time: Duration) -> Self {
        self.lease_time = time;
        self
    }

    /// How long a caller waits for the store, the time to connect included. Default 50 ms; 1 ms to
    /// 5 s.
    pub const fn deadline(mut self, time: Duration) -> Self {
        self.deadline = time;
        self
    }

    /// How many processes share the quota, for [`OnStoreFailure::LocalShare`]. Default 1; up to
    /// 10,000.
    pub const fn instances(mut self, instances: u32) -> Self {
        self.instances = instances;
        self
    }

    /// How many keys have a lease of their own (rounded up to a multiple of 16). A key beyond them
    /// asks the store for each call. Default 10,000; up to 10,000,000.
    pub const fn max_keys(mut self, keys: u32) -> Self {
        self.max_keys = keys;
        self
    }

    /// What the keys of the store begin with. Default `portcullis:`. Everything that begins with
    /// it and the name of the limit belongs to the limit: what else stands there is overwritten.
    ///
    /// # Panics
    /// When the prefix is empty or longer than 63 bytes.
    pub const fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Name::new(prefix);
        self
    }

    /// Whether the numbers are possible, and go together.
    ///
    /// # Errors
    /// All that is wrong: field, value, what is allowed, what to do.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        let number = |name: &str, number: u32| (name.to_owned(), Value::Int(number.into()));
        let time = |name: &str, time: Duration| (name.to_owned(), Value::Text(format!("{time:?}")));
        let value = Value::Table(vec![
            number("burst", self.burst),
            number("slice", self.slice_in_force()),
            time("lease_time", self.lease_time),
            time("deadline", self.deadline),
            number("instances", self.instances),
            number("max_keys", self.max_keys),
        ]);
        let mut reader = ConfigReader::new(&value);
        self.check_burst(&mut reader);
        reader.number("slice", 1, MOST_BURST);
        reader.duration("lease_time", MILLISECOND, HOUR);
        reader.duration("deadline", MILLISECOND, Duration::from_secs(5));
        reader.number("instances", 1, 10_000);
        reader.number("max_keys", 1, 10_000_000);
        if self.slice_in_force() > self.burst {
            let allowed = format!("at most the burst of {}", self.burst);
            let fix = "take a smaller slice or allow a larger burst";
            reader.contradiction("slice", &["burst"], &allowed, fix);
        }
        reader.finish(())
    }

    fn check_burst(&self, reader: &mut ConfigReader<'_>) {
        reader.number("burst", 1, MOST_BURST);
        let largest = Interval::new(self.rate).largest_burst();
        if self.burst > largest {
            let allowed = format!("at most {largest} at a rate of {}", self.rate);
            let fix = "allow a smaller burst, or a rounder or faster rate";
            reader.contradiction("burst", &[], &allowed, fix);
        }
    }

    pub(super) const fn slice_in_force(&self) -> u32 {
        match self.slice {
            Some(slice) => slice,
            // A burst of none is wrong in itself.
            None if self.burst == 0 => 1,
            None => self.burst.div_ceil(10),
        }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
