//! Delays as Tower's own retries take them: [`TowerBackoff`].

use std::hash::{BuildHasher, RandomState};

use breaker_core::{Chance, Clock, TokioClock};
use tower::retry::backoff::{Backoff, MakeBackoff};

use crate::delays::{DelayKind, Delays};
use crate::record::{Record, Sequence};

/// One run of failures, whose delays tokio's timer waits for.
///
/// Each run begins anew, and so does a clone, as Tower wants it. So a run learns from its own
/// failures only, and nothing is known of the machine; [`Backoffs`](crate::Backoffs) learn from all
/// calls of a key.
///
/// ```
/// use portcullis_backoff::Delays;
/// use std::time::Duration;
/// use tower::retry::backoff::{Backoff, MakeBackoff};
///
/// # async fn example() {
/// let mut backoff = Delays::fibonacci(Duration::from_millis(100)).make_backoff();
/// backoff.next_backoff().await;
/// # }
/// ```
#[derive(Debug)]
pub struct TowerBackoff {
    delays: Delays,
    seq: Sequence,
    record: Record,
    /// What delayed the last attempt, and whether the delay had grown.
    after: Option<(DelayKind, bool)>,
    chance: Chance,
}

impl Backoff for TowerBackoff {
    type Future = tokio::time::Sleep;

    fn next_backoff(&mut self) -> Self::Future {
        let now = TokioClock::new().now();
        self.record.ended(&self.delays, now, self.after, false, None);
        let next = self.record.next(&self.delays, (&mut self.seq, 1), now, None, &mut self.chance);
        self.after = Some((next.kind, next.grown));
        tokio::time::sleep(next.delay)
    }
}

impl MakeBackoff for Delays {
    type Backoff = TowerBackoff;

    fn make_backoff(&mut self) -> TowerBackoff {
        let chance = Chance::seeded(RandomState::new().hash_one(()));
        let (seq, record) = (Sequence::default(), Record::default());
        TowerBackoff { delays: *self, seq, record, after: None, chance }
    }
}

/// A run of its own.
impl Clone for TowerBackoff {
    fn clone(&self) -> Self {
        let mut delays = self.delays;
        delays.make_backoff()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use breaker_core::Percent;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long the next backoff takes, in milliseconds.
    async fn waited(backoff: &mut TowerBackoff) -> u128 {
        let clock = TokioClock::new();
        let before = clock.now();
        backoff.next_backoff().await;
        clock.now().since(before).as_millis()
    }

    // S-BACKOFF-01, S-BACKOFF-02
    #[tokio::test(start_paused = true)]
    async fn a_run_waits_as_its_delays_say_and_a_clone_begins_anew() {
        let mut delays = Delays::fibonacci(SECOND).jitter(Percent::ZERO);
        let mut backoff = delays.make_backoff();
        for expected in [1_000, 1_000, 2_000, 3_000, 5_000] {
            assert_eq!(waited(&mut backoff).await, expected);
        }
        assert_eq!(waited(&mut backoff.clone()).await, 1_000);
        assert_eq!(waited(&mut backoff).await, 8_000);
    }

    #[tokio::test(start_paused = true)]
    async fn every_strategy_waits_no_longer_than_the_cap() {
        let kinds = DelayKind::ALL.into_iter().map(Some).chain([None]);
        for kind in kinds {
            let mut delays = Delays { kind, ..Delays::new().cap(3 * SECOND) };
            let mut backoff = delays.make_backoff();
            let mut longest = 0;
            for _ in 0..20 {
                // The timer rounds up to the millisecond.
                longest = longest.max(waited(&mut backoff).await);
            }
            assert!((900..=3_001).contains(&longest), "{kind:?}: {longest}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_runs_do_not_wait_alike() {
        let mut delays = Delays::full_jitter(3_600 * SECOND);
        let (mut one, mut other) = (delays.make_backoff(), delays.make_backoff());
        assert_ne!(waited(&mut one).await, waited(&mut other).await);
    }
}
