mod callee;
mod facts;
mod rules;
mod runs;

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// One limit of each algorithm.
fn all() -> [Limit; 5] {
    [
        Limit::deadline(SECOND),
        Limit::gradient2(),
        Limit::vegas(),
        Limit::aimd(SECOND),
        Limit::service_time(),
    ]
}

/// A call that ends at `ended` and took `took` milliseconds.
fn call(ended: u64, took: u64, in_flight: u32, verdict: Verdict) -> Sample {
    let [started, ended] = [Tick::from_millis(ended - took), Tick::from_millis(ended)];
    Sample { started, ended, in_flight, verdict }
}
