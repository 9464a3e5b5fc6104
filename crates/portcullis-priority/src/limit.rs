//! How many calls the callee bears: [`Limit`], [`LimitAlgorithm`].

mod aimd;
mod bounds;
mod deadline;
mod gradient;
mod service_time;
#[cfg(test)]
mod tests;
mod vegas;
mod window;

use std::fmt::Debug;
use std::time::Duration;

use breaker_core::Tick;

use self::bounds::Bounds;

pub use aimd::Aimd;
pub use deadline::DeadlineAimd;
pub use gradient::Gradient2;
pub use service_time::ServiceTime;
pub use vegas::Vegas;

/// Finds out how many calls may run at a time, from how calls end.
///
/// It sees each call that says something of the callee's load, one after the other: those that were
/// answered, and those that ended by an overload answer, by a timeout, or by being dropped. Calls
/// that failed for a reason of their own are not shown to it. State of an algorithm is bounded; time
/// is handed in.
///
/// It is asked under the lock of its queue: it must be quick, and must not call that queue.
pub trait LimitAlgorithm: Debug + Send {
    /// How many calls may run at a time; at least one.
    fn limit(&self) -> u32;

    /// Takes in how a call ended.
    fn sample(&mut self, sample: &Sample);

    /// Keeps the limit within these bounds from now on, which a new configuration has; by default
    /// they are none of its business.
    fn bound(&mut self, min: u32, max: u32) {
        let _ = (min, max);
    }
}

/// How a call ended, for a [`LimitAlgorithm`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Sample {
    /// When it got its slot.
    pub started: Tick,
    /// When it was answered, up to the head, or dropped.
    pub ended: Tick,
    /// How many calls ran then, itself among them. Slots that are free, but reserved for classes above
    /// that of the call, count as well: as far as it is concerned they are taken.
    pub in_flight: u32,
    /// What it says of the load.
    pub verdict: Verdict,
}

impl Sample {
    /// How long it took; zero where the clock stepped back meanwhile.
    #[must_use]
    pub const fn took(&self) -> Duration {
        self.ended.since(self.started)
    }
}

/// What a call says of the load of the callee.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It was answered.
    Answered,
    /// The callee said that it has too much to do.
    Overloaded,
    /// It took too long, and its own timeout ended it.
    TimedOut,
    /// Its caller gave it up: where that was late, it says what a timeout says.
    Cancelled,
}

impl Verdict {
    /// Whether it says by itself that the callee has too much to do.
    const fn is_hard(self) -> bool {
        matches!(self, Self::Overloaded | Self::TimedOut)
    }
}

/// Which algorithm moves the number of slots, and within which bounds.
///
/// | algorithm | what it goes by | state |
/// |---|---|---|
/// | [`deadline`](Self::deadline) | calls that took more than half their timeout | 160 bytes |
/// | [`gradient2`](Self::gradient2) | the times of now beside those of a while | 128 bytes |
/// | [`vegas`](Self::vegas) | how many calls seem to queue at the callee | 160 bytes |
/// | [`aimd`](Self::aimd) | timeouts alone | 56 bytes |
/// | [`service_time`](Self::service_time) | the times of now beside the least, on a server itself | 144 bytes |
///
/// None of them grows while less than half of its slots are in use, for it would learn nothing of
/// those it adds; slots that are kept for classes above that of a call count as used where half of those
/// that it may take are. Each is cut once per round trip at most: calls that began before a cut say nothing of what it did. Nothing is
/// allocated per call. The numbers that only one algorithm knows are set on its own type, such as
/// [`Gradient2`].
///
/// ```
/// use portcullis_priority::{Gradient2, Limit};
/// use std::time::Duration;
///
/// const ORDERS: Limit = Limit::new(Duration::from_secs(1)).max(64);
/// const SEARCH: Limit = Gradient2::new().tolerance(2.0).into_limit().start(40).max(400);
/// assert_eq!((ORDERS.most(), SEARCH.most()), (64, 400));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Limit {
    bounds: Bounds,
    algorithm: Algorithm,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Algorithm {
    Deadline(DeadlineAimd),
    Gradient2(Gradient2),
    Vegas(Vegas),
    Aimd(Aimd),
    ServiceTime(ServiceTime),
}

impl Limit {
    /// The highest bound.
    pub const MAX: u32 = 1_000_000;

    /// The same as [`deadline`](Self::deadline), for calls that a client makes.
    ///
    /// # Panics
    /// When `timeout` lies outside 1 ms..=1 h.
    pub const fn new(timeout: Duration) -> Self {
        Self::deadline(timeout)
    }

    /// By how many calls take more than half of their timeout: [`DeadlineAimd`], 20 calls at the
    /// start, 1 to 200 later.
    ///
    /// # Panics
    /// When `timeout` lies outside 1 ms..=1 h.
    pub const fn deadline(timeout: Duration) -> Self {
        DeadlineAimd::new(timeout).into_limit()
    }

    /// By the times of now beside those of a while: [`Gradient2`], 20 calls at the start, 1 to 200
    /// later.
    pub const fn gradient2() -> Self {
        Gradient2::new().into_limit()
    }

    /// By how many calls seem to queue at the callee: [`Vegas`], 20 calls at the start, 1 to 200
    /// later.
    pub const fn vegas() -> Self {
        Vegas::new().into_limit()
    }

    /// By timeouts and overload answers alone: [`Aimd`], 20 calls at the start, 1 to 200 later.
    ///
    /// # Panics
    /// When `timeout` lies outside 1 ms..=1 h.
    pub const fn aimd(timeout: Duration) -> Self {
        Aimd::new(timeout).into_limit()
    }

    /// By the time that calls take on the server itself: [`ServiceTime`], 8 calls at the start, 2 to
    /// 200 later.
    pub const fn service_time() -> Self {
        ServiceTime::new().into_limit()
    }

    /// How many calls may run at the start, 1..=1,000,000; default 20, by service time 8.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=1,000,000.
    pub const fn start(mut self, calls: u32) -> Self {
        assert!(calls >= 1 && calls <= Self::MAX, "a limit starts at 1..=1,000,000 calls");
        self.bounds.start = calls;
        self
    }

    /// The fewest calls at a time, 0..=1,000,000; default 1, by service time 2. Zero is the same as
    /// one: no limit lets nobody through, for it would never see another call. A start below it is
    /// raised to it.
    ///
    /// # Panics
    /// When `calls` is above 1,000,000.
    pub const fn min(mut self, calls: u32) -> Self {
        assert!(calls <= Self::MAX, "the least of a limit is 1,000,000 calls at most");
        self.bounds.min = if calls == 0 { 1 } else { calls };
        if self.bounds.start < self.bounds.min {
            self.bounds.start = self.bounds.min;
        }
        self
    }

    /// The most calls at a time, 1..=1,000,000; default 200. A start above it is lowered to it.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=1,000,000.
    pub const fn max(mut self, calls: u32) -> Self {
        assert!(calls >= 1 && calls <= Self::MAX, "the most of a limit is 1..=1,000,000 calls");
        self.bounds.max = calls;
        if self.bounds.start > calls {
            self.bounds.start = calls;
        }
        self
    }

    /// The most calls at a time.
    #[must_use]
    pub const fn most(&self) -> u32 {
        self.bounds.max
    }

    /// Whether another one goes by the same algorithm, whatever its bounds.
    pub(crate) fn goes_by(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm
    }

    /// Within which bounds it stays where there are so many slots.
    pub(crate) fn bounds_within(&self, slots: u32) -> (u32, u32) {
        let Bounds { min, max, .. } = self.within(slots, None).bounds;
        (min, max)
    }

    /// The same for a queue with so many slots; it begins with `start`, where that is known.
    pub(crate) fn within(&self, slots: u32, start: Option<u32>) -> Self {
        let Bounds { start: first, min, max } = self.bounds;
        let max = max.min(slots);
        let min = min.min(max);
        let start = start.unwrap_or(first).clamp(min, max);
        Self { bounds: Bounds { start, min, max }, ..*self }
    }

    /// What the algorithm is called: `deadline`, `gradient2`, `vegas`, `aimd` or `service-time`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Deadline(_) => "deadline",
            Algorithm::Gradient2(_) => "gradient2",
            Algorithm::Vegas(_) => "vegas",
            Algorithm::Aimd(_) => "aimd",
            Algorithm::ServiceTime(_) => "service-time",
        }
    }

    /// The algorithm, at its beginning. Where the bounds contradict each other, the upper one wins.
    #[must_use]
    pub fn begin(&self) -> Box<dyn LimitAlgorithm> {
        let bounds = self.bounds;
        match self.algorithm {
            Algorithm::Deadline(config) => Box::new(deadline::State::new(config, bounds)),
            Algorithm::Gradient2(config) => Box::new(gradient::State::new(config, bounds)),
            Algorithm::Vegas(config) => Box::new(vegas::State::new(config, bounds)),
            Algorithm::Aimd(config) => Box::new(aimd::State::new(config, bounds)),
            Algorithm::ServiceTime(config) => Box::new(service_time::State::new(config, bounds)),
        }
    }

    /// Tells `wrong` of values that do not fit together: field, value, what is allowed, what to do.
    pub(crate) fn check(&self, wrong: &mut impl FnMut(&str, String, &str, &str)) {
        let Bounds { start, min, max } = self.bounds;
        if min > max {
            let fix = "lower limit_min or raise limit_max";
            wrong("limit_min", min.to_string(), &format!("at most limit_max, {max}"), fix);
        } else if start < min || start > max {
            let allowed = format!("{min}..={max}, from limit_min to limit_max");
            wrong("limit_start", start.to_string(), &allowed, "start between them");
        }
        if let Algorithm::Vegas(vegas) = &self.algorithm {
            vegas.check(wrong);
        }
    }

    /// This algorithm within these bounds.
    const fn of(algorithm: Algorithm, start: u32, min: u32) -> Self {
        Self { bounds: Bounds { start, min, max: 200 }, algorithm }
    }
}

/// Whether a timeout is one: 1 ms..=1 h.
const fn is_timeout(timeout: Duration) -> bool {
    timeout.as_millis() >= 1 && timeout.as_millis() <= 3_600_000
}
