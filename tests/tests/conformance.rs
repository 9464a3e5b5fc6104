//! Behaviour facts of other libraries, as data, held against ours; and the runner held against
//! facts that are wrong.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use portcullis_tests::conformance::{Verdict, home, judge, run};
use portcullis_tests::root;
use serde_json::{Value, json};

#[test]
fn every_fact_holds() {
    let report = run(&dirs());
    // On a line of its own, also where one test runs at a time.
    println!("\n{report}");
    let failures: Vec<_> = report.failures().collect();
    assert!(failures.is_empty(), "{failures:?}");
}

/// Our copy, and the directory in `CONFORMANCE_DIR`: relative to where cargo is started, as a
/// rule the root.
fn dirs() -> Vec<PathBuf> {
    let more = env::var_os("CONFORMANCE_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let more = more.map(|dir| if root().join(&dir).exists() { root().join(dir) } else { dir });
    [home()].into_iter().chain(more).collect()
}

#[test]
fn what_we_do_instead_of_a_variant_is_so_and_every_word_of_the_format_is_understood() {
    let report = run(&[home().join("ours")]);
    let others: Vec<_> = report.lines().filter(|(_, verdict)| **verdict != Verdict::Pass).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn a_minimum_above_the_window_is_refused_and_both_are_named() {
    let mut case = copied("CB-023");
    case["scope"] = "universal".into();
    let Verdict::Fail(why) = judge(&case) else { panic!("it was accepted") };
    assert!(why.contains("min_calls") && why.contains("window"), "{why}");
}

#[test]
fn a_bulkhead_without_a_slot_is_refused() {
    let mut case = copied("BH-002");
    case["scope"] = "universal".into();
    assert_fails(&case, "slots in 1..=1000000");
}

#[test]
fn a_budget_grants_each_share_that_the_note_of_its_case_names() {
    let mut case = copied("RT-010");
    let note = case["note"].as_str().expect("a note").replace(':', ",");
    let words = note.split([' ', ',']).filter_map(|word| word.parse::<f64>().ok());
    let shares: Vec<f64> = words.collect();
    assert_eq!(shares, [0.25, 0.5, 0.75, 0.99, 0.001]);
    for share in shares {
        case["config"]["percent"] = share.into();
        case["expect"][0]["withdrawn"] = (share * 10_000.0).into();
        case["expect"][0]["tolerance"] = 0.into();
        assert_eq!(judge(&case), Verdict::Pass, "{share}");
    }
}

#[test]
fn a_budget_whose_window_is_set_grants_the_floor_of_that_window() {
    let mut case = copied("RT-012");
    case["scope"] = "universal".into();
    assert_eq!(judge(&case), Verdict::Pass);
}

// ===== the runner =====

#[test]
fn every_expectation_that_is_planted_wrong_is_found() {
    let mut planted = 0;
    for case in passing() {
        for (i, expected) in case["expect"].as_array().expect("a list").iter().enumerate() {
            let keys = expected.as_object().expect("an object").keys();
            let tolerance = expected["tolerance"].as_f64().unwrap_or(0.0);
            for key in keys.filter(|key| !matches!(key.as_str(), "step" | "tolerance")) {
                if case["ours"].as_str().is_some_and(|ours| ours.contains(key)) {
                    continue;
                }
                let mut wrong = case.clone();
                let value = &mut wrong["expect"][i][key];
                *value = match value.as_f64() {
                    // What is a bound from above is wrong where it is lower.
                    Some(most) if ["max_ms", "never_above"].contains(&key.as_str()) => {
                        json!(most - 0.25)
                    }
                    Some(number) => json!(number + tolerance + 0.25),
                    None => other_than(value),
                };
                assert_fails(&wrong, "expected");
                planted += 1;
            }
        }
    }
    assert!(planted > 150, "only {planted} were planted");
}

#[test]
fn no_unknown_word_is_passed_over() {
    for case in passing() {
        let places = ["", "/config", "/steps/0", "/expect/0"];
        for place in places {
            let mut wrong = case.clone();
            wrong.pointer_mut(place).expect("a place")["bogus"] = json!(1);
            assert_fails(&wrong, "bogus");
        }
        let mut wrong = case.clone();
        wrong["steps"][0]["op"] = "bogus".into();
        assert_fails(&wrong, "bogus");
    }
}

#[test]
fn a_case_that_cannot_be_understood_fails_and_says_why() {
    let sound = copied("CB-001");
    let broken = [
        ("/steps/0/at_ms", json!("soon"), "at_ms"),
        ("/steps/0/repeat", json!(0), "repetitions"),
        ("/steps/0/outcome", json!("weird"), "weird"),
        ("/expect/0/step", json!(99), "6 steps at most"),
        ("/expect", json!([]), "an expectation"),
        ("/expect/0", json!({"step": 0, "warming_up": true}), "not offered"),
        ("/scope", json!("sometimes"), "sometimes"),
        ("/config/comparator", json!(">"), "strict comparator"),
        ("/config/window", json!({"type": "tumbling", "length_ms": 1}), "tumbling"),
        ("/config/window", json!(null), "a window"),
        ("/config/half_open/permits", json!(0), "permitted_calls"),
        ("/config/half_open/decision", json!("luck"), "luck"),
        ("/config/failure_rate_threshold", json!(0), "failure_rate"),
        ("/config/open_ms", json!(0), "open period"),
    ];
    assert_all_fail(&sound, &broken);
    assert_fails(&json!([]), "id");
    assert_fails(&json!({"id": "X", "component": "circuit_breaker"}), "no such field");
}

#[test]
fn a_limit_that_cannot_be_understood_fails_and_says_why() {
    let sound = copied("RL-001");
    let broken = [
        ("/config/rate_per_s", json!(0), "a rate"),
        ("/config/burst", json!(0), "a burst"),
        ("/config/burst", json!(null), "`burst`"),
        ("/config/max_keys", json!(7), "where there are keys"),
        ("/config/max_wait_ms", json!(3_600_001), "an hour"),
        ("/config/algorithm", json!("luck"), "luck"),
        ("/config/algorithm", json!("warm_up_token_bucket"), "not offered"),
        ("/steps/0/op", json!("derive"), "derive"),
        ("/steps/0/op", json!("cancel"), "`id`"),
        ("/steps/0", json!({"at_ms": 0, "op": "cancel", "id": "x"}), "`x`"),
        ("/steps/0", json!({"at_ms": 0, "op": "set_limit"}), "`permits`"),
        ("/expect/0", json!({"step": 0, "wait_ms": 0}), "a reservation"),
    ];
    assert_all_fail(&sound, &broken);
    let mut other = copied("RL-010");
    other["config"]["max_burst"] = json!(5);
    assert_fails(&other, "a limit of 6");
}

#[test]
fn slots_and_limits_that_cannot_be_understood_fail_and_say_why() {
    let broken = [
        ("/config/max_concurrent", json!(null), "`max_concurrent`"),
        ("/config/max_wait_ms", json!(600_001), "10 minutes"),
        ("/config/bypass", json!("x"), "bypass"),
        ("/steps/0", json!({"at_ms": 0, "op": "complete"}), "a call that runs"),
        ("/steps/0", json!({"at_ms": 0, "op": "acquire", "partition": "x"}), "`x`"),
        ("/steps/0", json!({"at_ms": 0, "op": "enqueue"}), "`ids`"),
        ("/steps/0", json!({"at_ms": 0, "op": "resize", "max_concurrent": 0}), "slots in"),
        ("/expect/0", json!({"step": 3, "decided_at_ms_min": 0}), "a decision"),
        ("/expect/0", json!({"step": 0, "inflight_after_races": 1}), "a race"),
    ];
    assert_all_fail(&copied("BH-001"), &broken);
    let broken = [
        ("/config/alpha", json!("few"), "calls as alpha"),
        ("/config/beta", json!(null), "one of them"),
        ("/config/initial", json!(0), "calls in 1..=1000000"),
        ("/config/algorithm", json!("bbr_check"), "not offered"),
        ("/config/algorithm", json!("luck"), "luck"),
        ("/steps/0/rtt_ms", json!(1_000_001), "1000 s"),
        ("/steps/0", json!({"at_ms": 0, "op": "cap"}), "not offered"),
        ("/expect/0", json!({"step": 0, "cap": 1}), "not offered"),
    ];
    assert_all_fail(&copied("AL-002"), &broken);
    let broken = [
        ("/config/K", json!(0.5), "1..=100"),
        ("/config/K", json!(null), "`K`"),
        ("/config/min_requests", json!(2), "min_requests"),
        ("/steps/0", json!({"at_ms": 0, "op": "record", "outcome": "weird"}), "weird"),
    ];
    assert_all_fail(&copied("AT-003"), &broken);
    let broken = [
        ("/config/target_ms", json!(0), "above zero"),
        ("/config/slough", json!("5 x target"), "not offered"),
        ("/steps/0", json!({"at_ms": 0, "op": "load"}), "not offered"),
        ("/expect/0", json!({"step": 0, "rejected": true}), "a step that says so"),
    ];
    assert_all_fail(&copied("CD-001"), &broken);
}

#[test]
fn retries_that_cannot_be_understood_fail_and_say_why() {
    let broken = [
        ("/config/kind", json!("luck"), "luck"),
        ("/config/kind", json!("random_range"), "not offered"),
        ("/config/initial_ms", json!(0), "a refusal"),
        ("/config/max_ms", json!(99), "a refusal"),
        ("/config/jitter", json!("much"), "+-25%"),
        ("/config/jitter", json!("+-101%"), "a refusal"),
        ("/config/step_ms", json!(1), "not offered"),
        ("/steps/0/random", json!(1.5), "a draw in 0..=1"),
        ("/steps/0", json!({"at_ms": 0, "op": "bounds", "attempts": 0}), "attempts"),
        ("/steps/0", json!({"at_ms": 0, "op": "delay", "attempt": 0}), "1..=2000"),
        ("/expect/0", json!({"step": 0, "min_ms": 1}), "a step that says so"),
        ("/expect/0", json!({"step": 0, "first": 1}), "not offered"),
    ];
    assert_all_fail(&copied("BO-012"), &broken);
    let broken = [
        ("/config/max_retries", json!(100), "attempts in 1..=100"),
        ("/config/max_duration_ms", json!(0), "1 ms..=1 day"),
        ("/config/interval_ms", json!(-1), "not offered"),
        ("/config/return_last_failure", json!(false), "not offered"),
        ("/steps/0/outcomes", json!([]), "`outcomes`"),
        ("/steps/0/outcomes/0", json!("weird"), "weird"),
        ("/steps/0", json!({"at_ms": 0, "op": "pushback"}), "`value_ms`"),
    ];
    assert_all_fail(&copied("RT-003"), &broken);
    let broken = [
        ("/config/kind", json!("concurrency"), "not offered"),
        ("/config/percent", json!(1.5), "a share in 0..=1"),
        ("/config/ttl_ms", json!(0), "1 ms..=1 h"),
        ("/config/min_per_s", json!(1_000_001), "0..=1000000"),
        ("/steps/0", json!({"at_ms": 0, "op": "limit"}), "not offered"),
        ("/expect/0", json!({"step": 0, "max_retries": 1}), "not offered"),
    ];
    assert_all_fail(&copied("RT-010"), &broken);
    let hedge = cases("ours/variants").into_iter().find(|case| case["id"] == "RT-018-ours");
    let broken = [
        ("/config/max_attempts", json!(4), "not offered"),
        ("/config/delay_ms", json!(0), "1 ms..=10 min"),
        ("/config/max_tokens", json!(0), "1..=1000000"),
        ("/steps/0", json!({"at_ms": 0, "op": "mode"}), "not offered"),
        ("/steps/0", json!({"at_ms": 0, "op": "response", "outcome": "success"}), "none"),
        ("/steps/1/at_ms", json!(-1), "milliseconds"),
        ("/steps/2/at_ms", json!(100), "a time that goes on"),
        ("/expect/0", json!({"step": 0, "next_hedge": "soon"}), "not offered"),
    ];
    assert_all_fail(&hedge.expect("a case of ours"), &broken);
}

#[test]
fn a_component_that_does_not_exist_is_skipped() {
    let case = json!({"id": "X", "component": "crystal_ball"});
    assert_eq!(judge(&case), Verdict::Skip("there is no component crystal_ball yet".to_owned()));
}

#[test]
fn a_variant_is_told_and_not_run() {
    let mut case = copied("CB-001");
    case["scope"] = "variant: of no use".into();
    case["ours"] = "something else.".into();
    case["steps"][0]["op"] = "bogus".into();
    assert_eq!(judge(&case), Verdict::Variant("something else.".to_owned()));
}

#[test]
fn a_file_that_cannot_be_read_as_cases_fails_by_itself() {
    let dir = scratch("broken", &[("a.json", "[{"), ("b.json", "{}"), ("c.txt", "[{")]);
    fs::write(dir.join("d.json"), [b'"', 0xff, b'"']).expect("a scratch file");
    let report = run(&[dir.clone(), dir.join("nowhere")]);
    assert_eq!(report.failures().count(), 4, "{report}");
    let last = report.to_string();
    assert!(last.ends_with("conformance: 0 PASS, 4 FAIL, 0 VARIANT, 0 DISPUTED, 0 SKIP"), "{last}");
}

#[test]
fn the_directory_in_the_environment_is_run_too() {
    let mut case = copied("CB-001");
    case["id"] = "HELD-OUT".into();
    let good = scratch("good", &[("x.json", &json!([case]).to_string())]);
    case["expect"][0]["state"] = "open".into();
    let bad = scratch("bad", &[("x.json", &json!([case]).to_string())]);
    for (dir, line, holds) in [
        (good, "HELD-OUT PASS\n", true),
        (bad, "HELD-OUT FAIL expected state open got closed (step 0)\n", false),
    ] {
        let run = Command::new(env::current_exe().expect("this test"))
            .args(["--exact", "every_fact_holds", "--nocapture"])
            .env("CONFORMANCE_DIR", &dir)
            .output()
            .expect("this test can be started");
        let output = String::from_utf8_lossy(&run.stdout);
        assert!(output.contains("CB-001 PASS\n") && output.contains(line), "{output}");
        assert_eq!(run.status.success(), holds, "{output}");
    }
}

// ===== finding things =====

/// All our cases that pass, copied ones and our own.
fn passing() -> impl Iterator<Item = Value> {
    let files = [
        "circuit-breaker",
        "window",
        "outlier-and-accrual",
        "rate-limit",
        "adaptive-limit",
        "adaptive-throttle",
        "backoff",
        "bulkhead-and-queue",
        "codel",
        "priority",
        "retry-and-budget",
        "ours/variants",
        "ours/format",
    ];
    let passes = |case: &Value| matches!(judge(case), Verdict::Pass | Verdict::SameResult);
    files.into_iter().flat_map(cases).filter(passes)
}

fn copied(id: &str) -> Value {
    let files = ["adaptive-limit", "adaptive-throttle", "backoff", "bulkhead-and-queue"];
    let more = ["circuit-breaker", "codel", "rate-limit", "retry-and-budget"];
    let all = files.into_iter().chain(more).flat_map(cases);
    all.into_iter().find(|case| case["id"] == id).expect("a copied case")
}

fn cases(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(home().join(file).with_extension("json")).expect("a file");
    serde_json::from_str(&text).expect("cases")
}

fn other_than(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!(!flag),
        Value::Array(list) => json!([list.as_slice(), &[json!(99)]].concat()),
        Value::String(word) if word == "closed" => json!("open"),
        Value::String(_) => json!("closed"),
        Value::Null | Value::Number(_) | Value::Object(_) => json!(1),
    }
}

fn assert_all_fail(sound: &Value, broken: &[(&str, Value, &str)]) {
    for (place, value, why) in broken {
        let mut case = sound.clone();
        match case.pointer_mut(place) {
            Some(field) => *field = value.clone(),
            None => {
                let (parent, key) = place.rsplit_once('/').expect("a path");
                case.pointer_mut(parent).expect("a place")[key] = value.clone();
            }
        }
        assert_fails(&case, why);
    }
}

fn assert_fails(case: &Value, why: &str) {
    match judge(case) {
        Verdict::Fail(said) => assert!(said.contains(why), "{said:?} does not say {why:?}"),
        other => panic!("{other} for {case}"),
    }
}

fn scratch(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("conformance").join(name);
    fs::create_dir_all(&dir).expect("a scratch directory");
    for (file, text) in files {
        fs::write(dir.join(file), text).expect("a scratch file");
    }
    dir
}
