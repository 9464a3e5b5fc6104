//! No library may bring one crate in two versions.
//!
//! Two trees are read: what comes with the default features, procedural macros included, and what
//! ends up in the program when every feature is on. A procedural macro of an optional dependency
//! may rest on an old `syn`: it is gone before the program runs, and not ours to choose.

use std::collections::{BTreeMap, BTreeSet};

use crate::step::{Invocation, Step, Verdict};
use crate::tools;
use crate::workspace::Workspace;

/// The step that reads the tree of every library crate.
pub(crate) fn step() -> Step {
    Step::check("duplicates", Invocation::cargo("tree --package <library>"), check)
}

/// The options of the two trees.
const TREES: [&str; 2] = ["--edges normal", "--edges normal,no-proc-macro --all-features"];

fn check(_: &Invocation, workspace: &Workspace) -> Verdict {
    let mut found = BTreeSet::new();
    for library in workspace.libraries() {
        for options in TREES {
            let args = format!("tree --prefix none --package {library} {options}");
            match tools::output(&Invocation::cargo(&args), workspace) {
                Ok(output) if output.status.success() => {
                    let twice = duplicates(&String::from_utf8_lossy(&output.stdout));
                    found.extend(twice.into_iter().map(|twice| format!("{library}: {twice}")));
                }
                Ok(output) => return Verdict::Failed(tools::text(&output).trim().to_owned()),
                Err(error) => return Verdict::Failed(format!("cannot start: {error}")),
            }
        }
    }
    if found.is_empty() {
        Verdict::Passed(format!("libraries: {}", workspace.libraries().len()))
    } else {
        Verdict::Failed(found.into_iter().collect::<Vec<_>>().join("; "))
    }
}

/// The crates that a printed tree holds in more than one version.
fn duplicates(tree: &str) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    let twice = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    twice
        .map(|(name, versions)| {
            format!("{name} {}", versions.into_iter().collect::<Vec<_>>().join(" and "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_in_two_versions_is_found() {
        let tree = "portcullis v0.1.0 (/somewhere)\nbytes v1.1.0\nsyn v2.0.1 (proc-macro)\n\
            syn v1.0.9 (*)\nbytes v1.1.0 (*)\n";
        assert_eq!(duplicates(tree), ["syn v1.0.9 and v2.0.1"]);
    }

    #[test]
    fn a_crate_that_is_used_twice_is_no_duplicate() {
        assert!(duplicates("a v1.0.0\n\nb v1.0.0\nb v1.0.0 (*)\n").is_empty());
    }
}
