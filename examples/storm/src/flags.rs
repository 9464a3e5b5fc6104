//! The command line, read by hand: five flags are no work for a library.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::script::{PHASES, Phase};

/// The speeds at which the figures still mean something: faster, and a fault is over before the
/// shop's timeouts tell of it.
const SPEEDS: RangeInclusive<f64> = 0.2..=4.0;

/// What a run is to be like.
#[derive(Debug)]
pub(crate) struct Flags {
    pub(crate) headless: bool,
    pub(crate) seed: u64,
    pub(crate) speed: f64,
    pub(crate) json: Option<PathBuf>,
    pub(crate) phase: Option<&'static Phase>,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    Run(Flags),
    Help,
}

impl Default for Flags {
    fn default() -> Self {
        Self { headless: false, seed: 1, speed: 1.0, json: None, phase: None }
    }
}

impl Flags {
    /// Reads the arguments after the name of the program.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Asked, String> {
        let mut flags = Self::default();
        let mut args = args.into_iter().peekable();
        while let Some(arg) = args.next() {
            let (flag, mut given) = split(&arg);
            let mut value = |wants: &str| {
                // A flag that follows is no value: `--json --headless` has forgotten the file.
                let value = given
                    .take()
                    .or_else(|| args.next_if(|next| !next.to_string_lossy().starts_with("--")));
                value.ok_or_else(|| format!("{flag} wants {wants}, and nothing follows"))
            };
            match flag.as_str() {
                "--help" | "-h" => return Ok(Asked::Help),
                "--headless" => flags.headless = true,
                "--seed" => flags.seed = seed(&value(SEED)?)?,
                "--speed" => flags.speed = speed(&value(&speeds())?)?,
                "--json" => flags.json = Some(value("the path of a file")?.into()),
                "--phase" => flags.phase = Some(phase(&value(&phases())?)?),
                _ => return Err(format!("{flag:?} is not a flag of storm\n\n{}", usage())),
            }
            if let Some(value) = given {
                return Err(format!("{flag} takes no value, not {value:?}"));
            }
        }
        Ok(Asked::Run(flags))
    }
}

/// The flags, one to a line, with what they allow.
pub(crate) fn usage() -> String {
    format!(
        "cargo run --release -p storm -- [flags]\n\
         \n  --headless    plain lines instead of the live view (as when the output is no terminal)\
         \n  --seed N      draws the arrivals; {SEED}; 1 if not given\
         \n  --speed X     scales the times of the script; {}; 1 if not given\
         \n  --json FILE   writes all figures to a file\
         \n  --phase NAME  runs one phase after a calm lead-in; {}\
         \n  --help        prints this",
        speeds(),
        phases(),
    )
}

const SEED: &str = "a whole number from 0 to 18446744073709551615";

fn speeds() -> String {
    format!("a number from {} to {}", SPEEDS.start(), SPEEDS.end())
}

fn phases() -> String {
    let names: Vec<_> = PHASES.iter().map(|phase| phase.name).collect();
    format!("one of {}", names.join(", "))
}

fn seed(value: &OsStr) -> Result<u64, String> {
    let value = value.to_string_lossy();
    value.parse().map_err(|_| format!("--seed wants {SEED}, not {value:?}"))
}

fn speed(value: &OsStr) -> Result<f64, String> {
    let value = value.to_string_lossy();
    match value.parse() {
        Ok(speed) if SPEEDS.contains(&speed) => Ok(speed),
        _ => Err(format!("--speed wants {}, not {value:?}", speeds())),
    }
}

fn phase(value: &OsStr) -> Result<&'static Phase, String> {
    let found = PHASES.iter().find(|phase| value == phase.name);
    found.ok_or_else(|| format!("--phase wants {}, not {value:?}", phases()))
}

/// Takes `--flag=value` apart.
fn split(arg: &OsStr) -> (String, Option<OsString>) {
    let text = arg.to_string_lossy();
    match text.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.into())),
        _ => (text.into_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Asked, String> {
        Flags::parse(line.split_whitespace().map(OsString::from))
    }

    fn run(line: &str) -> Flags {
        match parse(line) {
            Ok(Asked::Run(flags)) => flags,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn nothing_asked_is_the_whole_script_at_speed_1_with_seed_1() {
        let flags = run("");
        assert_eq!((flags.seed, flags.speed, flags.headless), (1, 1.0, false));
        assert!(flags.json.is_none() && flags.phase.is_none());
    }

    #[test]
    fn a_flag_is_no_value_of_another() {
        let error = parse("--json --headless").map(|_| ()).expect_err("the file is missing");
        assert_eq!(error, "--json wants the path of a file, and nothing follows");
    }

    #[test]
    fn every_flag_is_read_in_both_spellings() {
        for line in [
            "--headless --seed 7 --speed 2.5 --json out.json --phase c-fails",
            "--headless --seed=7 --speed=2.5 --json=out.json --phase=c-fails",
        ] {
            let flags = run(line);
            assert_eq!((flags.seed, flags.speed, flags.headless), (7, 2.5, true));
            assert_eq!(flags.json, Some("out.json".into()));
            assert_eq!(flags.phase.map(|phase| phase.name), Some("c-fails"));
        }
    }

    #[test]
    fn help_is_given_and_names_every_phase() {
        assert!(matches!(parse("--help"), Ok(Asked::Help)));
        assert!(PHASES.iter().all(|phase| usage().contains(phase.name)));
    }

    #[test]
    fn bad_flags_are_told_what_is_allowed() {
        let phases = "one of calm, b-hangs, c-fails, a-flaps, x-floods, overload, capacity, gray, \
                      metastable, heal";
        for (line, told) in [
            ("--seed -1", "from 0 to 18446744073709551615, not \"-1\""),
            ("--seed 1.5", "a whole number"),
            ("--seed", "--seed wants a whole number"),
            ("--speed 0", "--speed wants a number from 0.2 to 4, not \"0\""),
            ("--speed NaN", "from 0.2 to 4"),
            ("--speed inf", "from 0.2 to 4"),
            ("--speed fast", "not \"fast\""),
            ("--phase d-burns", phases),
            ("--phase", phases),
            ("--json", "the path of a file"),
            ("--headless=yes", "--headless takes no value"),
            ("--verbose", "--phase NAME"),
            ("calm", "\"calm\" is not a flag of storm"),
        ] {
            let problem = parse(line).expect_err(line);
            assert!(problem.contains(told), "{line}: {problem}");
        }
    }
}
