//! Failures that come back at regular intervals: [`PatternDetector`].

use std::collections::VecDeque;
use std::time::Duration;

use breaker_core::Tick;

/// Outcomes that repeat themselves.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "complete by definition")]
pub struct Pattern {
    /// After so many outcomes they do.
    pub period: u32,
    /// After so long, on average.
    pub interval: Duration,
}

impl Pattern {
    /// The same, with an interval so many times as long.
    pub(crate) const fn times(self, times: u32) -> Self {
        Self { interval: self.interval.saturating_mul(times), ..self }
    }
}

/// Looks for a pattern in the last outcomes of a callee. Pure; time is handed in.
///
/// Up to 64 outcomes within the window are kept, and five are needed. The pattern is the shortest
/// period of two outcomes or more in which the last ones equal those before, with a success and a
/// failure among them. Its interval is read from the moments of the outcomes.
///
/// ```
/// use portcullis_backoff::PatternDetector;
/// use breaker_core::Tick;
/// use std::time::Duration;
///
/// let mut detector = PatternDetector::new(Duration::from_secs(60));
/// for second in 0..8 {
///     detector.ended(Tick::from_millis(1_000 * second), second % 2 == 0);
/// }
/// let pattern = detector.pattern(Tick::from_millis(7_000)).unwrap();
/// assert_eq!((pattern.period, pattern.interval), (2, Duration::from_secs(2)));
/// ```
#[derive(Clone, Debug)]
pub struct PatternDetector {
    pub(crate) window: Duration,
    /// When the outcomes were, the newest last.
    moments: VecDeque<Tick>,
    /// What they were, the newest in the lowest bit: 1 for a success.
    outcomes: u64,
}

impl PatternDetector {
    /// The most outcomes that are kept.
    pub const MAX_OUTCOMES: usize = 64;

    /// The fewest outcomes in which there can be a pattern.
    pub const MIN_OUTCOMES: usize = 5;

    /// Nothing yet; outcomes count for this long.
    #[must_use]
    pub const fn new(window: Duration) -> Self {
        Self { window, moments: VecDeque::new(), outcomes: 0 }
    }

    /// Takes note of an outcome.
    pub fn ended(&mut self, now: Tick, success: bool) {
        // A clock that steps back stands still.
        let now = self.moments.back().map_or(now, |&last| last.max(now));
        while self.moments.front().is_some_and(|&at| now.since(at) > self.window) {
            self.moments.pop_front();
        }
        if self.moments.len() == Self::MAX_OUTCOMES {
            self.moments.pop_front();
        }
        self.moments.push_back(now);
        self.outcomes = self.outcomes << 1 | u64::from(success);
    }

    /// The pattern of the outcomes within the window, if there is one.
    #[must_use]
    pub fn pattern(&self, now: Tick) -> Option<Pattern> {
        let len = self.len(now);
        if len < Self::MIN_OUTCOMES {
            return None;
        }
        let period = (2..=len / 2).find(|&period| {
            let mask = (1_u64 << period) - 1;
            let last = self.outcomes & mask;
            last == self.outcomes >> period & mask && last != 0 && last != mask
        })?;
        // The mean of the times from each outcome to its like.
        let newest = self.moments.iter().rev();
        let pairs = newest.clone().zip(newest.skip(period)).take(period);
        let all: u128 = pairs.map(|(later, sooner)| later.since(*sooner).as_nanos()).sum();
        let interval = Duration::from_nanos((all / period as u128) as u64);
        // Outcomes of one moment have no interval.
        (!interval.is_zero()).then_some(Pattern { period: period as u32, interval })
    }

    /// How many outcomes lie within the window.
    pub(crate) fn len(&self, now: Tick) -> usize {
        let moments = self.moments.iter().rev();
        moments.take_while(|at| now.since(**at) <= self.window).count()
    }

    /// How many of them were successes.
    pub(crate) fn successes(&self, now: Tick) -> usize {
        let kept = match self.len(now) {
            0 => 0,
            len => self.outcomes << (Self::MAX_OUTCOMES - len),
        };
        kept.count_ones() as usize
    }

    /// Forgets all, and gives the memory back.
    pub(crate) fn clear(&mut self) {
        self.moments = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A detector that has seen these outcomes a second apart, and the moment of the last.
    fn seen(outcomes: &str) -> (PatternDetector, Tick) {
        let mut detector = PatternDetector::new(60 * SECOND);
        let mut now = Tick::ZERO;
        for outcome in outcomes.chars() {
            now = now.after(SECOND);
            detector.ended(now, outcome == 'S');
        }
        (detector, now)
    }

    fn period(outcomes: &str) -> Option<u32> {
        let (detector, now) = seen(outcomes);
        detector.pattern(now).map(|pattern| pattern.period)
    }

    // S-BACKOFF-05
    #[test]
    fn an_alternation_a_second_apart_has_period_2_and_interval_2_s() {
        let (detector, now) = seen("SFSFSFSF");
        let pattern = Pattern { period: 2, interval: 2 * SECOND };
        assert_eq!(detector.pattern(now), Some(pattern));
    }

    #[test]
    fn failures_only_are_no_pattern_and_neither_are_successes_only() {
        assert_eq!(period("FFFFF"), None);
        assert_eq!(period("SSSSSSSS"), None);
        // The last period has to have both, not the history.
        assert_eq!(period("SFSFFFF"), None);
    }

    #[test]
    fn a_pattern_needs_five_outcomes() {
        assert_eq!(period("SFSF"), None);
        assert_eq!(period("SFSFS"), Some(2));
    }

    #[test]
    fn the_shortest_period_is_found_and_only_as_long_as_the_last_two_are_equal() {
        assert_eq!(period("SSFSSF"), Some(3));
        assert_eq!(period("SFFFSFFF"), Some(4));
        assert_eq!(period("SFSFSFSFS"), Some(2));
        assert_eq!(period("SSSFF"), None);
        let long = "F".repeat(31) + "S";
        assert_eq!(period(&(long.clone() + &long)), None, "32 and 32, but not in a minute");
    }

    #[test]
    fn the_longest_period_is_half_of_what_is_kept() {
        let mut detector = PatternDetector::new(600 * SECOND);
        for number in 1..=70_u64 {
            detector.ended(Tick::from_millis(number * 1_000), number % 32 == 0);
        }
        let pattern = detector.pattern(Tick::from_millis(70_000)).expect("one of 32");
        assert_eq!(pattern, Pattern { period: 32, interval: 32 * SECOND });
    }

    #[test]
    fn the_interval_is_the_mean_of_what_lay_between_outcomes_and_their_like() {
        let mut detector = PatternDetector::new(60 * SECOND);
        for (second, success) in [(0, true), (1, false), (2, true), (10, false), (12, true)] {
            detector.ended(Tick::from_millis(second * 1_000), success);
        }
        // 12 - 2 and 10 - 1.
        let pattern = detector.pattern(Tick::from_millis(12_000)).expect("an alternation");
        assert_eq!(pattern.interval, Duration::from_millis(9_500));
    }

    #[test]
    fn outcomes_outside_of_the_window_or_beyond_64_are_forgotten() {
        let (mut detector, now) = seen("SFSFSFSF");
        assert_eq!((detector.len(now), detector.successes(now)), (8, 4));
        let later = now.after(56 * SECOND);
        assert_eq!((detector.len(later), detector.successes(later)), (5, 2));
        let later = now.after(57 * SECOND);
        assert_eq!((detector.len(later), detector.pattern(later)), (4, None));
        for _ in 0..200 {
            detector.ended(now, true);
        }
        assert_eq!((detector.len(now), detector.successes(now)), (64, 64));
        assert!(detector.moments.capacity() <= 64);
    }

    #[test]
    fn a_clock_that_steps_back_and_one_that_stands_still_give_no_pattern_and_no_panic() {
        let mut detector = PatternDetector::new(60 * SECOND);
        for number in 0..200_u64 {
            detector.ended(Tick::from_millis(1_000 - 5 * number), number % 2 == 0);
        }
        assert_eq!(detector.pattern(Tick::ZERO), None);
        detector.ended(Tick::MAX, true);
        assert_eq!(detector.pattern(Tick::MAX), None);
        // What came after the step back is no older than what came before it.
        let mut detector = PatternDetector::new(60 * SECOND);
        for second in [100, 10, 11, 12] {
            detector.ended(Tick::from_millis(second * 1_000), true);
        }
        assert_eq!(detector.len(Tick::from_millis(101_000)), 4);
    }
}
