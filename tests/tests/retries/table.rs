//! All callers in one scenario, over some seeds, in figures.

use portcullis_tests::sim::{Scenario, Seen};

use crate::run::{Stack, run};
use crate::{ours, plain, seeds};

pub(crate) const NO_RETRY: &str = "no retry";
pub(crate) const NAIVE: &str = "naive";
pub(crate) const BUDGET: &str = "10 % budget";
pub(crate) const BACKOFF: &str = "BackoffLayer";
pub(crate) const FAMILY: &str = "client stack";
const HARD: &str = ".. hard circuit";

const CALLERS: [(&str, &Stack); 6] = [
    (NO_RETRY, &plain::no_retry),
    (NAIVE, &plain::naive),
    (BUDGET, &plain::budgeted),
    (BACKOFF, &ours::alone),
    (FAMILY, &ours::family),
    (HARD, &ours::family_with_hard_circuit),
];

/// A scenario, and what was published of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) scenario: Scenario,
    /// The share of all requests that the oracle answers.
    pub(crate) oracle: f64,
    /// The goodput of the first callers.
    pub(crate) published: [f64; 3],
}

/// What all callers have shown in a scene.
#[derive(Debug)]
pub(crate) struct Table {
    scene: Scene,
    oracle: f64,
    rows: Vec<Row>,
}

/// What a caller has shown: means over the seeds.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    /// Goodput, as a share of the oracle's.
    pub(crate) goodput: f64,
    /// Attempts per request, from the beginning of the fault on.
    pub(crate) amplification: f64,
    /// Attempts per request that came during the fault.
    pub(crate) meanwhile: f64,
    /// In seconds, per seed; `None` where the run never recovered.
    pub(crate) recoveries: Vec<Option<u64>>,
    /// Goodput of the first seed, second by second around the end of the fault.
    curve: Vec<u32>,
}

impl Table {
    /// Runs all callers, and prints the table.
    pub(crate) fn of(scene: &Scene) -> Self {
        let runs = |stack: &Stack| -> Vec<Seen> {
            seeds().map(|seed| run(&scene.scenario, seed, stack)).collect()
        };
        let oracles = runs(&plain::oracle);
        let rows = CALLERS.map(|(name, stack)| Row::of(name, &runs(stack), &oracles)).into();
        let table = Self { scene: *scene, oracle: mean(oracles.iter().map(Seen::share)), rows };
        table.print(&around(&oracles[0]));
        table
    }

    pub(crate) fn of_caller(&self, name: &str) -> &Row {
        self.rows.iter().find(|row| row.name == name).expect("it is a caller's name")
    }

    /// The model is the published one, as far as other draws can show it.
    pub(crate) fn assert_as_published(&self) {
        let goodputs = self.rows.iter().map(|row| row.goodput);
        let published = [self.scene.oracle].into_iter().chain(self.scene.published);
        for (here, published) in [self.oracle].into_iter().chain(goodputs).zip(published) {
            assert!((here - published).abs() <= 0.02, "{here:.3}, published {published:.3}");
        }
    }

    fn print(&self, oracle: &[u32]) {
        let Scene { scenario, oracle: share, published } = self.scene;
        println!(
            "\n{}, seeds 1 to {}: the oracle answers {:.3} ({share:.3}) of all requests\n{:<16}    G \
             (published)  attempts per request (of the fault's)  recovered after",
            scenario.name,
            seeds().count(),
            self.oracle,
            "caller"
        );
        let mut published = published.into_iter();
        for row in &self.rows {
            let published = published.next().map_or(String::new(), |it| format!("({it:.3})"));
            row.print(&published);
        }
        println!("answered in time per second, from 8 s before the end of the fault:");
        println!("{:<16}{oracle:>4?}", "oracle");
        for Row { name, curve, .. } in &self.rows {
            println!("{name:<16}{curve:>4?}");
        }
    }
}

impl Row {
    fn of(name: &'static str, seen: &[Seen], oracles: &[Seen]) -> Self {
        let pairs = || seen.iter().zip(oracles);
        Self {
            name,
            goodput: mean(pairs().map(|(seen, oracle)| seen.of(oracle))),
            amplification: mean(seen.iter().map(Seen::amplification)),
            meanwhile: mean(seen.iter().map(Seen::amplification_meanwhile)),
            recoveries: pairs().map(|(seen, oracle)| seen.recovery(oracle)).collect(),
            curve: around(&seen[0]),
        }
    }

    /// Whether every run had recovered so many seconds after the fault.
    pub(crate) fn recovered_within(&self, seconds: u64) -> bool {
        self.recoveries.iter().all(|after| after.is_some_and(|after| after <= seconds))
    }

    fn print(&self, published: &str) {
        let Self { name, goodput, amplification, meanwhile, recoveries, .. } = self;
        let after: Option<Vec<_>> = recoveries.iter().copied().collect();
        let after = after.and_then(|all| {
            let (least, most) = (all.iter().min()?, all.iter().max()?);
            Some(if least == most { format!("{most} s") } else { format!("{least} to {most} s") })
        });
        let after = after.unwrap_or("never".to_owned());
        println!(
            "{name:<16}{goodput:.3} {published:<12}{amplification:>12.3} ({meanwhile:.3}){after:>25}"
        );
    }
}

fn mean(of: impl ExactSizeIterator<Item = f64>) -> f64 {
    let len = of.len() as f64;
    of.sum::<f64>() / len
}

fn around(seen: &Seen) -> Vec<u32> {
    let end = seen.scenario.during.1;
    seen.curve(end - 8, end + 14)
}
