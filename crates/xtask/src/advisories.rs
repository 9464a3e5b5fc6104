//! Known vulnerabilities, read from the copy of the advisory database that this machine has.

use std::path::PathBuf;

use crate::step::{Invocation, Step, Verdict};
use crate::workspace::Workspace;
use crate::{deny, tools};

/// The step, skipped where the tool or the database is missing.
pub(crate) fn step(workspace: &Workspace) -> Step {
    if !deny::is_present(workspace) {
        return Step::skip("advisories", "cargo-deny is not installed");
    }
    if database().is_none() {
        return Step::skip("advisories", "no local copy of the advisory database");
    }
    Step::check("advisories", deny::offline("advisories"), check)
}

fn check(_: &Invocation, workspace: &Workspace) -> Verdict {
    match deny::judge(workspace, "advisories") {
        Verdict::Passed(_) => {
            Verdict::Passed(format!("no advisory known as of {}", as_of(workspace)))
        }
        other => other,
    }
}

/// Where cargo-deny keeps the database unless it is told otherwise.
fn database() -> Option<PathBuf> {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let entries = std::fs::read_dir(cargo_home.join("advisory-dbs")).ok()?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths.find(|path| path.join("crates").is_dir())
}

/// The day of the newest commit of the database: a result is worth no more than that.
fn as_of(workspace: &Workspace) -> String {
    let day = database().and_then(|path| {
        let log = format!("-C {} log -1 --format=%cs", path.display());
        let output = tools::output(&Invocation::new("git", &log), workspace).ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    });
    day.filter(|day| !day.is_empty()).unwrap_or_else(|| "an unknown day".to_owned())
}
