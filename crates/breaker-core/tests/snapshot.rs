//! What a circuit tells about itself: figures, and one sentence.

mod common;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakers, Condition, Override, Percent, Recovery,
    Snapshot, State, Strategy, Tally, Tick, Trials, Trip, Window,
};
use common::{CORE, Recorder, circuit, fail, half_open, millis, play, secs, slow, succeed};

const WINDOWED: CircuitBreakerConfig = CORE.named("ledger").trip(
    Trip::failure_rate(Percent::new(50), Window::last(10).min_calls(4))
        .or(Trip::slow_rate(Percent::new(80), Window::last(10).min_calls(4))),
);

/// S-WIN-08: state, counts, rates, openings, wait, window.
#[test]
fn a_snapshot_holds_all_figures() {
    let (breaker, clock) = circuit(WINDOWED);
    clock.advance(secs(100));
    play(&breaker, "SS");
    slow(&breaker, &clock, secs(10));
    let closed = breaker.snapshot();
    assert_eq!((closed.name.as_str(), closed.state), ("ledger", State::Closed));
    assert_eq!(closed.tally, Tally { calls: 3, failures: 0, slow: 1 });
    assert_eq!((closed.failure_rate, closed.window), (Some(0.0), Some(10)));
    assert_eq!(closed.slow_rate, Some(1.0 / 3.0));
    assert_eq!((closed.since_failure, closed.remaining, closed.cause), (None, None, None));
    assert_eq!((closed.window_period, closed.consecutive_failures), (None, None));
    assert_eq!((closed.in_state, closed.at), (secs(110), Tick::from_millis(110_000)));
    play(&breaker, "FFF");
    clock.advance(secs(20));
    assert!(breaker.try_acquire().is_err());
    let open = breaker.snapshot();
    assert_eq!((open.state, open.generation, open.consecutive_openings), (State::Open, 1, 1));
    assert_eq!(open.tally, Tally { calls: 6, failures: 3, slow: 1 });
    assert_eq!((open.failure_rate, open.remaining), (Some(0.5), Some(secs(40))));
    assert_eq!((open.since_failure, open.in_state), (Some(secs(20)), secs(20)));
    assert_eq!((open.refused_in_state, open.totals.refused), (1, 1));
    assert_eq!(open.cause.unwrap().condition, Condition::FailureRate);
    clock.advance(secs(40));
    let _trial = breaker.try_acquire().unwrap();
    let half_open = breaker.snapshot();
    assert_eq!((half_open.state, half_open.trials_in_flight), (State::HalfOpen, 1));
    assert_eq!((half_open.tally, half_open.refused_in_state), (Tally::default(), 0));
}

/// S-WIN-08: a time window tells its period.
#[test]
fn a_snapshot_tells_the_period_of_a_time_window() {
    let (breaker, _) = circuit(CircuitBreakerConfig::http_client());
    assert_eq!(breaker.snapshot().window_period, Some(secs(30)));
}

/// S-WIN-08: how long each state has lasted.
#[test]
fn time_is_kept_per_state() {
    let (breaker, clock) = circuit(CORE);
    clock.advance(secs(7));
    fail(&breaker, 5);
    clock.advance(secs(300));
    succeed(&breaker, 2);
    clock.advance(secs(3));
    succeed(&breaker, 1);
    breaker.metrics_only("watch");
    fail(&breaker, 5);
    clock.advance(secs(11));
    let snapshot = breaker.snapshot();
    let spent = |state: State| {
        let index = State::ALL.iter().position(|other| *other == state).unwrap();
        snapshot.time_in_state[index].as_secs()
    };
    assert_eq!(spent(State::Closed), 7);
    assert_eq!(spent(State::Open), 60, "it was half-open from its sixtieth second on");
    assert_eq!((spent(State::HalfOpen), spent(State::MetricsOnly)), (243, 11));
    assert_eq!(snapshot.time_in_state.iter().sum::<std::time::Duration>(), secs(321));
}

/// S-WIN-08: successes are told only where they are counted.
#[test]
fn successes_are_known_where_somebody_asked_for_them() {
    let of = |config: CircuitBreakerConfig, observed: bool| {
        let (breaker, _) = circuit(config);
        let recorder = observed.then(|| Recorder::on(&breaker));
        succeed(&breaker, 3);
        drop(recorder);
        breaker.snapshot().successes()
    };
    assert_eq!(of(CORE, false), None);
    assert_eq!(of(CORE, true), Some(3));
    assert_eq!(of(CORE.totals(true), false), Some(3));
    assert_eq!(of(WINDOWED, false), None, "a full window of good calls takes in no more");
    let over_time = Trip::failure_count(5, Window::over(secs(10)));
    assert_eq!(of(CORE.trip(over_time), false), Some(3));
}

fn says(breaker: &CircuitBreaker, sentence: &str) {
    assert_eq!(breaker.explain(), sentence);
}

/// S-WIN-08: the sentence of each ordinary state.
#[test]
fn a_circuit_explains_why_it_is_as_it_is() {
    let (breaker, clock) = circuit(CORE.named("ledger"));
    fail(&breaker, 3);
    says(&breaker, "ledger is closed: 3 of 5 failures in a row");
    fail(&breaker, 2);
    clock.advance(millis(1_500));
    says(&breaker, "ledger is open since 1.5 s: 5 calls in a row failed; tries again in 58 s");
    clock.advance(secs(60));
    let trial = breaker.try_acquire().unwrap();
    says(
        &breaker,
        "ledger is half-open since 1.5 s: 1 trial calls are out; none has ended yet; decides after \
         at most 3 trial calls",
    );
    trial.failure(breaker_core::FailureKind::Timeout);
    clock.advance(millis(250));
    says(
        &breaker,
        "ledger is open since 250 ms: 1 of 1 trial calls failed; opening number 2 in a row; \
         tries again in 120 s",
    );
}

/// S-WIN-08: each condition in its words, and a time that is said as a person would.
#[test]
fn each_condition_is_explained_in_its_own_words() {
    let (breaker, _) = circuit(WINDOWED);
    play(&breaker, "SSSF");
    says(
        &breaker,
        "ledger is closed: 1 of the last 4 calls failed (opens at 50 % of at least 4), 0 were \
         slow (opens at 80 %)",
    );
    let trip = Trip::consecutive(3)
        .or(Trip::failure_count(5, Window::last(10)))
        .or(Trip::success_average(Percent::new(80), 100));
    let (breaker, _) = circuit(CORE.trip(trip));
    says(
        &breaker,
        "circuit is closed: 0 of 3 failures in a row, no calls lately (opens at 5), \
         successes average 100.0 % (opens below 80 %)",
    );
    let (breaker, clock) = circuit(CORE);
    breaker.force_open("x");
    clock.advance(secs(7_200));
    says(
        &breaker,
        "circuit is forced open since 120 min by an operator (\"x\"); until it is released",
    );
}

/// S-WIN-08: orders, with their reason and their end.
#[test]
fn an_order_is_explained_with_its_reason_and_its_end() {
    let order = || Override::new("deploy 42").for_at_most(secs(300));
    let (breaker, clock) = circuit(CORE.named("ledger"));
    breaker.force_open(order());
    clock.advance(secs(10));
    let rest = "since 10 s by an operator (\"deploy 42\"); ends in 290 s";
    says(&breaker, &format!("ledger is forced open {rest}"));
    breaker.force_closed(order());
    clock.advance(secs(10));
    says(&breaker, &format!("ledger is forced closed {rest}"));
    breaker.disable(order());
    clock.advance(secs(10));
    says(&breaker, &format!("ledger is disabled {rest}"));
    breaker.metrics_only("trial week");
    fail(&breaker, 8);
    says(
        &breaker,
        "ledger is only watching since 0 ms by an operator (\"trial week\"); it would have \
         refused 3 calls; until it is released",
    );
}

/// S-WIN-08: a ramp tells its share, and a changed configuration its number.
#[test]
fn a_ramp_and_a_configuration_are_explained() {
    let (breaker, _) = half_open(CircuitBreakerConfig::gradual());
    succeed(&breaker, 1);
    says(
        &breaker,
        "circuit is half-open since 0 ms: 10 % of the calls are admitted; 0 of 1 that ended \
         failed; the next step needs 3 good calls",
    );
    let (breaker, _) = circuit(CORE);
    breaker.reconfigure(CORE.trip(Trip::consecutive(7)));
    says(&breaker, "circuit is closed: 0 of 7 failures in a row; configuration v1");
}

/// S-WIN-08: each cause in its words.
#[test]
fn each_cause_is_said_in_its_own_words() {
    let of = |breaker: &CircuitBreaker| breaker.snapshot().cause.unwrap().to_string();
    let (breaker, clock) = circuit(WINDOWED);
    (0..4).for_each(|_| slow(&breaker, &clock, secs(10)));
    assert_eq!(of(&breaker), "4 of 4 calls were slow");
    let (breaker, _) = circuit(WINDOWED);
    play(&breaker, "SFSF");
    assert_eq!(of(&breaker), "2 of 4 calls failed");
    let (breaker, clock) = half_open(CORE.recovery(Recovery::Trials(Trials::new(1))));
    assert_eq!(of(&breaker), "an operator opened it");
    let _hung = breaker.try_acquire().unwrap();
    clock.advance(secs(60));
    assert_eq!(of(&breaker), "its trial calls gave no verdict in time");
    let (restored, _) = circuit(CORE);
    restored.restore(breaker.snapshot().to_saved()).unwrap();
    assert_eq!(of(&restored), "it was restored open");
    let (breaker, _) = circuit(CORE.trip(Trip::success_average(Percent::new(99), 10)));
    fail(&breaker, 1);
    assert_eq!(of(&breaker), "the average of successes fell below its threshold");
    let (breaker, _) = half_open(CircuitBreakerConfig::gradual());
    fail(&breaker, 1);
    assert_eq!(of(&breaker), "1 of 1 calls failed in recovery");
}

/// S-WIN-08: each condition is told with the figures that it looks at.
#[test]
fn each_condition_is_explained_with_its_own_figures() {
    let short = Trip::failure_rate(Percent::new(90), Window::last(10));
    let long = Trip::failure_rate(Percent::new(50), Window::last(100).min_calls(50));
    let (breaker, _) = circuit(CORE.trip(Trip::any(&[short, long, Trip::consecutive(5)])));
    play(&breaker, "FFFF");
    succeed(&breaker, 40);
    play(&breaker, "FF");
    says(
        &breaker,
        "circuit is closed: 2 of the last 10 calls failed, more often of late (opens at 90 % of at least 5), 6 of \
         the last 46 calls failed (opens at 50 % of at least 50), 2 of 5 failures in a row",
    );
}

/// Decides nothing.
struct Undecided;

impl Strategy for Undecided {
    fn open(&self, _: &Snapshot) -> bool {
        false
    }

    fn close(&self, _: &Snapshot) -> bool {
        false
    }

    fn name(&self) -> &'static str {
        "by the moon"
    }
}

/// S-WIN-08, S-STRAT-01: where a strategy of the user's decides, it is named instead of thresholds
/// that are not in force.
#[test]
fn a_strategy_of_the_users_is_named() {
    let (breaker, clock) = circuit(CORE);
    breaker.set_custom_strategy(Undecided);
    fail(&breaker, 7);
    assert_eq!(breaker.snapshot().strategy, Some("by the moon"));
    says(&breaker, "circuit is closed: 7 of 7 calls failed; \"by the moon\" decides");
    breaker.trip().unwrap();
    clock.advance(secs(60));
    succeed(&breaker, 1);
    says(
        &breaker,
        "circuit is half-open since 0 ms: 10 % of the calls are admitted; 0 of 1 that ended \
         failed; \"by the moon\" decides",
    );
    breaker.set_strategy(breaker_core::StrategyKind::Basic);
    assert_eq!(breaker.snapshot().strategy, None);
}

/// S-WIN-08, S-STRAT-07: a gate is mentioned, in every state.
#[test]
fn a_gate_is_mentioned() {
    let (breaker, _) = circuit(CORE);
    breaker.set_dependency_gate(|| breaker_core::GateVerdict::Admit);
    let gate = "; a dependency gate is asked before each call";
    says(&breaker, &format!("circuit is closed: 0 of 5 failures in a row{gate}"));
    breaker.trip().unwrap();
    let text = breaker.explain();
    assert!(text.ends_with(gate) && breaker.snapshot().gated, "{text}");
    breaker.clear_dependency_gate();
    let text = breaker.explain();
    assert!(!text.contains("gate") && !breaker.snapshot().gated, "{text}");
}

/// S-WIN-08: a circuit of a key says whose it is.
#[test]
fn a_circuit_of_a_key_is_told_by_its_key() {
    let hosts = CircuitBreakers::new(CircuitBreakerConfig::new().named("hosts"));
    let circuit = hosts.get(&"a.example");
    assert_eq!(circuit.snapshot().partition.as_deref(), Some("a.example"));
    let text = "hosts[a.example] is closed: 0 of 5 failures in a row";
    assert_eq!(circuit.explain(), text);
}
