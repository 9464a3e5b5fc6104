//! The half-open state of a case.

use std::time::Duration;

use breaker_core::{OnStayElapsed, Percent, Trials, Value};

use super::config::{Thresholds, duration, entry, whole};
use super::fields::Fields;
use super::verdict::Mismatch;

/// Longer than any case lasts, and than any call is slow.
pub(crate) const NEVER: Duration = Duration::from_secs(36_500 * 86_400);

/// When trials are good enough.
enum Decision {
    AllSuccess,
    Rates { failures: Percent, slow: Option<Percent> },
}

/// Reads the trials of a case; one trial that must succeed where there is nothing to read.
///
/// `entries` gets the figures that a wrong case would have out of range.
pub(crate) fn trials(
    fields: &mut Fields<'_>,
    thresholds: &Thresholds,
    entries: &mut Vec<(String, Value)>,
) -> Result<Trials, Mismatch> {
    let (permits, decision) = match fields.take("half_open") {
        None => (1, Decision::AllSuccess),
        Some(half_open) => half(&mut Fields::of("half_open", half_open)?, thresholds)?,
    };
    let stay = fields.millis("max_half_open_ms")?.unwrap_or(NEVER);
    let then = match fields.text("after_max_half_open")? {
        None | Some("open") => OnStayElapsed::Reopen,
        Some("closed") => OnStayElapsed::Close,
        Some(other) => return Err(Mismatch::unknown("after_max_half_open", other)),
    };
    if !(1..=10_000).contains(&permits) || stay.is_zero() {
        // The configuration itself says what is wrong with it.
        entries.push(entry("permitted_calls", whole(permits.into())));
        entries.push(entry("max_half_open_stay", duration(stay)));
        return Ok(Trials::new(1));
    }
    let trials = Trials::new(permits).max_stay(stay).on_stay_elapsed(then);
    Ok(match decision {
        Decision::AllSuccess => trials,
        Decision::Rates { failures, slow: None } => trials.by_rate(failures),
        Decision::Rates { failures, slow: Some(slow) } => trials.by_rate(failures).slow_rate(slow),
    })
}

fn half(fields: &mut Fields<'_>, thresholds: &Thresholds) -> Result<(u32, Decision), Mismatch> {
    let permits = fields.small_count("permits")?.unwrap_or(1);
    let slow_is_failure = fields.flag("slow_is_failure")?.unwrap_or(false);
    let successes = fields.small_count("successes")?;
    let failures = fields.small_count("failures")?;
    let word = fields.text("decision")?.unwrap_or("all_success");
    fields.finish()?;
    // One of them is enough.
    let one = share(1, permits).ok();
    let slow = |otherwise| if slow_is_failure { one } else { otherwise };
    let decision = match (word, successes, failures) {
        ("all_success", None, None) => match one.filter(|_| slow_is_failure) {
            None => Decision::AllSuccess,
            Some(one) => Decision::Rates { failures: one, slow: Some(one) },
        },
        ("rate", None, None) => Decision::Rates {
            failures: closed_rate("failure_rate", thresholds.failure_rate)?
                .unwrap_or(Percent::FULL),
            slow: slow(closed_rate("slow_call_rate", thresholds.slow_rate)?),
        },
        ("success_ratio", Some(good), None) => {
            let enough = (permits + 1).saturating_sub(good);
            Decision::Rates { failures: share(enough, permits)?, slow: slow(None) }
        }
        ("failure_ratio", None, Some(bad)) => {
            Decision::Rates { failures: share(bad, permits)?, slow: slow(None) }
        }
        ("all_success" | "rate" | "success_ratio" | "failure_ratio", _, _) => {
            let wanted = "`successes` with success_ratio and `failures` with failure_ratio";
            return Err(Mismatch::new(wanted, word));
        }
        (other, _, _) => return Err(Mismatch::unknown("decision", other)),
    };
    Ok((permits, decision))
}

/// `part` of `whole` trials. Exact: up to 10,000 trials no two parts share a hundredth of a
/// percent.
fn share(part: u32, whole: u32) -> Result<Percent, Mismatch> {
    let share = Percent::from_fraction(f64::from(part) / f64::from(whole));
    let share = share.filter(|share| *share != Percent::ZERO);
    share.ok_or_else(|| Mismatch::new("a part of the trials", format!("{part} of {whole}")))
}

fn closed_rate(name: &str, rate: Option<f64>) -> Result<Option<Percent>, Mismatch> {
    let Some(rate) = rate else { return Ok(None) };
    let percent = Percent::from_fraction(rate).filter(|percent| *percent != Percent::ZERO);
    percent
        .map(Some)
        .ok_or_else(|| Mismatch::new(format!("{name} above 0, up to 1"), rate.to_string()))
}
