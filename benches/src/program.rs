//! The command line of the measuring programs.

mod instructions;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portcullis::MonotonicClock;

use crate::case::Case;
use crate::rounds::{self, Plan};
use crate::table::{Measured, Table};

const USAGE: &str = "\
usage: table [--quick] --dir <dir>            measures and prints; reads what the others left there
       table instructions [--quick] --dir <dir>    counts instructions with callgrind
       table count <case> <calls>             makes so many calls and ends";

/// Runs what the command line asks for, over our cases and `others`.
#[must_use]
pub fn run(others: Vec<Case>) -> ExitCode {
    let mut cases = crate::floor();
    cases.extend(crate::ours(MonotonicClock::new()));
    let own = cases.len();
    cases.extend(others);
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["count", label, calls] => count(&cases, label, calls),
        ["instructions", "--quick", "--dir", dir] => instructions::write(&cases[..own], dir),
        ["instructions", "--dir", dir] => instructions::write(&cases, dir),
        ["--quick", "--dir", dir] => table(&cases, Plan::QUICK, Path::new(dir)),
        ["--dir", dir] => table(&cases, Plan::FULL, Path::new(dir)),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// What callgrind looks at.
fn count(cases: &[Case], label: &str, calls: &str) -> Result<(), String> {
    let case = cases.iter().find(|case| case.label() == label);
    let case = case.ok_or_else(|| format!("no case is called {label}"))?;
    let calls: u64 = calls.parse().map_err(|error| format!("{calls}: {error}"))?;
    let live = case.live();
    live.prepare();
    (live.run)(calls);
    Ok(())
}

fn table(cases: &[Case], plan: Plan, dir: &Path) -> Result<(), String> {
    let instructions = figures(&dir.join("instructions.tsv"));
    let weights = figures(&dir.join("weights.tsv"));
    let times = rounds::run(cases, plan);
    let measured = cases.iter().zip(times).map(|(case, figures)| {
        let label = case.label();
        let of = |kind: &str, from: &Figures| from.get(&(kind.to_owned(), label.clone())).copied();
        Measured {
            who: case.who,
            name: case.name,
            figures,
            instructions: of("instructions", &instructions),
            allocations: of("allocations", &weights),
            reads: of("reads", &weights),
        }
    });
    let bytes = weights.iter().filter(|((kind, _), _)| kind == "bytes");
    let bytes = bytes.map(|((_, name), figure)| (name.clone(), *figure)).collect();
    let table = Table { measured: measured.collect(), bytes };
    let (targets, cases) = (table.targets(), table.cases());
    println!("{targets}\n{cases}");
    for (file, content) in
        [("targets.md", targets), ("cases.md", cases), ("table.json", table.to_json())]
    {
        let path: PathBuf = dir.join(file);
        fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("written: {}", path.display());
    }
    Ok(())
}

type Figures = BTreeMap<(String, String), f64>;

/// Lines of kind, name and figure; none where the file is missing.
fn figures(path: &Path) -> Figures {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('\t');
        let (kind, name, figure) = (words.next()?, words.next()?, words.next()?);
        Some(((kind.to_owned(), name.to_owned()), figure.parse().ok()?))
    });
    lines.collect()
}
