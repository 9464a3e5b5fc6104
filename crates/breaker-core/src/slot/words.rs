//! What can be read of a circuit without its lock: [`Words`].

use std::time::Duration;

use super::inner::{Core, Inner};
use super::license::{License, next_epoch};
use super::names;
use crate::clock::{self, Moment, Tick};
use crate::machine::{Lull, Shut};
use crate::name::Name;
use crate::planted::planted;
use crate::rejected::{Cause, Condition, Reason, Rejected};
use crate::sync::{AtomicU64, Ordering, fence};

/// The license, and what it refers to.
///
/// Only who holds the lock writes. The words beside the license change together with its epoch:
/// the license is withdrawn first and issued last, so that a reader who finds the same license
/// before and after has read words that belong together (a sequence lock). Only `until` may move
/// on by itself, and only forward: who reads too little of it takes the lock.
#[derive(Default)]
pub(super) struct Words {
    license: AtomicU64,
    until: AtomicU64,
    /// Where all are refused: the moment that refusals point to. Else the duration from which on
    /// a call is slow.
    limit: AtomicU64,
    /// Name, reason and condition.
    why: AtomicU64,
    /// Bad calls in the upper half, calls in the lower one.
    evidence: AtomicU64,
}

#[derive(Clone, Copy, Eq, PartialEq)]
struct Shown {
    flags: u64,
    until: u64,
    limit: u64,
    why: u64,
    evidence: u64,
}

/// There is no such moment.
const NEVER: u64 = u64::MAX;

impl Words {
    #[inline]
    pub(super) fn license(&self) -> License {
        License(self.license.load(Ordering::Acquire))
    }

    pub(super) fn until(&self) -> Tick {
        Tick::from_nanos(self.until.load(Ordering::Relaxed))
    }

    /// The same moment as `tick`, where the clock is the machine's own.
    pub(super) fn moment(license: License, tick: Tick) -> Option<Moment> {
        if license.has(License::CLOCK) { Moment::at(tick) } else { None }
    }

    /// Whether what was read since the license was is what it refers to.
    pub(super) fn still(&self, license: License) -> bool {
        fence(Ordering::Acquire);
        self.license.load(Ordering::Relaxed) == license.0
    }

    pub(super) fn slow_after(&self) -> Duration {
        Duration::from_nanos(self.limit.load(Ordering::Relaxed))
    }

    /// The present moment, where the clock is the machine's own.
    pub(super) fn own_clock(license: License) -> Option<Tick> {
        license.has(License::CLOCK).then(clock::monotonic_now)
    }

    /// The refusal that every arrival gets just now; `Err` where only the lock tells.
    pub(super) fn known_refusal(&self) -> Result<Option<Rejected>, ()> {
        let license = self.license();
        if license.has(License::AT_REST) {
            return Ok(None);
        }
        if !license.has(License::REFUSES) {
            return Err(());
        }
        let now = Self::own_clock(license).ok_or(())?;
        let shown = self.read(0);
        if !self.still(license) || now.as_nanos() >= shown.until {
            return Err(());
        }
        shown.rejected(now).map(Some).ok_or(())
    }

    fn read(&self, flags: u64) -> Shown {
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        Shown {
            flags,
            until: read(&self.until),
            limit: read(&self.limit),
            why: read(&self.why),
            evidence: read(&self.evidence),
        }
    }

    /// Issues the license that follows from the machine's state.
    pub(super) fn publish(&self, inner: &mut Inner, orphaned: bool) {
        let Some(core) = &inner.core else { return };
        let before = self.read(0);
        let shown = Shown::of(core, orphaned, before);
        let present = self.license();
        // A refusal is told with its end, and with no other.
        let refuses = (present.0 | shown.flags) & License::REFUSES != 0;
        let refuses = refuses && !planted("end-moves-on");
        let moved_on = Shown { until: before.until, flags: 0, ..shown } == before
            && (before.until == shown.until || before.until < shown.until && !refuses);
        let changed = inner.era.has_changed(&core.machine);
        let goes_on = moved_on && !changed && present.epoch() != 0;
        let epoch = if goes_on { present.epoch() } else { next_epoch() };
        if changed {
            inner.era.follow(&core.machine, epoch);
        }
        if !moved_on {
            if !planted("license-stays") {
                // Who drops the last handle meanwhile must know that it may be.
                let nothing = License::NONE.0 | shown.flags & License::ORPHANED;
                self.license.store(nothing, Ordering::Relaxed);
            }
            fence(Ordering::Release);
            self.write(&shown);
        } else if shown.until != before.until {
            self.until.store(shown.until, Ordering::Relaxed);
        }
        let license = License::new(epoch, shown.flags);
        if !moved_on || present != license {
            self.license.store(license.0, Ordering::Release);
        }
    }

    /// Withdraws the license: the circuit has ended.
    pub(super) fn withdraw(&self) {
        self.license.store(License::NONE.0, Ordering::Release);
    }

    fn write(&self, shown: &Shown) {
        let write = |word: &AtomicU64, value| word.store(value, Ordering::Relaxed);
        write(&self.until, shown.until);
        write(&self.limit, shown.limit);
        write(&self.why, shown.why);
        write(&self.evidence, shown.evidence);
    }
}

// ===== impl Shown =====

impl Shown {
    /// What follows from the machine's state; what the license does not refer to stays.
    fn of(core: &Core, orphaned: bool, before: Self) -> Self {
        let config = &core.config;
        let at_rest = core.machine.is_at_rest();
        let observed = core.around.is_observed();
        let custom = core.strategy().is_some();
        let gated = core.gate().is_some();
        let flag = |on: bool, flag: u64| if on { flag } else { 0 };
        let mut shown = Self {
            flags: flag(at_rest, License::AT_REST)
                | flag(at_rest && !observed && !gated, License::ADMITS)
                | flag(config.judges_slow_calls(), License::SLOW)
                | flag(config.judges_by_time(), License::BY_TIME)
                | flag(core.around.own_clock, License::CLOCK)
                | flag(observed, License::OBSERVED)
                | flag(custom, License::CUSTOM)
                | flag(gated, License::GATED)
                | flag(orphaned, License::ORPHANED),
            limit: clock::saturating_nanos(config.slow_call_duration),
            ..before
        };
        if at_rest && !observed && !custom {
            shown.allow_successes(core);
        } else if !observed {
            shown.refuse(core);
        }
        shown
    }

    fn allow_successes(&mut self, core: &Core) {
        let (lull, until) = core.machine.lull(&core.config);
        self.flags |= match lull {
            Lull::Nothing => License::IDLE,
            Lull::Adds => License::ADDS,
            Lull::Matters => return,
        };
        if let Some(until) = until {
            self.flags |= License::UNTIL;
            self.until = until.as_nanos();
        }
    }

    fn refuse(&mut self, core: &Core) {
        let Some(shut) = core.machine.open_until(&core.config) else { return };
        let Some(name) = self.number_of(&core.config.name) else { return };
        let Shut { until, retry_at, reason, cause } = shut;
        self.flags |= License::REFUSES;
        self.until = until.as_nanos();
        self.limit = retry_at.map_or(NEVER, Tick::as_nanos);
        let condition = cause.map_or(0, |cause| cause.condition as u64 + 1);
        let forced = u64::from(reason == Reason::ForcedOpen);
        self.why = u64::from(name) << 16 | condition << 8 | forced;
        let Cause { bad, calls, .. } =
            cause.unwrap_or(Cause { condition: Condition::Forced, bad: 0, calls: 0 });
        self.evidence = u64::from(bad) << 32 | u64::from(calls);
    }

    /// The number of the name, which most often is the one that stands there already.
    fn number_of(&self, name: &Name) -> Option<u32> {
        let present = (self.why >> 16) as u32;
        if names::name_of(present) == Some(name) { Some(present) } else { names::number_of(name) }
    }

    fn rejected(&self, now: Tick) -> Option<Rejected> {
        let name = names::name_of((self.why >> 16) as u32)?;
        let reason = if self.why & 1 != 0 { Reason::ForcedOpen } else { Reason::Open };
        let mut rejected = Rejected::new(*name, reason);
        if self.limit != NEVER {
            let retry_at = Tick::from_nanos(self.limit);
            rejected = rejected.with_retry_after(retry_at.since(now));
        }
        match (self.why >> 8 & 0xFF) as usize {
            0 => Some(rejected),
            condition => {
                let (bad, calls) = ((self.evidence >> 32) as u32, self.evidence as u32);
                let condition = *Condition::ALL.get(condition - 1)?;
                Some(rejected.with_cause(Cause { condition, bad, calls }))
            }
        }
    }
}
