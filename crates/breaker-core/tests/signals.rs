//! A strategy of the user's that combines what several detectors say.

mod common;

use breaker_core::{CircuitBreaker, Cusum, Percent, Snapshot, State, Strategy, Trip, Window};
use common::{CORE, circuit, play};

/// Opens when score, average and trend together say enough; none of them does alone.
struct Weighted;

impl Strategy for Weighted {
    fn open(&self, facts: &Snapshot) -> bool {
        let score = facts.failure_score.expect("the trip keeps one");
        let average = facts.success_average.expect("the trip keeps one");
        let trend = facts.trend.unwrap_or(0.0);
        let weighted = [(0.5, score), (0.5, 1.0 - average), (0.5, trend)];
        weighted.iter().map(|(weight, signal)| weight * signal).sum::<f64>() > 1.0
    }

    fn close(&self, facts: &Snapshot) -> bool {
        facts.tally.calls > facts.tally.failures
    }
}

const TRIP: Trip = Trip::any(&[
    Trip::cusum(Cusum::classic()),
    Trip::success_average(Percent::new(50), 4),
    Trip::slow_rate(Percent::FULL, Window::last(6).min_calls(6)),
]);

fn weighed() -> CircuitBreaker {
    let (breaker, _) = circuit(CORE.trip(TRIP));
    breaker.set_custom_strategy(Weighted);
    breaker
}

/// Score, average and trend are facts that a strategy can weigh.
#[test]
fn a_strategy_weighs_score_average_and_trend() {
    // Alone the score would have opened: here it takes the others' consent.
    let breaker = weighed();
    play(&breaker, "FFFFF");
    let facts = breaker.snapshot();
    assert!(facts.failure_score.unwrap() > 1.0 && facts.trend.is_none());
    assert_eq!((breaker.state(), facts.strategy), (State::Closed, Some("custom")));
    // The same failures after as many successes: things became worse, and that decides.
    let breaker = weighed();
    play(&breaker, "SSSFF");
    assert_eq!(breaker.state(), State::Closed);
    play(&breaker, "F");
    assert_eq!(breaker.state(), State::Open);
    // No more failures than there, but long ago.
    let breaker = weighed();
    play(&breaker, "FFFSSSSSSSSS");
    assert_eq!((breaker.state(), breaker.snapshot().failure_score), (State::Closed, Some(0.0)));
}
