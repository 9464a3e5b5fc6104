//! `cargo xtask bench`: the benchmarks, by name, so that criterion's options reach criterion only.

use std::path::PathBuf;

use crate::step::{Invocation, Step};
use crate::workspace::Workspace;

/// One step for each benchmark file.
pub(crate) fn steps(workspace: &Workspace, quick: bool) -> Vec<Step> {
    let benchmarks = workspace.benchmarks();
    if benchmarks.is_empty() {
        return vec![Step::skip("bench", "no benchmark in benches/benches")];
    }
    let options = if quick { " -- --quick" } else { "" };
    let steps = benchmarks.into_iter().map(|name| {
        let args = format!("bench --package portcullis-benches --bench {name}{options}");
        Step::run(name, Invocation::cargo(&args))
    });
    steps.collect()
}

/// Where criterion leaves its figures.
pub(crate) fn results(workspace: &Workspace) -> PathBuf {
    std::env::var_os("CRITERION_HOME")
        .map_or_else(|| workspace.target().join("criterion"), PathBuf::from)
}
