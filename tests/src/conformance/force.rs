//! How circuits are put into a state: by orders during a case, and before it begins.

use std::time::Duration;

use breaker_core::{CircuitBreaker, IllegalTransition, Override, Saved, State};

use super::answer::{Answer, state_of};
use super::circuits::Circuits;
use super::config::Start;
use super::fields::Fields;
use super::verdict::Mismatch;

impl Circuits {
    /// The operation `force`.
    pub(super) fn force(&mut self, fields: &mut Fields<'_>) -> Result<(), Mismatch> {
        let to = fields.text("to");
        let to = fields.needed("to", to)?;
        let to = state_of(to).ok_or_else(|| Mismatch::unknown("state", to))?;
        let ttl = fields.millis("for_ms")?;
        for circuit in &self.all {
            self.answers.push(force(&circuit.breaker, to, ttl)?);
        }
        Ok(())
    }
}

impl Start {
    /// Brings a new circuit to where its case begins.
    pub(super) fn enter(&self, breaker: &CircuitBreaker) -> Result<(), Mismatch> {
        let illegal = |error: IllegalTransition| Mismatch::new("that state", error.to_string());
        match self {
            Self::In(State::HalfOpen) => {
                breaker.trip().map_err(illegal)?;
                breaker.attempt_reset().map_err(illegal)
            }
            Self::In(state) => match force(breaker, *state, None)? {
                Answer::Illegal => Err(Mismatch::new("a state to begin in", state.to_string())),
                _ => Ok(()),
            },
            Self::Restored { state, remaining } => {
                let saved = Saved { state: *state, openings: 1, remaining: *remaining };
                breaker.restore(saved).map_err(illegal)
            }
        }
    }
}

/// Puts a circuit into a state. Where it is there already, nothing happens; an edge that does not
/// exist is refused, and changes nothing.
fn force(breaker: &CircuitBreaker, to: State, ttl: Option<Duration>) -> Result<Answer, Mismatch> {
    let before = breaker.snapshot();
    let order =
        || ttl.map_or("conformance".into(), |ttl| Override::new("conformance").for_at_most(ttl));
    let followed = match to {
        State::Closed | State::Open | State::HalfOpen if ttl.is_some() => {
            return Err(Mismatch::not_offered("an ordinary state for a while"));
        }
        State::Closed if before.state == State::Closed => Ok(()),
        State::Closed => {
            breaker.reset();
            Ok(())
        }
        State::Open => breaker.trip(),
        State::HalfOpen => breaker.attempt_reset(),
        State::ForcedOpen => {
            breaker.force_open(order());
            Ok(())
        }
        State::ForcedClosed => {
            breaker.force_closed(order());
            Ok(())
        }
        State::Disabled => {
            breaker.disable(order());
            Ok(())
        }
        State::MetricsOnly => {
            breaker.metrics_only(order());
            Ok(())
        }
    };
    let Err(IllegalTransition { from, to }) = followed else { return Ok(Answer::Done) };
    if breaker.snapshot() != before {
        return Err(Mismatch::new("a refused order that changes nothing", "a change"));
    }
    Ok(if from == to { Answer::Done } else { Answer::Illegal })
}
