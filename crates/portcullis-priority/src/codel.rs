//! Drops what waits in a queue that stands: [`Codel`].

use std::time::Duration;

use breaker_core::Tick;

/// When a call that has waited is dropped, because the queue does not get shorter.
///
/// Controlled delay (Nichols and Jacobson 2012), as servers use it (Maurer, "Fail at Scale", 2015):
/// time is cut into intervals, and after one in which nobody waited for less than the target, the
/// calls that waited longer than twice the target are dropped. The first call of an interval never
/// is, so one that was slow alone drops nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Codel {
    pub(crate) target: Duration,
    pub(crate) interval: Duration,
}

impl Codel {
    /// The longest target, and the longest interval.
    pub const MAX: Duration = Duration::from_secs(600);

    /// A wait of 5 ms that is all right, and an interval of 100 ms.
    pub const fn new() -> Self {
        Self { target: Duration::from_millis(5), interval: Duration::from_millis(100) }
    }

    /// The wait that is all right, above 0 and up to 10 min; default 5 ms. Where a call has waited
    /// for twice as long, and the queue stands, it is dropped.
    ///
    /// # Panics
    /// When `target` is zero or longer than [`MAX`](Self::MAX).
    pub const fn target(mut self, target: Duration) -> Self {
        assert!(!target.is_zero(), "a target is above zero");
        assert!(target.as_nanos() <= Self::MAX.as_nanos(), "a target is 10 minutes at most");
        self.target = target;
        self
    }

    /// For how long nobody may have waited for less than the target, until the queue is taken to
    /// stand; above 0 and up to 10 min, default 100 ms. It should be longer than a call takes.
    ///
    /// # Panics
    /// When `interval` is zero or longer than [`MAX`](Self::MAX).
    pub const fn interval(mut self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "an interval is above zero");
        assert!(interval.as_nanos() <= Self::MAX.as_nanos(), "an interval is 10 minutes at most");
        self.interval = interval;
        self
    }
}

/// [`Codel::new`].
impl Default for Codel {
    fn default() -> Self {
        Self::new()
    }
}

/// What is remembered of one queue, for queues of your own: the one in here keeps its own. Pure, 32
/// bytes; time is handed in.
///
/// ```
/// use portcullis_priority::breaker_core::Tick;
/// use portcullis_priority::{Codel, CodelState};
/// use std::time::Duration;
///
/// let mut state = CodelState::new();
/// let waited = Duration::from_millis(50);
/// // Who leaves the queue second, after an interval in which it stood, has waited in vain.
/// let mut leave = |at| state.dequeue(Codel::new(), Tick::from_millis(at), waited);
/// assert_eq!([0, 100, 100].map(&mut leave), [false, false, true]);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct CodelState {
    /// Up to when the present interval goes; `None` before the first call.
    until: Option<Tick>,
    /// The shortest wait in the present interval.
    least: Duration,
    /// Whether all waited for longer than the target in the interval before.
    stands: bool,
}

impl CodelState {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { until: None, least: Duration::ZERO, stands: false }
    }

    /// That of a queue that is empty now: whoever came would not wait, and what was before says
    /// nothing about those to come.
    pub(crate) const fn rested(now: Tick) -> Self {
        Self { until: Some(now), least: Duration::ZERO, stands: false }
    }

    /// Takes note of a call that is taken out of the queue after this wait; whether to drop it.
    #[must_use]
    pub fn dequeue(&mut self, config: Codel, now: Tick, delay: Duration) -> bool {
        match self.until {
            Some(until) if now <= until => {
                self.least = self.least.min(delay);
                self.stands && delay > config.target.saturating_mul(2)
            }
            // The first of an interval, which judges the one before.
            Some(_) => {
                let stands = self.least > config.target;
                *self = Self { until: Some(now.after(config.interval)), least: delay, stands };
                false
            }
            // The first of all is an interval of its own.
            None => {
                *self = Self { until: Some(now), least: delay, stands: false };
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Feeds (moment, wait) in milliseconds; who was dropped.
    fn dropped<const N: usize>(state: &mut CodelState, calls: [(u64, u64); N]) -> [bool; N] {
        calls.map(|(at, wait)| state.dequeue(Codel::new(), Tick::from_millis(at), ms(wait)))
    }

    #[test]
    fn the_defaults_are_those_of_the_docs() {
        let written = Codel::new().target(ms(5)).interval(ms(100));
        assert_eq!((written, Codel::default()), (Codel::new(), Codel::new()));
    }

    // CD-001
    #[test]
    fn an_interval_after_a_standing_one_drops_what_waited_twice_the_target_but_never_its_first() {
        let calls = [(110, 100), (200, 50), (200, 50), (310, 2), (400, 20)];
        assert_eq!(dropped(&mut CodelState::new(), calls), [false, false, true, false, true]);
    }

    // CD-002
    #[test]
    fn a_call_that_was_slow_alone_is_not_dropped() {
        assert_eq!(dropped(&mut CodelState::new(), [(0, 20)]), [false]);
    }

    #[test]
    fn twice_the_target_is_not_yet_too_long() {
        let calls = [(0, 50), (1, 50), (2, 10), (3, 11)];
        assert_eq!(dropped(&mut CodelState::new(), calls), [false, false, false, true]);
    }

    #[test]
    fn one_short_wait_in_an_interval_is_enough() {
        let calls = [(0, 50), (1, 50), (50, 5), (60, 9), (102, 90), (103, 90)];
        assert_eq!(dropped(&mut CodelState::new(), calls), [false; 6]);
    }

    #[test]
    fn a_queue_that_was_empty_stands_after_an_interval_at_the_earliest() {
        let mut state = CodelState::rested(Tick::ZERO);
        let calls = [(20, 20), (21, 21), (120, 99), (121, 99), (122, 99)];
        assert_eq!(dropped(&mut state, calls), [false, false, false, false, true]);
    }

    #[test]
    fn the_end_of_time_and_a_step_back_do_no_harm() {
        let mut state = CodelState::new();
        let at = |state: &mut CodelState, now| {
            state.dequeue(Codel::new().interval(Codel::MAX), now, Duration::MAX)
        };
        let moments = [Tick::MAX, Tick::ZERO, Tick::MAX, Tick::ZERO];
        assert_eq!(moments.map(|now| at(&mut state, now)), [false; 4]);
    }

    #[test]
    #[should_panic(expected = "a target is above zero")]
    fn a_target_of_zero_is_refused() {
        let _ = Codel::new().target(Duration::ZERO);
    }

    #[test]
    #[should_panic(expected = "an interval is 10 minutes at most")]
    fn an_interval_above_10_minutes_is_refused() {
        let _ = Codel::new().interval(Codel::MAX + Duration::from_nanos(1));
    }
}
