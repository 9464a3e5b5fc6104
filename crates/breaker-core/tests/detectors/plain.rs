//! The rules, read plainly: floating point, and a list of the calls.

use std::collections::VecDeque;

#[derive(Clone)]
pub(crate) enum Plain {
    Streak { now: u32, trips: u32 },
    Window { calls: VecDeque<bool>, failures: u32, size: usize, min: usize, rate: f64 },
    Average { now: f64, keep: f64, below: f64 },
    Sum { now: f64, up: f64, down: f64, above: f64 },
}

impl Plain {
    pub(crate) const fn streak(trips: u32) -> Self {
        Self::Streak { now: 0, trips }
    }

    pub(crate) const fn window(size: usize, min: usize, rate: f64) -> Self {
        Self::Window { calls: VecDeque::new(), failures: 0, size, min, rate }
    }

    pub(crate) fn average(calls: f64, below: f64) -> Self {
        Self::Average { now: 1.0, keep: (-1.0 / calls).exp(), below }
    }

    pub(crate) fn sum(p0: f64, p1: f64) -> Self {
        let (up, down) = ((p1 / p0).ln(), ((1.0 - p0) / (1.0 - p1)).ln());
        Self::Sum { now: 0.0, up, down, above: 7.0 }
    }

    pub(crate) fn trips_at(&mut self, failed: bool) -> bool {
        match self {
            Self::Streak { now, trips } => {
                *now = if failed { *now + 1 } else { 0 };
                now >= trips
            }
            Self::Window { calls, failures, size, min, rate } => {
                calls.push_back(failed);
                *failures += u32::from(failed);
                if calls.len() > *size && calls.pop_front() == Some(true) {
                    *failures -= 1;
                }
                calls.len() >= *min && f64::from(*failures) / calls.len() as f64 >= *rate
            }
            Self::Average { now, keep, below } => {
                *now = now.mul_add(*keep, if failed { 0.0 } else { 1.0 - *keep });
                now < below
            }
            Self::Sum { now, up, down, above } => {
                *now = (*now + if failed { *up } else { -*down }).max(0.0);
                now > above
            }
        }
    }

    /// The mean number of calls to a trip, cut at `cut`, where a short chain of Markov knows it.
    pub(crate) fn exact_mean(&self, share: f64, cut: u64) -> Option<f64> {
        let Self::Streak { trips, .. } = self else { return None };
        // How likely it is to be at each length of the streak, and not to have tripped.
        let mut at = vec![0.0; *trips as usize];
        at[0] = 1.0;
        let mut mean = 0.0;
        for _ in 0..cut {
            let alive: f64 = at.iter().sum();
            mean += alive;
            at.rotate_right(1);
            at.iter_mut().for_each(|likely| *likely *= share);
            at[0] = alive * (1.0 - share);
        }
        Some(mean)
    }
}
