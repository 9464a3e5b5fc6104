//! The fuzz targets without a fuzzer: over the corpus, and over what chance makes of it. T11.

#[path = "../../breaker-core/tests/targets/feed.rs"]
mod feed;
#[path = "targets/quota.rs"]
mod quota;
#[cfg(feature = "serde")]
#[path = "targets/rate_limit.rs"]
mod rate_limit;

/// What configurations are made of.
#[cfg(feature = "serde")]
const WORDS: [&str; 16] = [
    "rate = ",
    "burst = ",
    "window = \"1ms\"\n",
    "window = \"1d\"\n",
    "algorithm = \"sliding_log\"\n",
    "algorithm = \"leaky_bucket\"\n",
    "adjust = true\n",
    "usage_limit = 0.5\n",
    "max_rate = 1e9\n",
    "0.001",
    "1000000000",
    "-1",
    "nan",
    "\"\"",
    "}",
    "\n",
];

// S-RATE-01
#[cfg(feature = "serde")]
#[test]
fn no_bytes_make_the_configuration_of_a_limit_panic() {
    let read = feed::feed("rate_limit", &WORDS, |bytes| u64::from(rate_limit::run(bytes)));
    println!("configurations that could be read: {read}");
    assert!(read > feed::INPUTS / 20, "hardly anything could be read: {read}");
}

// S-RATE-01, S-RATE-02, S-RATE-03, S-RATE-04, S-RATE-06
#[test]
fn no_sequence_of_calls_and_changes_gets_past_the_bound_of_its_algorithm() {
    let done = feed::feed("quota", &["\u{1}\u{1}", "\u{4}d", "\u{6}\u{7}"], |bytes| {
        quota::run(bytes) as u64
    });
    println!("things done to a limit: {done}");
    assert!(done > feed::INPUTS, "hardly anything was done: {done}");
}
