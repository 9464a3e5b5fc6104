//! What retries do to a server, in virtual time: shipped layers beside what users write, and beside
//! an oracle that knows how long the server's line is.
//!
//! Five callers, each with layers of its own, send requests by chance (Poisson) to the server of
//! `portcullis_tests::sim`. An attempt takes a second at most and a request three; there are up to
//! three attempts. Measured is from the beginning of a fault to the end of the run: `G` is what was
//! answered in time, as a share of what the oracle got; attempts are those that reached the server.
//! A caller has recovered when three seconds of requests go as well as 95 % of the oracle's.
//!
//! Who they are: `no retry` makes one attempt; `naive` is tower's `Retry` with full jitter, and
//! `10 % budget` the same within a purse of ten tokens, of which a success brings a tenth.
//! `BackoffLayer` is ours with a timeout for each attempt, all as shipped, and the `client stack`
//! has a circuit (`http_client`) and a limit (`Limit::deadline`) in between. With `hard circuit`
//! that circuit is `adaptive`, which opens by eight failures in a row; where three calls in ten fail
//! that happens by chance, and costs some of the goodput.
//!
//! Retries by themselves recover no sooner than callers without any: the server's line is two
//! seconds deep, and all who stand in it have to be served first. Not to fill the line is the
//! limit's part.
//!
//! A seed decides who calls when and how long the server takes; the jitter of our layers is their
//! own. In the everyday run there is one seed, with `PORTCULLIS_DEEP=1` there are twenty. Seen with `--nocapture`.

#[path = "retries/callee.rs"]
mod callee;
#[path = "retries/crowd.rs"]
mod crowd;
#[path = "retries/judge.rs"]
mod judge;
#[path = "retries/ours.rs"]
mod ours;
#[path = "retries/plain.rs"]
mod plain;
#[path = "retries/run.rs"]
mod run;
#[path = "retries/table.rs"]
mod table;

use portcullis_tests::sim::{S02, S04, S08, S10};
use table::{BACKOFF, BUDGET, FAMILY, NAIVE, NO_RETRY, Scene, Table};

/// What was published is a mean of three seeds by other draws: the share of all requests that the
/// oracle answers, and the goodput of the first three callers.
const BROWNOUT: Scene = Scene { scenario: S02, oracle: 0.860, published: [0.563, 0.034, 0.563] };
const GRAY: Scene = Scene { scenario: S04, oracle: 0.979, published: [0.793, 1.000, 0.840] };
const BURST: Scene = Scene { scenario: S08, oracle: 0.513, published: [0.798, 0.022, 0.798] };
const TRIGGER: Scene = Scene { scenario: S10, oracle: 0.963, published: [0.879, 0.011, 0.879] };

/// The most attempts per request that may reach a server which is asked for too much.
const AMPLIFICATION: f64 = 1.05;

fn is_deep() -> bool {
    std::env::var_os("PORTCULLIS_DEEP").is_some()
}

fn seeds() -> std::ops::RangeInclusive<u64> {
    1..=if is_deep() { 20 } else { 1 }
}

// S-BACKOFF-10
#[test]
fn while_three_calls_in_ten_fail_retries_get_what_an_oracle_gets() {
    let table = Table::of(&GRAY);
    table.assert_as_published();
    for caller in [BACKOFF, FAMILY] {
        assert!(table.of_caller(caller).goodput >= 0.99, "{caller}");
    }
    assert!(table.of_caller(BUDGET).goodput < 0.9, "a fixed share is blind");
}

// S-BACKOFF-10
#[test]
fn a_failure_that_plain_retries_keep_alive_is_over_a_second_after_its_cause() {
    let table = Table::of(&TRIGGER);
    table.assert_as_published();
    assert!(table.of_caller(NAIVE).recoveries.iter().all(Option::is_none));
    assert!(table.of_caller(FAMILY).recovered_within(1));
    assert!(table.of_caller(FAMILY).goodput >= 0.98);
    // Retries that hold back are no worse than none. Better they cannot be, with the line full.
    let [without, ours] = [NO_RETRY, BACKOFF].map(|caller| table.of_caller(caller));
    assert!(ours.goodput >= without.goodput - 0.01);
    assert!(ours.recovered_within(10) && !ours.recovered_within(1));
    for caller in [BACKOFF, FAMILY] {
        assert!(table.of_caller(caller).amplification <= AMPLIFICATION, "{caller}");
    }
}

fn assert_hardly_amplified(scene: &Scene) {
    let table = Table::of(scene);
    table.assert_as_published();
    assert!(table.of_caller(NAIVE).amplification > 2.5);
    for caller in [BACKOFF, FAMILY] {
        let caller = table.of_caller(caller);
        assert!(caller.amplification <= AMPLIFICATION, "{caller:?}");
        assert!(caller.meanwhile <= AMPLIFICATION, "{caller:?}");
    }
    assert!(table.of_caller(FAMILY).goodput >= 0.97);
}

// S-BACKOFF-10
#[test]
fn in_a_brownout_there_are_hardly_more_attempts_than_requests() {
    assert_hardly_amplified(&BROWNOUT);
}

// S-BACKOFF-10
#[test]
fn in_a_burst_of_six_times_the_capacity_there_are_hardly_more_attempts_than_requests() {
    assert_hardly_amplified(&BURST);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let short = portcullis_tests::sim::Scenario { ends: 30, ..S10 };
    let run = |seed| run::run(&short, seed, &plain::naive);
    let [one, other] = [1, 1].map(run);
    assert!(one.good == other.good && one.attempts == other.attempts);
    assert!(run(2).attempts != one.attempts);
}
