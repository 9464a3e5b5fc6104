//! Whole outages in virtual time (chapter 23).

mod common;

use std::time::Duration;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, FailureKind, Jitter, ManualClock, Pace, Permit, State,
    Tick,
};
use common::{CORE, Recorder, circuit, millis, secs};

/// A callee that is down for a while, and who called it when.
struct Callee {
    down: std::ops::Range<u64>,
    calls: Vec<u64>,
}

impl Callee {
    fn down(down: std::ops::Range<u64>) -> Self {
        Self { down, calls: Vec::new() }
    }

    /// Calls every `step` until `end`, in milliseconds.
    fn call(&mut self, breaker: &CircuitBreaker, clock: &ManualClock, step: u64, end: u64) {
        let mut now = 0;
        while now < end {
            clock.set(Tick::from_millis(now));
            if let Ok(permit) = breaker.try_acquire() {
                self.calls.push(now);
                if self.down.contains(&now) {
                    permit.failure(FailureKind::Connection);
                } else {
                    permit.success();
                }
            }
            now += step;
        }
    }

    /// The calls of a span of time.
    fn within(&self, span: std::ops::Range<u64>) -> Vec<u64> {
        self.calls.iter().copied().filter(|at| span.contains(at)).collect()
    }
}

/// S-CORE-02, S-CORE-03, S-CORE-05, S-WIN-05: from t = 10 s to 100 s the callee is dead.
#[test]
fn an_outage_costs_five_calls_and_one_trial() {
    let (breaker, clock) = circuit(CORE);
    let recorder = Recorder::on(&breaker);
    let mut callee = Callee::down(10_000..100_000);
    callee.call(&breaker, &clock, 10, 300_000);
    let opened = 10_040;
    assert_eq!(callee.within(10_000..opened + 1).len(), 5);
    let second = opened + 60_000;
    assert_eq!(callee.within(opened + 1..second + 120_000), [second], "one trial, which failed");
    let times: Vec<_> = recorder.transitions().iter().map(|step| step.at).collect();
    let at = |millis: u64| Tick::from_millis(millis);
    let third = second + 120_000;
    assert_eq!(times, [at(opened), at(second), at(second), at(third), at(third + 20)]);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(callee.within(third..300_000).len() as u64, (300_000 - third) / 10);
}

/// S-STRAT-05: a callee that dies again during its recovery is left alone for a whole period.
#[test]
fn a_relapse_during_the_ramp_does_not_oscillate() {
    let pace = Pace::exponential(secs(60)).jitter(Jitter::None);
    let (breaker, clock) = circuit(CircuitBreakerConfig::gradual().open_period(pace));
    let recorder = Recorder::on(&breaker);
    let (mut trials, mut calls) = (0, Vec::new());
    for now in (0..400_000).step_by(10) {
        clock.set(Tick::from_millis(now));
        let Ok(permit) = breaker.try_acquire() else { continue };
        calls.push(now);
        trials += u32::from(breaker.state() == State::HalfOpen);
        // Twelve clean trials lead to 50 %; there it dies again.
        let dead = now < 1_000 || trials > 12 && now < 150_000;
        if dead { permit.failure(FailureKind::Internal) } else { permit.success() }
    }
    let opened: Vec<_> = recorder
        .transitions()
        .iter()
        .filter(|step| step.to == State::Open)
        .map(|step| step.at.as_nanos() / 1_000_000)
        .collect();
    assert_eq!(opened.len(), 2, "{opened:?}");
    let relapse = opened[1];
    assert!(relapse >= opened[0] + 60_000, "no sooner than a period later");
    assert!(!calls.iter().any(|at| (relapse + 1..relapse + 120_000).contains(at)));
    assert_eq!(breaker.state(), State::Closed);
}

fn hang(patience: Duration) -> CircuitBreaker {
    let (breaker, clock) = circuit(CORE);
    let mut out: Vec<(Tick, Permit)> = Vec::new();
    for now in 0..120 {
        clock.set(Tick::from_millis(now * 1_000));
        out.retain(|(began, _)| Tick::from_millis(now * 1_000).since(*began) < patience);
        if let Ok(permit) = breaker.try_acquire() {
            out.push((Tick::from_millis(now * 1_000), permit));
        }
    }
    breaker
}

/// S-CORE-07: the callee never answers.
#[test]
fn a_hang_opens_for_patient_callers_and_not_for_impatient_ones() {
    let patient = hang(secs(12));
    assert!(patient.snapshot().consecutive_openings > 0);
    assert!(patient.snapshot().totals.refused > 50);
    assert_eq!(patient.snapshot().totals.successes, 0);
    let impatient = hang(secs(1));
    assert_eq!(impatient.state(), State::Closed);
    assert_eq!(impatient.snapshot().totals.refused, 0);
}

/// S-CORE-06, S-WIN-08: the process restarts with 40 s left.
#[test]
fn a_restart_in_an_outage_calls_nobody_for_the_rest_of_the_period() {
    let (before, clock) = circuit(CORE);
    let mut callee = Callee::down(0..1_000_000);
    callee.call(&before, &clock, 100, 20_500);
    let saved = before.snapshot().to_saved();
    let rest = saved.remaining.as_millis() as u64;
    let (after, clock) = circuit(CORE);
    after.restore(saved).unwrap();
    let mut callee = Callee::down(0..0);
    callee.call(&after, &clock, 100, 100_000);
    assert!((39_000..41_000).contains(&rest));
    assert_eq!(callee.calls[0], rest.next_multiple_of(100));
    assert_eq!(after.state(), State::Closed);
}

/// S-CORE-05: what flaps is not let flap: the periods grow.
#[test]
fn a_callee_that_flaps_is_tried_less_and_less() {
    let (breaker, clock) = circuit(CORE);
    let recorder = Recorder::on(&breaker);
    // Each first trial is good, each second one fails.
    let mut trial = 0;
    for now in (0..3_600_000).step_by(100) {
        clock.set(Tick::from_millis(now));
        let half_open = breaker.state() == State::HalfOpen;
        let Ok(permit) = breaker.try_acquire() else { continue };
        trial += u32::from(half_open);
        if half_open && trial % 2 == 1 {
            permit.success();
        } else {
            permit.failure(FailureKind::Timeout);
        }
    }
    let opened = recorder.transitions().iter().filter(|step| step.to == State::Open).count();
    // 60, 120 and 240 s, then 300 s each, for an hour.
    assert_eq!(opened, 3 + 11);
    assert_eq!(breaker.snapshot().totals.failures, 5 + 13);
    assert!(breaker.snapshot().in_state <= millis(300_000));
}
