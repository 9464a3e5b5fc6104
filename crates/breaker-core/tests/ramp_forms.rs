//! The forms of a ramp: by a list of shares, by time, and by calls in flight.

mod common;

use std::time::Duration;

use breaker_core::{
    CircuitBreaker, CircuitBreakerConfig, Condition, EventKind, FailureKind, Jitter, ManualClock,
    OnRelapse, Pace, Percent, Permit, Ramp, RampPhase, RampSpeed, Reason, Recovery, State,
};
use common::{Recorder, half_open, millis, secs};

const fn by(ramp: Ramp) -> CircuitBreakerConfig {
    CircuitBreakerConfig::new()
        .open_period(Pace::exponential(secs(60)).jitter(Jitter::None))
        .recovery(Recovery::Ramp(ramp))
}

const STEPS: Ramp =
    Ramp::steps(&[Percent::new(10), Percent::new(25), Percent::new(50), Percent::new(100)]);
const LINEAR: Ramp = Ramp::linear(secs(20));

/// Asks until a call is admitted.
fn arrive(breaker: &CircuitBreaker) -> Permit {
    (0..100).find_map(|_| breaker.try_acquire().ok()).expect("one in a hundred is admitted")
}

fn good(breaker: &CircuitBreaker, calls: u32) {
    (0..calls).for_each(|_| arrive(breaker).success());
}

fn bad(breaker: &CircuitBreaker) {
    arrive(breaker).failure(FailureKind::Internal);
}

/// In basis points.
fn share(breaker: &CircuitBreaker) -> i32 {
    breaker.snapshot().share.expect("a ramp").as_basis_points().into()
}

/// The steps that were told, in basis points; negative where the ramp relapsed.
fn told(recorder: &Recorder) -> Vec<i32> {
    let step = |kind| match kind {
        EventKind::RampStep { to, .. } => Some(i32::from(to.as_basis_points())),
        EventKind::RampRelapsed { to, .. } => Some(-i32::from(to.as_basis_points())),
        _ => None,
    };
    recorder.take().into_iter().filter_map(step).collect()
}

/// One good call in each `pause`, until the circuit is closed; the shares and when they began.
fn climb(breaker: &CircuitBreaker, clock: &ManualClock, pause: Duration) -> Vec<(u64, i32)> {
    let (mut passed, mut seen) = (Duration::ZERO, vec![(0, share(breaker))]);
    good(breaker, 1);
    while breaker.state() == State::HalfOpen && passed < secs(1_000) {
        clock.advance(pause);
        passed += pause;
        let Some(now) = breaker.snapshot().share else { break };
        let now = i32::from(now.as_basis_points());
        if seen.last().is_some_and(|(_, last)| *last != now) {
            seen.push((passed.as_millis() as u64, now));
        }
        good(breaker, 1);
    }
    seen
}

// ----- by a list of shares -----

/// S-STRAT-03, S-STRAT-04: each share for so many good calls; all of it is a step, too.
#[test]
fn a_ramp_by_steps_climbs_its_list_and_closes_after_the_last() {
    let (breaker, _) = half_open(by(STEPS.successes(5)));
    let (recorder, mut phases) = (Recorder::on(&breaker), Vec::new());
    for expected in [1_000, 2_500, 5_000, 10_000] {
        assert_eq!(share(&breaker), expected);
        phases.push(breaker.snapshot().ramp_phase().unwrap());
        good(&breaker, 5);
    }
    assert_eq!(breaker.state(), State::Closed);
    use RampPhase::{Final, Initial, Progressive};
    assert_eq!(phases, [Initial, Progressive, Final, Final]);
    assert_eq!(told(&recorder), [2_500, 5_000, 10_000]);
    assert_eq!(breaker.snapshot().ramp_phase(), Some(RampPhase::Full));
}

/// S-STRAT-05, S-STRAT-06: back to the share before, for twice as many calls, and then four times;
/// a step that is good makes up for one that was not.
#[test]
fn a_failed_step_leads_back_to_the_one_before_which_lasts_twice_as_long() {
    let (breaker, _) = half_open(by(STEPS.successes(3)));
    let recorder = Recorder::on(&breaker);
    good(&breaker, 3);
    bad(&breaker);
    assert_eq!(told(&recorder), [2_500, -1_000]);
    good(&breaker, 5);
    assert_eq!(told(&recorder), [0; 0]);
    assert!(breaker.explain().ends_with("the next step needs 6 good calls"));
    good(&breaker, 1);
    assert_eq!(told(&recorder), [2_500]);
    good(&breaker, 3);
    assert_eq!(told(&recorder), [5_000]);
}

/// S-STRAT-05: at the first share a failed step reopens.
#[test]
fn a_ramp_by_steps_reopens_where_its_first_step_fails() {
    let (breaker, _) = half_open(by(STEPS));
    bad(&breaker);
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::RampRelapsed);
}

/// S-STRAT-06: a clean step makes the next one shorter.
#[test]
fn an_adaptive_ramp_by_steps_needs_fewer_calls_where_all_is_well() {
    let (breaker, _) = half_open(by(STEPS.speed(RampSpeed::Adaptive)));
    for calls in [20, 14, 9, 8] {
        assert_eq!(breaker.state(), State::HalfOpen);
        let before = breaker.snapshot().share;
        good(&breaker, calls - 1);
        assert_eq!(breaker.snapshot().share, before, "not before {calls}");
        good(&breaker, 1);
    }
    assert_eq!(breaker.state(), State::Closed);
}

// ----- by time -----

/// S-STRAT-03, S-STRAT-04: t / T, never below the base share, in steps of 5 %; it is told at each.
#[test]
fn a_linear_ramp_follows_the_time_that_has_passed() {
    let (breaker, clock) = half_open(by(LINEAR));
    let recorder = Recorder::on(&breaker);
    let seen = climb(&breaker, &clock, millis(500));
    let expected: Vec<_> = [(0, 1_000)]
        .into_iter()
        .chain((3..20_i32).map(|step| (step as u64 * 1_000, step * 500)))
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(told(&recorder).len(), 17);
}

/// S-STRAT-03: the share doubles in each period.
#[test]
fn an_exponential_ramp_doubles_in_each_period() {
    let (breaker, clock) = half_open(by(Ramp::exponential(secs(4))));
    let seen = climb(&breaker, &clock, millis(250));
    let at = |millis| seen.iter().find(|(at, _)| *at == millis).map(|(_, share)| *share);
    assert_eq!(seen.len(), 14);
    for (time, expected) in [(1_000, 1_189), (4_000, 2_000), (8_000, 4_000), (12_000, 8_000)] {
        let share = at(time).unwrap();
        assert!((share - expected).abs() < 20, "{share} at {time} ms");
    }
    assert_eq!(breaker.state(), State::Closed);
}

/// S-STRAT-03: the form of Envoy: (t / T)^(1 / aggression).
#[test]
fn an_aggressive_ramp_grows_fast_at_first() {
    let (breaker, clock) = half_open(by(Ramp::aggressive(secs(100), 2.0)));
    let seen = climb(&breaker, &clock, millis(250));
    for share in [20, 50, 70] {
        let (at, _) = seen.iter().find(|(_, seen)| *seen == share * 100).unwrap();
        let expected = i64::from(share * share * 10);
        assert!((*at as i64 - expected).abs() <= 250, "{share} % at {at} ms");
    }
}

/// S-STRAT-03, R3: time alone proves nothing: without a call that ended well the share stands.
#[test]
fn the_share_does_not_grow_by_time_alone() {
    let (breaker, clock) = half_open(by(LINEAR));
    clock.advance(secs(100));
    assert_eq!(share(&breaker), 1_000, "nobody has called yet");
    good(&breaker, 1);
    assert_eq!(share(&breaker), 1_500);
    // Nobody calls: then time is all there is, but the last proofs are waited for.
    clock.advance(secs(100));
    assert_eq!(share(&breaker), 10_000);
    assert_eq!(breaker.state(), State::HalfOpen);
    good(&breaker, 2);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-STRAT-08: where all calls hang the share stands, and the stay ends.
#[test]
fn a_ramp_by_time_stands_still_while_its_calls_hang() {
    let (breaker, clock) = half_open(by(Ramp::linear(secs(200)).max_stay(secs(30))));
    good(&breaker, 1);
    clock.advance(secs(30));
    assert_eq!(share(&breaker), 1_500);
    let hung: Vec<_> = (0..5).map(|_| arrive(&breaker)).collect();
    clock.advance(millis(29_999));
    assert_eq!(share(&breaker), 1_500, "ten seconds would have been enough");
    clock.advance(millis(1));
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().cause.unwrap().condition, Condition::StayElapsed);
    drop(hung);
}

/// S-STRAT-08: a long step is no end for a service that always has calls in flight.
#[test]
fn a_busy_callee_is_not_taken_for_one_that_hangs() {
    let (breaker, clock) = half_open(by(Ramp::linear(secs(2_000)).max_stay(secs(5))));
    let mut out = arrive(&breaker);
    for _ in 0..2_000 {
        clock.advance(secs(1));
        let next = arrive(&breaker);
        std::mem::replace(&mut out, next).success();
    }
    assert_eq!(breaker.state(), State::Closed);
}

/// S-STRAT-05: errors set the share back by a step, and reopen at the base.
#[test]
fn a_ramp_by_time_steps_back_when_calls_fail() {
    let (breaker, clock) = half_open(by(LINEAR));
    good(&breaker, 1);
    clock.advance(secs(7));
    assert_eq!(share(&breaker), 3_500);
    let recorder = Recorder::on(&breaker);
    (0..3).for_each(|_| bad(&breaker));
    assert_eq!(told(&recorder), [-2_500, -1_500, -1_000]);
    clock.advance(secs(100));
    assert_eq!(share(&breaker), 1_000, "no success since");
    bad(&breaker);
    assert_eq!(breaker.state(), State::Open);
    let (strict, clock) = half_open(by(LINEAR.on_relapse(OnRelapse::Reopen)));
    good(&strict, 1);
    clock.advance(secs(7));
    bad(&strict);
    assert_eq!(strict.state(), State::Open);
}

/// S-STRAT-05: a doubling ramp is halved.
#[test]
fn an_exponential_ramp_is_halved_by_errors() {
    let (breaker, clock) = half_open(by(Ramp::exponential(secs(1))));
    good(&breaker, 1);
    clock.advance(secs(2));
    let before = share(&breaker);
    let recorder = Recorder::on(&breaker);
    bad(&breaker);
    assert_eq!(told(&recorder), [-before / 2]);
    assert!(before > 3_500, "two doublings, in whole basis points: {before}");
}

/// S-STRAT-06: steps by time become shorter where all is well, and longer after errors.
#[test]
fn an_adaptive_ramp_by_time_is_faster_when_clean_and_slower_after_errors() {
    let adaptive = LINEAR.speed(RampSpeed::Adaptive).recovery_error_rate(Percent::new(90));
    let (breaker, clock) = half_open(by(adaptive));
    let clean = climb(&breaker, &clock, millis(50));
    let last = clean.last().unwrap().0;
    assert!((8_000..12_000).contains(&last), "{last} ms instead of 19 s");
    let (breaker, clock) = half_open(by(adaptive));
    good(&breaker, 1);
    bad(&breaker);
    clock.advance(secs(3));
    assert_eq!(share(&breaker), 1_500, "this step had begun at the usual speed");
    good(&breaker, 1);
    clock.advance(millis(1_999));
    assert_eq!(share(&breaker), 1_500);
    clock.advance(millis(1));
    assert_eq!(share(&breaker), 2_000);
}

/// S-STRAT-04: what time does is told and explained.
#[test]
fn the_next_step_by_time_is_announced() {
    let (breaker, clock) = half_open(by(LINEAR));
    assert!(breaker.explain().ends_with("the next step waits for a good call"));
    assert_eq!(breaker.snapshot().next_step, None);
    good(&breaker, 1);
    clock.advance(secs(1));
    assert_eq!(breaker.snapshot().next_step, Some(secs(2)));
    assert!(breaker.explain().ends_with("the next step comes in 2.0 s"), "{}", breaker.explain());
}

// ----- by calls in flight -----

const SLOW_START: Ramp = Ramp::slow_start(8);

/// S-STRAT-03, S-STRAT-04: two in flight, one more with each success: they double in each round.
#[test]
fn a_slow_start_doubles_in_each_round_trip() {
    let (breaker, _) = half_open(by(SLOW_START));
    let recorder = Recorder::on(&breaker);
    for limit in [2, 4] {
        assert_eq!(breaker.snapshot().limit, Some(limit));
        let round: Vec<_> = (0..limit).map(|_| breaker.try_acquire().unwrap()).collect();
        assert_eq!(breaker.try_acquire().unwrap_err().reason(), Reason::NoTrialFree);
        let phase = breaker.snapshot().ramp_phase().unwrap();
        assert_eq!(phase, if limit == 2 { RampPhase::Initial } else { RampPhase::Final });
        round.into_iter().for_each(Permit::success);
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(told(&recorder), [5_000]);
}

/// S-STRAT-03: callers one after the other close it, too.
#[test]
fn a_slow_start_ends_where_there_is_never_more_than_one_call_in_flight() {
    let (breaker, _) = half_open(by(SLOW_START));
    good(&breaker, 5);
    assert!(breaker.explain().contains("up to 7 calls at once are admitted"));
    assert!(breaker.explain().ends_with("closes after 1 good calls"), "{}", breaker.explain());
    good(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

/// S-STRAT-05: errors halve the limit, and reopen where it cannot be halved.
#[test]
fn a_slow_start_is_halved_by_errors() {
    let (breaker, _) = half_open(by(Ramp::slow_start(100)));
    good(&breaker, 5);
    let recorder = Recorder::on(&breaker);
    bad(&breaker);
    assert_eq!((breaker.snapshot().limit, told(&recorder)), (Some(3), vec![-300]));
    bad(&breaker);
    assert_eq!((breaker.snapshot().limit, told(&recorder)), (Some(2), vec![-200]));
    bad(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

/// S-STRAT-08, R3: hanging calls of an earlier step hold all places, but not for ever.
#[test]
fn a_slow_start_whose_calls_hang_reopens() {
    let (breaker, clock) = half_open(by(SLOW_START.max_stay(secs(5))));
    good(&breaker, 1);
    let hung: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    let mut hung = hung.into_iter();
    hung.next().unwrap().success();
    assert_eq!(breaker.snapshot().limit, Some(4));
    let more: Vec<_> = (0..2).map(|_| breaker.try_acquire().unwrap()).collect();
    assert!(breaker.try_acquire().is_err());
    clock.advance(secs(5));
    assert_eq!(breaker.state(), State::Open);
    drop((hung, more));
}

/// S-STRAT-08, R3: nor where a relapse leaves no place for anybody else.
#[test]
fn a_slow_start_that_was_halved_while_its_calls_hang_reopens() {
    let slow_start = Ramp::slow_start(100).recovery_error_rate(Percent::new(9));
    let (breaker, clock) = half_open(by(slow_start.max_stay(secs(5))));
    good(&breaker, 6);
    let mut out: Vec<_> = (0..8).map(|_| breaker.try_acquire().unwrap()).collect();
    out.pop().unwrap().failure(FailureKind::Internal);
    assert_eq!((breaker.snapshot().limit, out.len()), (Some(4), 7));
    clock.advance(secs(5));
    assert_eq!(breaker.state(), State::Open);
}

// ----- swapped -----

/// S-STRAT-02: another form begins anew; other figures of the same form do not.
#[test]
fn a_form_that_is_replaced_in_the_middle_begins_anew() {
    let (breaker, clock) = half_open(by(LINEAR));
    good(&breaker, 1);
    clock.advance(secs(7));
    assert_eq!(share(&breaker), 3_500);
    breaker.reconfigure(by(LINEAR.max_stay(secs(7))));
    assert_eq!(share(&breaker), 3_500);
    breaker.reconfigure(by(STEPS));
    assert_eq!(share(&breaker), 1_000);
    breaker.reconfigure(by(SLOW_START));
    assert_eq!(breaker.snapshot().limit, Some(2));
    good(&breaker, 6);
    assert_eq!(breaker.state(), State::Closed);
}
