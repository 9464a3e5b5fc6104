//! One circuit of a case, and what can be seen of it: [`Circuit`].

use breaker_core::{
    CircuitBreaker, Condition, EventKind, Events, ManualClock, Next, Pace, State, Why,
};

use super::answer::Seen;
use super::config::Plan;
use super::outcome::Slow;
use super::verdict::Mismatch;

/// One of the circuits around a call.
pub(crate) struct Circuit {
    pub(super) id: String,
    pub(super) breaker: CircuitBreaker,
    pub(super) slow: Slow,
    stopgap: Option<Condition>,
    pub(super) pace: Pace,
    /// Whether opening number n lasts n seconds.
    pub(super) numbered_periods: bool,
    events: Events,
    transitions: u64,
    /// How many calls had been ignored when the state last changed.
    ignored_before: u64,
}

impl Circuit {
    pub(super) fn build(id: String, plan: &Plan, clock: &ManualClock) -> Result<Self, Mismatch> {
        let breaker = CircuitBreaker::with_clock_and_seed(plan.config, clock.clone(), 0);
        plan.start.enter(&breaker)?;
        Ok(Self {
            id,
            // The way to where it starts is no event of the case.
            events: breaker.subscribe(),
            breaker,
            slow: plan.slow,
            stopgap: plan.stopgap,
            pace: plan.pace,
            numbered_periods: plan.absent.numbered_periods,
            transitions: 0,
            ignored_before: 0,
        })
    }

    /// Takes note of what has changed since the last time.
    pub(super) fn listen(&mut self) -> Result<(), Mismatch> {
        while let Some(next) = self.events.try_next() {
            let change = match next {
                Next::Change(change) => change,
                Next::Missed(lost) => {
                    return Err(Mismatch::new("all changes", format!("{lost} less")));
                }
            };
            let EventKind::StateChanged { transition, .. } = change.kind else { continue };
            if self.stopgap.is_some_and(|stopgap| transition.why == Why::Tripped(stopgap)) {
                return Err(Mismatch::new("a window that opens nothing", "an opening by it"));
            }
            self.transitions += u64::from(!transition.shadow);
            self.ignored_before = self.breaker.snapshot().totals.ignored;
        }
        Ok(())
    }

    /// What holds now under this name.
    pub(super) fn seen(&mut self, key: &str) -> Result<Seen, Mismatch> {
        let snapshot = self.breaker.snapshot();
        // What a mere look let happen.
        self.listen()?;
        let tally = snapshot.tally;
        Ok(match key {
            "state" => Seen::State(snapshot.state),
            "total" => Seen::count(tally.calls),
            "ok" => Seen::count(tally.calls - tally.failures),
            "failed" => Seen::count(tally.failures),
            "slow" => Seen::count(tally.slow),
            "excluded" => Seen::count(snapshot.totals.ignored - self.ignored_before),
            "failure_rate" => Seen::Rate(snapshot.failure_rate),
            "slow_rate" => Seen::Rate(snapshot.slow_rate),
            "not_permitted" => Seen::count(snapshot.refused_in_state),
            "transition_events" => Seen::count(self.transitions),
            "rate_exceeded_events" => Seen::count(snapshot.totals.would_open),
            "blocked_until" => {
                let rest = snapshot.remaining.filter(|_| snapshot.state == State::Open);
                Seen::Moment(rest.map(|rest| snapshot.at.after(rest)))
            }
            other => return Err(Mismatch::unknown("expectation", other)),
        })
    }
}
