//! A fuzzer for every day, which the packages share: it knows nothing of what it feeds.

use std::fs;
use std::path::Path;

use breaker_core::Chance;

/// How many inputs each target sees beside the corpus; with `PORTCULLIS_DEEP` a hundred times.
pub(crate) const INPUTS: u64 = 3_000;

/// Feeds a target of this package with its corpus and with what chance makes of it and of these
/// words; the sum of what it says.
pub(crate) fn feed(target: &str, words: &[&str], run: impl Fn(&[u8]) -> u64) -> u64 {
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
            mutate(&mut bytes, &corpus, words, &mut chance);
        }
        sum += run(&bytes);
    }
    sum
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str], chance: &mut Chance) {
    let at = chance.below(bytes.len() as u64 + 1) as usize;
    match chance.below(6) {
        0 if at < bytes.len() => bytes[at] = chance.draw() as u8,
        1 => bytes.truncate(at.max(1)),
        2 => {
            let word = words[chance.below(words.len() as u64) as usize].as_bytes();
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
