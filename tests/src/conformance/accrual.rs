//! The component `failure_accrual`: the breaker of one endpoint.

use std::time::Duration;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, FailureKind, ManualClock, Outcome, Pace, Percent, State,
    Tick, Trip,
};
use breaker_core::{Jitter, Recovery, Trials};
use serde_json::{Map, Value};

use super::answer::Seen;
use super::case::Manner;
use super::component::Subject;
use super::config::finish;
use super::fields::Fields;
use super::recovery::NEVER;
use super::verdict::Mismatch;

pub(crate) struct Accrual {
    clock: ManualClock,
    breaker: CircuitBreaker,
    openings: u32,
    /// The open period when it last opened.
    dead: Option<Duration>,
}

impl Accrual {
    pub(crate) fn build(config: &Map<String, Value>, manner: Manner<'_>) -> Result<Self, Mismatch> {
        let mut fields = Fields::new("the config", config);
        let (mut trips, mut periods) = (Vec::new(), Vec::new());
        conditions(&mut fields, &mut trips, &mut periods)?;
        for policy in fields.list("any_of")?.into_iter().flatten() {
            let mut policy = Fields::of("a policy", policy)?;
            conditions(&mut policy, &mut trips, &mut periods)?;
            finish(&policy, manner)?;
        }
        finish(&fields, manner)?;
        if trips.is_empty() || trips.len() > Trip::MAX_CONDITIONS {
            return Err(Mismatch::new("one to four conditions", trips.len().to_string()));
        }
        periods.dedup();
        let pace = match periods.as_slice() {
            [] => Pace::fixed(Pace::MAX_WAIT),
            [pace] => *pace,
            _ => return Err(Mismatch::not_offered("an open period for each condition")),
        };
        let config = CircuitBreakerConfig::new()
            .trip(Trip::any(&trips))
            .open_period(pace.jitter(Jitter::None))
            .recovery(Recovery::Trials(Trials::new(1).max_stay(NEVER)));
        let clock = ManualClock::new();
        let breaker = CircuitBreaker::with_clock_and_seed(config, clock.clone(), 0);
        Ok(Self { clock, breaker, openings: 0, dead: None })
    }

    /// One call to the endpoint; none while it is dead.
    fn call(&mut self, outcome: Outcome) {
        let Ok(permit) = self.breaker.try_acquire() else { return };
        permit.record_timed(outcome, Duration::ZERO);
        let after = self.breaker.snapshot();
        if after.state == State::Open && after.consecutive_openings != self.openings {
            self.dead = after.remaining;
        }
        self.openings = after.consecutive_openings;
    }
}

impl Subject for Accrual {
    fn begin(&mut self, at: Duration) -> Result<(), Mismatch> {
        self.clock.set(Tick::ZERO.after(at));
        Ok(())
    }

    fn act(&mut self, op: &str, _: &mut Fields<'_>) -> Result<(), Mismatch> {
        match op {
            "ok" => self.call(Outcome::Success),
            "fail" => self.call(Outcome::Failure(FailureKind::Internal)),
            "observe" => {}
            other => return Err(Mismatch::unknown("op", other)),
        }
        Ok(())
    }

    fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        if key != "dead_ms" {
            return Err(Mismatch::unknown("expectation", key));
        }
        let closed = self.breaker.state() == State::Closed;
        Ok(Seen::millis(self.dead.filter(|_| !closed)))
    }
}

/// The conditions and the open periods of one policy.
fn conditions(
    fields: &mut Fields<'_>,
    trips: &mut Vec<Trip>,
    periods: &mut Vec<Pace>,
) -> Result<(), Mismatch> {
    if let Some(failures) = fields.small_count("consecutive")? {
        trips.push(Trip::consecutive(failures));
    }
    let calls = fields.small_count("window_requests");
    match fields.number("ema_success_rate")? {
        Some(rate) => {
            let calls = fields.needed("window_requests", calls)?;
            let wrong = || Mismatch::new("a rate in 0..=1", rate.to_string());
            let rate = Percent::from_fraction(rate).ok_or_else(wrong)?;
            trips.push(Trip::success_average(rate, calls));
        }
        None if calls?.is_some() => {
            return Err(Mismatch::new("ema_success_rate with window_requests", "none"));
        }
        None => {}
    }
    periods.extend(fields.millis("mark_dead_ms")?.map(Pace::fixed));
    periods.extend(fields.all_millis("mark_dead_ms_sequence")?.map(|waits| Pace::schedule(&waits)));
    Ok(())
}
