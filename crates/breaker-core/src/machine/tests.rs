//! The configurations whose worlds are walked: closed admits; open admits only after its time;
//! nothing that ends while open moves it; never more trials than allowed; from every world a
//! callee that is well leads back to closed.

use std::time::Duration;

use super::walk::{SECOND, walk};
use crate::config::{
    CircuitBreakerConfig, Cusum, OnRelapse, OnStayElapsed, Ramp, Recovery, Trials, Trickle, Trip,
    Window,
};
use crate::pace::{Jitter, Pace};
use crate::percent::Percent;

const HALF: Percent = Percent::new(50);
const STAY: Duration = Duration::from_secs(3);

/// Opens for 2 s, then for 4 s.
const BASE: CircuitBreakerConfig = CircuitBreakerConfig::new()
    .trip(Trip::consecutive(2))
    .open_period(
        Pace::exponential(Duration::from_secs(2)).cap(Duration::from_secs(4)).jitter(Jitter::None),
    )
    .slow_call_duration(SECOND);

const fn by(trials: Trials) -> CircuitBreakerConfig {
    BASE.recovery(Recovery::Trials(trials.max_stay(STAY)))
}

const RAMP: Ramp = Ramp::new()
    .base_share(Percent::new(40))
    .share_step(Percent::new(30))
    .recovery_error_rate(Percent::ZERO)
    .successes(1)
    .max_stay(STAY);

#[test]
fn one_trial_after_two_failures_in_a_row() {
    seen("one trial", 4, &[by(Trials::new(1))]);
}

#[test]
fn two_trials_after_two_failures_in_a_row() {
    seen("two trials", 3, &[by(Trials::new(2))]);
}

#[test]
fn two_trials_that_close_when_they_take_too_long() {
    let trials = Trials::new(2).successes(1).on_stay_elapsed(OnStayElapsed::Close);
    seen("closing stay", 4, &[by(trials)]);
}

#[test]
fn a_window_of_three_calls_and_a_verdict_by_rate() {
    let trip = Trip::failure_rate(HALF, Window::last(3).min_calls(2));
    seen("window of three", 2, &[by(Trials::new(2).by_rate(HALF)).trip(trip)]);
}

#[test]
fn a_score_that_is_above_its_threshold_after_two_failures() {
    // A failure adds what a success takes off, so that few scores are possible.
    let cusum = Cusum::between(Percent::new(20), Percent::new(80)).threshold(2.5);
    seen("score", 2, &[by(Trials::new(1)).trip(Trip::cusum(cusum))]);
}

#[test]
fn a_ramp_of_two_steps() {
    seen("ramp", 2, &[BASE.recovery(Recovery::Ramp(RAMP))]);
}

#[test]
fn a_ramp_that_reopens_at_once() {
    let ramp = RAMP.on_relapse(OnRelapse::Reopen);
    seen("ramp that reopens", 2, &[BASE.recovery(Recovery::Ramp(ramp))]);
}

/// Two steps, of 0.95 s and 0.05 s.
const TIMED: Ramp = Ramp::linear(SECOND)
    .base_share(Percent::new(90))
    .recovery_error_rate(Percent::ZERO)
    .on_relapse(OnRelapse::Reopen)
    .successes(2)
    .max_stay(STAY);

#[test]
fn a_ramp_that_time_moves() {
    seen("ramp by time", 2, &[BASE.recovery(Recovery::Ramp(TIMED))]);
}

#[test]
fn a_slow_start_up_to_four_in_flight() {
    let ramp = Ramp::slow_start(4).recovery_error_rate(Percent::ZERO).max_stay(STAY);
    seen("slow start", 3, &[BASE.recovery(Recovery::Ramp(ramp))]);
}

const TRICKLE: Trickle = Trickle::new().intervals(SECOND, SECOND).without_jitter();

#[test]
fn probes_that_close_at_once() {
    seen("trickle", 3, &[BASE.recovery(Recovery::Trickle(TRICKLE))]);
}

#[test]
fn probes_that_lead_to_a_ramp() {
    let slow_start = Ramp::slow_start(4).recovery_error_rate(Percent::ZERO).max_stay(STAY);
    let trickle = TRICKLE.then_ramp(slow_start);
    seen("trickle, then ramp", 2, &[BASE.recovery(Recovery::Trickle(trickle))]);
}

#[test]
fn probes_that_are_replaced_by_trials() {
    seen("trickle and trials", 2, &[BASE.recovery(Recovery::Trickle(TRICKLE)), by(Trials::new(1))]);
}

#[test]
fn a_configuration_that_is_replaced_by_one_with_fewer_trials() {
    seen(
        "fewer trials",
        3,
        &[
            by(Trials::new(2)),
            by(Trials::new(1)).open_period(Pace::fixed(SECOND).jitter(Jitter::None)),
        ],
    );
}

#[test]
fn trials_that_are_replaced_by_a_ramp() {
    seen("trials and ramp", 1, &[by(Trials::new(1)), BASE.recovery(Recovery::Ramp(RAMP))]);
}

fn seen(name: &str, most_out: usize, configs: &[CircuitBreakerConfig]) {
    let worlds = walk(configs, most_out);
    println!("{name}: {worlds} worlds");
    assert!(worlds > 2_000, "{name}: only {worlds} worlds");
}
