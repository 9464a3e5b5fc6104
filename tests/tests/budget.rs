//! What a crate of ours costs those who take it: the crates that come with it.
//!
//! Counted is every package in the tree of normal dependencies without optional features, procedural
//! macros and their dependencies included, and the crate itself. Two versions of one package count
//! twice. What only tests, benches, examples or build scripts need is not in that tree.

use std::collections::BTreeSet;
use std::process::{Command, Output};

/// A library crate and the largest tree that it may have, where we promise one.
const BUDGETS: [(&str, Option<usize>); 8] = [
    ("breaker-core", Some(8)),
    ("portcullis-http", Some(16)),
    ("portcullis-backoff", Some(16)),
    ("portcullis-breaker", Some(16)),
    ("portcullis-priority", Some(16)),
    ("portcullis-ratelimit", Some(16)),
    ("portcullis-timeout", Some(16)),
    // All layers together, with axum-core: the figure is shown, nothing is promised.
    ("portcullis", None),
];

#[test]
fn no_library_brings_more_crates_than_it_may() {
    let mut over = Vec::new();
    for (library, budget) in BUDGETS {
        let tree = tree_of(library);
        let packages = packages(&tree);
        let allowed =
            budget.map_or_else(|| "no limit".to_owned(), |most| format!("at most {most}"));
        println!("{library}: {} crates, {allowed}", packages.len());
        assert!(packages.iter().any(|p| p.starts_with(library)), "not a tree:\n{tree}");
        if budget.is_some_and(|most| packages.len() > most) {
            over.push(format!("{library} has {} crates: {packages:?}", packages.len()));
        }
    }
    assert!(over.is_empty(), "over budget: {over:#?}");
}

#[test]
fn a_package_is_counted_once_for_each_version() {
    let tree = "a v1.0.0 (/repo/a)\nb v1.0.0\nc v1.0.0 (proc-macro)\nb v2.0.0\nb v1.0.0 (*)\n\n";
    assert_eq!(packages(tree), BTreeSet::from(["a v1.0.0", "b v1.0.0", "b v2.0.0", "c v1.0.0"]));
}

/// The `name version` pairs of a tree that was printed without prefixes.
fn packages(tree: &str) -> BTreeSet<&str> {
    let lines = tree.lines().map(|line| line.split(" (").next().unwrap_or(line).trim());
    lines.filter(|line| !line.is_empty()).collect()
}

/// The tree as the lock file has it; without the lock file where that one is out of date.
fn tree_of(library: &str) -> String {
    let locked = cargo_tree(library, &["--locked"]);
    let output = if locked.status.success() { locked } else { cargo_tree(library, &[]) };
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree of {library} failed: {problem}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn cargo_tree(library: &str, options: &[&str]) -> Output {
    Command::new(env!("CARGO"))
        .args(["tree", "--edges", "normal", "--prefix", "none", "--no-default-features"])
        .args(["--package", library])
        .args(options)
        .current_dir(portcullis_tests::root())
        .output()
        .expect("cargo runs this test, so it can be started")
}
