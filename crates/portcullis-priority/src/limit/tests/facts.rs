//! The facts about other libraries' limits, held against ours.

use std::fs;

use serde_json::Value;

use super::*;
use crate::limit::gradient::Average;

#[test]
fn every_fact_about_a_limit_that_is_ours_too_holds() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/adaptive-limit.json");
    let cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut held = 0;
    for case in &cases {
        if case["scope"] != "universal" {
            let ours = case["ours"].as_str().unwrap();
            assert!(!ours.starts_with("same result"), "{} is ours, too", case["id"]);
            continue;
        }
        holds(case);
        held += 1;
    }
    assert_eq!(held, 8, "of {}", cases.len());
}

/// What AL-022 says of an average is true of the one in here, though it is not offered by itself.
#[test]
fn an_average_weighs_its_first_values_alike() {
    let mut average = Average::new(100, 10);
    let values: Vec<_> = (10..20).map(|n| average.add(f64::from(n))).collect();
    assert_eq!(values, [10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 13.0, 13.5, 14.0, 14.5]);
    assert!((average.add(100.0) - 16.2).abs() < 0.1);
}

fn holds(case: &Value) {
    let mut limit = limit_of(&case["config"]).begin();
    for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let field = |name: &str| step[name].as_u64().unwrap();
        let dropped = step["dropped"].as_bool().unwrap_or(false);
        let verdict = if dropped { Verdict::TimedOut } else { Verdict::Answered };
        // Time begins late enough for all calls to have begun in it.
        let ended = 1_000_000 + field("at_ms");
        let in_flight = u32::try_from(field("inflight")).unwrap();
        limit.sample(&call(ended, field("rtt_ms"), in_flight, verdict));
        for expected in case["expect"].as_array().unwrap() {
            if expected["step"] == number {
                assert_eq!(expected["limit"], limit.limit(), "{} step {number}", case["id"]);
            }
        }
    }
}

fn limit_of(config: &Value) -> Limit {
    let number = |name: &str| config[name].as_u64().map(|n| u32::try_from(n).unwrap());
    // A key that is absent is off: with windows of one call, each call moves the limit.
    let mut limit = match config["algorithm"].as_str().unwrap() {
        "vegas" => {
            let vegas = Vegas::new().window(1);
            match (number("alpha"), number("beta")) {
                (Some(alpha), Some(beta)) => vegas.fixed_queue(alpha, beta).into_limit(),
                _ => {
                    let times = |name: &str| {
                        let text = config[name].as_str().unwrap();
                        text.strip_suffix(" log10").unwrap().parse().unwrap()
                    };
                    vegas.queue(times("alpha"), times("beta")).into_limit()
                }
            }
        }
        "gradient2" => {
            let mut gradient = Gradient2::new().window(1);
            if let Some(smoothing) = config["smoothing"].as_f64() {
                gradient = gradient.smoothing(smoothing);
            }
            if let Some(tolerance) = config["tolerance"].as_f64() {
                gradient = gradient.tolerance(tolerance);
            }
            gradient = gradient.queue_size(number("queue_size").unwrap_or(4));
            gradient = gradient.long_window(number("long_window").unwrap_or(600));
            gradient.warm_up(number("warmup").unwrap_or(10)).into_limit()
        }
        "aimd" => {
            let timeout = Duration::from_millis(config["timeout_ms"].as_u64().unwrap());
            Aimd::new(timeout).backoff(config["backoff"].as_f64().unwrap()).into_limit()
        }
        other => panic!("{other} is not offered"),
    };
    limit = limit.start(number("initial").unwrap());
    limit = limit.max(number("max").unwrap());
    number("min").map_or(limit, |min| limit.min(min))
}
