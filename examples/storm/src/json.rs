//! All figures of a run as JSON. The keys are documented in `README.md`.

use std::time::Duration;

use portcullis_priority::Class;
use serde_json::{Value, json};

use crate::drill::{AFTER, DURING, Drilled};
use crate::figures::{Figures, Recovery};
use crate::report::{ActReport, Report};
use crate::rush::Rush;

/// The report as a JSON value.
pub(crate) fn render(report: &Report) -> Value {
    json!({
        "seed": report.seed,
        "speed": report.speed,
        "seconds": report.took.as_secs_f64(),
        "holds": report.holds(),
        "phases": report.acts.iter().map(phase).collect::<Vec<_>>(),
    })
}

fn phase(report: &ActReport) -> Value {
    let act = &report.act;
    json!({
        "name": act.phase.name,
        "sick": act.phase.sick().map(|upstream| upstream.to_string()),
        "fault_seconds": (act.heal - act.from).as_secs_f64(),
        "rest_seconds": (act.to - act.heal).as_secs_f64(),
        "bare": figures(&report.bare),
        "protected": figures(&report.protected),
        "claims": claims(report),
    })
}

fn claims(report: &ActReport) -> Vec<Value> {
    let claim = |(claim, holds): (&crate::claim::Claim, bool)| {
        let text = claim.text(&report.bare, &report.protected);
        json!({ "figure": claim.figure(), "text": text, "holds": holds })
    };
    report.claims().map(claim).collect()
}

fn figures(figures: &Figures) -> Value {
    json!({
        "requests": figures.requests,
        "good": figures.good,
        "unavailable": figures.unavailable,
        "vague": figures.vague,
        "refused": figures.refused,
        "curt": figures.curt,
        "failed": figures.failed,
        "gave_up": figures.gave_up,
        "goodput": figures.goodput,
        "others_goodput": figures.others,
        "p50_seconds": figures.p50.map(|latency| latency.as_secs_f64()),
        "p99_seconds": figures.p99.map(|latency| latency.as_secs_f64()),
        "others_p99_seconds": figures.others_p99.map(|latency| latency.as_secs_f64()),
        "sick_calls": figures.sick_calls,
        "spared_calls": figures.spared,
        "greedy_requests": figures.greedy.map(|greedy| greedy.requests),
        "greedy_admitted": figures.greedy.map(|greedy| greedy.admitted.calls),
        "greedy_quota": figures.greedy.and_then(|greedy| greedy.admitted.quota),
        "greedy_refused": figures.greedy.map(|greedy| greedy.refused),
        "till": figures.till.as_ref().map(till),
        "depot": figures.depot.as_ref().map(depot),
        "recovery_seconds": recovered(figures.recovery).map(|time| time.as_secs_f64()),
    })
}

fn till(till: &Rush) -> Value {
    json!({
        "critical": till.class(Class::Critical),
        "high": till.class(Class::High),
        "normal": till.class(Class::Normal),
        "low": till.class(Class::Low),
        "bulk": till.class(Class::Bulk),
        "of_capacity": till.of_capacity,
        "peak": till.peak,
        "slots": till.slots,
        "limits": till.limits,
        "refused": till.refused,
        "vague": till.vague,
        "late_seconds": till.late.as_secs_f64(),
    })
}

fn depot(depot: &Drilled) -> Value {
    json!({
        "before": depot.goodput[0],
        "during": depot.goodput[DURING],
        "after": depot.goodput[AFTER],
        "amplification_during": depot.amplification[DURING],
        "amplification_after": depot.amplification[AFTER],
        "recovery_seconds": recovered(depot.recovery).map(|time| time.as_secs_f64()),
        "late_seconds": depot.late.as_secs_f64(),
    })
}

const fn recovered(recovery: Option<Recovery>) -> Option<Duration> {
    match recovery {
        Some(Recovery::After(time)) => Some(time),
        Some(Recovery::NotWithin(_)) | None => None,
    }
}
