//! What may be asked for on the command line.

/// What `cargo xtask` prints when it is asked for help or does not understand.
pub(crate) const HELP: &str = "\
usage: cargo xtask <command>

commands:
  test               everything a change must pass: formatting, lints, docs, all tests,
                     dependency budget, licences; stable Rust only; installs redis-server
                     where it is missing
  deep [--strict]    what takes longer: many property cases, larger walks, conformance in
                     release, proofs at full size, fuzzing, advisories, miri; --strict counts a
                     skipped check as a failure
  controls           puts bugs in on purpose, and wants the proofs to find each
  bench [--quick] [--macro]    what each path costs, beside what is aimed at and beside others;
                     --quick takes fewer rounds, --macro measures a real server instead";

/// One command with its options.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    Test,
    Deep { strict: bool },
    Controls,
    Bench { quick: bool, whole: bool },
}

/// Why there is no command to run.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Problem {
    /// Help was asked for.
    Help,
    /// The arguments make no sense; the text says why and what is allowed.
    Wrong(String),
}

/// Reads the arguments that follow the name of the program.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, Problem> {
    let args: Vec<String> = args.into_iter().collect();
    if args.iter().any(|arg| matches!(arg.as_str(), "help" | "--help" | "-h")) {
        return Err(Problem::Help);
    }
    let Some((command, options)) = args.split_first() else {
        return Err(wrong("a command is missing; allowed: test, deep, controls, bench"));
    };
    match command.as_str() {
        "test" => flags("test", [], options).map(|[]| Command::Test),
        "deep" => flags("deep", ["--strict"], options).map(|[strict]| Command::Deep { strict }),
        "controls" => flags("controls", [], options).map(|[]| Command::Controls),
        "bench" => flags("bench", ["--quick", "--macro"], options)
            .map(|[quick, whole]| Command::Bench { quick, whole }),
        unknown => Err(wrong(&format!(
            "unknown command `{unknown}`; allowed: test, deep, controls, bench"
        ))),
    }
}

/// Which of the options that `command` knows were given.
fn flags<const N: usize>(
    command: &str,
    known: [&str; N],
    options: &[String],
) -> Result<[bool; N], Problem> {
    match options.iter().find(|option| !known.contains(&option.as_str())) {
        None => Ok(known.map(|flag| options.iter().any(|option| option == flag))),
        Some(unknown) => {
            let allowed = if N == 0 { "none".to_owned() } else { known.join(", ") };
            Err(wrong(&format!("`{command}` has no option `{unknown}`; allowed: {allowed}")))
        }
    }
}

fn wrong(reason: &str) -> Problem {
    Problem::Wrong(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Problem> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn reason(line: &str) -> String {
        match parsed(line) {
            Err(Problem::Wrong(reason)) => reason,
            other => panic!("`{line}` gave {other:?}"),
        }
    }

    #[test]
    fn each_command_is_known_with_and_without_its_option() {
        assert_eq!(parsed("test"), Ok(Command::Test));
        assert_eq!(parsed("deep"), Ok(Command::Deep { strict: false }));
        assert_eq!(parsed("deep --strict"), Ok(Command::Deep { strict: true }));
        assert_eq!(parsed("controls"), Ok(Command::Controls));
        assert_eq!(parsed("bench"), Ok(Command::Bench { quick: false, whole: false }));
        assert_eq!(parsed("bench --quick"), Ok(Command::Bench { quick: true, whole: false }));
        let both = Command::Bench { quick: true, whole: true };
        assert_eq!(parsed("bench --macro --quick"), Ok(both));
    }

    #[test]
    fn help_is_no_mistake() {
        assert_eq!(parsed("--help"), Err(Problem::Help));
        assert_eq!(parsed("deep -h"), Err(Problem::Help));
    }

    #[test]
    fn what_is_wrong_is_answered_with_what_is_allowed() {
        assert_eq!(reason(""), "a command is missing; allowed: test, deep, controls, bench");
        assert_eq!(reason("tset"), "unknown command `tset`; allowed: test, deep, controls, bench");
        assert_eq!(reason("deep --quick"), "`deep` has no option `--quick`; allowed: --strict");
        assert_eq!(
            reason("bench --slow"),
            "`bench` has no option `--slow`; allowed: --quick, --macro"
        );
        assert_eq!(reason("test --all"), "`test` has no option `--all`; allowed: none");
    }
}
