//! Programs that tests start, installed where this machine has none.

use crate::step::{Invocation, Step, Verdict};
use crate::tools;
use crate::workspace::Workspace;

/// The step that finds a program, or installs the Debian package of the same name.
pub(crate) fn step(program: &str) -> Step {
    Step::check(program, Invocation::new(program, "--version"), check)
}

fn check(probe: &Invocation, workspace: &Workspace) -> Verdict {
    if let Some(version) = version(probe, workspace) {
        return Verdict::Passed(format!("found: {version}"));
    }
    let apt = tools::works(&Invocation::new("apt-get", "--version"), workspace);
    let installed = if apt {
        let root = is_root(workspace);
        install(&probe.program, root, |command| succeeds(command, workspace))
    } else {
        Err("there is no apt-get".to_owned())
    };
    match (installed, version(probe, workspace)) {
        (_, Some(version)) => Verdict::Passed(format!("installed: {version}")),
        (Err(reason), None) => missing(&probe.program, &reason),
        (Ok(()), None) => missing(&probe.program, "it was installed, and cannot be started"),
    }
}

fn missing(program: &str, reason: &str) -> Verdict {
    Verdict::Failed(format!(
        "{program} is missing: {reason}; install it by the package manager of this system"
    ))
}

/// The first line that the program prints; none where it cannot be started.
///
/// How it ends does not matter: some builds of wrk say their version and fail.
fn version(probe: &Invocation, workspace: &Workspace) -> Option<String> {
    let text = tools::text(&tools::output(probe, workspace).ok()?);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    Some(line.unwrap_or("a version that it does not say").to_owned())
}

fn is_root(workspace: &Workspace) -> bool {
    let id = tools::output(&Invocation::new("id", "-u"), workspace);
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

fn succeeds(command: &Invocation, workspace: &Workspace) -> Result<(), String> {
    println!("{command}");
    match tools::output(command, workspace) {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            println!("{}", tools::text(&output).trim_end());
            Err(format!("`{command}` ended with {}", output.status))
        }
        Err(error) => Err(format!("`{command}` cannot be started: {error}")),
    }
}

/// Installs a package. The lists are fetched only if it cannot be had without: that takes longer
/// than all the rest.
fn install(
    package: &str,
    root: bool,
    mut run: impl FnMut(&Invocation) -> Result<(), String>,
) -> Result<(), String> {
    let install = apt(root, &format!("install -y --no-install-recommends {package}"));
    run(&install).or_else(|_| {
        // One list of many that cannot be fetched need not be the one that matters.
        let _ = run(&apt(root, "update"));
        run(&install)
    })
}

/// What asks nothing: nobody is there to answer, neither to apt-get nor to sudo.
fn apt(root: bool, args: &str) -> Invocation {
    if root {
        Invocation::new("apt-get", args).env("DEBIAN_FRONTEND", "noninteractive")
    } else {
        // It keeps the variables of its caller from the command.
        Invocation::new("sudo", "-n env DEBIAN_FRONTEND=noninteractive apt-get").args(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands of an installation in which those with `failing` in them fail, and whether it
    /// came to a good end. Only the first one fails if `once`.
    fn commands(root: bool, failing: &str, once: bool) -> (Vec<String>, bool) {
        let mut seen: Vec<String> = Vec::new();
        let installed = install("redis-server", root, |command| {
            let fails = command.to_string().contains(failing) && (!once || seen.is_empty());
            seen.push(command.to_string());
            if fails { Err("no".to_owned()) } else { Ok(()) }
        });
        (seen, installed.is_ok())
    }

    const INSTALL: &str = "DEBIAN_FRONTEND=noninteractive apt-get install -y \
                           --no-install-recommends redis-server";
    const UPDATE: &str = "DEBIAN_FRONTEND=noninteractive apt-get update";

    #[test]
    fn the_lists_are_fetched_only_after_a_failure() {
        assert_eq!(commands(true, "nothing", false), (vec![INSTALL.to_owned()], true));
        let thrice = [INSTALL, UPDATE, INSTALL].map(str::to_owned).to_vec();
        assert_eq!(commands(true, "install", true), (thrice.clone(), true));
        assert_eq!(commands(true, "apt-get", false), (thrice, false));
    }

    #[test]
    fn who_is_not_root_asks_sudo_which_asks_nobody() {
        let (asked, installed) = commands(false, "install", true);
        let thrice = [INSTALL, UPDATE, INSTALL].map(|command| format!("sudo -n env {command}"));
        assert_eq!(asked, thrice);
        assert!(installed);
    }

    #[test]
    fn a_program_is_found_however_it_ends() {
        let workspace = Workspace::open().expect("the tests run inside the repository");
        let says = |script: &str| {
            let mut probe = Invocation::new("sh", "-c");
            probe.args.push(script.to_owned());
            version(&probe, &workspace)
        };
        assert_eq!(says("echo; echo wrk 4; exit 1").as_deref(), Some("wrk 4"));
        assert!(says("exit 1").is_some());
        assert_eq!(version(&Invocation::new("no-such-program", "--version"), &workspace), None);
    }

    #[test]
    fn a_failure_names_the_program_and_what_to_do() {
        let Verdict::Failed(text) = missing("redis-server", "there is no apt-get") else {
            panic!("a program that is missing fails the step");
        };
        assert!(text.starts_with("redis-server is missing: there is no apt-get;"), "{text}");
        assert!(text.contains("install it by the package manager"), "{text}");
    }
}
