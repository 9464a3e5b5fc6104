//! The main job: one seeded storm of real HTTP traffic over a bare and a protected shop.
//!
//! `README.md` says what happens, what is measured, and how to add a phase or a layer.

mod arrivals;
mod claim;
mod client;
mod depot;
mod door;
mod drill;
mod due;
mod figures;
mod flags;
mod json;
mod ledger;
mod load;
mod owed;
mod protect;
mod report;
mod run;
mod rush;
mod script;
mod shop;
mod table;
mod till;
mod upstream;
mod view;
mod world;

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use flags::{Asked, Flags};
use script::Script;
use view::View;

/// The run was made, and the protected shop was worse where it should not be.
const WORSE: u8 = 1;
/// The flags do not say what to do.
const BAD_FLAGS: u8 = 2;
/// The run could not be made, or was stopped.
const NOT_RUN: u8 = 3;

fn main() -> ExitCode {
    let flags = match Flags::parse(std::env::args_os().skip(1)) {
        Ok(Asked::Help) => {
            println!("{}", flags::usage());
            return ExitCode::SUCCESS;
        }
        Ok(Asked::Run(flags)) => flags,
        Err(problem) => {
            eprintln!("storm: {problem}");
            return ExitCode::from(BAD_FLAGS);
        }
    };
    // Opened before the run, so that a wrong path costs a moment and not a minute.
    let json = match flags.json.as_ref().map(|path| (path, File::create(path))) {
        Some((path, Err(problem))) => {
            eprintln!("storm: --json wants a file that can be written, {path:?} cannot: {problem}");
            return ExitCode::from(BAD_FLAGS);
        }
        Some((_, Ok(file))) => Some(file),
        None => None,
    };
    match storm(&flags, json) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(WORSE),
        Err(problem) => {
            eprintln!("storm: {problem}");
            ExitCode::from(NOT_RUN)
        }
    }
}

/// Runs the script, prints the table, and says whether all claims hold.
fn storm(flags: &Flags, json: Option<File>) -> Result<bool, Box<dyn Error>> {
    let script = Script::new(flags.phase, flags.speed);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(run::run(flags, &script, View::open(flags.headless)))?;
    // Answers that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    if let Some(file) = json {
        serde_json::to_writer_pretty(file, &json::render(&report))?;
    }
    write!(io::stdout(), "\n{}", table::render(&report))?;
    Ok(report.holds())
}
