//! Calls of the last while, in a fixed number of steps: [`Recent`].

use std::time::Duration;

use breaker_core::{Class, Tick};

/// How many calls of each class came, and how many the callee took.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    steps: [Step; STEPS],
    /// The sum of the steps.
    came: [u64; 5],
    accepted: u64,
    /// How many steps had begun since the clock did, when time last went on.
    begun: u64,
    /// The length of a step, in nanoseconds.
    step: u64,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    came: [u32; 5],
    accepted: u32,
}

impl Recent {
    pub(super) const fn new(window: Duration) -> Self {
        Self {
            steps: [Step::EMPTY; STEPS],
            came: [0; 5],
            accepted: 0,
            begun: 0,
            step: step_of(window),
        }
    }

    /// Forgets what is too old by now. A clock that steps back forgets nothing. A window of another
    /// length begins anew.
    pub(super) fn advance(&mut self, window: Duration, now: Tick) {
        if step_of(window) != self.step {
            *self = Self::new(window);
        }
        let begun = now.as_nanos() / self.step;
        let passed = begun.saturating_sub(self.begun).min(STEPS as u64);
        for old in 0..passed {
            let old = &mut self.steps[((begun - old) % STEPS as u64) as usize];
            for (sum, came) in self.came.iter_mut().zip(old.came) {
                *sum -= u64::from(came);
            }
            self.accepted -= u64::from(old.accepted);
            *old = Step::EMPTY;
        }
        self.begun = self.begun.max(begun);
    }

    pub(super) const fn came(&mut self, class: Class) {
        let place = (self.begun % STEPS as u64) as usize;
        let count = &mut self.steps[place].came[class.index()];
        if *count < u32::MAX {
            *count += 1;
            self.came[class.index()] += 1;
        }
    }

    pub(super) const fn accepted(&mut self) {
        let count = &mut self.steps[(self.begun % STEPS as u64) as usize].accepted;
        if *count < u32::MAX {
            *count += 1;
            self.accepted += 1;
        }
    }

    pub(super) const fn by_class(&self) -> &[u64; 5] {
        &self.came
    }

    pub(super) fn requests(&self) -> u64 {
        self.came.iter().sum()
    }

    pub(super) const fn accepts(&self) -> u64 {
        self.accepted
    }
}

impl Step {
    const EMPTY: Self = Self { came: [0; 5], accepted: 0 };
}

/// Into how many steps the window is cut: what is counted is up to a step too old.
const STEPS: usize = 24;

const fn step_of(window: Duration) -> u64 {
    // An hour at most, and a second at least: it fits, and is above zero.
    (window.as_nanos() / STEPS as u128) as u64
}
