//! One rate limit for two processes, through a Redis server, and what they do without it.

mod process;
mod server;
mod store;

use std::process::ExitCode;
use std::time::Duration;

use portcullis::BoxError;
use process::{Figures, Process, Served, now};
use server::{BURST, DEADLINE, PROCESSES, RATE, SLICE};
use store::Store;

/// How long the customers knock, each time.
const TIME: Duration = Duration::from_secs(2);
/// More was admitted than is allowed.
const BROKEN: u8 = 1;
/// The example could not be run.
const NOT_RUN: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let ended = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => story().await,
        ["serve", store, prefix] => server::serve(store, prefix).await.map(|()| true),
        _ => Err("it takes no arguments; REDIS_URL may name a Redis server".into()),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BROKEN),
        Err(problem) => {
            eprintln!("redis-shared: {problem}");
            ExitCode::from(NOT_RUN)
        }
    }
}

/// Tells it all; whether the bounds held.
async fn story() -> Result<bool, BoxError> {
    let mut store = Store::open().await?;
    // A quota of this run's own: a store that is there already may remember another run.
    let prefix = format!("redis-shared-{}:", std::process::id());
    let processes = [Process::start(&store, &prefix)?, Process::start(&store, &prefix)?];

    println!("Two processes, one quota of {RATE}/s and {BURST} at once, in slices of {SLICE}:");
    let at_work = Phase::of(&processes).await?;
    at_work.print();
    // What was admitted without the store, if it hesitated, comes on top.
    let burst = u64::from(BURST + PROCESSES * SLICE) + at_work.without_store();
    let mut held = at_work.is_within(burst, DEADLINE);

    if !store.kill() {
        println!("REDIS_URL names the store: it is not ours to kill.");
        return Ok(held);
    }
    println!("The store is killed, and each process grants its part of the quota:");
    let alone = Phase::of(&processes).await?;
    alone.print();
    // What is left of the slices is spent, too.
    held &= alone.is_within(u64::from(BURST + PROCESSES * SLICE), Duration::ZERO);
    let [one, _] = &processes;
    println!("Others have chosen otherwise:");
    println!("  GET /pay (fail_closed): {}", one.ask("/pay").await?);
    println!("  GET /help (fail_open): {}", one.ask("/help").await?);
    Ok(held)
}

/// A time in which customers knock at both processes.
struct Phase {
    took: Duration,
    served: [Served; 2],
    before: [Figures; 2],
    after: [Figures; 2],
}

impl Phase {
    async fn of([one, other]: &[Process; 2]) -> Result<Self, BoxError> {
        let before = [one.figures().await?, other.figures().await?];
        let began = now();
        let (served, other_served) = tokio::try_join!(one.crowd(TIME), other.crowd(TIME))?;
        let took = began.elapsed();
        let after = [one.figures().await?, other.figures().await?];
        Ok(Self { took, served: [served, other_served], before, after })
    }

    fn print(&self) {
        for (number, served) in self.served.iter().enumerate() {
            let Served { admitted, asked, slowest } = served;
            let trips = self.after[number].round_trips - self.before[number].round_trips;
            let slowest = slowest.as_millis();
            println!(
                "  process {}: {admitted} of {asked} admitted, slowest answer {slowest} ms, \
                 round trips {trips}",
                number + 1
            );
        }
    }

    fn without_store(&self) -> u64 {
        self.after.iter().zip(&self.before).map(|(a, b)| a.without_store - b.without_store).sum()
    }

    /// Says how many both admitted, and how many are allowed: so many, and the rate for the time
    /// that it took and so much more.
    fn is_within(&self, burst: u64, more: Duration) -> bool {
        let admitted: u64 = self.served.iter().map(|served| served.admitted).sum();
        let time = self.took + more;
        let bound = burst + u64::from(RATE) * time.as_millis() as u64 / 1_000;
        let held = admitted <= bound;
        let word = if held { "at most" } else { "TOO MANY, of" };
        println!("  together: {admitted}, {word} {bound} ({burst} + {RATE}/s * {time:.2?})");
        held
    }
}
