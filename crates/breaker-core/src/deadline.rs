//! Until when a call is of use to its caller: [`Deadline`].

use std::cell::Cell;
use std::time::Duration;

use crate::clock::Tick;
use crate::scope::scoped;

/// The moment after which nobody waits for the answer of a call any more.
///
/// It stands in the extensions of a request, or [around](Self::scope) the call that makes the
/// request. The moment is one of the clock that the layers are on: all
/// [`MonotonicClock`](crate::MonotonicClock)s of a process show the same time, and a
/// `TokioClock` shows it, too, while tokio's time runs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Deadline(Tick);

impl Deadline {
    /// At this moment.
    #[must_use]
    pub const fn at(moment: Tick) -> Self {
        Self(moment)
    }

    /// So long after this moment.
    #[must_use]
    pub const fn after(now: Tick, left: Duration) -> Self {
        Self(now.after(left))
    }

    /// The moment.
    #[must_use]
    pub const fn moment(self) -> Tick {
        self.0
    }

    /// How long it is off; zero where it has passed.
    #[must_use]
    pub const fn left(self, now: Tick) -> Duration {
        self.0.since(now)
    }

    /// Whether it has passed.
    #[must_use]
    pub const fn has_passed(self, now: Tick) -> bool {
        self.0.as_nanos() <= now.as_nanos()
    }

    /// The earlier one of this and another.
    #[must_use]
    pub fn or_before(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| self.min(other))
    }

    /// That of the call which is being polled on this thread, where a layer has said so; see
    /// [`scope`](Self::scope). A task that was spawned meanwhile does not have it.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.get()
    }

    /// Runs a part of a call whose deadline this is: [`current`](Self::current) tells it within.
    pub fn scope<T>(self, part: impl FnOnce() -> T) -> T {
        scoped(&CURRENT, self, part)
    }
}

thread_local! {
    static CURRENT: Cell<Option<Deadline>> = const { Cell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_counts_down_and_does_not_wrap() {
        let at = Deadline::after(Tick::from_millis(100), Duration::from_millis(50));
        assert_eq!(at.left(Tick::from_millis(120)), Duration::from_millis(30));
        assert_eq!(at.left(Tick::from_millis(151)), Duration::ZERO);
        assert!(!at.has_passed(Tick::from_millis(149)) && at.has_passed(Tick::from_millis(150)));
        assert_eq!(Deadline::after(Tick::MAX, Duration::MAX).moment(), Tick::MAX);
        assert_eq!(at.or_before(Some(Deadline::at(Tick::ZERO))).moment(), Tick::ZERO);
        assert_eq!(at.or_before(None), at);
    }

    #[test]
    fn a_scope_ends_also_by_a_panic() {
        let outer = Deadline::at(Tick::from_millis(2));
        let inner = outer.scope(|| Deadline::at(Tick::from_millis(1)).scope(Deadline::current));
        assert_eq!(inner, Some(Deadline::at(Tick::from_millis(1))));
        assert!(std::panic::catch_unwind(|| outer.scope(|| panic!("on purpose"))).is_err());
        assert_eq!(Deadline::current(), None);
    }
}
