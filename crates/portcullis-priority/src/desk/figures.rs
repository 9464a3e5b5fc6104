//! What became of calls, and how quickly the queue gets shorter: [`Counts`], [`Drain`].

use std::time::Duration;

use breaker_core::{Priority, Reason, Rejected, Tick};

use crate::desk::State;
use crate::desk::out::Out;

/// What became of calls, since the beginning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    pub(crate) waited: u64,
    pub(crate) left: u64,
    pub(crate) timed_out: u64,
    pub(crate) displaced: u64,
    pub(crate) shed: u64,
    pub(crate) full: u64,
    pub(crate) throttled: u64,
    pub(crate) dropped: u64,
}

impl Counts {
    pub(super) fn count(&mut self, reason: Reason) {
        *match reason {
            Reason::QueueTimeout | Reason::TooLate => &mut self.timed_out,
            Reason::Displaced => &mut self.displaced,
            Reason::QueueFull | Reason::AtLimit => &mut self.full,
            Reason::Throttled => &mut self.throttled,
            Reason::QueueStands => &mut self.dropped,
            _ => &mut self.shed,
        } += 1;
    }
}

/// How quickly the queue gets shorter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drain {
    pub(super) since: Tick,
    pub(super) served: u32,
}

impl Drain {
    /// When one who comes then will probably find the queue empty.
    pub(super) fn hint(self, now: Tick, waiting: usize) -> Duration {
        const SHORTEST: Duration = Duration::from_secs(1);
        const LONGEST: Duration = Duration::from_secs(30);
        if waiting == 0 || self.served == 0 {
            return SHORTEST;
        }
        let per_call = now.since(self.since).as_secs_f64() / f64::from(self.served);
        let hint = per_call * (waiting as f64 + 1.0);
        Duration::from_secs_f64(hint.min(LONGEST.as_secs_f64())).max(SHORTEST)
    }
}

impl State {
    pub(super) fn refuse(
        &mut self,
        reason: Reason,
        now: Tick,
        priority: Priority,
        out: &mut Out,
    ) -> Rejected {
        self.counts.count(reason);
        self.refusal(reason, now, priority, out)
    }

    /// What somebody is told who was counted already.
    pub(super) fn refusal(
        &self,
        reason: Reason,
        now: Tick,
        priority: Priority,
        out: &mut Out,
    ) -> Rejected {
        let rejected = Rejected::new(self.config.name, reason)
            .with_retry_after(self.drain.hint(now, self.queue.len()))
            .with_priority(priority);
        out.refused = Some(rejected);
        rejected
    }
}
