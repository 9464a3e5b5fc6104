//! Reads how a circuit closes again.

use std::time::Duration;

use super::reader::Reader;
use super::{EVER, SECOND};
use crate::config::{OnRelapse, OnStayElapsed, Ramp, RampSpeed, Recovery, Trials, Trip, Verdict};
use crate::percent::Percent;

const TRIAL_FIELDS: [&str; 4] =
    ["permitted_calls", "verdict", "trial_failure_rate", "trial_slow_rate"];
const RAMP_FIELDS: [&str; 6] = [
    "base_share",
    "share_step",
    "recovery_error_rate",
    "min_step_time",
    "on_relapse",
    "ramp_speed",
];

/// How the circuit closes again.
pub(super) fn recovery(r: &mut Reader<'_>, default: Recovery, trip: &Trip) -> Recovery {
    const THEN: [(&str, OnStayElapsed); 2] =
        [("reopen", OnStayElapsed::Reopen), ("close", OnStayElapsed::Close)];
    let stay = r.duration("max_half_open_stay", Duration::from_nanos(1), EVER);
    let then = r.choice("on_stay_elapsed", &THEN).unwrap_or_default();
    let (foreign, fix) = match default {
        Recovery::Trials(_) => (&RAMP_FIELDS[..], "set strategy = \"gradual\", or remove it"),
        Recovery::Ramp(_) => (&TRIAL_FIELDS[..], "set strategy = \"basic\", or remove it"),
    };
    let mut recovery = match default {
        Recovery::Trials(_) => Recovery::Trials(trials(r, trip)),
        Recovery::Ramp(default) => Recovery::Ramp(ramp(r, default)),
    };
    match &mut recovery {
        Recovery::Trials(Trials { max_stay, on_stay_elapsed, .. })
        | Recovery::Ramp(Ramp { max_stay, on_stay_elapsed, .. }) => {
            *max_stay = stay.unwrap_or(*max_stay);
            *on_stay_elapsed = then;
        }
    }
    if let Recovery::Ramp(ramp) = &recovery {
        if !ramp.has_time() {
            r.contradiction(
                "min_step_time",
                &["max_half_open_stay"],
                "below `max_half_open_stay`",
                "lower min_step_time or raise max_half_open_stay: it could never close",
            );
        }
    }
    for field in foreign {
        if r.is_set(field) {
            r.contradiction(field, &["strategy"], "absent with this strategy", fix);
        }
    }
    recovery
}

fn trials(r: &mut Reader<'_>, trip: &Trip) -> Trials {
    let permitted = r.number("permitted_calls", 1, 10_000).unwrap_or(3);
    let successes = r.number("success_threshold", 1, 10_000);
    let by_rate = r.choice("verdict", &[("all_succeed", false), ("rate", true)]).unwrap_or(false);
    // Trials are judged as the closed state is, unless they have rates of their own.
    let rule = trip.first_rule();
    let failures = r.rate("trial_failure_rate", rule.and_then(|rule| rule.failure_rate));
    let slow = r.rate("trial_slow_rate", rule.and_then(|rule| rule.slow_rate));
    let trials = Trials::new(permitted);
    if by_rate {
        if successes.is_some() {
            r.contradiction(
                "success_threshold",
                &["verdict"],
                "absent with verdict = \"rate\"",
                "remove it, or set verdict = \"all_succeed\"",
            );
        }
        let failures = failures.unwrap_or(Percent::new(50));
        return Trials { verdict: Verdict::Rate { failures, slow }, ..trials };
    }
    for field in ["trial_failure_rate", "trial_slow_rate"] {
        if r.is_set(field) {
            let fix = "set verdict = \"rate\", or remove it";
            r.contradiction(field, &["verdict"], "absent with verdict = \"all_succeed\"", fix);
        }
    }
    match successes {
        Some(successes) if successes > permitted => {
            r.contradiction(
                "success_threshold",
                &["permitted_calls"],
                &format!("at most `permitted_calls` ({permitted})"),
                "lower success_threshold or raise permitted_calls",
            );
            trials
        }
        Some(successes) => trials.successes(successes),
        None => trials,
    }
}

fn ramp(r: &mut Reader<'_>, default: Ramp) -> Ramp {
    const RELAPSE: [(&str, OnRelapse); 2] =
        [("step_back", OnRelapse::StepBack), ("reopen", OnRelapse::Reopen)];
    const SPEED: [(&str, RampSpeed); 2] =
        [("fixed", RampSpeed::Fixed), ("adaptive", RampSpeed::Adaptive)];
    Ramp {
        base: r.share_within("base_share", 1, 9_999).unwrap_or(default.base),
        step: r.share_within("share_step", 1, 10_000).unwrap_or(default.step),
        error_rate: r.share_within("recovery_error_rate", 0, 9_999).unwrap_or(default.error_rate),
        successes: r.number("success_threshold", 1, 10_000).unwrap_or(default.successes),
        min_step_time: r
            .duration("min_step_time", Duration::ZERO, 600 * SECOND)
            .unwrap_or(default.min_step_time),
        on_relapse: r.choice("on_relapse", &RELAPSE).unwrap_or(default.on_relapse),
        speed: r.choice("ramp_speed", &SPEED).unwrap_or(default.speed),
        ..default
    }
}
