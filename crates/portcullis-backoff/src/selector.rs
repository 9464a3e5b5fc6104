//! Which strategy serves best with one callee: [`Selector`].

#[cfg(test)]
mod tests;

use std::time::Duration;

use breaker_core::{Chance, Percent, Tick};

use crate::delays::{DelayKind, Delays};

/// How effective each strategy was with one callee, and how often it was used.
///
/// The effectiveness is `0.5 * success rate + 0.3 * delay efficiency + 0.2 * (1 - mean usage)` of
/// the attempts that the strategy delayed; the efficiency of a delay is 1 when the attempt
/// succeeded, 0.8 when it did so after a delay that had grown, and 0 when it failed. It begins at
/// 0.5, and goes back there with a half-life of ten minutes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    tallies: [Tally; DelayKind::ALL.len()],
}

/// Sums over the attempts that a strategy delayed; older ones weigh less.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Delays that it gave.
    uses: u32,
    weight: f32,
    successes: f32,
    efficiency: f32,
    usage: f32,
    /// When it was last credited.
    at: Tick,
}

/// What is known at a choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Whether there was anything before the failure at hand.
    pub(crate) history: bool,
    pub(crate) pattern: bool,
    pub(crate) usage: Option<Percent>,
}

const HALF_LIFE: Duration = Duration::from_secs(600);
const START: f32 = 0.5;

/// No more weight than that of so many attempts, so that what is new counts for something.
const MOST: f32 = 1_024.0;

impl Selector {
    /// The strategy for the next delay. One that is forced is taken.
    pub(crate) fn choose(
        &self,
        delays: &Delays,
        known: Known,
        now: Tick,
        chance: &mut Chance,
    ) -> DelayKind {
        if let Some(forced) = delays.kind {
            return forced;
        }
        let credited = self.tallies.iter().any(|tally| tally.weight > 0.0);
        if !known.history && !credited {
            return DelayKind::Exponential;
        }
        if known.usage.is_some_and(|usage| usage > delays.resource_threshold) {
            return DelayKind::ResourceSensitive;
        }
        if known.pattern {
            return DelayKind::Pattern;
        }
        // What evidence asks for is not gambled with; a choice by merit is.
        if chance.below(10_000) < u64::from(delays.explore.as_basis_points()) {
            self.least_tried(chance)
        } else {
            self.most_effective(now)
        }
    }

    /// Counts a delay that was given.
    pub(crate) fn used(&mut self, kind: DelayKind) {
        let tally = &mut self.tallies[kind.index()];
        tally.uses = tally.uses.saturating_add(1);
    }

    /// Credits a strategy with an attempt that it delayed.
    pub(crate) fn credit(
        &mut self,
        kind: DelayKind,
        grown: bool,
        success: bool,
        usage: Option<Percent>,
        now: Tick,
    ) {
        self.tallies[kind.index()].credit(grown, success, usage, now);
    }

    pub(crate) fn effectiveness(&self, kind: DelayKind, now: Tick) -> f64 {
        f64::from(self.tallies[kind.index()].effectiveness(now))
    }

    pub(crate) const fn uses(&self, kind: DelayKind) -> u32 {
        self.tallies[kind.index()].uses
    }

    /// How much each part of the adaptive mean weighs.
    pub(crate) fn weights(&self, now: Tick) -> [f64; 3] {
        [DelayKind::Exponential, DelayKind::Fibonacci, DelayKind::Decorrelated]
            .map(|kind| self.effectiveness(kind, now))
    }

    /// Of those that were tried: one that was not would win over all that are worse than its
    /// start, and for ever where nothing comes of it. The exponential one wins a tie.
    fn most_effective(&self, now: Tick) -> DelayKind {
        let mut best = (DelayKind::Exponential, self.standing(DelayKind::Exponential, now));
        for kind in candidates() {
            let standing = self.standing(kind, now);
            if standing > best.1 {
                best = (kind, standing);
            }
        }
        best.0
    }

    /// Below zero for one that was never tried. A success fades, but nobody wins because his
    /// failures have been forgotten sooner than those of others: in a long outage all would take
    /// turns, the short delays among them.
    fn standing(&self, kind: DelayKind, now: Tick) -> f32 {
        let tally = &self.tallies[kind.index()];
        match tally.raw() {
            Some(raw) if raw < START => raw,
            Some(_) => tally.effectiveness(now),
            None => -1.0,
        }
    }

    /// Among those tried equally rarely, by chance.
    fn least_tried(&self, chance: &mut Chance) -> DelayKind {
        let least = candidates().map(|kind| self.uses(kind)).min().unwrap_or(0);
        let equal = || candidates().filter(|kind| self.uses(*kind) == least);
        let pick = chance.below(equal().count() as u64) as usize;
        equal().nth(pick).unwrap_or(DelayKind::Exponential)
    }
}

/// Those that can be chosen by merit: all but the pattern, which is chosen wherever there is one.
fn candidates() -> impl Iterator<Item = DelayKind> {
    DelayKind::ALL.into_iter().filter(|kind| *kind != DelayKind::Pattern)
}

impl Tally {
    fn credit(&mut self, grown: bool, success: bool, usage: Option<Percent>, now: Tick) {
        let kept = fade(now.since(self.at)).min((MOST - 1.0) / self.weight);
        let efficiency = match (success, grown) {
            (false, _) => 0.0,
            (true, true) => 0.8,
            (true, false) => 1.0,
        };
        // What is not known to be busy is taken to be idle.
        let usage = usage.map_or(0.0, |share| share.fraction() as f32);
        self.weight = self.weight.mul_add(kept, 1.0);
        self.successes = self.successes.mul_add(kept, f32::from(u8::from(success)));
        self.efficiency = self.efficiency.mul_add(kept, efficiency);
        self.usage = self.usage.mul_add(kept, usage);
        self.at = self.at.max(now);
    }

    fn effectiveness(&self, now: Tick) -> f32 {
        let raw = self.raw().unwrap_or(START);
        (raw - START).mul_add(fade(now.since(self.at)), START)
    }

    /// The effectiveness as of the last attempt, if there was one.
    fn raw(&self) -> Option<f32> {
        let mean = |sum: f32| (sum / self.weight).clamp(0.0, 1.0);
        let parts = [
            0.5 * mean(self.successes),
            0.3 * mean(self.efficiency),
            0.2 * (1.0 - mean(self.usage)),
        ];
        (self.weight > 0.0).then(|| parts.iter().sum())
    }
}

/// What is left after this time of what was worth one.
fn fade(passed: Duration) -> f32 {
    (-passed.as_secs_f32() / HALF_LIFE.as_secs_f32()).exp2()
}
