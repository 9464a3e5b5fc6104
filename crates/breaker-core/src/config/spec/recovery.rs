//! Reads how a circuit closes again.

use std::time::Duration;

use super::reader::ConfigReader;
use super::{EVER, SECOND};
use crate::config::{
    OnRelapse, OnStayElapsed, Ramp, RampSpeed, Recovery, Trials, Trickle, Trip, Verdict,
};
use crate::pace::Jitter;
use crate::percent::Percent;

/// The ways to recover, by their names.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Way {
    Trials,
    Ramp,
    Trickle,
}

/// The forms of a ramp, by their names.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    None,
    Windows,
    Steps,
    Linear,
    Exponential,
    SlowStart,
}

const TRIAL_FIELDS: [&str; 4] =
    ["permitted_calls", "verdict", "trial_failure_rate", "trial_slow_rate"];
const RAMP_FIELDS: [&str; 11] = [
    "ramp_form",
    "ramp_steps",
    "ramp_time",
    "ramp_aggression",
    "slow_start_limit",
    "base_share",
    "share_step",
    "recovery_error_rate",
    "min_step_time",
    "on_relapse",
    "ramp_speed",
];
const STAY_FIELDS: [&str; 3] = ["success_threshold", "max_half_open_stay", "on_stay_elapsed"];
const PROBE_FIELDS: [&str; 3] = ["probe_share", "probe_interval_min", "probe_interval_max"];
const PERIOD_FIELDS: [&str; 3] = ["open_period", "open_period_factor", "schedule"];

/// How the circuit closes again.
pub(super) fn recovery(r: &mut ConfigReader<'_>, default: Recovery, trip: &Trip) -> Recovery {
    const WAYS: [(&str, Way); 3] =
        [("trials", Way::Trials), ("ramp", Way::Ramp), ("trickle", Way::Trickle)];
    let usual = if default.ramp().is_some() { Way::Ramp } else { Way::Trials };
    let way = r.choice("recovery", &WAYS).unwrap_or(usual);
    match way {
        Way::Trials => {
            absent(
                r,
                &RAMP_FIELDS,
                "set strategy = \"gradual\" or recovery = \"ramp\", or remove it",
            );
            absent(r, &PROBE_FIELDS, "set recovery = \"trickle\", or remove it");
            let (stay, then) = stay(r);
            let trials = trials(r, trip);
            let max_stay = stay.unwrap_or(trials.max_stay);
            Recovery::Trials(Trials { max_stay, on_stay_elapsed: then, ..trials })
        }
        Way::Ramp => {
            absent(
                r,
                &TRIAL_FIELDS,
                "set strategy = \"basic\" or recovery = \"trials\", or remove it",
            );
            absent(r, &PROBE_FIELDS, "set recovery = \"trickle\", or remove it");
            let default = default.ramp().copied().unwrap_or_default();
            Recovery::Ramp(ramp(r, default, Form::Windows).unwrap_or(default))
        }
        Way::Trickle => {
            absent(
                r,
                &TRIAL_FIELDS,
                "set strategy = \"basic\" or recovery = \"trials\", or remove it",
            );
            absent(r, &PERIOD_FIELDS, "remove it: probes have intervals of their own");
            let ramp = ramp(r, default.ramp().copied().unwrap_or_default(), Form::None);
            if ramp.is_none() {
                let fix = "set ramp_form, or remove it";
                absent(r, &RAMP_FIELDS[1..], fix);
                absent(r, &STAY_FIELDS, fix);
            }
            Recovery::Trickle(Trickle { ramp, ..trickle(r) })
        }
    }
}

fn absent(r: &mut ConfigReader<'_>, fields: &[&'static str], fix: &str) {
    for field in fields {
        if r.is_set(field) {
            let allowed = "absent with this recovery";
            r.contradiction(field, &["recovery", "strategy", "ramp_form"], allowed, fix);
        }
    }
}

fn stay(r: &mut ConfigReader<'_>) -> (Option<Duration>, OnStayElapsed) {
    const THEN: [(&str, OnStayElapsed); 2] =
        [("reopen", OnStayElapsed::Reopen), ("close", OnStayElapsed::Close)];
    let stay = r.duration("max_half_open_stay", Duration::from_nanos(1), EVER);
    (stay, r.choice("on_stay_elapsed", &THEN).unwrap_or_default())
}

fn trials(r: &mut ConfigReader<'_>, trip: &Trip) -> Trials {
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

/// The ramp, if there is to be one.
fn ramp(r: &mut ConfigReader<'_>, default: Ramp, usual: Form) -> Option<Ramp> {
    const RELAPSE: [(&str, OnRelapse); 2] =
        [("step_back", OnRelapse::StepBack), ("reopen", OnRelapse::Reopen)];
    const SPEED: [(&str, RampSpeed); 2] =
        [("fixed", RampSpeed::Fixed), ("adaptive", RampSpeed::Adaptive)];
    let (form, shape) = shape(r, usual)?;
    let foreign: &[&str] = match form {
        Form::Steps => &["base_share", "share_step"],
        Form::Exponential => &["share_step"],
        Form::SlowStart => {
            &["base_share", "share_step", "success_threshold", "min_step_time", "ramp_speed"]
        }
        Form::None | Form::Windows | Form::Linear => &[],
    };
    absent(r, foreign, "set another ramp_form, or remove it");
    let (max_stay, on_stay_elapsed) = stay(r);
    let base = r.share_within("base_share", 1, 9_999);
    let step = r.share_within("share_step", 1, 10_000);
    let error_rate = r.share_within("recovery_error_rate", 0, 9_999);
    let successes = r.number("success_threshold", 1, 10_000);
    let min_step_time = r.duration("min_step_time", Duration::ZERO, 600 * SECOND);
    let ramp = Ramp {
        form: shape.form,
        base: base.filter(|_| form != Form::Steps).unwrap_or(shape.base),
        step: step.unwrap_or(default.step),
        error_rate: error_rate.unwrap_or(default.error_rate),
        successes: successes.unwrap_or(shape.successes),
        min_step_time: min_step_time.unwrap_or(default.min_step_time),
        on_relapse: r.choice("on_relapse", &RELAPSE).unwrap_or(default.on_relapse),
        speed: r.choice("ramp_speed", &SPEED).unwrap_or(default.speed),
        max_stay: max_stay.unwrap_or(default.max_stay),
        on_stay_elapsed,
    };
    if !ramp.has_time() {
        r.contradiction(
            "min_step_time",
            &["max_half_open_stay"],
            "below `max_half_open_stay`",
            "lower min_step_time or raise max_half_open_stay: it could never close",
        );
    }
    Some(ramp)
}

/// The form of a ramp, as a ramp with the defaults of that form.
fn shape(r: &mut ConfigReader<'_>, usual: Form) -> Option<(Form, Ramp)> {
    const FORMS: [(&str, Form); 5] = [
        ("windows", Form::Windows),
        ("steps", Form::Steps),
        ("linear", Form::Linear),
        ("exponential", Form::Exponential),
        ("slow_start", Form::SlowStart),
    ];
    let form = r.choice("ramp_form", &FORMS).unwrap_or(usual);
    let steps = r.shares("ramp_steps", Ramp::MAX_STEPS);
    let time = r.duration("ramp_time", SECOND, 3_600 * SECOND);
    let aggression = r.factor("ramp_aggression", 0.1, 10.0);
    let limit = r.number("slow_start_limit", 4, 10_000);
    if form == Form::None {
        return None;
    }
    let shape = match form {
        Form::Steps => steps.map(|steps| Ramp::steps(&steps)),
        Form::Linear => time.map(|time| Ramp::aggressive(time, aggression.unwrap_or(1.0))),
        Form::Exponential => time.map(Ramp::exponential),
        Form::SlowStart => limit.map(Ramp::slow_start),
        Form::None | Form::Windows => Some(Ramp::new()),
    };
    for (field, forms, needed) in [
        ("ramp_steps", &[Form::Steps][..], true),
        ("ramp_time", &[Form::Linear, Form::Exponential], true),
        ("ramp_aggression", &[Form::Linear], false),
        ("slow_start_limit", &[Form::SlowStart], true),
    ] {
        match (forms.contains(&form), r.is_set(field)) {
            (false, true) => {
                absent(r, &[field], "set the ramp_form that it belongs to, or remove it");
            }
            (true, false) if needed => {
                let allowed = "given with this ramp_form";
                r.contradiction(field, &["ramp_form"], allowed, "give it, or remove ramp_form");
            }
            _ => {}
        }
    }
    Some((form, shape.unwrap_or_default()))
}

fn trickle(r: &mut ConfigReader<'_>) -> Trickle {
    let usual = Trickle::new();
    let (least, most) = (Trickle::MIN_INTERVAL, Trickle::MAX_INTERVAL);
    let shortest = r.duration("probe_interval_min", least, most);
    let longest = r.duration("probe_interval_max", least, most);
    let jitter = r.choice(
        "jitter",
        &[("none", Jitter::None), ("equal", Jitter::Equal), ("full", Jitter::Full)],
    );
    if jitter == Some(Jitter::Full) {
        let fix = "remove it: intervals between probes are spread by a quarter";
        r.contradiction("jitter", &["recovery"], "none or equal with probes", fix);
    }
    let millis = |interval: Duration| interval.as_millis() as u32;
    let trickle = Trickle {
        share: r.share_within("probe_share", 1, 10_000).unwrap_or(usual.share),
        shortest: shortest.map_or(usual.shortest, millis),
        longest: longest.map_or(usual.longest, millis),
        jitter: jitter != Some(Jitter::None),
        ramp: None,
    };
    if trickle.shortest > trickle.longest {
        r.contradiction(
            "probe_interval_min",
            &["probe_interval_max"],
            "at most `probe_interval_max`",
            "lower probe_interval_min or raise probe_interval_max",
        );
    }
    trickle
}
