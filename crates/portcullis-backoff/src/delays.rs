//! How long to wait before the next attempt: [`Delays`].

mod draw;
mod kind;
mod spec;
#[cfg(test)]
mod tests;

use std::time::Duration;

use breaker_core::Percent;

pub(crate) use self::draw::Facts;
pub use self::kind::DelayKind;

/// How long to wait before the next attempt: which [strategy](DelayKind), how long the first delay
/// is, how delays grow, where they stop growing, and how they are spread.
///
/// A delay is computed, then cut to the cap, then spread by the jitter: between `d * (1 - jitter)`
/// and `d * (1 + jitter)`, and never above the cap. So clients do not meet at the cap. What the
/// random, full, equal and decorrelated strategies draw is spread already.
///
/// The strategy is one for all attempts, or chosen for each by what is known of the callee (see
/// [`auto`](Self::auto)).
///
/// ```
/// use portcullis_backoff::{Backoffs, Delays};
/// use breaker_core::Percent;
/// use std::time::Duration;
///
/// const DELAYS: Delays = Delays::exponential(Duration::from_secs(1)).jitter(Percent::ZERO);
/// let hosts = Backoffs::new(DELAYS);
/// let delays: Vec<_> = (1..=8).map(|_| hosts.failed(&"a.example").as_secs()).collect();
/// assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Delays {
    /// `None` where each delay has the one that the selector chooses.
    pub(crate) kind: Option<DelayKind>,
    pub(crate) initial: Duration,
    pub(crate) cap: Duration,
    /// In thousandths.
    pub(crate) factor: u16,
    pub(crate) jitter: Percent,
    pub(crate) resource_threshold: Percent,
    pub(crate) pattern_window: Duration,
    pub(crate) explore: Percent,
}

impl Delays {
    /// The longest first delay, and the longest cap: a day.
    pub const MAX: Duration = Duration::from_secs(86_400);

    const DEFAULT_CAP: Duration = Duration::from_secs(60);

    /// Delays from 1 s up to 60 s, by the strategy that serves best: [`auto`](Self::auto).
    pub const fn new() -> Self {
        Self::auto(Duration::from_secs(1))
    }

    /// The strategy that serves best is chosen anew for each delay.
    ///
    /// As long as nothing is known of the callee: exponential. Where the machine is busier than the
    /// [threshold](Self::resource_threshold): resource sensitive. Where its failures come in a
    /// pattern: by the pattern. Else the strategy that was most effective with this callee among
    /// those that were tried, or now and then ([`explore`](Self::explore)) the one tried least.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn auto(initial: Duration) -> Self {
        Self::of(None, initial)
    }

    /// Always `initial`.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn fixed(initial: Duration) -> Self {
        Self::of(Some(DelayKind::Fixed), initial)
    }

    /// `initial` times 1, 2, 3 and so on.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn linear(initial: Duration) -> Self {
        Self::of(Some(DelayKind::Linear), initial)
    }

    /// `initial`, then [`factor`](Self::factor) times as long each time.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn exponential(initial: Duration) -> Self {
        Self::of(Some(DelayKind::Exponential), initial)
    }

    /// `initial` times 1, 1, 2, 3, 5 and so on.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn fibonacci(initial: Duration) -> Self {
        Self::of(Some(DelayKind::Fibonacci), initial)
    }

    /// Anything up to the linear delay.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn random(initial: Duration) -> Self {
        Self::of(Some(DelayKind::Random), initial)
    }

    /// Anything up to the exponential delay.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn full_jitter(initial: Duration) -> Self {
        Self::of(Some(DelayKind::FullJitter), initial)
    }

    /// Anything between half the exponential delay and all of it.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn equal_jitter(initial: Duration) -> Self {
        Self::of(Some(DelayKind::EqualJitter), initial)
    }

    /// `initial`, then anything between `initial` and three times the delay before.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn decorrelated(initial: Duration) -> Self {
        Self::of(Some(DelayKind::Decorrelated), initial)
    }

    /// The exponential delay, longer by the share of the machine that is in use.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn resource_sensitive(initial: Duration) -> Self {
        Self::of(Some(DelayKind::ResourceSensitive), initial)
    }

    /// The time after which failures come back, and a tenth of it more each time; `initial` where
    /// they do not come in a pattern.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn pattern(initial: Duration) -> Self {
        Self::of(Some(DelayKind::Pattern), initial)
    }

    /// The mean of the exponential, the Fibonacci and the decorrelated delay, in which each weighs
    /// as much as it was effective with this callee where it delayed alone, as it does under
    /// [`auto`](Self::auto). By itself it is their plain mean: nobody is credited with what others
    /// have had a part in.
    ///
    /// # Panics
    /// When `initial` is zero or longer than [`MAX`](Self::MAX).
    pub const fn adaptive(initial: Duration) -> Self {
        Self::of(Some(DelayKind::Adaptive), initial)
    }

    /// The longest delay; default 60 s, or the first delay where that is longer.
    ///
    /// # Panics
    /// When `cap` is shorter than the first delay or longer than [`MAX`](Self::MAX).
    pub const fn cap(mut self, cap: Duration) -> Self {
        assert!(
            cap.as_nanos() >= self.initial.as_nanos(),
            "the cap of delays is not below the first one"
        );
        assert!(cap.as_nanos() <= Self::MAX.as_nanos(), "the cap of delays is a day at most");
        self.cap = cap;
        self
    }

    /// The factor by which exponential delays grow, to the thousandth; default 2.
    ///
    /// # Panics
    /// When `factor` lies outside 1.0..=10.0.
    pub const fn factor(mut self, factor: f64) -> Self {
        assert!(factor >= 1.0 && factor <= 10.0, "the factor of delays lies in 1.0..=10.0");
        self.factor = milli(factor);
        self
    }

    /// The share by which a delay is shorter or longer at most; default 10 %.
    pub const fn jitter(mut self, jitter: Percent) -> Self {
        self.jitter = jitter;
        self
    }

    /// The share of the machine in use above which [`auto`](Self::auto) is resource sensitive;
    /// default 80 %.
    ///
    /// # Panics
    /// When it is zero or 100 %.
    pub const fn resource_threshold(mut self, threshold: Percent) -> Self {
        let points = threshold.as_basis_points();
        assert!(
            points > 0 && points < Percent::FULL.as_basis_points(),
            "a resource threshold is above zero and below 100 %"
        );
        self.resource_threshold = threshold;
        self
    }

    /// For how long outcomes are remembered, in which a pattern may be found, 64 of them at most;
    /// default 60 s.
    ///
    /// # Panics
    /// When it is zero.
    pub const fn pattern_window(mut self, window: Duration) -> Self {
        assert!(!window.is_zero(), "a pattern window is above zero");
        self.pattern_window = window;
        self
    }

    /// The share of choices in which [`auto`](Self::auto) takes the strategy tried least instead of
    /// the most effective; default 5 %.
    ///
    /// # Panics
    /// When it is above 50 %.
    pub const fn explore(mut self, share: Percent) -> Self {
        assert!(share.as_basis_points() <= 5_000, "the share of exploring is 50 % at most");
        self.explore = share;
        self
    }

    /// The strategy of all delays; `None` where it is [chosen](Self::auto) for each.
    #[must_use]
    pub const fn kind(&self) -> Option<DelayKind> {
        self.kind
    }

    /// Delays that are so many times as long, up to the same cap: so they are spread there, too.
    pub(crate) fn times(self, times: u32) -> Self {
        Self { initial: self.initial.saturating_mul(times).min(self.cap), ..self }
    }

    const fn of(kind: Option<DelayKind>, initial: Duration) -> Self {
        assert!(!initial.is_zero(), "the first delay is above zero");
        assert!(initial.as_nanos() <= Self::MAX.as_nanos(), "the first delay is a day at most");
        let longer = initial.as_nanos() > Self::DEFAULT_CAP.as_nanos();
        Self {
            kind,
            initial,
            cap: if longer { initial } else { Self::DEFAULT_CAP },
            factor: 2_000,
            jitter: Percent::new(10),
            resource_threshold: Percent::new(80),
            pattern_window: Duration::from_secs(60),
            explore: Percent::new(5),
        }
    }
}

/// [`Delays::new`].
impl Default for Delays {
    fn default() -> Self {
        Self::new()
    }
}

const fn milli(factor: f64) -> u16 {
    (factor * 1_000.0 + 0.5) as u16
}
