//! Single calls that pass while the circuit is open, in proportion to the traffic.
//!
//! The rate of the traffic is the number of arrivals since the last probe by the time since then.
//! So it makes no difference when the arrivals are counted, as long as they are before the next
//! probe is due: a shell may count its refusals by itself and bring them home together.

use std::time::Duration;

use crate::clock::{Tick, saturating_nanos};
use crate::config::Trickle;
use crate::pace::Chance;
use crate::percent::Percent;

/// The schedule of the probes in one opening.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Probes {
    in_flight: u32,
    /// Probes that failed.
    failed: u32,
    /// Arrivals since `counted_from`.
    arrivals: u64,
    counted_from: Tick,
    /// The spread of the first wait, in ten-thousandths, until the traffic has been measured.
    first: Option<u16>,
    /// No probe before: the callee asked for it.
    not_before: Tick,
    /// By how much failed probes stretch the intervals, in ten-thousandths.
    stretch: u32,
}

/// What an arrival is, once a probe may be due.
pub(super) enum Arrival {
    Probe { next: Tick },
    TooEarly { due: Tick },
}

const ONE: u64 = 10_000;
/// The stretch grows by one with each of these since the opening, up to the longest.
const STRETCH_EVERY: Duration = Duration::from_secs(20);
const LONGEST_STRETCH: u64 = 5 * ONE;

impl Probes {
    /// The schedule of an opening at `at`, and when its first arrival is to be looked at.
    ///
    /// Nothing is known of the traffic then. After a time as short as the shortest interval it is
    /// measured, and the first probe goes by that: a busy circuit need not wait for as long as an
    /// idle one.
    pub(super) fn new(
        rules: &Trickle,
        at: Tick,
        asked: Duration,
        chance: &mut Chance,
    ) -> (Self, Tick) {
        let spread = if rules.jitter { (ONE / 2 + chance.below(ONE)) as u16 } else { ONE as u16 };
        let not_before = at.after(asked);
        let probes = Self {
            in_flight: 0,
            failed: 0,
            arrivals: 0,
            counted_from: at,
            first: Some(spread),
            not_before,
            stretch: ONE as u32,
        };
        let look = at.after(scaled(millis(rules.shortest), u64::from(spread)));
        (probes, look.max(not_before))
    }

    /// The first probe comes at `due`, whatever the traffic.
    pub(super) const fn first_at(&mut self, due: Tick) {
        self.first = None;
        self.not_before = due;
    }

    /// Counts arrivals that were refused, or passed without being probes.
    pub(super) const fn count(&mut self, arrivals: u64) {
        self.arrivals = self.arrivals.saturating_add(arrivals);
    }

    /// Takes in an arrival at `now`, when the last schedule is over.
    pub(super) fn arrive(&mut self, rules: &Trickle, now: Tick, chance: &mut Chance) -> Arrival {
        let interval = self.interval(rules, now);
        if let Some(spread) = self.first.take() {
            let due = self.counted_from.after(scaled(interval, u64::from(spread)));
            if due.max(self.not_before) > now {
                return Arrival::TooEarly { due: due.max(self.not_before) };
            }
        }
        self.arrivals = 0;
        self.counted_from = now;
        self.take();
        let longest = millis(rules.longest);
        let stretched = scaled(interval, u64::from(self.stretch)).min(longest);
        let spread = if rules.jitter { ONE * 3 / 4 + chance.below(ONE / 2) } else { ONE };
        Arrival::Probe { next: now.after(scaled(stretched, spread)) }
    }

    /// The time in which the traffic brings as many calls as go with one probe.
    fn interval(&self, rules: &Trickle, now: Tick) -> Duration {
        let arrivals = u128::from(self.arrivals.saturating_add(1));
        let passed = u128::from(saturating_nanos(now.since(self.counted_from)));
        let share = u128::from(rules.share.as_basis_points());
        let nanos = passed * u128::from(Percent::ONE) / (arrivals * share);
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos).clamp(millis(rules.shortest), millis(rules.longest))
    }

    /// The callee asks for no probe before `moment`.
    pub(super) fn put_off(&mut self, moment: Tick) {
        self.not_before = self.not_before.max(moment);
    }

    pub(super) const fn not_before(&self) -> Tick {
        self.not_before
    }

    const fn take(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// Ends a probe that said nothing.
    pub(super) const fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Those that are out have become late.
    pub(super) const fn forget_those_out(&mut self) {
        self.in_flight = 0;
    }

    /// Ends a probe that failed: the next ones take their time.
    pub(super) fn fail(&mut self, opened: Tick, now: Tick) {
        self.give_back();
        self.failed = self.failed.saturating_add(1);
        let open_for = u128::from(saturating_nanos(now.since(opened)));
        let stretch = open_for * u128::from(ONE) / STRETCH_EVERY.as_nanos();
        let stretch = stretch.clamp(u128::from(ONE), u128::from(LONGEST_STRETCH));
        self.stretch = stretch as u32;
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) const fn failed(&self) -> u32 {
        self.failed
    }

    /// With times as distances, and without what nobody can see.
    #[cfg(test)]
    pub(super) fn age(&mut self, now: Tick) {
        // The walk is of intervals that are all alike, whatever the traffic and the failures.
        (self.counted_from, self.arrivals, self.failed) = (Tick::ZERO, 0, 0);
        (self.stretch, self.first) = (ONE as u32, None);
        self.not_before = Tick::ZERO.after(self.not_before.since(now));
    }
}

fn millis(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

/// So many ten-thousandths of a wait.
fn scaled(wait: Duration, by: u64) -> Duration {
    let nanos = u128::from(saturating_nanos(wait)) * u128::from(by) / u128::from(ONE);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
