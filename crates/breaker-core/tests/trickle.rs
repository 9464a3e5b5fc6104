//! Recovery by single calls while open, in proportion to the traffic.

mod common;

use std::time::Duration;

use breaker_core::machine::{Machine, Ticket};
use breaker_core::{
    Chance, CircuitBreaker, CircuitBreakerConfig, EventKind, FailureKind, ManualClock, Outcome,
    Pace, Percent, Permit, Ramp, RampPhase, Reason, Recovery, State, Tick, Transitions, Trickle,
    Trip,
};
use common::{Recorder, circuit, fail, millis, secs};
use proptest::prelude::*;

const fn by(trickle: Trickle) -> CircuitBreakerConfig {
    CircuitBreakerConfig::new().trip(Trip::consecutive(1)).recovery(Recovery::Trickle(trickle))
}

const EXACT: Trickle = Trickle::new().without_jitter();

/// An open circuit at the moment of its opening.
#[allow(clippy::large_types_passed_by_value, reason = "constants mostly")]
fn opened(config: CircuitBreakerConfig) -> (CircuitBreaker, ManualClock) {
    let (breaker, clock) = circuit(config);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
    (breaker, clock)
}

/// Arrivals every `pause`, for `time`; when a probe was admitted, in milliseconds, and the probes.
fn traffic(
    breaker: &CircuitBreaker,
    clock: &ManualClock,
    pause: Duration,
    time: Duration,
) -> Vec<(u64, Permit)> {
    let (mut passed, mut probes) = (Duration::ZERO, Vec::new());
    while passed < time {
        clock.advance(pause);
        passed += pause;
        if let Ok(permit) = breaker.try_acquire() {
            probes.push((passed.as_millis() as u64, permit));
        }
    }
    probes
}

/// One call in ten is a probe, within the intervals; the state stays open.
#[test]
fn probes_come_in_proportion_to_the_traffic() {
    for (pause, interval) in [(1, 200), (10, 200), (50, 500), (100, 1_000), (400, 4_000)] {
        let (breaker, clock) = opened(by(EXACT));
        let probes = traffic(&breaker, &clock, millis(pause), secs(20));
        for pair in probes.windows(2) {
            let between = pair[1].0 - pair[0].0;
            assert!(between.abs_diff(interval) <= pause, "{between} ms at {pause} ms");
        }
        let expected = 20_000 / interval;
        assert!(probes.len().abs_diff(expected as usize) <= 1, "{} at {pause} ms", probes.len());
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(breaker.snapshot().trials_in_flight as usize, probes.len());
    }
}

/// R3: a callee that is called seldom is found by the next call.
#[test]
fn with_a_call_a_minute_each_is_a_probe() {
    let (breaker, clock) = opened(by(Trickle::new()));
    for _ in 0..5 {
        clock.advance(secs(60));
        breaker.try_acquire().unwrap().failure(FailureKind::Internal);
    }
    clock.advance(secs(60));
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-01: by the edges that every circuit has, and both are told.
#[test]
fn a_good_probe_closes_by_way_of_half_open() {
    let (breaker, clock) = opened(by(EXACT));
    let recorder = Recorder::on(&breaker);
    clock.advance(secs(5));
    breaker.try_acquire().unwrap().success();
    assert_eq!(
        recorder.path(),
        ["open>half_open probe_succeeded", "half_open>closed trials_succeeded"]
    );
    assert_eq!(breaker.snapshot().consecutive_openings, 0);
}

/// S-STRAT-03, S-STRAT-04: or it begins a ramp, for which it is the first proof.
#[test]
fn a_good_probe_begins_a_ramp() {
    let ramp = Ramp::linear(secs(20)).successes(1);
    let (breaker, clock) = opened(by(EXACT.then_ramp(ramp)));
    let recorder = Recorder::on(&breaker);
    clock.advance(secs(5));
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.snapshot().ramp_phase(), Some(RampPhase::Initial));
    let told = recorder.take();
    assert!(matches!(told[0], EventKind::StateChanged { .. }));
    assert_eq!(told[1], EventKind::RampStarted { share: Percent::new(10) });
    clock.advance(secs(20));
    assert_eq!(breaker.state(), State::Closed, "nobody called, and nothing spoke against it");
    assert_eq!(breaker.snapshot().ramp_phase(), Some(RampPhase::Full));
}

/// S-STRAT-05: a ramp that relapses trickles again.
#[test]
fn a_relapse_of_the_ramp_leads_back_to_probes() {
    let (breaker, clock) = opened(by(EXACT.then_ramp(Ramp::new())));
    clock.advance(secs(5));
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker.try_acquire().unwrap().failure(FailureKind::Internal);
    assert_eq!(breaker.state(), State::Open);
    clock.advance(secs(5));
    assert!(breaker.try_acquire().is_ok());
}

/// S-CORE-06: only probes of this opening count.
#[test]
fn a_call_from_before_the_opening_is_no_probe() {
    let (breaker, _) = circuit(by(EXACT));
    let early = breaker.try_acquire().unwrap();
    fail(&breaker, 1);
    early.success();
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().totals.late, 1);
}

/// S-STRAT-08, R3: a probe that hangs keeps no other back, and one that was dropped is no failure.
#[test]
fn lost_and_hanging_probes_do_not_hold_up_the_schedule() {
    let (breaker, clock) = opened(by(EXACT));
    let hung = traffic(&breaker, &clock, millis(10), secs(2));
    assert_eq!(hung.len(), 10);
    let mut rest = hung.into_iter().map(|(_, probe)| probe);
    drop(rest.next());
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.trials_in_flight, snapshot.failed_probes), (9, 0));
    rest.next_back().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
    // The others are of an opening that is over.
    rest.for_each(|probe| probe.failure(FailureKind::Timeout));
    assert_eq!(breaker.state(), State::Closed);
}

/// Failed probes stretch the intervals, up to five times after 100 s; hanging ones do not.
#[test]
fn failed_probes_stretch_the_intervals() {
    let (breaker, clock) = opened(by(EXACT));
    let mut last = None;
    let mut intervals = Vec::new();
    for at in (10..=200_000).step_by(10) {
        clock.advance(millis(10));
        if let Ok(probe) = breaker.try_acquire() {
            probe.failure(FailureKind::Internal);
            intervals.extend(last.replace(at).map(|last| (at, at - last)));
        }
    }
    let at = |time: u64| intervals.iter().find(|(at, _)| *at >= time).unwrap().1;
    assert_eq!((at(1_000), at(19_000)), (200, 200));
    assert!((380..=420).contains(&at(40_000)), "{}", at(40_000));
    assert_eq!((at(105_000), at(199_000)), (1_000, 1_000));
    assert_eq!(breaker.snapshot().failed_probes as usize, intervals.len() + 1);
}

/// S-CORE-09: the refused are told when the next probe is due.
#[test]
fn a_refusal_names_the_time_of_the_next_probe() {
    let (breaker, clock) = opened(by(EXACT));
    let refused = breaker.try_acquire().unwrap_err();
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::Open, Some(millis(200))));
    assert_eq!(breaker.known_refusal(), Some(refused));
    // One call a second: measured when the first one asks after 200 ms, and then five seconds.
    clock.advance(secs(1));
    assert_eq!(breaker.known_refusal(), None);
    let refused = breaker.try_acquire().unwrap_err();
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::Open, Some(secs(4))));
    assert!(
        breaker.explain().ends_with("; the next probe is due in 4.0 s"),
        "{}",
        breaker.explain()
    );
    clock.advance(secs(4));
    assert!(breaker.explain().ends_with("; the next call is a probe"));
    let _out = breaker.try_acquire().unwrap();
    assert!(
        breaker.explain().contains("; of its probes 0 failed, 1 are out;"),
        "{}",
        breaker.explain()
    );
}

/// A callee that asks for patience gets it, up to the cap of the open period.
#[test]
fn a_wait_that_the_callee_asks_for_delays_the_first_probe() {
    let pace = Pace::exponential(secs(5)).cap(secs(60));
    for (asked, waited) in [(30, 30), (3_600, 60)] {
        let (breaker, clock) = circuit(by(EXACT).open_period(pace));
        let overload = FailureKind::Overload { retry_after: Some(secs(asked)) };
        breaker.try_acquire().unwrap().failure(overload);
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(secs(waited)));
        clock.advance(secs(waited) - millis(1));
        assert!(breaker.try_acquire().is_err());
        clock.advance(millis(1));
        breaker.try_acquire().unwrap().failure(overload);
        assert_eq!(breaker.snapshot().remaining, Some(secs(waited)), "and so does a probe");
    }
}

/// Waits are spread, the first by a half and later ones by a quarter.
#[test]
fn probes_of_many_circuits_do_not_march_in_step() {
    let config = by(Trickle::new().intervals(secs(4), secs(4)));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for seed in 0..200 {
        let clock = ManualClock::new();
        let breaker = CircuitBreaker::with_clock_and_seed(config, clock.clone(), seed);
        fail(&breaker, 1);
        let wait = breaker.snapshot().remaining.unwrap();
        first.push(wait);
        clock.advance(wait);
        let _probe = breaker.try_acquire().unwrap();
        second.push(breaker.snapshot().remaining.unwrap());
    }
    let bounds = |waits: &[Duration]| (*waits.iter().min().unwrap(), *waits.iter().max().unwrap());
    let (least, most) = bounds(&first);
    assert!(least >= secs(2) && least < millis(2_300) && most > millis(5_700) && most <= secs(6));
    let (least, most) = bounds(&second);
    assert!(least >= secs(3) && least < millis(3_100) && most > millis(4_900) && most <= secs(5));
}

/// S-CORE-11: an operator can ask for a trial, and shadow refuses nobody.
#[test]
fn operators_stand_above_probes() {
    let (breaker, _) = opened(by(EXACT));
    breaker.attempt_reset().unwrap();
    let trial = breaker.try_acquire().unwrap();
    assert_eq!(breaker.try_acquire().unwrap_err().reason(), Reason::NoTrialFree);
    trial.success();
    assert_eq!(breaker.state(), State::Closed);
    let (breaker, clock) = opened(by(EXACT));
    breaker.metrics_only("look first");
    assert!(breaker.try_acquire().is_ok());
    assert_eq!(breaker.snapshot().shadow, Some(State::Open));
    clock.advance(secs(10));
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.snapshot().shadow, Some(State::Closed), "a probe in shadow");
}

/// S-CORE-05: an outcome that nobody asked admission for is a probe where one is due.
#[test]
fn a_recording_counts_as_a_probe_when_one_is_due() {
    let (breaker, clock) = opened(by(EXACT));
    breaker.record(Outcome::Success);
    assert_eq!(breaker.state(), State::Open, "none is due yet");
    clock.advance(secs(10));
    breaker.record(Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

/// Probes come and go with the configuration, in the same opening.
#[test]
fn probes_can_be_configured_while_open() {
    let period = Pace::fixed(secs(60));
    let trials = CircuitBreakerConfig::new().trip(Trip::consecutive(1)).open_period(period);
    let (breaker, clock) = opened(trials);
    clock.advance(secs(10));
    breaker.reconfigure(by(EXACT).open_period(period));
    let probe = breaker.try_acquire().unwrap();
    breaker.reconfigure(trials);
    probe.success();
    assert_eq!((breaker.state(), breaker.snapshot().remaining), (State::Open, Some(secs(50))));
    breaker.reconfigure(by(EXACT).open_period(period));
    clock.advance(secs(5));
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

/// S-CORE-05: what the callee asked for when a probe failed outlives another configuration, as it
/// does where the circuit opened with it.
#[test]
fn another_configuration_does_not_cut_short_what_the_callee_asked_for() {
    let (breaker, clock) = opened(by(EXACT));
    clock.advance(secs(10));
    let probe = breaker.try_acquire().unwrap();
    let overload = FailureKind::Overload { retry_after: Some(secs(60)) };
    probe.failure(overload);
    assert_eq!(breaker.snapshot().remaining, Some(secs(60)));
    breaker.reconfigure(by(EXACT).named("renamed"));
    assert_eq!(breaker.snapshot().remaining, Some(secs(60)));
    let capped = Pace::fixed(secs(20)).cap(secs(20));
    breaker.reconfigure(by(EXACT).open_period(capped));
    assert_eq!(breaker.snapshot().remaining, Some(secs(20)), "the cap bounds it all the same");
    clock.advance(secs(20) - millis(1));
    assert!(breaker.try_acquire().is_err());
    clock.advance(millis(1));
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

/// What a machine answers to the `n`th arrival: whether it is a probe.
fn arrive(machine: &mut Machine, config: &CircuitBreakerConfig, now: Tick) -> Option<Ticket> {
    machine.admit(config, now, &mut Transitions::new()).ok()
}

proptest! {
    /// Whether a shell brings its refusals home one by one or all at once makes no difference to
    /// the measured traffic, nor to anything else.
    #[test]
    fn the_measured_traffic_does_not_depend_on_who_counts(
        pauses in prop::collection::vec(0..700_u64, 1..300),
        share in 1..=100_u8,
        jitter in any::<bool>(),
    ) {
        let trickle = Trickle::new().probe_share(Percent::new(share));
        let trickle = if jitter { trickle } else { trickle.without_jitter() };
        let config = by(trickle);
        let mut asked = Machine::new(&config, Chance::seeded(9));
        asked.trip(&config, Tick::ZERO, &mut Transitions::new()).unwrap();
        let mut told = asked.clone();
        let (mut now, mut refused, mut probes) = (Tick::ZERO, 0, 0);
        for pause in pauses {
            now = now.after(Duration::from_millis(pause));
            let answer = arrive(&mut asked, &config, now);
            if told.open_until(&config).is_some_and(|shut| now < shut.until) {
                prop_assert!(answer.is_none());
                refused += 1;
                continue;
            }
            told.refuse_many(std::mem::take(&mut refused));
            let same = arrive(&mut told, &config, now);
            prop_assert_eq!(answer, same);
            prop_assert!(asked == told);
            if let Some(ticket) = same {
                probes += 1;
                for machine in [&mut asked, &mut told] {
                    let failure = Outcome::Failure(FailureKind::Internal);
                    let mut done = Transitions::new();
                    machine.settle(&config, ticket, failure, None, now, &mut done);
                }
            }
        }
        // No more than the shortest interval allows, less a quarter.
        let most = now.since(Tick::ZERO).as_millis() / 150 + 1;
        prop_assert!(probes <= most);
    }
}

/// The adaptive profile from end to end: eight failures open it, a good probe begins a slow start,
/// and calls that succeed one after the other close it.
#[test]
fn the_adaptive_profile_opens_probes_and_starts_slowly() {
    let (breaker, clock) = circuit(CircuitBreakerConfig::adaptive());
    fail(&breaker, 7);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
    let mut waited = 0;
    while breaker.state() == State::Open {
        clock.advance(millis(100));
        waited += 1;
        if let Ok(permit) = breaker.try_acquire() {
            permit.success();
        }
        assert!(waited < 100, "no probe in ten seconds");
    }
    assert_eq!(breaker.state(), State::HalfOpen);
    let calls = (1..=100).find(|_| {
        breaker.try_acquire().expect("below the limit").success();
        breaker.state() == State::Closed
    });
    assert_eq!(calls, Some(14), "from 2 to 16 in flight, one for each");
}
