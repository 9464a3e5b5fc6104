//! When a circuit opens: [`Trip`] and the [`Window`] it looks at.

use std::time::Duration;

use super::Cusum;
use crate::percent::Percent;

/// When a circuit opens: up to four conditions, any of which is enough.
///
/// ```
/// use breaker_core::{Percent, Trip, Window};
/// use std::time::Duration;
///
/// // Five in a row, or half of the calls of the last half minute.
/// const TRIP: Trip = Trip::any(&[
///     Trip::consecutive(5),
///     Trip::failure_rate(Percent::new(50), Window::over(Duration::from_secs(30)).min_calls(20)),
/// ]);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Trip([Option<TripOn>; Self::MAX_CONDITIONS]);

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum TripOn {
    Consecutive(u32),
    Window(WindowRule),
    Average { threshold: Percent, calls: u32 },
    Score(Cusum),
}

/// Thresholds over one window: any of them is enough.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct WindowRule {
    pub(crate) window: Window,
    pub(crate) failure_count: Option<u32>,
    pub(crate) failure_rate: Option<Percent>,
    pub(crate) slow_rate: Option<Percent>,
}

impl Trip {
    /// The most conditions that can be joined.
    pub const MAX_CONDITIONS: usize = 4;

    /// The largest threshold of consecutive failures.
    pub const MAX_CONSECUTIVE: u32 = 1_000_000;

    /// Opens after this many failures in a row; a success begins anew.
    ///
    /// # Panics
    /// When `failures` lies outside 1..=1,000,000.
    pub const fn consecutive(failures: u32) -> Self {
        assert!(
            failures >= 1 && failures <= Self::MAX_CONSECUTIVE,
            "consecutive_failures lies in 1..=1000000"
        );
        Self::of(TripOn::Consecutive(failures))
    }

    /// Opens at this many failures within the window; `min_calls` plays no part.
    ///
    /// # Panics
    /// When `failures` is zero or more than the calls of a count window.
    pub const fn failure_count(failures: u32, window: Window) -> Self {
        assert!(failures >= 1, "failure_count is at least 1");
        if let Span::Calls(size) = window.span {
            assert!(failures <= size, "failure_count is not above the window's size");
        }
        Self::of(TripOn::Window(WindowRule {
            failure_count: Some(failures),
            ..WindowRule::over(window)
        }))
    }

    /// Opens when this share of the calls in the window failed, once it holds `min_calls`.
    ///
    /// # Panics
    /// When `rate` is zero.
    pub const fn failure_rate(rate: Percent, window: Window) -> Self {
        assert!(!rate.is_zero(), "failure_rate is above zero");
        Self::of(TripOn::Window(WindowRule {
            failure_rate: Some(rate),
            ..WindowRule::over(window)
        }))
    }

    /// Opens when this share of the calls in the window was slow, once it holds `min_calls`.
    ///
    /// # Panics
    /// When `rate` is zero.
    pub const fn slow_rate(rate: Percent, window: Window) -> Self {
        assert!(!rate.is_zero(), "slow_call_rate is above zero");
        Self::of(TripOn::Window(WindowRule { slow_rate: Some(rate), ..WindowRule::over(window) }))
    }

    /// Opens when the exponentially weighted average of successes, which starts at 100 % and
    /// looks back over about `calls` calls, falls below `threshold`.
    ///
    /// # Panics
    /// When `threshold` is zero or `calls` lies outside 1..=1,000,000.
    pub const fn success_average(threshold: Percent, calls: u32) -> Self {
        assert!(!threshold.is_zero(), "success_average is above zero");
        assert!(
            calls >= 1 && calls <= Self::MAX_CONSECUTIVE,
            "success_average_calls lies in 1..=1000000"
        );
        Self::of(TripOn::Average { threshold, calls })
    }

    /// Opens when the calls have said enough against the callee: when their score, a cumulative
    /// sum, is above its threshold; see [`Cusum`].
    pub const fn cusum(cusum: Cusum) -> Self {
        Self::of(TripOn::Score(cusum))
    }

    /// Any of these is enough.
    ///
    /// # Panics
    /// When there are no conditions, or more than four.
    pub const fn any(trips: &[Self]) -> Self {
        assert!(!trips.is_empty(), "a trip has at least one condition");
        let mut joined = trips[0];
        let mut i = 1;
        while i < trips.len() {
            joined = joined.or(trips[i]);
            i += 1;
        }
        joined
    }

    /// This or that. Conditions over equal windows share one window.
    ///
    /// # Panics
    /// When that would be more than four conditions.
    pub const fn or(mut self, other: Self) -> Self {
        let mut i = 0;
        while i < Self::MAX_CONDITIONS {
            if let Some(condition) = other.0[i] {
                self = self.with(condition);
            }
            i += 1;
        }
        self
    }

    pub(crate) fn conditions(&self) -> impl Iterator<Item = &TripOn> {
        self.0.iter().flatten()
    }

    pub(super) fn conditions_mut(&mut self) -> impl Iterator<Item = &mut TripOn> {
        self.0.iter_mut().flatten()
    }

    pub(crate) fn judges_slow_calls(&self) -> bool {
        self.conditions()
            .any(|condition| matches!(condition, TripOn::Window(rule) if rule.slow_rate.is_some()))
    }

    pub(crate) fn judges_by_time(&self) -> bool {
        self.conditions()
            .any(|condition| matches!(condition, TripOn::Window(rule) if rule.window.is_of_time()))
    }

    /// The rate at which the first windowed condition opens.
    pub(crate) fn first_rule(&self) -> Option<&WindowRule> {
        self.conditions().find_map(|condition| match condition {
            TripOn::Window(rule) => Some(rule),
            _ => None,
        })
    }

    /// The place of that condition.
    pub(crate) fn first_window(&self) -> Option<usize> {
        self.conditions().position(|condition| matches!(condition, TripOn::Window(_)))
    }

    /// These conditions; `None` if there are none.
    pub(crate) fn from_conditions<const N: usize>(all: [Option<TripOn>; N]) -> Option<Self> {
        all.into_iter().flatten().map(Self::of).reduce(Self::or)
    }

    const fn of(condition: TripOn) -> Self {
        Self([Some(condition), None, None, None])
    }

    const fn with(mut self, condition: TripOn) -> Self {
        let mut i = 0;
        while i < Self::MAX_CONDITIONS {
            match (&self.0[i], &condition) {
                (None, _) => {
                    self.0[i] = Some(condition);
                    return self;
                }
                (Some(TripOn::Window(mine)), TripOn::Window(more)) => {
                    if let Some(both) = mine.merged(more) {
                        self.0[i] = Some(TripOn::Window(both));
                        return self;
                    }
                }
                _ => {}
            }
            i += 1;
        }
        panic!("a trip has at most four conditions")
    }
}

impl WindowRule {
    const fn over(window: Window) -> Self {
        Self { window, failure_count: None, failure_rate: None, slow_rate: None }
    }

    /// Both rules as one, if they look at the same window and no threshold is named twice.
    const fn merged(&self, more: &Self) -> Option<Self> {
        let twice = self.failure_count.is_some() && more.failure_count.is_some()
            || self.failure_rate.is_some() && more.failure_rate.is_some()
            || self.slow_rate.is_some() && more.slow_rate.is_some();
        if twice || !self.window.equals(&more.window) {
            return None;
        }
        let mut both = *self;
        if more.failure_count.is_some() {
            both.failure_count = more.failure_count;
        }
        if more.failure_rate.is_some() {
            both.failure_rate = more.failure_rate;
        }
        if more.slow_rate.is_some() {
            both.slow_rate = more.slow_rate;
        }
        Some(both)
    }
}

/// Which calls are looked at: the last so many, or those of the last period.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Window {
    pub(crate) span: Span,
    pub(crate) min_calls: u32,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Span {
    Calls(u32),
    Time { length: Duration, buckets: u16 },
}

impl Window {
    /// The largest count window.
    pub const MAX_CALLS: u32 = 65_536;

    /// The most buckets of a time window.
    pub const MAX_BUCKETS: u16 = 120;

    const MIN_CALLS: u32 = 5;

    /// The last `calls` calls; rates are judged from 5 calls on, or `calls` if that is less.
    ///
    /// # Panics
    /// When `calls` lies outside 1..=65,536.
    pub const fn last(calls: u32) -> Self {
        assert!(calls >= 1 && calls <= Self::MAX_CALLS, "a count window holds 1..=65536 calls");
        let min_calls = if calls < Self::MIN_CALLS { calls } else { Self::MIN_CALLS };
        Self { span: Span::Calls(calls), min_calls }
    }

    /// The calls of the last period, in ten buckets; rates are judged from 5 calls on.
    ///
    /// # Panics
    /// See [`Window::in_buckets`].
    pub const fn over(length: Duration) -> Self {
        Self::in_buckets(length, 10)
    }

    /// The calls of the last period, in equal buckets: a call leaves the window with its bucket.
    ///
    /// # Panics
    /// When `length` lies outside 100 ms..=1 h, `buckets` outside 1..=120, or a bucket is not a
    /// whole number of milliseconds long.
    pub const fn in_buckets(length: Duration, buckets: u16) -> Self {
        assert!(Self::length_fits(length), "a time window is 100 ms..=1 h long");
        assert!(buckets >= 1 && buckets <= Self::MAX_BUCKETS, "a time window has 1..=120 buckets");
        assert!(
            Self::divides(length, buckets),
            "a bucket of a time window is a whole number of milliseconds long"
        );
        Self { span: Span::Time { length, buckets }, min_calls: Self::MIN_CALLS }
    }

    /// From how many calls on rates are judged.
    ///
    /// # Panics
    /// When `calls` is zero or more than a count window holds.
    pub const fn min_calls(mut self, calls: u32) -> Self {
        assert!(calls >= 1, "min_calls is at least 1");
        if let Span::Calls(size) = self.span {
            assert!(calls <= size, "min_calls is not above the window's size: it could never trip");
        }
        self.min_calls = calls;
        self
    }

    pub(crate) const fn length_fits(length: Duration) -> bool {
        length.as_millis() >= 100 && length.as_nanos() <= 3_600_000_000_000
    }

    pub(crate) const fn divides(length: Duration, buckets: u16) -> bool {
        length.as_nanos() % (buckets as u128 * 1_000_000) == 0
    }

    const fn is_of_time(&self) -> bool {
        matches!(self.span, Span::Time { .. })
    }

    const fn equals(&self, other: &Self) -> bool {
        let same_span = match (&self.span, &other.span) {
            (Span::Calls(mine), Span::Calls(theirs)) => *mine == *theirs,
            (Span::Time { length, buckets }, Span::Time { length: l, buckets: b }) => {
                length.as_nanos() == l.as_nanos() && *buckets == *b
            }
            _ => false,
        };
        same_span && self.min_calls == other.min_calls
    }
}
