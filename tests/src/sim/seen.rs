//! What a run has shown, in figures.

use super::SECOND;
use super::scenario::{Ask, Scenario};

/// What became of the requests of a run.
///
/// All figures but the curve are of the requests that came from the beginning of the fault on.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What was run.
    pub scenario: Scenario,
    /// The requests, by number.
    pub asks: Vec<Ask>,
    /// Which were answered in time, by number.
    pub good: Vec<bool>,
    /// Which request came to the server when.
    pub attempts: Vec<(u64, usize)>,
}

impl Seen {
    /// How many requests came, and how many were answered in time.
    #[must_use]
    pub fn counts(&self) -> (u32, u32) {
        self.counts_in(self.scenario.during.0, self.scenario.ends)
    }

    /// The same, of those that came in a stretch of seconds.
    #[must_use]
    pub fn counts_in(&self, from: u64, to: u64) -> (u32, u32) {
        let within = |ask: &&Ask| (from * SECOND..to * SECOND).contains(&ask.at);
        self.asks
            .iter()
            .filter(within)
            .fold((0, 0), |(all, good), ask| (all + 1, good + u32::from(self.good[ask.number])))
    }

    /// The share that was answered in time.
    #[must_use]
    pub fn share(&self) -> f64 {
        let (all, good) = self.counts();
        f64::from(good) / f64::from(all)
    }

    /// Goodput, as a share of that of the oracle.
    #[must_use]
    pub fn of(&self, oracle: &Self) -> f64 {
        f64::from(self.counts().1) / f64::from(oracle.counts().1)
    }

    /// Attempts that came to the server, per request.
    #[must_use]
    pub fn amplification(&self) -> f64 {
        let begin = self.scenario.during.0 * SECOND;
        let attempts = self.attempts.iter().filter(|(at, _)| *at >= begin).count();
        attempts as f64 / f64::from(self.counts().0)
    }

    /// Attempts per request that came while the fault lasted.
    #[must_use]
    pub fn amplification_meanwhile(&self) -> f64 {
        let (from, to) = self.scenario.during;
        let during = from * SECOND..to * SECOND;
        let mine = |&&(_, number): &&(u64, usize)| during.contains(&self.asks[number].at);
        self.attempts.iter().filter(mine).count() as f64 / f64::from(self.counts_in(from, to).0)
    }

    /// So many seconds after the fault three seconds of requests go as well as 95 % of the oracle's,
    /// for the first time; `None` where they never do.
    #[must_use]
    pub fn recovery(&self, oracle: &Self) -> Option<u64> {
        let begin = self.scenario.during.1;
        let has_recovered = |&at: &u64| {
            let [mine, best] = [self, oracle].map(|seen| f64::from(seen.counts_in(at, at + 3).1));
            mine >= 0.95 * best
        };
        (begin..=self.scenario.ends - 3).find(has_recovered).map(|at| at - begin)
    }

    /// How many requests of each second were answered in time.
    #[must_use]
    pub fn curve(&self, from: u64, to: u64) -> Vec<u32> {
        (from..to).map(|second| self.counts_in(second, second + 1).1).collect()
    }
}
