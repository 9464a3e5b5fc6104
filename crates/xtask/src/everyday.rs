//! `cargo xtask test`: what every change must pass, the cheap checks first.

use crate::step::{Invocation, Step};
use crate::workspace::Workspace;
use crate::{deny, duplicates, needs, peers, proofs, tools};

/// The steps of the everyday command.
pub(crate) fn steps(workspace: &Workspace) -> Vec<Step> {
    let mut steps = vec![
        Step::run("fmt", Invocation::cargo("fmt --all --check")),
        Step::run("peers fmt", peers::cargo(workspace, "fmt", "--check")),
        needs::step("redis-server"),
        typos(workspace),
        duplicates::step(),
        deny::step(workspace),
        Step::run(
            "clippy",
            Invocation::cargo("clippy --workspace --all-targets --all-features -- --deny warnings"),
        ),
        Step::run(
            "docs",
            Invocation::cargo("doc --workspace --no-deps --all-features")
                .env("RUSTDOCFLAGS", "-D warnings"),
        ),
    ];
    steps.extend(workspace.libraries().iter().map(|library| {
        let check = format!("check --package {library} --no-default-features");
        Step::run(format!("bare {library}"), Invocation::cargo(&check))
    }));
    steps.extend(test_runs());
    steps.push(peers::tests(workspace));
    steps.extend(proofs::everyday(workspace));
    steps
}

/// The same features in all three, so that nothing is built twice.
fn test_runs() -> [Step; 3] {
    let tests = |name: &str, what: &str| {
        let args = format!("test --workspace --all-features --no-fail-fast {what}");
        Step::tests(name, Invocation::cargo(&args))
    };
    [
        tests("tests", "--lib --bins --tests --examples"),
        tests("doctests", "--doc"),
        tests("dependency budget", "--test budget -- --nocapture"),
    ]
}

fn typos(workspace: &Workspace) -> Step {
    if tools::works(&Invocation::new("typos", "--version"), workspace) {
        Step::run("typos", Invocation::new("typos", "--config .ci/typos.toml"))
    } else {
        Step::skip("typos", "typos is not installed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Action;

    #[test]
    fn every_library_is_checked_without_its_default_features() {
        let workspace = Workspace::open().expect("the tests run inside the repository");
        let steps = steps(&workspace);
        for library in workspace.libraries() {
            let name = format!("bare {library}");
            assert!(steps.iter().any(|step| step.name == name), "{name} is missing");
        }
    }

    #[test]
    fn the_checks_that_need_only_cargo_are_never_skipped() {
        let workspace = Workspace::open().expect("the tests run inside the repository");
        let skipped = steps(&workspace).into_iter().filter_map(|step| match step.action {
            Action::Skip(_) => Some(step.name),
            _ => None,
        });
        let optional = ["typos", "deny", "peers"];
        assert!(skipped.into_iter().all(|name| optional.contains(&name.as_str())));
    }
}
