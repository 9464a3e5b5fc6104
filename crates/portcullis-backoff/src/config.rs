//! The configuration of retries: plain data whose leaves cannot be wrong.

mod spec;

use std::time::Duration;

use breaker_core::{Budget, Class, ConfigError, ConfigErrors, FailureKind, Name, Verb};

use crate::delays::Delays;

/// How often, and when, a call that failed is made again.
///
/// A config is `Copy` and its setters are `const`; in a constant a wrong value does not compile.
/// Whether the values fit together is asked by [`check`](Self::check), which finds all problems at
/// once; values from outside go through [`from_value`](Self::from_value) (or `serde`).
///
/// ```
/// use portcullis_backoff::{BackoffConfig, Delays};
/// use std::time::Duration;
///
/// const SEARCH: BackoffConfig = BackoffConfig::new()
///     .max_attempts(4)
///     .delays(Delays::decorrelated(Duration::from_millis(50)).cap(Duration::from_secs(2)))
///     .named("search");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct BackoffConfig {
    pub(crate) name: Name,
    pub(crate) max_attempts: u32,
    /// Zero: none of its own.
    pub(crate) methods: [u8; Verb::ALL.len()],
    pub(crate) priorities: [u8; Class::ALL.len()],
    pub(crate) delays: Delays,
    /// By [`place`].
    pub(crate) retry_on: [bool; KINDS.len()],
    pub(crate) retry_refusals: bool,
    pub(crate) hint_cap: Duration,
    pub(crate) max_elapsed: Option<Duration>,
    pub(crate) least_time: Duration,
    pub(crate) history: Duration,
    pub(crate) rate_limited_backoff: u32,
    pub(crate) exhausted_redirect: u32,
    pub(crate) budget: Budget,
    pub(crate) max_keys: u32,
}

/// The kinds of failures that can be repeated. A panic is none of them: it goes on.
pub(crate) const KINDS: [FailureKind; 8] = [
    FailureKind::Timeout,
    FailureKind::Connection,
    FailureKind::Overload { retry_after: None },
    FailureKind::RateLimited,
    FailureKind::ResourceExhausted,
    FailureKind::InvalidRequest,
    FailureKind::Internal,
    FailureKind::Unknown,
];

/// The place of a kind in [`KINDS`].
const fn place(kind: FailureKind) -> Option<usize> {
    Some(match kind {
        FailureKind::Timeout => 0,
        FailureKind::Connection => 1,
        FailureKind::Overload { .. } => 2,
        FailureKind::RateLimited => 3,
        FailureKind::ResourceExhausted => 4,
        FailureKind::InvalidRequest => 5,
        FailureKind::Internal => 6,
        FailureKind::Unknown => 7,
        _ => return None,
    })
}

impl BackoffConfig {
    /// The most attempts.
    pub const MAX_ATTEMPTS: u32 = 100;
    /// The longest wait that a config can name: a day.
    pub const MAX_WAIT: Duration = Duration::from_secs(86_400);

    /// Three attempts (GET 5, POST 2, PUT 2, DELETE 1, and no more than 5 for high, 3 for normal and
    /// 1 for low priority), after waits of up to 100 ms, 200 ms and so on (equal jitter, 5 s at
    /// most), within an adaptive budget, for timeouts, connections, overload, rate limits and
    /// exhausted resources.
    pub const fn new() -> Self {
        const fn secs(seconds: u64) -> Duration {
            Duration::from_secs(seconds)
        }
        let delays = Delays::equal_jitter(Duration::from_millis(100)).cap(secs(5));
        Self {
            name: Name::new("backoff"),
            max_attempts: 3,
            // GET, HEAD, OPTIONS, PUT, DELETE, POST, PATCH
            methods: [5, 0, 0, 2, 1, 2, 0],
            priorities: [1, 1, 3, 5, 5],
            delays,
            retry_on: [true, true, true, true, true, false, false, false],
            retry_refusals: false,
            hint_cap: secs(300),
            max_elapsed: None,
            least_time: Duration::from_millis(20),
            history: secs(300),
            rate_limited_backoff: 3,
            exhausted_redirect: 2,
            budget: Budget::adaptive(),
            max_keys: 10_000,
        }
    }

    /// 3 attempts, 100 ms to 10 s, doubling.
    pub const fn standard() -> Self {
        Self::profile(3, 100, 10_000, 2.0)
    }

    /// 5 attempts, 50 ms to 5 s, by half as much more each time.
    pub const fn aggressive() -> Self {
        Self::profile(5, 50, 5_000, 1.5)
    }

    /// 2 attempts, 500 ms to 15 s, doubling.
    pub const fn conservative() -> Self {
        Self::profile(2, 500, 15_000, 2.0)
    }

    /// The same attempts for all methods.
    const fn profile(attempts: u32, initial: u64, cap: u64, factor: f64) -> Self {
        let delays = Delays::equal_jitter(Duration::from_millis(initial))
            .factor(factor)
            .cap(Duration::from_millis(cap));
        Self { methods: [0; Verb::ALL.len()], ..Self::new() }.max_attempts(attempts).delays(delays)
    }

    /// What events and snapshots call it, 1 to 63 bytes; default `backoff`.
    ///
    /// # Panics
    /// When `name` is empty or longer than 63 bytes.
    pub const fn named(mut self, name: &str) -> Self {
        self.name = Name::new(name);
        self
    }

    /// How often a call is made, the first time included, 1..=100; default 3. It holds for methods
    /// that have no number [of their own](Self::method).
    ///
    /// # Panics
    /// When `attempts` lies outside 1..=100.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        Self::checked_attempts(attempts);
        self.max_attempts = attempts;
        self
    }

    /// How often a call with this method is made, whatever [`max_attempts`](Self::max_attempts)
    /// says; default GET 5, POST 2, PUT 2, DELETE 1.
    ///
    /// # Panics
    /// When `attempts` lies outside 1..=100.
    pub const fn method(mut self, verb: Verb, attempts: u32) -> Self {
        Self::checked_attempts(attempts);
        self.methods[verb.index()] = attempts as u8;
        self
    }

    /// Has all methods follow [`max_attempts`](Self::max_attempts).
    pub const fn same_for_all_methods(mut self) -> Self {
        self.methods = [0; Verb::ALL.len()];
        self
    }

    /// How often a call of this class is made at most; it can only lower what else holds. Default 5
    /// for critical and high, 3 for normal, 1 for low and bulk. A call whose priority nobody has
    /// named is of no class.
    ///
    /// # Panics
    /// When `attempts` lies outside 1..=100.
    pub const fn priority(mut self, class: Class, attempts: u32) -> Self {
        Self::checked_attempts(attempts);
        self.priorities[class.index()] = attempts as u8;
        self
    }

    /// How long to wait before the next attempt; default equal jitter from 100 ms to 5 s.
    #[allow(clippy::large_types_passed_by_value, reason = "made once, in constants mostly")]
    pub const fn delays(mut self, delays: Delays) -> Self {
        self.delays = delays;
        self
    }

    /// Whether failures of this kind are repeated; default timeouts, connections, overload, rate
    /// limits and exhausted resources. A panic never is.
    pub const fn retry_on(mut self, kind: FailureKind, yes: bool) -> Self {
        if let Some(place) = place(kind) {
            self.retry_on[place] = yes;
        }
        self
    }

    /// Whether a call is made again that a layer further in refused, such as an open circuit: only
    /// where that named a wait no longer than the [cap of hints](Self::hint_cap), and the wait fits.
    /// Default no.
    pub const fn retry_refusals(mut self, yes: bool) -> Self {
        self.retry_refusals = yes;
        self
    }

    /// The longest wait that is taken from the callee's word (`Retry-After`), 1 ms..=1 day; default
    /// 5 min. Up to a tenth comes on top, where delays are spread at all: else all who are told the
    /// same come together.
    ///
    /// # Panics
    /// When `cap` lies outside of that.
    pub const fn hint_cap(mut self, cap: Duration) -> Self {
        Self::checked_wait(cap);
        self.hint_cap = cap;
        self
    }

    /// No attempt starts later than this after the first, 1 ms..=1 day; default none.
    ///
    /// # Panics
    /// When `longest` lies outside of that.
    pub const fn max_elapsed(mut self, longest: Duration) -> Self {
        Self::checked_wait(longest);
        self.max_elapsed = Some(longest);
        self
    }

    /// What must be left of a deadline when an attempt starts, up to 1 day; default 20 ms.
    ///
    /// # Panics
    /// When `time` is longer than a day.
    pub const fn least_time(mut self, time: Duration) -> Self {
        let fits = time.as_nanos() <= Self::MAX_WAIT.as_nanos();
        assert!(fits, "what must be left is at most a day");
        self.least_time = time;
        self
    }

    /// For how long failures of a target are remembered, 1 ms..=1 day; default 5 min.
    ///
    /// # Panics
    /// When `span` lies outside of that.
    pub const fn history(mut self, span: Duration) -> Self {
        Self::checked_wait(span);
        self.history = span;
        self
    }

    /// At this number of rate limits within the [history](Self::history) further attempts at the
    /// target are held back, 1..=256; default 3.
    ///
    /// # Panics
    /// When `events` lies outside of that.
    pub const fn rate_limited_backoff(mut self, events: u32) -> Self {
        assert!(events >= 1 && events <= 256, "between 1 and 256 rate limits hold attempts back");
        self.rate_limited_backoff = events;
        self
    }

    /// At this number of exhausted resources within the [history](Self::history) the next attempt
    /// goes to the alternative, or is not made where there is none, 1..=256; default 2.
    ///
    /// # Panics
    /// When `events` lies outside of that.
    pub const fn exhausted_redirect(mut self, events: u32) -> Self {
        assert!(events >= 1 && events <= 256, "between 1 and 256 exhaustions redirect");
        self.exhausted_redirect = events;
        self
    }

    /// How many attempts beyond the first ones a target is sent; default [`Budget::adaptive`].
    #[allow(clippy::large_types_passed_by_value, reason = "made once, in constants mostly")]
    pub const fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Of how many targets something is remembered, where there are several, 1..=1,000,000; default
    /// 10,000.
    ///
    /// # Panics
    /// When `keys` lies outside of that.
    pub const fn max_keys(mut self, keys: u32) -> Self {
        assert!(keys >= 1 && keys <= 1_000_000, "between 1 and 1,000,000 targets are remembered");
        self.max_keys = keys;
        self
    }

    /// Whether the values fit together.
    ///
    /// # Errors
    /// All problems at once.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        if let Some(longest) = self.max_elapsed {
            let first = self.delays.initial;
            if self.most_attempts() > 1 && longest < first {
                errors.push(ConfigError {
                    path: "max_elapsed".to_owned(),
                    value: format!("{longest:?}"),
                    allowed: format!("at least the first delay, {first:?}"),
                    fix: "raise it, or lower `initial_delay`".to_owned(),
                });
            }
        }
        ConfigErrors::check(errors)
    }

    /// The most attempts of any call.
    fn most_attempts(&self) -> u32 {
        let methods = self.methods.iter().map(|&most| u32::from(most));
        methods.fold(self.max_attempts, u32::max)
    }

    pub(crate) const fn retries(&self, kind: FailureKind) -> bool {
        match place(kind) {
            Some(place) => self.retry_on[place],
            None => false,
        }
    }

    const fn checked_attempts(attempts: u32) {
        assert!(attempts >= 1 && attempts <= Self::MAX_ATTEMPTS, "attempts lie in 1..=100");
    }

    const fn checked_wait(wait: Duration) {
        assert!(
            wait.as_millis() >= 1 && wait.as_nanos() <= Self::MAX_WAIT.as_nanos(),
            "a wait lies in 1 ms..=1 day"
        );
    }
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self::new()
    }
}
