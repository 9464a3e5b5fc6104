//! The configuration of a queue: plain data whose leaves cannot be wrong.

mod concurrency;
mod spec;

use std::time::Duration;

use breaker_core::{Class, ConfigError, ConfigErrors, Name, Priority};

use crate::codel::Codel;
use crate::limit::Limit;
use crate::throttle::Throttle;

pub use concurrency::ConcurrencyLimit;

/// How many calls run at a time, whose they are, and who waits for how long.
///
/// A config is `Copy` and its setters are `const`; in a constant a wrong value does not compile.
/// Whether the values fit together is asked by [`check`](Self::check), which finds all problems at
/// once; values from outside go through [`from_value`](Self::from_value) (or `serde`).
///
/// ```
/// use portcullis_priority::{Class, QueueConfig};
/// use std::time::Duration;
///
/// // 64 calls at a time, four of them always for what must not fail.
/// const SEARCH: QueueConfig = QueueConfig::slots(60)
///     .reserved(Class::Critical, 4)
///     .max_wait(Class::Normal, Duration::from_millis(200))
///     .named("search");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct QueueConfig {
    pub(crate) name: Name,
    pub(crate) reserved: [u32; 5],
    pub(crate) shared: u32,
    pub(crate) limit: Option<Limit>,
    pub(crate) max_wait: [Duration; 5],
    pub(crate) custom_wait: Duration,
    pub(crate) capacity: u32,
    pub(crate) displace: Displace,
    pub(crate) discipline: Discipline,
    pub(crate) newest_first_after: Option<Duration>,
    pub(crate) codel: Option<Codel>,
    pub(crate) ageing: bool,
    pub(crate) min_priority: Priority,
    pub(crate) critical_open_limit: u32,
    pub(crate) throttle: Option<Throttle>,
}

/// Who is served next among classes that wait.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Discipline {
    /// The more important one first: the default. [Ageing](QueueConfig::ageing) keeps it from
    /// starving the others.
    #[default]
    Strict,
    /// In turns: of 31 calls, where all classes wait, 16 are critical, 8 high, 4 normal, 2 low and
    /// one is bulk (deficit round robin, Shreedhar and Varghese 1995).
    Weighted,
}

/// Who gives way when the queue is full: always one of the lowest class that waits, below that of
/// the arrival.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Displace {
    /// The one that has waited longest, which is the likeliest to be given up by its caller: the
    /// default. While the newest is served first, it gives way to an arrival of its own class, too.
    #[default]
    Oldest,
    /// The one that came last.
    Newest,
}

impl QueueConfig {
    /// The most slots of a kind, and the most places in the queue.
    pub const MAX_SLOTS: u32 = 1_000_000;
    /// The longest wait.
    pub const MAX_WAIT: Duration = Duration::from_secs(600);

    /// 50 slots: 5 reserved for critical calls, 10 for high, 20 for normal ones, and 15 for all; a
    /// queue of 1,000, where critical calls wait up to 5 s, high 2 s, normal 1 s, low 500 ms and
    /// bulk 100 ms, the more important first.
    pub const fn new() -> Self {
        const fn ms(millis: u64) -> Duration {
            Duration::from_millis(millis)
        }
        Self {
            name: Name::new("priority-queue"),
            reserved: [0, 0, 20, 10, 5],
            shared: 15,
            limit: None,
            max_wait: [ms(100), ms(500), ms(1_000), ms(2_000), ms(5_000)],
            custom_wait: ms(1_000),
            capacity: 1_000,
            displace: Displace::Oldest,
            discipline: Discipline::Strict,
            newest_first_after: None,
            codel: None,
            ageing: true,
            min_priority: Priority::BULK,
            critical_open_limit: 1,
            throttle: None,
        }
    }

    /// So many slots for all, and none reserved; the rest is that of [`new`](Self::new).
    ///
    /// # Panics
    /// When `slots` lies outside 1..=1,000,000.
    pub const fn slots(slots: u32) -> Self {
        assert!(slots > 0, "a queue has at least one slot");
        Self { reserved: [0; 5], ..Self::new() }.shared(slots)
    }

    /// For a server whose callers wait no longer than `timeout`: finds out by itself how many calls
    /// to run at a time ([`Limit::service_time`]), lets nobody wait longer than a quarter of
    /// `timeout`, and serves the newest first while the queue stands.
    ///
    /// The queue has 40 places; none is worth more, since what waits behind them would be too late.
    ///
    /// # Panics
    /// When `timeout` lies outside 4 ms..=2,400 s.
    pub const fn adaptive(timeout: Duration) -> Self {
        assert!(timeout.as_millis() >= 4, "a timeout is at least 4 ms");
        assert!(
            timeout.as_nanos() <= 4 * Self::MAX_WAIT.as_nanos(),
            "a timeout is at most 2,400 s"
        );
        let quarter = Duration::from_nanos((timeout.as_nanos() / 4) as u64);
        Self { max_wait: [quarter; 5], ..Self::slots(200) }
            .custom_wait(quarter)
            .limit(Limit::service_time())
            .capacity(40)
            .newest_first_after(Duration::from_millis(100))
    }

    /// What refusals and events call it, 1 to 63 bytes; default `priority-queue`.
    ///
    /// # Panics
    /// When `name` is empty or longer than 63 bytes.
    pub const fn named(mut self, name: &str) -> Self {
        self.name = Name::new(name);
        self
    }

    /// Slots that only calls of this class take, or of a higher one where nothing else is free;
    /// default 5 critical, 10 high, 20 normal.
    ///
    /// # Panics
    /// When `slots` is above 1,000,000.
    pub const fn reserved(mut self, class: Class, slots: u32) -> Self {
        assert!(slots <= Self::MAX_SLOTS, "at most 1,000,000 slots are reserved for a class");
        self.reserved[class.index()] = slots;
        self
    }

    /// Slots that all classes take; default 15.
    ///
    /// # Panics
    /// When `slots` is above 1,000,000.
    pub const fn shared(mut self, slots: u32) -> Self {
        assert!(slots <= Self::MAX_SLOTS, "at most 1,000,000 slots are shared");
        self.shared = slots;
        self
    }

    /// Has the number of slots follow what the callee bears; default none, so that it stays. The
    /// slots of the configuration are the most there can be then: what the limit takes away is
    /// taken from the shared slots, all but one, then from the reserved ones of the lowest class
    /// upwards.
    pub const fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// How long a call of this class waits for a slot, 0..=10 min; default 5 s, 2 s, 1 s, 500 ms and
    /// 100 ms, from critical to bulk. Zero: it does not wait.
    ///
    /// # Panics
    /// When `wait` is longer than [`MAX_WAIT`](Self::MAX_WAIT).
    pub const fn max_wait(mut self, class: Class, wait: Duration) -> Self {
        self.max_wait[class.index()] = Self::checked_wait(wait);
        self
    }

    /// How long a call waits whose level has no name, 0..=10 min; default 1 s.
    ///
    /// # Panics
    /// When `wait` is longer than [`MAX_WAIT`](Self::MAX_WAIT).
    pub const fn custom_wait(mut self, wait: Duration) -> Self {
        self.custom_wait = Self::checked_wait(wait);
        self
    }

    const fn checked_wait(wait: Duration) -> Duration {
        assert!(wait.as_nanos() <= Self::MAX_WAIT.as_nanos(), "a wait is 10 minutes at most");
        wait
    }

    /// How many wait at most, all classes together, 0..=1,000,000; default 1,000.
    ///
    /// # Panics
    /// When `waiters` is above 1,000,000.
    pub const fn capacity(mut self, waiters: u32) -> Self {
        assert!(waiters <= Self::MAX_SLOTS, "at most 1,000,000 calls wait");
        self.capacity = waiters;
        self
    }

    /// Who gives way when the queue is full; default the oldest of the lowest class.
    pub const fn displace(mut self, displace: Displace) -> Self {
        self.displace = displace;
        self
    }

    /// Who is served next; default the most important.
    pub const fn discipline(mut self, discipline: Discipline) -> Self {
        self.discipline = discipline;
        self
    }

    /// Serves the newest of a class first once the queue has not been empty for this long; default
    /// never. Those that came first are then too late anyway, and to serve them would make all
    /// others late, too (adaptive LIFO; Maurer, "Fail at Scale", 2015).
    pub const fn newest_first_after(mut self, standing: Duration) -> Self {
        self.newest_first_after = Some(standing);
        self
    }

    /// Drops calls that waited while the queue did not get shorter; default none.
    pub const fn codel(mut self, codel: Codel) -> Self {
        self.codel = Some(codel);
        self
    }

    /// Whether a call competes 25 levels higher, up to high, when it has waited for half of what it
    /// may; default yes.
    pub const fn ageing(mut self, ageing: bool) -> Self {
        self.ageing = ageing;
        self
    }

    /// Calls below this level are refused; default [`Priority::BULK`], so that none is. It can be
    /// changed while calls run.
    pub const fn min_priority(mut self, least: Priority) -> Self {
        self.min_priority = least;
        self
    }

    /// How many critical calls run at a time while the circuit that is watched is open; default 1.
    ///
    /// # Panics
    /// When `calls` is above 1,000,000.
    pub const fn critical_open_limit(mut self, calls: u32) -> Self {
        assert!(calls <= Self::MAX_SLOTS, "at most 1,000,000 calls");
        self.critical_open_limit = calls;
        self
    }

    /// Refuses a share of the calls here while the callee refuses many; default none.
    pub const fn throttle(mut self, throttle: Throttle) -> Self {
        self.throttle = Some(throttle);
        self
    }

    /// Whether the values fit together.
    ///
    /// # Errors
    /// All that do not, each with the field, its value, what is allowed and what to do.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        let mut wrong = |path: &str, value: String, allowed: &str, fix: &str| {
            let [path, allowed, fix] = [path, allowed, fix].map(str::to_owned);
            errors.push(ConfigError { path, value, allowed, fix });
        };
        let total = self.total();
        if total == 0 {
            wrong("shared", "0".to_owned(), "at least one slot in all", "add shared slots");
        }
        if total > u64::from(Self::MAX_SLOTS) {
            let allowed = "at most 1000000 slots in all, reserved and shared";
            wrong("shared", self.shared.to_string(), allowed, "lower shared or reserved");
        }
        for class in Class::ALL {
            let reach: u32 = self.reserved[..=class.index()].iter().sum();
            let admitted = class >= self.min_priority.class();
            if total > 0 && self.shared == 0 && reach == 0 && admitted {
                let path = format!("reserved_{class}");
                let fix = "share a slot, reserve one for it or for a lower class, \
                           or raise min_priority above it";
                wrong(&path, "0".to_owned(), "a slot that the class can take", fix);
                break;
            }
        }
        if u64::from(self.critical_open_limit) > total.max(1) {
            let value = self.critical_open_limit.to_string();
            wrong("critical_open_limit", value, "at most the slots in all", "lower it");
        }
        if self.limit.is_some() && self.shared == 0 {
            let allowed = "at least 1 where there is a limit that moves";
            wrong("shared", "0".to_owned(), allowed, "share a slot, so that the limit can grow");
        }
        if let Some(limit) = &self.limit {
            limit.check(&mut wrong);
        }
        ConfigErrors::check(errors)
    }

    /// All slots, reserved and shared.
    pub(crate) fn total(&self) -> u64 {
        self.reserved.iter().map(|&slots| u64::from(slots)).sum::<u64>() + u64::from(self.shared)
    }

    /// How long a call of this priority waits at most.
    pub(crate) const fn wait_of(&self, priority: Priority) -> Duration {
        if priority.is_named() { self.max_wait[priority.class().index()] } else { self.custom_wait }
    }
}

/// [`QueueConfig::new`].
impl Default for QueueConfig {
    fn default() -> Self {
        Self::new()
    }
}
