//! The fuzz targets without a fuzzer: over the corpus, and over what chance makes of it. T11, T12.

#![cfg(feature = "serde")]

mod targets;

use std::fs;
use std::path::Path;

use breaker_core::Chance;

/// How many inputs each target sees beside the corpus; with `PORTCULLIS_DEEP` a hundred times.
const INPUTS: u64 = 3_000;

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
    let read = feed("config", |bytes| u64::from(targets::config::run(bytes)));
    println!("configurations that could be read: {read}");
    assert!(read > INPUTS / 20, "hardly anything could be read: {read}");
}

#[test]
fn no_sequence_of_subscribers_and_changes_loses_an_event() {
    let done = feed("events", |bytes| targets::events::run(bytes) as u64);
    println!("things done to the stream: {done}");
}

/// Feeds a target; the sum of what it says.
fn feed(target: &str, run: impl Fn(&[u8]) -> u64) -> u64 {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!corpus.is_empty(), "there is no corpus of {target}");
    let mut sum: u64 = corpus.iter().map(|bytes| run(bytes)).sum();
    let deep = std::env::var_os("PORTCULLIS_DEEP").is_some();
    let mut chance = Chance::seeded(7);
    for _ in 0..INPUTS * if deep { 100 } else { 1 } {
        let mut bytes = corpus[chance.below(corpus.len() as u64) as usize].clone();
        for _ in 0..=chance.below(4) {
            mutate(&mut bytes, &corpus, &mut chance);
        }
        sum += run(&bytes);
    }
    sum
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(bytes.len() as u64 + 1) as usize;
    match chance.below(6) {
        0 if at < bytes.len() => bytes[at] = chance.draw() as u8,
        1 => bytes.truncate(at.max(1)),
        2 => {
            let word = WORDS[chance.below(WORDS.len() as u64) as usize].as_bytes();
            bytes.splice(at..at, word.iter().copied());
        }
        3 => {
            let other = &corpus[chance.below(corpus.len() as u64) as usize];
            let from = chance.below(other.len() as u64 + 1) as usize;
            bytes.extend_from_slice(&other[from..]);
        }
        4 => bytes.extend((0..chance.below(64)).map(|_| chance.draw() as u8)),
        _ => {
            let end = (at + chance.below(20) as usize).min(bytes.len());
            bytes.drain(at..end);
        }
    }
}
