//! Runs steps one after the other and lets their output through as it comes.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Instant;

use crate::report::{Report, Row};
use crate::step::{Action, Invocation, Step, Verdict};
use crate::tools;
use crate::workspace::Workspace;

/// Runs every step, whatever became of the ones before it.
pub(crate) fn all(steps: Vec<Step>, workspace: &Workspace) -> Report {
    let total = steps.len();
    let rows = steps.into_iter().enumerate().map(|(index, step)| {
        println!("\n==> [{}/{total}] {}", index + 1, title(&step));
        one(step, workspace)
    });
    Report::new(rows.collect())
}

fn title(step: &Step) -> String {
    match &step.action {
        Action::Run(shown)
        | Action::Tests(shown)
        | Action::Control(shown, _)
        | Action::Check(shown, _) => {
            format!("{}: {shown}", step.name)
        }
        Action::Skip(_) => step.name.clone(),
    }
}

#[allow(clippy::disallowed_methods, reason = "a step takes real time, and nothing waits for it")]
fn one(step: Step, workspace: &Workspace) -> Row {
    let started = Instant::now();
    let command = match &step.action {
        Action::Run(shown)
        | Action::Tests(shown)
        | Action::Control(shown, _)
        | Action::Check(shown, _) => shown.to_string(),
        Action::Skip(_) => String::new(),
    };
    let verdict = match step.action {
        Action::Run(invocation) => command_verdict(&invocation, workspace),
        Action::Tests(invocation) => tests_verdict(&invocation, workspace),
        Action::Control(invocation, says) => control_verdict(&invocation, says, workspace),
        Action::Check(shown, check) => check(&shown, workspace),
        Action::Skip(reason) => Verdict::Skipped(reason),
    };
    let row = Row { name: step.name, verdict, elapsed: started.elapsed(), command };
    println!("{}", row.headline());
    row
}

fn command_verdict(invocation: &Invocation, workspace: &Workspace) -> Verdict {
    match tools::command(invocation, workspace).status() {
        Ok(status) if status.success() => Verdict::Passed(String::new()),
        Ok(status) => Verdict::Failed(status.to_string()),
        Err(error) => Verdict::Failed(format!("cannot start: {error}")),
    }
}

/// Whether tests fail as they should.
fn control_verdict(invocation: &Invocation, says: &str, workspace: &Workspace) -> Verdict {
    match tools::output(invocation, workspace) {
        Ok(output) => found(output.status.success(), &tools::text(&output), says),
        Err(error) => Verdict::Failed(format!("cannot start: {error}")),
    }
}

/// A test that fails for another reason, or a build that does, has found nothing.
fn found(passed: bool, text: &str, says: &str) -> Verdict {
    if passed {
        Verdict::Failed("the planted bug was not found".to_owned())
    } else if text.contains(says) && text.contains("test result: FAILED") {
        Verdict::Passed(format!("found: {says}"))
    } else {
        println!("{text}");
        Verdict::Failed(format!("failed without saying: {says}"))
    }
}

/// As [`command_verdict`], and counts what libtest says that it ran.
fn tests_verdict(invocation: &Invocation, workspace: &Workspace) -> Verdict {
    let child = tools::command(invocation, workspace).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Verdict::Failed(format!("cannot start: {error}")),
    };
    let output = child.stdout.take();
    let count = output.map_or(0, |output| forward(BufReader::new(output), std::io::stdout()));
    match child.wait() {
        Ok(status) if !status.success() => Verdict::Failed(status.to_string()),
        Ok(_) if count == 0 => Verdict::Skipped("no test was found to run".to_owned()),
        Ok(_) => Verdict::Passed(format!("tests run: {count}")),
        Err(error) => Verdict::Failed(format!("cannot wait: {error}")),
    }
}

/// Copies the output line by line and adds up the tests that passed.
fn forward(mut output: impl BufRead, mut screen: impl Write) -> usize {
    let mut count = 0;
    let mut line = Vec::new();
    while matches!(output.read_until(b'\n', &mut line), Ok(1..)) {
        // A closed pipe on our side is no reason to stop counting.
        let _ = screen.write_all(&line).and_then(|()| screen.flush());
        count += passed(&String::from_utf8_lossy(&line));
        line.clear();
    }
    count
}

/// The number in `test result: ok. 12 passed; ...`, zero for any other line.
fn passed(line: &str) -> usize {
    line.strip_prefix("test result: ")
        .and_then(|rest| rest.split_once(". "))
        .and_then(|(_, rest)| rest.split_once(" passed;"))
        .and_then(|(number, _)| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_of_all_binaries_are_added_up() {
        let output = "running 2 tests\ntest a ... ok\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
            test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let mut screen = Vec::new();
        assert_eq!(forward(output.as_bytes(), &mut screen), 5);
        assert_eq!(screen, output.as_bytes(), "and all of it is shown");
    }

    #[test]
    fn a_control_passes_only_if_the_proof_fails_and_says_why() {
        let failed = "a trial leaks\ntest result: FAILED. 0 passed; 1 failed";
        assert!(matches!(found(false, failed, "a trial leaks"), Verdict::Passed(_)));
        assert!(matches!(found(false, failed, "another machine"), Verdict::Failed(_)));
        assert!(matches!(
            found(false, "error: a trial leaks", "a trial leaks"),
            Verdict::Failed(_)
        ));
        assert!(matches!(found(true, failed, "a trial leaks"), Verdict::Failed(_)));
    }

    #[test]
    fn output_without_a_result_counts_nothing() {
        let output = &b"test result: nonsense\n\xff\xfe\n"[..];
        assert_eq!(forward(output, std::io::sink()), 0);
    }
}
