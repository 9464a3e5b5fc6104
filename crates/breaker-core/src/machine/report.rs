//! What a machine tells about itself.

use std::time::Duration;

use super::{HalfOpen, Machine, Phase};
use crate::clock::Tick;
use crate::config::{CircuitBreakerConfig, Span};
use crate::explain::{Order, Snapshot};
use crate::percent::Percent;
use crate::state::{State, Totals};
use crate::window::Tally;

impl Machine {
    /// The visible state, as of the latest moment that was seen.
    #[must_use]
    pub fn state(&self) -> State {
        self.past.forced.as_ref().map_or(self.past.phase.state(), |forced| forced.state)
    }

    /// Grows by one at every change of state.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the answers do not depend on the time just now, so that nobody need read a clock:
    /// closed, without orders that end.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        matches!(self.past.phase, Phase::Closed) && self.past.forced.is_none()
    }

    /// Whether to forget this circuit would lose nothing: it equals a new one.
    ///
    /// What it remembers of past outages is a hint, for which it is not kept; a threshold that was
    /// tuned is kept until nothing has reached the machine for `forget_after`. Successes that say
    /// nothing do not reach it, so one that is tuned and has only those may be forgotten.
    ///
    /// Evidence that has not grown for `forget_after` counts as none, and so does an open period
    /// that has been over for as long without anybody asking.
    #[must_use]
    pub fn equals_new(&self, now: Tick, forget_after: Duration) -> bool {
        let latest = self.now.after(forget_after) <= now;
        let tuned = self.past.learnt.is_some_and(|learnt| learnt.moved);
        if self.past.forced.is_some() || tuned && !latest {
            return false;
        }
        match &self.past.phase {
            Phase::Closed => {
                let quiet =
                    |last: Option<Tick>| last.is_none_or(|last| now.since(last) >= forget_after);
                let idle = quiet(self.last_failure) && quiet(self.past.last_slow);
                self.evidence.is_clean() || idle
            }
            Phase::Open { until, .. } => until.after(forget_after) <= now,
            Phase::HalfOpen(half_open) => half_open.in_flight() == 0 && latest,
        }
    }

    /// All figures, as of the latest moment that was seen.
    #[must_use]
    pub fn snapshot(&self, config: &CircuitBreakerConfig) -> Snapshot {
        let tally = self.tally();
        let rule = config.trip.first_rule();
        let trends = match self.past.phase {
            Phase::Closed => self.evidence.trends(&config.trip),
            // What a window remembers of the time before says nothing about now.
            Phase::Open { .. } | Phase::HalfOpen(_) => Default::default(),
        };
        let (averages, scores) = (self.evidence.averages(), self.evidence.scores());
        let mut time_in_state = self.past.spent;
        let stay = self.now.since(self.since);
        let present = &mut time_in_state[self.state().index()];
        *present = present.saturating_add(stay);
        Snapshot {
            name: config.name,
            partition: None,
            state: self.state(),
            shadow: self.past.forced.is_some().then(|| self.past.phase.state()),
            order: self.past.forced.as_ref().map(|forced| Order {
                reason: forced.reason.clone(),
                remaining: forced.until.map(|until| until.since(self.now)),
            }),
            generation: self.generation,
            in_state: stay,
            time_in_state,
            tally,
            tallies: self.evidence.tallies(),
            strategy: None,
            gated: false,
            failure_rate: tally.failure_rate(),
            slow_rate: tally.slow_rate(),
            trend: config.trip.first_window().and_then(|first| trends[first]),
            trends,
            success_average: averages.into_iter().flatten().next(),
            averages,
            failure_score: scores.into_iter().flatten().next(),
            scores,
            since_onset: self.evidence.onset().map(|onset| self.now.since(onset)),
            consecutive_failures: self.evidence.streak(),
            consecutive_openings: self.past.openings,
            cause: self.past.cause,
            recovery: self.past.outages.estimate(self.past.openings > 0, self.now),
            tuning: self.tuning(config),
            remaining: match self.past.phase {
                Phase::Open { until, .. } => Some(until.since(self.now)),
                Phase::Closed | Phase::HalfOpen(_) => None,
            },
            failed_probes: match &self.past.phase {
                Phase::Open { probes: Some(probes), .. } => probes.failed(),
                _ => 0,
            },
            since_failure: self.since_failure(),
            trials_in_flight: self.trials_in_flight(),
            share: self.share(),
            limit: self.half_open().and_then(HalfOpen::limit),
            needed: self.half_open().and_then(|half_open| half_open.needed(config)),
            next_step: self.half_open().and_then(HalfOpen::next_step).map(|at| at.since(self.now)),
            window: rule.and_then(|rule| match rule.window.span {
                Span::Calls(size) => Some(size),
                Span::Time { .. } => None,
            }),
            window_period: rule.and_then(|rule| match rule.window.span {
                Span::Calls(_) => None,
                Span::Time { length, .. } => Some(length),
            }),
            refused_in_state: self.past.refused_here,
            totals: self.totals(),
            successes_counted: config.counts_successes(),
            config_version: 0,
            config: *config,
            at: self.now,
        }
    }

    /// The counts of the evidence in force: of the trials when half-open, of what opened it when
    /// open, else of the window or the running count.
    #[must_use]
    pub fn tally(&self) -> Tally {
        match &self.past.phase {
            Phase::HalfOpen(half_open) => half_open.tally(),
            Phase::Open { .. } => self.past.opened_by,
            Phase::Closed => self.evidence.tally(),
        }
    }

    /// The moment that refusals point to, while all calls are refused: the end of the open period,
    /// or of the operator's order, or later, where past outages say so.
    ///
    /// Past outages move it to three quarters of the rest that they let expect at the opening, and
    /// never beyond the longest open period of the configuration. It stays the same until the
    /// next change; snapshots estimate the rest afresh.
    #[must_use]
    pub fn retry_at(&self) -> Option<Tick> {
        match (&self.past.forced, &self.past.phase) {
            (Some(forced), _) if forced.state == State::ForcedOpen => self.shut_by_order().retry_at,
            (None, Phase::Open { until, hint, .. }) => Some(hint.unwrap_or(*until).max(*until)),
            _ => None,
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let Self { successes, failures, cancelled, .. } = *self;
        Totals { successes, failures, cancelled, ..self.past.totals }
    }

    /// How long ago a call last failed.
    #[must_use]
    pub fn since_failure(&self) -> Option<Duration> {
        self.last_failure.map(|failure| self.now.since(failure))
    }

    /// Trials or probes that are out.
    #[must_use]
    pub fn trials_in_flight(&self) -> u32 {
        match &self.past.phase {
            Phase::HalfOpen(half_open) => half_open.in_flight(),
            Phase::Open { probes: Some(probes), .. } => probes.in_flight(),
            Phase::Open { .. } | Phase::Closed => 0,
        }
    }

    /// The admitted share of a recovery by ramp or by a strategy.
    #[must_use]
    pub fn share(&self) -> Option<Percent> {
        self.half_open().and_then(HalfOpen::share)
    }

    pub(crate) fn order_reason(&self) -> Option<std::sync::Arc<str>> {
        self.past.forced.as_ref().map(|forced| forced.reason.clone())
    }

    pub(crate) fn last_seen(&self) -> Tick {
        self.now
    }

    fn half_open(&self) -> Option<&HalfOpen> {
        match &self.past.phase {
            Phase::HalfOpen(half_open) => Some(half_open),
            Phase::Closed | Phase::Open { .. } => None,
        }
    }
}
