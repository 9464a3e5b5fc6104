//! The circuit breakers and rate limits of others that ours are compared with. They have a workspace
//! of their own, and so a lock file and a target directory of their own.

use crate::step::{Invocation, Step};
use crate::tools;
use crate::workspace::Workspace;

const MANIFEST: &str = "benches/peers/Cargo.toml";

/// Whether the crates of the others are here, or can be fetched.
pub(crate) fn are_present(workspace: &Workspace) -> bool {
    // A tree needs the crates of this platform only.
    let here = format!("tree --offline --manifest-path {MANIFEST}");
    let fetch = format!("fetch --manifest-path {MANIFEST}");
    tools::works(&Invocation::cargo(&here), workspace)
        || tools::works(&Invocation::cargo(&fetch).env("CARGO_NET_RETRY", "1"), workspace)
}

/// A cargo command for their workspace.
pub(crate) fn cargo(workspace: &Workspace, command: &str, rest: &str) -> Invocation {
    let target = workspace.target().join("peers");
    let built =
        if command == "fmt" { String::new() } else { format!("--target-dir {}", target.display()) };
    Invocation::cargo(&format!("{command} --manifest-path {MANIFEST} {built} {rest}"))
}

/// What is said of the others, shown by playing the same scenes with them.
pub(crate) fn tests(workspace: &Workspace) -> Step {
    if are_present(workspace) {
        Step::tests("peers", cargo(workspace, "test", "--tests"))
    } else {
        absent("peers")
    }
}

/// The lints of their workspace.
pub(crate) fn clippy(workspace: &Workspace) -> Step {
    if are_present(workspace) {
        Step::run("peers clippy", cargo(workspace, "clippy", "--all-targets -- --deny warnings"))
    } else {
        absent("peers clippy")
    }
}

pub(crate) fn absent(name: &str) -> Step {
    Step::skip(name, "the crates of others are not on this machine and cannot be fetched")
}
