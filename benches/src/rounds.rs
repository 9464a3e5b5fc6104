//! Interleaved rounds: each case has its turn in each, so that all of them meet the same machine.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::{Case, Live};
use crate::waits;

/// How long and how often is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    pub(crate) batch: Duration,
}

/// What the rounds of one case gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Nanoseconds per call on one thread.
    pub(crate) one: Option<f64>,
    /// The throughput of two threads over that of one.
    pub(crate) scale: Option<f64>,
    pub(crate) kept: usize,
    /// Rounds in which a thread had to wait for a core.
    pub(crate) thrown: usize,
}

impl Plan {
    pub(crate) const FULL: Self = Self { rounds: 41, batch: Duration::from_millis(2) };
    pub(crate) const QUICK: Self = Self { rounds: 11, batch: Duration::from_micros(500) };
}

/// How often a batch is tried anew in one round when a thread had to wait.
const ATTEMPTS: u32 = 4;

/// The fewest rounds from which a median is taken.
const FEWEST: usize = 5;

#[derive(Default)]
struct Samples {
    one: Vec<f64>,
    two: Vec<f64>,
    thrown: usize,
}

/// Runs all cases, round after round.
pub(crate) fn run(cases: &[Case], plan: Plan) -> Vec<Figures> {
    let lives: Vec<(&Case, Live, u64)> = cases
        .iter()
        .map(|case| {
            let live = case.live();
            live.prepare();
            let calls = case.batch.unwrap_or_else(|| calibrated(&live, plan.batch));
            (case, live, calls)
        })
        .collect();
    let mut samples: Vec<Samples> = cases.iter().map(|_| Samples::default()).collect();
    for round in 0..plan.rounds {
        eprint!("\rround {} of {}", round + 1, plan.rounds);
        for step in 0..lives.len() {
            // Each round begins elsewhere: nobody is always behind the same neighbour.
            let index = (step + round as usize) % lives.len();
            let (case, live, calls) = &lives[index];
            turn(case, live, *calls, &mut samples[index]);
        }
    }
    eprintln!();
    samples.into_iter().map(Samples::figures).collect()
}

/// One turn of one case: on one thread, then on two.
fn turn(case: &Case, live: &Live, calls: u64, samples: &mut Samples) {
    let threads: &[u32] = if case.shared { &[1, 2] } else { &[1] };
    for &count in threads {
        for _ in 0..ATTEMPTS {
            live.prepare();
            let taken = if count == 1 { batch(live, calls) } else { pair(live, calls) };
            match taken {
                Some(taken) => {
                    let each = taken.as_secs_f64() * 1e9 / calls as f64;
                    let list = if count == 1 { &mut samples.one } else { &mut samples.two };
                    list.push(each);
                    break;
                }
                None => samples.thrown += 1,
            }
        }
    }
}

/// The time of one batch; `None` if the thread had to wait for a core meanwhile.
fn batch(live: &Live, calls: u64) -> Option<Duration> {
    let waited = waits::of_this_thread();
    let begun = Instant::now();
    (live.run)(calls);
    let taken = begun.elapsed();
    (waits::of_this_thread() == waited).then_some(taken)
}

/// The time in which two threads make one batch each; `None` if one of them had to wait.
fn pair(live: &Live, calls: u64) -> Option<Duration> {
    let here = AtomicU32::new(0);
    let one = || {
        let waited = waits::of_this_thread();
        here.fetch_add(1, Ordering::AcqRel);
        while here.load(Ordering::Acquire) < 2 {
            std::hint::spin_loop();
        }
        let begun = Instant::now();
        (live.run)(calls);
        let ended = Instant::now();
        (waits::of_this_thread() == waited).then_some((begun, ended))
    };
    thread::scope(|scope| {
        let other = scope.spawn(one);
        let mine = one();
        let ((a, b), (c, d)) = (mine?, other.join().ok().flatten()?);
        Some(b.max(d) - a.min(c))
    })
}

/// How many calls fill a batch.
fn calibrated(live: &Live, batch: Duration) -> u64 {
    let mut calls = 64_u64;
    loop {
        let begun = Instant::now();
        (live.run)(calls);
        let taken = begun.elapsed();
        if taken * 4 >= batch {
            let scaled = calls as f64 * batch.as_secs_f64() / taken.as_secs_f64();
            return (scaled as u64).max(16);
        }
        calls *= 2;
    }
}

impl Samples {
    fn figures(self) -> Figures {
        let kept = self.one.len();
        let one = median(self.one);
        let two = median(self.two);
        let scale = one.zip(two).map(|(one, two)| 2.0 * one / two);
        Figures { one, scale, kept, thrown: self.thrown }
    }
}

/// The one in the middle; nothing where there are too few.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    (values.len() >= FEWEST).then(|| values[values.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_taken_from_enough_values_only() {
        assert_eq!(median(vec![5.0, 1.0, 4.0, 2.0, 3.0]), Some(3.0));
        assert_eq!(median(vec![1.0; FEWEST - 1]), None);
    }

    #[test]
    fn a_case_without_a_second_thread_has_no_scale() {
        let plan = Plan { rounds: 6, batch: Duration::from_micros(50) };
        let case = || Case::new("a", "b", || Live::new(|calls| assert!(calls > 0)));
        let figures = run(&[case().in_batches_of(10).alone()], plan);
        assert!(figures[0].scale.is_none());
        assert_eq!(
            figures[0].kept + figures[0].thrown,
            6_usize.max(figures[0].kept + figures[0].thrown)
        );
    }
}
