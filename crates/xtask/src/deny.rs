//! `cargo deny`, where this machine has it, with or without a network.

use crate::step::{Invocation, Step, Verdict};
use crate::tools;
use crate::workspace::Workspace;

/// Whether cargo-deny is there.
pub(crate) fn is_present(workspace: &Workspace) -> bool {
    tools::works(&Invocation::cargo("deny --version"), workspace)
}

/// Bans, licences and sources of everything in the lock file.
pub(crate) fn step(workspace: &Workspace) -> Step {
    if is_present(workspace) {
        Step::check("deny", offline("bans licenses sources"), |_, workspace| {
            judge(workspace, "bans licenses sources")
        })
    } else {
        Step::skip("deny", "cargo-deny is not installed")
    }
}

pub(crate) fn offline(checks: &str) -> Invocation {
    Invocation::cargo(&format!("deny --offline check {checks}"))
}

/// Fetches first, since cargo-deny also looks at crates of other platforms, then asks offline, so
/// that a network that is slow or gone cannot be taken for a finding.
pub(crate) fn judge(workspace: &Workspace, checks: &str) -> Verdict {
    let fetch = Invocation::cargo("fetch --locked").env("CARGO_NET_RETRY", "1");
    let fetched = tools::works(&fetch, workspace);
    match tools::output(&offline(checks), workspace) {
        Err(error) => Verdict::Failed(format!("cannot start: {error}")),
        Ok(output) => {
            let text = tools::text(&output);
            print!("{text}");
            verdict(output.status.success(), fetched, &text)
        }
    }
}

/// A failure is excused only where crates could not be fetched and nothing was found.
fn verdict(success: bool, fetched: bool, text: &str) -> Verdict {
    let finding = text.contains("error[") || text.contains(" FAILED");
    match (success, fetched || finding) {
        (true, _) => Verdict::Passed(String::new()),
        (false, true) => Verdict::Failed("see the findings above".to_owned()),
        (false, false) => {
            Verdict::Skipped("some crates are not on this machine and cannot be fetched".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_fails_with_and_without_a_network() {
        let finding = "error[duplicate]: found 2 duplicate entries\nbans FAILED\n";
        assert!(matches!(verdict(false, true, finding), Verdict::Failed(_)));
        assert!(matches!(verdict(false, false, finding), Verdict::Failed(_)));
    }

    #[test]
    fn only_an_absent_crate_is_excused() {
        let absent = "failed to download `windows-sys`, attempting to go offline\n";
        assert!(matches!(verdict(false, false, absent), Verdict::Skipped(_)));
        assert!(matches!(verdict(false, true, "no such configuration\n"), Verdict::Failed(_)));
    }

    #[test]
    fn success_passes() {
        assert!(matches!(verdict(true, false, "bans ok\n"), Verdict::Passed(_)));
    }
}
