//! From a case to a verdict: builds what the case is about, takes its steps, and compares.

use std::time::Duration;

use serde_json::{Map, Value};

use super::accrual::Accrual;
use super::adaptive::Adaptive;
use super::answer::{Seen, compare};
use super::backoff::Waits;
use super::budget::Purse;
use super::case::{Case, Manner};
use super::circuits::Circuits;
use super::codel::Dropper;
use super::fields::Fields;
use super::hedge::Hedges;
use super::limits::Limits;
use super::retry::Retries;
use super::slots::Slots;
use super::throttle::Throttled;
use super::verdict::{Mismatch, Verdict};
use super::window::SlidingWindow;

/// The components that exist.
const COMPONENTS: [&str; 24] = [
    "adaptive_limiter",
    "adaptive_throttle",
    "backoff",
    "break_duration",
    "break_duration_generator",
    "breaker_composition",
    "breaker_trip_decision",
    "bulkhead",
    "circuit_breaker",
    "client_rate_adaptation",
    "codel",
    "exp_average",
    "failure_accrual",
    "hedge",
    "lifo_queue",
    "partitioned_limiter",
    "percentile_window",
    "priority_shedder",
    "queue_rejection_rate",
    "rate_limiter",
    "retry",
    "retry_budget",
    "sliding_window",
    "system_protection",
];

/// The most repetitions of a step that are taken for meant.
const MOST_REPETITIONS: u64 = 10_000_000;

/// What a case is about.
pub(crate) trait Subject {
    /// A step begins, at this time.
    fn begin(&mut self, at: Duration) -> Result<(), Mismatch>;

    /// Does one repetition of a step's operation.
    fn act(&mut self, op: &str, fields: &mut Fields<'_>) -> Result<(), Mismatch>;

    /// What holds now under this name.
    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch>;

    /// The last step has been compared: what is still under way comes to its end.
    fn end(&mut self) -> Result<(), Mismatch> {
        Ok(())
    }
}

pub(crate) fn exists(component: &str) -> bool {
    COMPONENTS.contains(&component)
}

pub(crate) fn judge(case: &Value) -> Result<Verdict, Mismatch> {
    let case = Case::read(case)?;
    match case.manner()? {
        Err(ours) => Ok(Verdict::Variant(ours.to_owned())),
        Ok(manner) => {
            run(&case, manner)?;
            Ok(if manner.translates() { Verdict::SameResult } else { Verdict::Pass })
        }
    }
}

fn run(case: &Case<'_>, manner: Manner<'_>) -> Result<(), Mismatch> {
    let mut subject = build(case, manner)?;
    let mut compared = 0;
    for (number, step) in case.steps.iter().enumerate() {
        take(&mut *subject, step).map_err(|mismatch| mismatch.at(number))?;
        let here = |expected: &&&Map<String, Value>| {
            expected.get("step").and_then(Value::as_f64) == Some(number as f64)
        };
        for expected in case.expect.iter().filter(here) {
            compared +=
                compare(&mut *subject, expected, manner).map_err(|mismatch| mismatch.at(number))?;
        }
    }
    if compared == 0 {
        return Err(Mismatch::new("an expectation", "none"));
    }
    subject.end()
}

fn build(case: &Case<'_>, manner: Manner<'_>) -> Result<Box<dyn Subject>, Mismatch> {
    Ok(match case.component {
        "sliding_window" => Box::new(SlidingWindow::build(case.config, manner)?),
        "failure_accrual" => Box::new(Accrual::build(case.config, manner)?),
        "rate_limiter" | "client_rate_adaptation" => Box::new(Limits::build(case.config, manner)?),
        "adaptive_limiter" => Box::new(Adaptive::build(case.config, manner)?),
        "adaptive_throttle" => Box::new(Throttled::build(case.config, manner)?),
        "backoff" => Box::new(Waits::build(case.config, manner)?),
        "retry" => Box::new(Retries::build(case.config, manner)?),
        "retry_budget" => Box::new(Purse::build(case.config, manner)?),
        "hedge" => Box::new(Hedges::build(case.config, manner)?),
        "codel" => Box::new(Dropper::build(case.config, manner)?),
        component @ ("bulkhead" | "lifo_queue" | "partitioned_limiter") => {
            Box::new(Slots::build(component, case.config, manner)?)
        }
        other @ ("exp_average"
        | "percentile_window"
        | "priority_shedder"
        | "queue_rejection_rate"
        | "system_protection") => return Err(Mismatch::not_offered(other)),
        component => Box::new(Circuits::build(component, case.config, manner)?),
    })
}

/// Takes one step, with all its repetitions.
fn take(subject: &mut dyn Subject, step: &Map<String, Value>) -> Result<(), Mismatch> {
    let mut fields = Fields::new("the step", step);
    let at = fields.time("at_ms", "at_ns");
    let op = fields.text("op");
    let at = fields.needed("at_ms", at)?;
    let op = fields.needed("op", op)?;
    let repeat = fields.count("repeat")?.unwrap_or(1);
    if !(1..=MOST_REPETITIONS).contains(&repeat) {
        return Err(Mismatch::new("1..=10000000 repetitions", repeat.to_string()));
    }
    subject.begin(at)?;
    for _ in 0..repeat {
        let mut fields = Fields::new("the step", step);
        for common in ["at_ms", "at_ns", "op", "repeat"] {
            fields.take(common);
        }
        fields.text("note")?;
        subject.act(op, &mut fields)?;
        fields.finish()?;
    }
    Ok(())
}
