//! Those of one class in the order in which they are served: [`Lanes`].

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use breaker_core::{Class, Tick};

/// A call in an order of moments; of one moment, who came first is first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Spot {
    pub(super) at: Tick,
    pub(super) arrival: u64,
    pub(super) id: u32,
}

/// Where a call stands at present: what it competes as, and whose slots it may take.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) level: u8,
    pub(super) class: Class,
}

/// Somebody who could be served next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) level: u8,
    /// By deadline.
    pub(super) spot: Spot,
}

impl Choice {
    /// The greater one goes first: the one of the higher level, then of the earlier deadline; of
    /// the later one while the newest goes first.
    pub(super) fn compare(&self, other: &Self, newest: bool) -> Ordering {
        let by_spot = self.spot.cmp(&other.spot);
        let by_spot = if newest { by_spot } else { by_spot.reverse() };
        self.level.cmp(&other.level).then(by_spot)
    }
}

/// Those of one class, a lane for each place.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<Place, Lane>,
}

impl Lanes {
    pub(super) const fn new() -> Self {
        Self { lanes: BTreeMap::new() }
    }

    pub(super) fn insert(&mut self, place: Place, cohort: u8, spot: Spot) {
        self.lanes.entry(place).or_default().insert(cohort, spot);
    }

    pub(super) fn remove(&mut self, place: Place, cohort: u8, spot: Spot) {
        if let Some(lane) = self.lanes.get_mut(&place) {
            lane.remove(cohort, spot);
            if lane.turns.is_empty() {
                self.lanes.remove(&place);
            }
        }
    }

    /// Says that the cohort whose turn it was there has had it.
    pub(super) fn turn(&mut self, place: Place) {
        if let Some(lane) = self.lanes.get_mut(&place) {
            // There is one at least, or there would be no lane.
            lane.turns.rotate_left(1);
        }
    }

    /// The highest level that somebody competes at.
    #[cfg(test)]
    pub(super) fn highest(&self) -> Option<u8> {
        self.lanes.last_key_value().map(|(place, _)| place.level)
    }

    /// Who goes first among those whose class fits.
    pub(super) fn first(&self, fits: &[bool; 5], newest: bool) -> Option<Choice> {
        let fitting = |(place, _): &(&Place, &Lane)| fits[place.class.index()];
        let level = self.lanes.iter().rev().find(fitting)?.0.level;
        let bounds = [Class::Bulk, Class::Critical].map(|class| Place { level, class });
        let level_mates = self.lanes.range(bounds[0]..=bounds[1]).filter(fitting);
        level_mates
            .filter_map(|(_, lane)| lane.first(newest))
            .map(|spot| Choice { level, spot })
            .max_by(|one, other| one.compare(other, newest))
    }

    /// How many are in it; fails where something is left of those who are gone.
    #[cfg(test)]
    pub(super) fn audit(&self) -> usize {
        let count = |lane: &Lane| {
            let mut turns: Vec<_> = lane.turns.iter().copied().collect();
            turns.sort_unstable();
            assert_eq!(turns, lane.cohorts.keys().copied().collect::<Vec<_>>());
            assert!(!turns.is_empty() && lane.cohorts.values().all(|spots| !spots.is_empty()));
            lane.cohorts.values().map(BTreeSet::len).sum::<usize>()
        };
        self.lanes.values().map(count).sum()
    }
}

/// Those of one place, whose cohorts take turns.
#[derive(Clone, Debug, Default)]
struct Lane {
    /// The cohorts that have somebody here, each once; it is the turn of the first.
    turns: VecDeque<u8>,
    cohorts: BTreeMap<u8, BTreeSet<Spot>>,
}

impl Lane {
    fn insert(&mut self, cohort: u8, spot: Spot) {
        let spots = self.cohorts.entry(cohort).or_default();
        if spots.is_empty() {
            self.turns.push_back(cohort);
        }
        spots.insert(spot);
    }

    fn remove(&mut self, cohort: u8, spot: Spot) {
        let Some(spots) = self.cohorts.get_mut(&cohort) else { return };
        spots.remove(&spot);
        if spots.is_empty() {
            self.cohorts.remove(&cohort);
            // 256 bytes at most.
            self.turns.retain(|&other| other != cohort);
        }
    }

    fn first(&self, newest: bool) -> Option<Spot> {
        let spots = self.cohorts.get(self.turns.front()?)?;
        if newest { spots.last().copied() } else { spots.first().copied() }
    }
}
