//! Partial breaking: a share of the refusals, a share of the traffic, one circuit per key.

mod common;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakers, ManualClock, Percent, State,
};
use common::{CORE, TOUCHY, circuit, fail, half_open, secs, succeed};

/// Which of `arrivals` pass; each that passes ends well.
fn passing(breaker: &CircuitBreaker, arrivals: u32) -> Vec<u32> {
    let passes = |_: &u32| breaker.try_acquire().map(breaker_core::Permit::success).is_ok();
    (1..=arrivals).filter(passes).collect()
}

/// S-CORE-13: four of five are refused while open; the rest passes and moves nothing.
#[test]
fn with_a_refusal_share_of_80_percent_two_of_ten_pass() {
    let (breaker, clock) = circuit(TOUCHY.totals(true).open_refusal_share(Percent::new(80)));
    fail(&breaker, 1);
    assert_eq!(passing(&breaker, 10), [1, 6]);
    assert_eq!(passing(&breaker, 1_000).len(), 200);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.totals.successes), (State::Open, 202));
    assert_eq!((snapshot.totals.refused, snapshot.remaining), (808, Some(secs(60))));
    while breaker.try_acquire().is_err() {}
    clock.advance(secs(60));
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// S-CORE-13: what passes while open and fails does not move the state either.
#[test]
fn failures_of_calls_that_pass_while_open_only_count_in_the_totals() {
    let (breaker, clock) = circuit(TOUCHY.open_refusal_share(Percent::ZERO));
    fail(&breaker, 1);
    clock.advance(secs(30));
    fail(&breaker, 100);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.remaining), (State::Open, Some(secs(30))));
    assert_eq!((snapshot.totals.failures, snapshot.totals.refused), (101, 0));
    assert_eq!(breaker.known_refusal(), None, "nobody is sure to be refused");
}

/// S-CORE-13: the share is of the traffic while open; a half-open circuit still has its trials.
#[test]
fn a_refusal_share_does_not_touch_trials() {
    let (breaker, _) = half_open(CORE.open_refusal_share(Percent::ZERO));
    let _trials: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    assert!(breaker.try_acquire().is_err());
}

/// S-CORE-13: this share of the refusals is enforced, exactly.
#[test]
fn enforcement_is_exact_in_every_share() {
    for (percent, enforced) in [(0, 0), (1, 10), (25, 250), (50, 500), (99, 990), (100, 1_000)] {
        let (breaker, _) = circuit(TOUCHY.enforce(Percent::new(percent)));
        fail(&breaker, 1);
        assert_eq!(passing(&breaker, 1_000).len(), 1_000 - enforced, "{percent} %");
        let totals = breaker.snapshot().totals;
        assert_eq!(totals.refused, enforced as u64);
        assert_eq!(totals.would_refuse, 1_000 - enforced as u64);
        assert_eq!(breaker.state(), State::Open, "what passes moves nothing");
    }
}

/// S-CORE-13: nothing enforced is the same for traffic as only watching.
#[test]
fn nothing_enforced_equals_metrics_only() {
    let (unenforced, clock) = circuit(CORE.enforce(Percent::ZERO));
    let (watched, other) = circuit(CORE);
    watched.metrics_only("the same");
    for breaker in [&unenforced, &watched] {
        fail(breaker, 30);
    }
    clock.advance(secs(60));
    other.advance(secs(60));
    for breaker in [&unenforced, &watched] {
        let out: Vec<_> = (0..10).map(|_| breaker.try_acquire().unwrap()).collect();
        drop(out);
        succeed(breaker, 3);
    }
    let (one, two) = (unenforced.snapshot(), watched.snapshot());
    assert_eq!((one.state, two.shadow), (State::Closed, Some(State::Closed)));
    assert_eq!(one.totals.would_refuse, two.totals.would_refuse);
    assert_eq!((one.totals.refused, two.totals.refused), (0, 0));
    assert_eq!(one.totals.would_refuse, 25 + 7);
}

/// S-CORE-13: shares hold in half-open, too.
#[test]
fn enforcement_holds_for_refused_trials() {
    let (breaker, _) = half_open(CORE.enforce(Percent::new(50)));
    let trials: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    assert_eq!(passing(&breaker, 100).len(), 50);
    assert_eq!(breaker.state(), State::HalfOpen, "what is not enforced is no trial");
    trials.into_iter().for_each(breaker_core::Permit::success);
    assert_eq!(breaker.state(), State::Closed);
}

fn keyed(config: &CircuitBreakerConfig) -> (CircuitBreakers<String>, ManualClock) {
    let clock = ManualClock::new();
    (CircuitBreakers::with_capacity_and_clock(*config, 100, clock.clone()), clock)
}

/// S-CORE-13, threat T5: one route that opens does not harm another.
#[test]
fn threat_t5_when_one_route_opens_another_admits() {
    let (routes, clock) = keyed(&CORE);
    let (a, b) = (routes.get(&"/a".into()), routes.get(&"/b".into()));
    for _ in 0..100 {
        let _ = a.call(|| Err::<(), _>("down"));
        succeed(&b, 1);
    }
    assert_eq!((a.state(), b.state()), (State::Open, State::Closed));
    clock.advance(secs(60));
    assert_eq!((a.state(), b.state()), (State::HalfOpen, State::Closed));
}

/// S-CORE-13: what has no key has a circuit of its own.
#[test]
fn calls_without_a_key_share_one_circuit_beside_the_others() {
    let (routes, _) = keyed(&TOUCHY);
    fail(&routes.unmatched(), 1);
    assert_eq!(routes.unmatched().state(), State::Open);
    assert_eq!(routes.overflow().state(), State::Closed);
    assert_eq!(routes.get(&"/a".into()).state(), State::Closed);
}

/// A refusal that is known beforehand, so that nobody need wait for a readiness in vain.
#[test]
fn a_known_refusal_is_the_one_that_an_arrival_gets() {
    let (breaker, clock) = circuit(CORE);
    assert_eq!(breaker.known_refusal(), None);
    fail(&breaker, 5);
    // Also at the beginning of time.
    let known = breaker.known_refusal().expect("open");
    assert_eq!(breaker.snapshot().totals.refused, 0, "only announced");
    assert_eq!(known, breaker.try_acquire().unwrap_err());
    assert_eq!(breaker.refuse_known(known), known);
    assert_eq!(breaker.snapshot().totals.refused, 2);
    clock.advance(secs(60));
    assert_eq!(breaker.known_refusal(), None);
    breaker.force_open(breaker_core::Override::new("x").for_at_most(secs(1)));
    assert_eq!(breaker.known_refusal().unwrap(), breaker.try_acquire().unwrap_err());
    clock.advance(secs(1));
    assert_eq!(breaker.known_refusal(), None);
}
