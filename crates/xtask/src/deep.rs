//! `cargo xtask deep`: what takes longer than anyone wants to wait for on every change.

use std::hash::{BuildHasher, RandomState};

use crate::step::{Invocation, Step};
use crate::workspace::Workspace;
use crate::{advisories, needs, peers, proofs, tools};

/// How many cases each property sees, against 256 in the everyday run.
const PROPERTY_CASES: u32 = 100_000;

/// The same for rate limits, whose cases are longer.
const LIMIT_CASES: u32 = 5_000;

/// Each with the package in whose `tests` it is, and its corpus.
const FUZZ_TARGETS: [(&str, &str); 7] = [
    ("config", "breaker-core"),
    ("events", "breaker-core"),
    ("forwarded", "portcullis-http"),
    ("hints", "portcullis-http"),
    ("priority", "portcullis-http"),
    ("quota", "portcullis-ratelimit"),
    ("rate_limit", "portcullis-ratelimit"),
];

/// How long each is fed, in seconds.
const FUZZ_TIME: u32 = 180;

/// The steps of the deep command.
pub(crate) fn steps(workspace: &Workspace) -> Vec<Step> {
    let mut steps = vec![needs::step("redis-server"), needs::step("wrk"), properties()];
    steps.push(walk());
    steps.push(sizes());
    steps.push(limits());
    steps.extend(proofs::deep(workspace));
    steps.extend(proofs::controls(workspace));
    steps.extend(suite(workspace, "conformance", |run| run));
    steps.push(steady());
    steps.push(peers::clippy(workspace));
    steps.push(advisories::step(workspace));
    steps.push(miri(workspace));
    steps.extend(FUZZ_TARGETS.map(|(target, package)| fuzz(target, package, workspace)));
    steps
}

/// Every property of the core with many cases. The seed is printed with the command, so that a
/// failure can be had again.
fn properties() -> Step {
    let seed = std::env::var("PROPTEST_RNG_SEED")
        .unwrap_or_else(|_| RandomState::new().hash_one("seed").to_string());
    let run = Invocation::cargo("test --package breaker-core --release --all-features")
        // It has a step of its own.
        .args("-- --skip proofs::differential")
        .env("PORTCULLIS_DEEP", "1")
        .env("PROPTEST_CASES", PROPERTY_CASES.to_string())
        .env("PROPTEST_RNG_SEED", seed);
    Step::tests("properties", run)
}

/// The exhaustive walk through the machine, with larger bounds.
fn walk() -> Step {
    let args =
        "test --package breaker-core --release --all-features --lib machine::tests -- --nocapture";
    Step::tests("walk", Invocation::cargo(args).env("PORTCULLIS_WALK", "deep"))
}

/// What circuits weigh, after ten million of them.
fn sizes() -> Step {
    let args = "test --package portcullis-breaker --release --test sizes -- --nocapture";
    Step::tests("sizes", Invocation::cargo(args).env("PORTCULLIS_DEEP", "1"))
}

/// The properties of rate limits with many cases, and ten million decisions about a hundred thousand
/// keys.
fn limits() -> Step {
    let args = "test --package portcullis-ratelimit --release --all-features -- --nocapture";
    let run = Invocation::cargo(args)
        .env("PORTCULLIS_DEEP", "1")
        .env("PROPTEST_CASES", LIMIT_CASES.to_string());
    Step::tests("limits", run)
}

/// Whether a limit admits what it should, under the load of another program.
fn steady() -> Step {
    let args = "bench --quiet --package portcullis-benches --bench steady";
    Step::run("steady", Invocation::cargo(args))
}

/// The integration tests with this word in their name, in release, one step each.
fn suite(
    workspace: &Workspace,
    word: &str,
    prepare: impl Fn(Invocation) -> Invocation,
) -> Vec<Step> {
    let found = match workspace.integration_tests(word) {
        Ok(found) if found.is_empty() => {
            return vec![Step::skip(word, format!("no integration test is called `{word}`"))];
        }
        Ok(found) => found,
        Err(error) => return vec![Step::skip(word, format!("cannot look for it: {error}"))],
    };
    let steps = found.into_iter().map(|(package, test)| {
        let args = format!(
            "test --package {package} --release --all-features --test {test} -- --nocapture"
        );
        Step::tests(format!("{test} {package}"), prepare(Invocation::cargo(&args)))
    });
    steps.collect()
}

/// The unit tests of the core under an interpreter that sees undefined behaviour and data races.
fn miri(workspace: &Workspace) -> Step {
    // Asking must not start an installation.
    let probe = Invocation::new("rustup", "run nightly cargo miri --version")
        .env("RUSTUP_AUTO_INSTALL", "0");
    if !tools::works(&probe, workspace) {
        return Step::skip("miri", "no nightly toolchain with miri is installed");
    }
    let run = Invocation::new(
        "rustup",
        "run nightly cargo miri test --package breaker-core --lib -- --skip machine::tests --skip proofs",
    )
    .env("MIRIFLAGS", "-Zmiri-disable-isolation")
    .env("PROPTEST_CASES", "8");
    Step::tests("miri", run)
}

/// A target that is fed by a fuzzer; what it is fed every day is where it begins.
fn fuzz(target: &str, package: &str, workspace: &Workspace) -> Step {
    let name = format!("fuzz {target}");
    let probe = Invocation::new("rustup", "run nightly cargo fuzz --version")
        .env("RUSTUP_AUTO_INSTALL", "0");
    if !tools::works(&probe, workspace) {
        return Step::skip(name, "no nightly toolchain with cargo-fuzz is installed");
    }
    let found = format!("fuzz/corpus/{target}");
    if let Err(error) = std::fs::create_dir_all(workspace.root().join(&found)) {
        return Step::skip(name, format!("cannot make {found}: {error}"));
    }
    let run = format!(
        "run nightly cargo fuzz run {target} {found} crates/{package}/tests/corpus/{target} \
         -- -max_total_time={FUZZ_TIME}"
    );
    Step::run(name, Invocation::new("rustup", &run))
}
