//! The fuzz targets without a fuzzer: over the corpus, and over what chance makes of it. T11, T12.

#![cfg(feature = "serde")]

mod targets;

use targets::feed::{INPUTS, feed};

/// What configurations are made of.
const WORDS: [&str; 16] = [
    "window = ",
    "min_calls = ",
    "\"30s\"",
    "\"off\"",
    "failure_rate = 0.5\n",
    "schedule = [\"1s\", \"2s\"]\n",
    "count_as = { timeout = \"ignored\" }\n",
    "verdict = \"rate\"\n",
    "-1",
    "1e308",
    "nan",
    "99999999999999999999",
    "\"\"",
    "{\"window\": 5, ",
    "}",
    "\n",
];

#[test]
fn no_bytes_make_the_configuration_panic() {
    let read = feed("config", &WORDS, |bytes| u64::from(targets::config::run(bytes)));
    println!("configurations that could be read: {read}");
    assert!(read > INPUTS / 20, "hardly anything could be read: {read}");
}

#[test]
fn no_sequence_of_subscribers_and_changes_loses_an_event() {
    let done = feed("events", &WORDS, |bytes| targets::events::run(bytes) as u64);
    println!("things done to the stream: {done}");
}
