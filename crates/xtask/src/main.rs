//! The commands of the house: `cargo xtask test`, `cargo xtask deep`, `cargo xtask controls`,
//! `cargo xtask bench`.
//!
//! A command is a list of named steps. Steps are data ([`step::Step`]): one file per command says
//! which there are, `run` executes them, `report` prints what came of them. No step stops the ones
//! after it, and a check that did not run is never shown as passed.

mod advisories;
mod args;
mod bench;
mod deep;
mod deny;
mod duplicates;
mod everyday;
mod needs;
mod peers;
mod proofs;
mod report;
mod run;
mod step;
mod tools;
mod workspace;

use std::process::ExitCode;

use args::{Command, Problem};
use report::Report;
use workspace::Workspace;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(Problem::Help) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(Problem::Wrong(reason)) => {
            eprintln!("error: {reason}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    match Workspace::open() {
        Ok(workspace) => exit_code(&execute(command, &workspace)),
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command, workspace: &Workspace) -> Report {
    match command {
        Command::Test => {
            println!("install: redis-server, where it is missing");
            run::all(everyday::steps(workspace), workspace)
        }
        Command::Deep { strict } => {
            let report = run::all(deep::steps(workspace), workspace);
            if strict { report.strict() } else { report }
        }
        Command::Controls => run::all(proofs::controls(workspace), workspace),
        Command::Bench { quick, whole: true } => run::all(bench::whole(quick), workspace),
        Command::Bench { quick, whole: false } => {
            let report = run::all(bench::steps(workspace, quick), workspace);
            println!("\nresults: {}", bench::results(workspace).display());
            report
        }
    }
}

fn exit_code(report: &Report) -> ExitCode {
    println!("\n{report}");
    if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
