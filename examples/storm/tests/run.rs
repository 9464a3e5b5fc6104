//! The program as its users run it: whole, headless, in a hurry.
//!
//! The figures of a busy machine are noisy, so only large differences are asserted here.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

type Outcome = Result<(), Box<dyn Error>>;

/// The keys of the figures of a shop in a phase, as `README.md` documents them.
const FIGURES: [&str; 22] = [
    "requests",
    "good",
    "unavailable",
    "vague",
    "refused",
    "curt",
    "failed",
    "gave_up",
    "goodput",
    "others_goodput",
    "p50_seconds",
    "p99_seconds",
    "others_p99_seconds",
    "sick_calls",
    "spared_calls",
    "greedy_requests",
    "greedy_admitted",
    "greedy_quota",
    "greedy_refused",
    "till",
    "depot",
    "recovery_seconds",
];

/// The keys of the till in an overload.
const TILL: [&str; 12] = [
    "critical",
    "high",
    "normal",
    "low",
    "bulk",
    "of_capacity",
    "peak",
    "slots",
    "limits",
    "refused",
    "vague",
    "late_seconds",
];

/// The keys of the depot in a drill.
const DEPOT: [&str; 7] = [
    "before",
    "during",
    "after",
    "amplification_during",
    "amplification_after",
    "recovery_seconds",
    "late_seconds",
];

/// Two storms at once would take the cores from each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn storm(args: &[&str]) -> std::io::Result<Output> {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    Command::new(env!("CARGO_BIN_EXE_storm")).args(args).output()
}

fn json_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> =
        value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys
}

fn sorted<const N: usize>(mut keys: [&str; N]) -> [&str; N] {
    keys.sort_unstable();
    keys
}

#[test]
fn the_whole_script_shows_that_protection_helps_and_says_so_in_table_and_json() -> Outcome {
    let file = json_file("whole.json");
    let path = file.to_str().ok_or("a path in UTF-8")?;
    let output = storm(&["--headless", "--seed", "1", "--speed", "4", "--json", path])?;
    let text = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8(output.stderr)?);
    for column in [
        "goodput",
        "others",
        "p99",
        "sick calls",
        "X in / 429",
        "95 % after",
        "inside",
        "limit",
        "again",
    ] {
        assert!(text.contains(column), "{column}: {text}");
    }
    assert!(text.contains("the protected shop kept all that it owes (seed 1, speed 4"), "{text}");

    let json: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    assert_eq!(keys(&json), sorted(["seed", "speed", "seconds", "holds", "phases"]));
    assert_eq!((&json["seed"], &json["holds"]), (&Value::from(1), &Value::from(true)));
    assert!(json["seconds"].is_f64(), "{json}");
    let phases = json["phases"].as_array().ok_or("phases")?;
    let names: Vec<_> = phases.iter().filter_map(|phase| phase["name"].as_str()).collect();
    let whole = [
        "calm",
        "b-hangs",
        "c-fails",
        "a-flaps",
        "x-floods",
        "overload",
        "capacity",
        "gray",
        "metastable",
        "heal",
    ];
    assert_eq!(names, whole);
    for phase in phases {
        let wanted =
            ["name", "sick", "fault_seconds", "rest_seconds", "bare", "protected", "claims"];
        assert_eq!(keys(phase), sorted(wanted));
        for side in ["bare", "protected"] {
            assert_eq!(keys(&phase[side]), sorted(FIGURES));
        }
        for claim in phase["claims"].as_array().ok_or("claims")? {
            assert_eq!(keys(claim), sorted(["figure", "text", "holds"]));
        }
        // The same arrivals for both shops, and none of them lost.
        assert_eq!(phase["bare"]["requests"], phase["protected"]["requests"]);
        for side in ["bare", "protected"] {
            let count = |key: &str| phase[side][key].as_u64().unwrap_or_default();
            let ends =
                ["good", "unavailable", "vague", "refused", "curt", "failed", "gave_up"].map(count);
            assert_eq!(ends.iter().sum::<u64>(), count("requests"), "{phase}");
        }
    }
    a_hang_is_kept_from_the_others(&phases[1]);
    a_flood_is_kept_from_the_others(&phases[4]);
    an_overload_is_for_those_who_matter_least(&phases[5]);
    a_gray_failure_is_tried_away(&phases[7]);
    a_trigger_is_over_when_it_is_over(&phases[8]);
    Ok(())
}

fn a_hang_is_kept_from_the_others(hang: &Value) {
    let figure = |side: &str, key: &str| hang[side][key].as_f64().unwrap_or_default();
    let others = |side| figure(side, "others_goodput");
    assert!(others("protected") > others("bare") + 0.15, "{hang}");
    assert!(figure("protected", "sick_calls") < figure("bare", "sick_calls") * 0.5, "{hang}");
    assert!(figure("protected", "spared_calls") > 0.0, "{hang}");
    assert_eq!(hang["bare"]["greedy_requests"], Value::Null, "{hang}");
}

fn a_flood_is_kept_from_the_others(flood: &Value) {
    let figure = |side: &str, key: &str| flood[side][key].as_f64().unwrap_or_default();
    let others = |side| figure(side, "others_goodput");
    assert!(others("protected") > others("bare") + 0.15, "{flood}");
    assert!(figure("protected", "greedy_admitted") <= figure("protected", "greedy_quota"));
    assert!(figure("protected", "greedy_refused") > figure("protected", "greedy_admitted"));
    assert_eq!(figure("protected", "curt"), 0.0, "{flood}");
    assert_eq!(figure("bare", "greedy_refused"), 0.0, "{flood}");
    assert_eq!(flood["bare"]["greedy_quota"], Value::Null, "{flood}");
}

fn an_overload_is_for_those_who_matter_least(overload: &Value) {
    for side in ["bare", "protected"] {
        assert_eq!(keys(&overload[side]["till"]), sorted(TILL), "{overload}");
    }
    let figure = |side: &str, key: &str| overload[side]["till"][key].as_f64().unwrap_or_default();
    // On a machine that stands still, a caller of half a second's patience gets nothing.
    if figure("protected", "late_seconds") < 0.1 {
        assert!(figure("protected", "critical") > figure("bare", "critical") + 0.5, "{overload}");
        assert!(figure("protected", "critical") > figure("protected", "normal"), "{overload}");
        assert!(figure("protected", "normal") > figure("protected", "bulk"), "{overload}");
    }
    assert!(figure("protected", "peak") <= figure("protected", "slots"), "{overload}");
    assert!(figure("protected", "refused") > figure("bare", "refused"), "{overload}");
    assert_eq!(overload["protected"]["till"]["vague"], 0, "{overload}");
    assert_eq!(overload["bare"]["till"]["slots"], Value::Null, "{overload}");
}

fn a_gray_failure_is_tried_away(gray: &Value) {
    for side in ["bare", "protected"] {
        assert_eq!(keys(&gray[side]["depot"]), sorted(DEPOT), "{gray}");
        let figure = |key: &str| gray[side]["depot"][key].as_f64().unwrap_or_default();
        assert!(figure("late_seconds") > 0.1 || figure("during") > 0.9, "{gray}");
        assert!(figure("amplification_during") > 1.1, "{gray}");
        assert_eq!(gray[side]["depot"]["before"], Value::Null, "{gray}");
    }
}

fn a_trigger_is_over_when_it_is_over(trigger: &Value) {
    let figure = |side: &str, key: &str| trigger[side]["depot"][key].as_f64().unwrap_or_default();
    let amplified = |side| figure(side, "amplification_during");
    assert!(amplified("protected") < amplified("bare"), "{trigger}");
    if figure("protected", "late_seconds") < 0.1 {
        assert!(figure("protected", "after") > figure("bare", "after") + 0.3, "{trigger}");
        assert!(trigger["protected"]["depot"]["recovery_seconds"].is_f64(), "{trigger}");
    }
}

#[test]
fn a_limit_follows_the_till_down_and_up_and_overlooks_its_errors() -> Outcome {
    let file = json_file("capacity.json");
    let path = file.to_str().ok_or("a path in UTF-8")?;
    let output = storm(&["--phase", "capacity", "--headless", "--json", path])?;
    let json: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let till = &json["phases"][1]["protected"]["till"];
    let limits: Vec<_> =
        till["limits"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let [before, half, after, failing] = limits[..] else { return Err(till.to_string().into()) };
    let stood_still = till["late_seconds"].as_f64().is_some_and(|late| late > 0.1);
    assert!(stood_still || half < before && after > half && failing > after / 2.0, "{till}");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8(output.stdout)?);
    Ok(())
}

#[test]
fn one_phase_runs_alone_and_without_a_terminal_there_are_lines() -> Outcome {
    let file = json_file("calm.json");
    let path = file.to_str().ok_or("a path in UTF-8")?;
    let output = storm(&["--phase", "calm", "--speed", "4", "--json", path])?;
    let text = String::from_utf8(output.stdout)?;
    assert!(text.starts_with("-- calm: all upstreams are well"), "{text}");
    let json: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    assert_eq!(json["phases"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[test]
fn bad_flags_end_with_2_and_name_what_is_allowed() -> Outcome {
    for (args, allowed) in [
        (&["--seed", "x"][..], "a whole number from 0 to 18446744073709551615"),
        (&["--speed", "100"][..], "a number from 0.2 to 4"),
        (
            &["--phase", "hurricane"][..],
            "one of calm, b-hangs, c-fails, a-flaps, x-floods, overload, capacity, gray, metastable, heal",
        ),
        (&["--fast"][..], "--speed X"),
        (&["--json", "/nowhere/at/all.json"][..], "a file that can be written"),
    ] {
        let output = storm(args)?;
        let problem = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{args:?}: {problem}");
        assert!(problem.contains(allowed), "{args:?}: {problem}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    Ok(())
}

#[test]
fn help_is_no_error() -> Outcome {
    let output = storm(&["--help"])?;
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout)?.contains("--phase NAME"));
    Ok(())
}
