//! The proofs of the concurrent shell, and the controls that show that they prove something.
//!
//! The model checkers put primitives of their own in the place of the standard library's, so each
//! has builds of its own, in a directory of its own.

use crate::step::{Invocation, Step};
use crate::workspace::Workspace;

/// Steps of the differential test, schedules of each kind, and preemptions, in the deep run.
const DEEP_SCHEDULES: u32 = 100_000;
const PREEMPTIONS: [u32; 2] = [2, 3];

/// Whole calls in random orders.
const SCHEDULES: [Proof; 2] = [Proof::Schedules, Proof::QueueSchedules];

/// A bug that is put in on purpose, which proof has to find it, and what that one says then.
struct Control {
    bug: &'static str,
    proof: Proof,
    says: &'static str,
}

#[derive(Clone, Copy)]
enum Proof {
    Differential,
    Models,
    Schedules,
    /// Those of the retry budget, whose models are among those of the core.
    BudgetTests,
    BudgetModels,
    AnchorModels,
    /// Those of the rate limit.
    LimitTests,
    LimitModels,
    /// Those of the priority queue.
    QueueTests,
    QueueModels,
    QueueSchedules,
}

const CONTROLS: &[Control] = &[
    control("folds-twice", Proof::Differential, "another machine"),
    control("epoch-unseen", Proof::Differential, "another machine"),
    control("stranger-known", Proof::Differential, "another machine"),
    control("slow-unseen", Proof::Differential, "another machine"),
    control("end-unseen", Proof::Differential, "another machine"),
    control("trial-leaks", Proof::Differential, "another machine"),
    control("panic-unseen", Proof::Differential, "another machine"),
    control("folds-twice", Proof::Models, "the successes do not add up"),
    control("stranger-known", Proof::Models, "a stranger was heard"),
    control("trial-leaks", Proof::Models, "a trial leaks"),
    control("license-stays", Proof::Models, "a refusal made of two"),
    control("end-moves-on", Proof::Models, "refused beyond its end"),
    control("read-torn", Proof::Models, "judged by two configurations"),
    control("keeper-goes-last", Proof::Models, "orphaned by a stranger"),
    control("clones-first", Proof::Models, "a circuit lives as long as a handle of it does"),
    control("folds-twice", Proof::Schedules, "the books do not balance"),
    control("trial-leaks", Proof::Schedules, "the books do not balance"),
    control("stirs-unseen", Proof::BudgetTests, "another budget"),
    control("stirs-unseen", Proof::BudgetModels, "a rest that is none"),
    control("rests-late", Proof::BudgetModels, "a rest that is none"),
    control("mark-outlives", Proof::AnchorModels, "a mark led to a stranger"),
    control("debts-forgotten", Proof::LimitTests, "a bucket was reset that is owed something"),
    control("age-unseen", Proof::LimitTests, "a stranger got what was given back"),
    control("fills-twice", Proof::LimitModels, "more than the burst was admitted"),
    control("spends-unseen", Proof::LimitModels, "more than the burst was admitted"),
    control("leaves-unheard", Proof::LimitModels, "the next in the line was not woken"),
    control("stirs-nobody", Proof::LimitModels, "one who could go sleeps on"),
    control("leaves-with-a-slot", Proof::QueueTests, "another queue"),
    control("mark-stays", Proof::QueueTests, "another queue"),
    control("gate-stays", Proof::QueueTests, "another queue"),
    control("told-too-early", Proof::QueueTests, "a slot leaks"),
    control("hands-nothing-over", Proof::QueueModels, "one who could go sleeps on"),
    control("guards-late", Proof::QueueModels, "one who could go sleeps on"),
    control("wakes-nobody", Proof::QueueModels, "one who could go sleeps on"),
    control("leaves-with-a-slot", Proof::QueueModels, "a slot leaks"),
    control("takes-unseen", Proof::QueueModels, "Causality violation"),
    control("mark-stays", Proof::QueueModels, "a mark stays"),
    control("free-in-use", Proof::QueueModels, "falls free while a slot of it is held"),
    control("gate-stays", Proof::QueueModels, "admitted by another configuration"),
    control("unbinds-late", Proof::QueueModels, "a call too many beside an open circuit"),
    control("hands-nothing-over", Proof::QueueSchedules, "deadlock! blocked tasks"),
    control("wakes-nobody", Proof::QueueSchedules, "deadlock! blocked tasks"),
    control("leaves-with-a-slot", Proof::QueueSchedules, "a slot leaks"),
    control("told-too-early", Proof::QueueSchedules, "a slot leaks"),
];

const fn control(bug: &'static str, proof: Proof, says: &'static str) -> Control {
    Control { bug, proof, says }
}

/// The proofs of the everyday run; the differential test is among the unit tests.
pub(crate) fn everyday(workspace: &Workspace) -> Vec<Step> {
    let mut steps = Vec::from(models(workspace, PREEMPTIONS[0]));
    steps.extend(SCHEDULES.map(|proof| Step::tests(proof.name(), proof.run(workspace))));
    steps
}

/// All models, in all orders of up to so many preemptions.
fn models(workspace: &Workspace, bound: u32) -> [Step; 3] {
    [Proof::Models, Proof::LimitModels, Proof::QueueModels].map(|proof| {
        let run = proof.run(workspace).env("LOOM_MAX_PREEMPTIONS", bound.to_string());
        Step::tests(proof.name(), run)
    })
}

/// The same at full size.
pub(crate) fn deep(workspace: &Workspace) -> Vec<Step> {
    let mut steps =
        Vec::from([Proof::Differential, Proof::QueueTests].map(|proof| {
            Step::tests(proof.name(), proof.run(workspace).env("PORTCULLIS_DEEP", "1"))
        }));
    steps.extend(models(workspace, PREEMPTIONS[1]));
    steps.extend(SCHEDULES.map(|proof| {
        let run = proof.run(workspace).env("PORTCULLIS_SCHEDULES", DEEP_SCHEDULES.to_string());
        Step::tests(proof.name(), run)
    }));
    steps
}

/// One step for each control.
pub(crate) fn controls(workspace: &Workspace) -> Vec<Step> {
    let steps = CONTROLS.iter().map(|Control { bug, proof, says }| {
        let run = proof.run(workspace).env("PORTCULLIS_PLANTED", *bug);
        // Two are enough for what is planted.
        let run = run.env("LOOM_MAX_PREEMPTIONS", PREEMPTIONS[0].to_string());
        Step::control(format!("{bug} {}", proof.name()), run, says)
    });
    steps.collect()
}

impl Proof {
    const fn name(self) -> &'static str {
        match self {
            Self::Differential => "differential",
            Self::Models => "models",
            Self::Schedules => "schedules",
            Self::BudgetTests => "budget",
            Self::BudgetModels => "budget models",
            Self::AnchorModels => "anchor models",
            Self::LimitTests => "rate limit",
            Self::LimitModels => "rate limit models",
            Self::QueueTests => "priority",
            Self::QueueModels => "priority models",
            Self::QueueSchedules => "priority schedules",
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Self::Differential
            | Self::Models
            | Self::Schedules
            | Self::BudgetTests
            | Self::BudgetModels
            | Self::AnchorModels => "breaker-core",
            Self::LimitTests | Self::LimitModels => "portcullis-ratelimit",
            Self::QueueTests | Self::QueueModels | Self::QueueSchedules => "portcullis-priority",
        }
    }

    fn run(self, workspace: &Workspace) -> Invocation {
        let package = self.package();
        let cargo = |test: &str| {
            let args = format!("test --package {package} --release --lib {test} -- --nocapture");
            // Built more often than it pays to optimise across crates.
            Invocation::cargo(&args)
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
                .env("RUST_BACKTRACE", "0")
        };
        let apart = |test: &str, cfg: &str| {
            let target = workspace.target().join(cfg);
            cargo(test)
                .env("RUSTFLAGS", format!("--cfg {cfg}"))
                .env("CARGO_TARGET_DIR", target.display().to_string())
        };
        let plain = |test: &str| {
            let target = workspace.target().join("differential");
            cargo(test).env("CARGO_TARGET_DIR", target.display().to_string())
        };
        match self {
            Self::Differential => plain("proofs::differential"),
            Self::LimitTests | Self::QueueTests => plain("proofs"),
            Self::BudgetTests => plain("budget::proofs"),
            Self::BudgetModels => apart("budget::models", "loom"),
            Self::AnchorModels => apart("anchor::models", "loom"),
            Self::Models | Self::LimitModels | Self::QueueModels => apart("models", "loom"),
            Self::Schedules => apart("slot::schedules", "shuttle"),
            Self::QueueSchedules => apart("schedules", "shuttle"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    const PACKAGES: [&str; 3] = ["breaker-core", "portcullis-ratelimit", "portcullis-priority"];

    /// The names in `planted("...")` in the sources below a directory.
    fn planted(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).expect("the sources are readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                planted(&path, found);
            } else if let Ok(source) = fs::read_to_string(&path) {
                let names = source.split("planted(\"").skip(1);
                found.extend(names.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn each_bug_that_is_planted_has_a_control() {
        let workspace = Workspace::open().expect("the tests run inside the repository");
        let mut found = BTreeSet::new();
        for package in PACKAGES {
            planted(&workspace.root().join(format!("crates/{package}/src")), &mut found);
        }
        let known = CONTROLS.iter().map(|control| control.bug.to_owned()).collect();
        assert_eq!(found, known);
    }

    #[test]
    fn only_test_builds_can_have_a_planted_bug() {
        let workspace = Workspace::open().expect("the tests run inside the repository");
        for package in PACKAGES {
            let path = workspace.root().join(format!("crates/{package}/src/planted.rs"));
            let source = fs::read_to_string(path).expect("the source is readable");
            assert!(source.contains("#[cfg(not(test))]\n#[inline(always)]\npub(crate) const fn"));
        }
    }
}
