//! Starting programs, and finding out which of them this machine has.

use std::process::{Command, Output, Stdio};

use crate::step::Invocation;
use crate::workspace::Workspace;

/// The command of an invocation, in the root of the workspace and without input.
///
/// What `cargo run` says about this package is kept from the child: build scripts that watch these
/// variables would otherwise run again after every call from a shell.
pub(crate) fn command(invocation: &Invocation, workspace: &Workspace) -> Command {
    let mut command = Command::new(program(&invocation.program));
    command.args(&invocation.args).current_dir(workspace.root()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name.as_ref());
        }
    }
    command.envs(invocation.env.iter().map(|(name, value)| (name, value)));
    command
}

/// Runs an invocation to its end and hands back what it printed.
pub(crate) fn output(invocation: &Invocation, workspace: &Workspace) -> std::io::Result<Output> {
    command(invocation, workspace).output()
}

/// Whether an invocation can be started and succeeds.
pub(crate) fn works(invocation: &Invocation, workspace: &Workspace) -> bool {
    output(invocation, workspace).is_ok_and(|output| output.status.success())
}

/// Everything that a program printed, standard output first.
pub(crate) fn text(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

/// For `cargo` the one that runs us, so that every step uses the same toolchain.
fn program(name: &str) -> String {
    let own = if name == "cargo" { std::env::var("CARGO").ok() } else { None };
    own.unwrap_or_else(|| name.to_owned())
}
