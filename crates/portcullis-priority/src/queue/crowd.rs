//! Those of one class in the order in which they came: [`Crowd`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::Displace;

/// Those of one class: who of them gives way, if one has to.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd {
    len: u32,
    /// Arrival and number, by cohort. None is empty.
    cohorts: BTreeMap<u8, BTreeSet<(u64, u32)>>,
}

impl Crowd {
    pub(super) const fn new() -> Self {
        Self { len: 0, cohorts: BTreeMap::new() }
    }

    pub(super) fn insert(&mut self, cohort: u8, arrival: u64, id: u32) {
        self.cohorts.entry(cohort).or_default().insert((arrival, id));
        self.len += 1;
    }

    pub(super) fn remove(&mut self, cohort: u8, arrival: u64, id: u32) {
        let Some(arrivals) = self.cohorts.get_mut(&cohort) else { return };
        self.len -= u32::from(arrivals.remove(&(arrival, id)));
        if arrivals.is_empty() {
            self.cohorts.remove(&cohort);
        }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Whether this cohort holds fewer than half as many places as the largest one does. One that
    /// holds a single place is never too large: or newcomers would take it from each other in turns.
    pub(super) fn is_outnumbered(&self, cohort: u8) -> bool {
        let own = self.cohorts.get(&cohort).map_or(0, BTreeSet::len);
        self.cohorts.values().any(|arrivals| own * 2 < arrivals.len() && arrivals.len() > 1)
    }

    /// One of the cohort that holds most places: who of them gives way.
    pub(super) fn victim(&self, displace: Displace) -> Option<u32> {
        // At most 256 of them.
        let cohorts = self.cohorts.values();
        let (_, id) = match displace {
            Displace::Oldest => {
                cohorts.max_by_key(|all| (all.len(), Reverse(all.first())))?.first()?
            }
            Displace::Newest => cohorts.max_by_key(|all| (all.len(), all.last()))?.last()?,
        };
        Some(*id)
    }

    /// How many are in it; fails where something is left of those who are gone.
    #[cfg(test)]
    pub(super) fn audit(&self) -> usize {
        assert!(self.cohorts.values().all(|arrivals| !arrivals.is_empty()));
        let len = self.cohorts.values().map(BTreeSet::len).sum();
        assert_eq!(self.len as usize, len);
        len
    }
}
