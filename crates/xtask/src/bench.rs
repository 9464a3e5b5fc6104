//! `cargo xtask bench`: what each path costs, beside what is aimed at and beside others.

use std::fs;
use std::path::PathBuf;

use crate::step::{Invocation, Step, Verdict};
use crate::workspace::Workspace;
use crate::{peers, tools};

/// Counts what does not depend on the machine, then instructions, then time: the last one prints
/// the tables.
pub(crate) fn steps(workspace: &Workspace, quick: bool) -> Vec<Step> {
    let program = |name: &str, options: &str| {
        let rest = format!("--release --quiet --bin {name} -- {options}");
        if peers::are_present(workspace) {
            peers::cargo(workspace, "run", &rest)
        } else {
            Invocation::cargo(&format!("run --package portcullis-benches {rest}"))
        }
    };
    let quick = if quick { "--quick " } else { "" };
    let dir = format!("{quick}--dir {}", results(workspace).display());
    let mut steps = Vec::new();
    if !peers::are_present(workspace) {
        steps.push(peers::absent("peers"));
    }
    steps.push(Step::check("weights", program("weights", ""), weights));
    steps.push(if tools::works(&Invocation::new("valgrind", "--version"), workspace) {
        Step::run("instructions", program("table", &format!("instructions {dir}")))
    } else {
        Step::skip("instructions", "valgrind is not installed")
    });
    steps.push(Step::run("table", program("table", &dir)));
    steps
}

/// A real server under load, bare and with the layer.
pub(crate) fn whole(quick: bool) -> Vec<Step> {
    let options = if quick { "--quick" } else { "" };
    let args = format!("bench --quiet --package portcullis-benches --bench http -- {options}");
    vec![Step::run("server", Invocation::cargo(&args))]
}

/// Where the tables are written, and what they are made of.
pub(crate) fn results(workspace: &Workspace) -> PathBuf {
    workspace.target().join("bench")
}

/// Runs the counting program and keeps what it prints.
fn weights(shown: &Invocation, workspace: &Workspace) -> Verdict {
    let dir = results(workspace);
    // What an older run left would be taken for a part of this one.
    let _ = fs::remove_dir_all(&dir);
    if let Err(error) = fs::create_dir_all(&dir) {
        return Verdict::Failed(format!("{}: {error}", dir.display()));
    }
    match tools::output(shown, workspace) {
        Ok(output) if output.status.success() => {
            match fs::write(dir.join("weights.tsv"), &output.stdout) {
                Ok(()) => Verdict::Passed(String::new()),
                Err(error) => Verdict::Failed(format!("{}: {error}", dir.display())),
            }
        }
        Ok(output) => Verdict::Failed(tools::text(&output).trim().to_owned()),
        Err(error) => Verdict::Failed(format!("cannot start: {error}")),
    }
}
