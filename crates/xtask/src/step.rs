//! Steps as data: what is run, and how it ended.

use std::fmt;

use crate::workspace::Workspace;

/// One named check of a command.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) action: Action,
}

/// What a step does.
pub(crate) enum Action {
    /// Runs a command; its exit code decides.
    Run(Invocation),
    /// Runs tests. A run in which no test was executed counts as skipped.
    Tests(Invocation),
    /// Runs tests that have to fail, and to say this.
    Control(Invocation, &'static str),
    /// Asks a function of this crate. The invocation is what it is shown as, and handed.
    Check(Invocation, fn(&Invocation, &Workspace) -> Verdict),
    /// Does nothing, for the reason given.
    Skip(String),
}

/// How a step ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It ran and found nothing wrong; the text, if any, says what it saw.
    Passed(String),
    /// It ran and found something, or could not be started.
    Failed(String),
    /// It did not run.
    Skipped(String),
}

/// A program with its arguments and the variables that are set for it.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(&'static str, String)>,
}

impl Step {
    pub(crate) fn run(name: impl Into<String>, invocation: Invocation) -> Self {
        Self { name: name.into(), action: Action::Run(invocation) }
    }

    pub(crate) fn tests(name: impl Into<String>, invocation: Invocation) -> Self {
        Self { name: name.into(), action: Action::Tests(invocation) }
    }

    pub(crate) fn control(
        name: impl Into<String>,
        invocation: Invocation,
        says: &'static str,
    ) -> Self {
        Self { name: name.into(), action: Action::Control(invocation, says) }
    }

    pub(crate) fn check(
        name: impl Into<String>,
        shown: Invocation,
        check: fn(&Invocation, &Workspace) -> Verdict,
    ) -> Self {
        Self { name: name.into(), action: Action::Check(shown, check) }
    }

    pub(crate) fn skip(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), action: Action::Skip(reason.into()) }
    }
}

impl Invocation {
    /// `program` with the words of `args`, which are separated by spaces.
    pub(crate) fn new(program: &str, args: &str) -> Self {
        let args = args.split_whitespace().map(str::to_owned).collect();
        Self { program: program.to_owned(), args, env: Vec::new() }
    }

    /// The cargo that runs us, with the words of `args`.
    pub(crate) fn cargo(args: &str) -> Self {
        Self::new("cargo", args)
    }

    /// The same, with more words.
    pub(crate) fn args(mut self, more: &str) -> Self {
        self.args.extend(more.split_whitespace().map(str::to_owned));
        self
    }

    /// The same, with a variable set.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            if value.contains(' ') {
                write!(f, "{name}=\"{value}\" ")?;
            } else {
                write!(f, "{name}={value} ")?;
            }
        }
        f.write_str(&self.program)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_shown_as_one_would_type_it() {
        let docs = Invocation::cargo("doc --workspace").env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(docs.to_string(), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --workspace");
    }
}
