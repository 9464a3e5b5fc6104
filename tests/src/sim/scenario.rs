//! Who calls when, and what befalls the server meanwhile.

use super::SECOND;
use super::dice::Dice;

/// How many instances call; each has a stack of layers of its own.
pub const CLIENTS: usize = 5;

/// A request, as it was drawn before the run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ask {
    /// Its number in the run.
    pub number: usize,
    /// When it comes, in nanoseconds of the run.
    pub at: u64,
    /// Whose request it is.
    pub client: usize,
}

/// What is wrong with the server while it lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// Service times are divided by this.
    pub speed: f64,
    /// The share of calls that end by an error, after full service.
    pub errors: f64,
    /// The rate at which requests come.
    pub rate: f64,
}

/// A load, a fault, and the time at which it begins and ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// How many seconds requests come.
    pub ends: u64,
    /// How many requests come per second.
    pub rate: f64,
    /// From which second to which the fault lasts.
    pub during: (u64, u64),
    /// What it is.
    pub fault: Fault,
}

/// Half of the capacity for 40 s, where 0.7 of it are asked for.
pub const S02: Scenario = Scenario {
    name: "S02 brownout",
    ends: 100,
    rate: 140.0,
    during: (20, 60),
    fault: Fault { speed: 0.5, errors: 0.0, rate: 140.0 },
};

/// Three of ten calls end by an error for 60 s.
pub const S04: Scenario = Scenario {
    name: "S04 gray 30 %",
    ends: 100,
    rate: 120.0,
    during: (20, 80),
    fault: Fault { speed: 1.0, errors: 0.3, rate: 120.0 },
};

/// Six times the capacity is asked for during 10 s.
pub const S08: Scenario = Scenario {
    name: "S08 burst",
    ends: 100,
    rate: 120.0,
    during: (20, 30),
    fault: Fault { speed: 1.0, errors: 0.0, rate: 1_200.0 },
};

/// A server in good use is slow for 6 s, and healthy afterwards.
pub const S10: Scenario = Scenario {
    name: "S10 metastable",
    ends: 100,
    rate: 170.0,
    during: (20, 26),
    fault: Fault { speed: 0.4, errors: 0.0, rate: 170.0 },
};

impl Scenario {
    /// What holds at a moment, in nanoseconds.
    #[must_use]
    pub fn at(&self, now: u64) -> Fault {
        let (from, to) = self.during;
        if (from * SECOND..to * SECOND).contains(&now) {
            self.fault
        } else {
            Fault { speed: 1.0, errors: 0.0, rate: self.rate }
        }
    }

    /// All requests of a run: Poisson, at the rate in force when the one before came.
    #[must_use]
    pub fn asks(&self, seed: u64) -> Vec<Ask> {
        let mut dice = Dice::stream(self.name, seed, 0);
        let mut asks = Vec::new();
        let mut at = 0;
        loop {
            at += (dice.gap(self.at(at).rate) * SECOND as f64) as u64;
            if at >= self.ends * SECOND {
                return asks;
            }
            let client = dice.below(CLIENTS as u64) as usize;
            asks.push(Ask { number: asks.len(), at, client });
        }
    }
}
