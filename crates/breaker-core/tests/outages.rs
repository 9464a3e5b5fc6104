//! What a circuit learns from past outages, and what it does not say because of them.

mod common;

use std::time::Duration;

use breaker_core::machine::Machine;
use breaker_core::{
    Chance, CircuitBreaker, CircuitBreakerConfig, ManualClock, OnStayElapsed, Outcome, Pace,
    Recovery, RecoveryEstimate, State, Tick, Transitions, Trials,
};
use common::{CORE, circuit, secs, succeed};

/// One trial closes, so that an outage lasts for as long as nobody calls.
const QUICK: CircuitBreakerConfig = CORE.permitted_calls(1);

fn outage(breaker: &CircuitBreaker, clock: &ManualClock, seconds: u64) {
    breaker.trip().unwrap();
    clock.advance(secs(seconds));
    succeed(breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
    clock.advance(secs(1_000));
}

#[allow(clippy::large_types_passed_by_value, reason = "constants mostly")]
fn after_outages(
    config: CircuitBreakerConfig,
    outages: impl IntoIterator<Item = u64>,
) -> (CircuitBreaker, ManualClock) {
    let (breaker, clock) = circuit(config);
    outages.into_iter().for_each(|seconds| outage(&breaker, &clock, seconds));
    (breaker, clock)
}

fn estimate(breaker: &CircuitBreaker) -> RecoveryEstimate {
    breaker.snapshot().recovery.expect("three outages")
}

/// S-WIN-12: the median of those that were longer, less the time that has passed.
#[test]
fn what_is_left_is_the_median_of_longer_outages_less_the_time_so_far() {
    let (breaker, clock) = after_outages(QUICK, [120, 60, 90]);
    assert_eq!(estimate(&breaker).remaining, None, "closed");
    breaker.trip().unwrap();
    let rest_after = |seconds| {
        clock.advance(secs(seconds));
        estimate(&breaker).remaining
    };
    assert_eq!(rest_after(0), Some(secs(90)), "of 60, 90 and 120");
    assert_eq!(rest_after(70), Some(secs(35)), "of 90 and 120");
    assert_eq!(rest_after(20), Some(secs(30)), "of 120");
    assert_eq!(rest_after(29), Some(secs(1)));
    assert_eq!(rest_after(1), None, "none was longer");
    let (all, longest) = (estimate(&breaker).median, estimate(&breaker).p90);
    assert_eq!((all, longest), (secs(90), secs(120)));
}

/// S-WIN-12: an outage goes on through openings in a row.
#[test]
fn an_outage_lasts_from_the_first_opening_to_the_close() {
    let (breaker, clock) = after_outages(QUICK, [100, 300]);
    assert_eq!(breaker.snapshot().recovery, None, "two are too few");
    breaker.trip().unwrap();
    clock.advance(secs(60));
    common::fail(&breaker, 1);
    clock.advance(secs(140));
    assert_eq!(breaker.snapshot().consecutive_openings, 2);
    succeed(&breaker, 1);
    assert_eq!((estimate(&breaker).outages, estimate(&breaker).median), (3, secs(200)));
}

/// S-WIN-12: the last sixteen, or as many as were asked for.
#[test]
fn no_more_outages_are_kept_than_asked_for() {
    let (breaker, _) = after_outages(QUICK, 101..=120);
    let last = estimate(&breaker);
    assert_eq!((last.outages, last.median), (16, Duration::from_millis(112_500)));
    assert_eq!(last.p90, secs(119), "number 15 of 16");
    breaker.reconfigure(QUICK.outage_history(3));
    assert_eq!((estimate(&breaker).outages, estimate(&breaker).median), (3, secs(119)));
}

/// S-WIN-12: who ended it, and whether its beginning is known.
#[test]
fn an_outage_that_trials_did_not_end_is_not_kept() {
    let closing = Trials::new(1).max_stay(secs(5)).on_stay_elapsed(OnStayElapsed::Close);
    let config = QUICK.recovery(Recovery::Trials(closing));
    let (breaker, clock) = after_outages(config, [100, 100]);
    // Reset by an operator, ended by an order, closed by the clock, begun before a restart.
    breaker.trip().unwrap();
    breaker.reset();
    breaker.trip().unwrap();
    breaker.force_closed("x");
    breaker.release();
    breaker.trip().unwrap();
    clock.advance(secs(60));
    let hung = breaker.try_acquire().unwrap();
    clock.advance(secs(5));
    assert_eq!(breaker.state(), State::Closed);
    drop(hung);
    breaker.trip().unwrap();
    let saved = breaker.snapshot().to_saved();
    breaker.reset();
    breaker.restore(saved).unwrap();
    clock.advance(secs(60));
    succeed(&breaker, 1);
    assert_eq!(breaker.snapshot().recovery, None);
    outage(&breaker, &clock, 100);
    assert_eq!(estimate(&breaker).outages, 3);
}

/// S-WIN-12: the bounds, and how sure they are.
#[test]
fn bounds_are_given_with_the_confidence_that_the_sample_has() {
    let of = |outages: u64, history: u16| {
        let config = QUICK.outage_history(history);
        let (breaker, clock) = after_outages(config, (1..=outages).map(|n| 100 + n));
        breaker.trip().unwrap();
        clock.advance(secs(100));
        let interval = estimate(&breaker).interval.expect("enough outages");
        let bounds = (interval.shortest.as_secs(), interval.longest.as_secs());
        (bounds, interval.confidence.as_basis_points())
    };
    assert_eq!(of(3, 16), ((1, 3), 5_000));
    assert_eq!(of(9, 16), ((1, 9), 8_000));
    assert_eq!(of(16, 16), ((1, 16), 8_823));
    assert_eq!(of(19, 32), ((2, 18), 8_000));
    assert_eq!(of(99, 99), ((10, 90), 8_000));
    let (breaker, clock) = after_outages(QUICK, [100, 200, 300]);
    breaker.trip().unwrap();
    clock.advance(secs(150));
    assert_eq!(estimate(&breaker).interval, None, "two were longer");
}

/// S-WIN-12: the bounds hold as often as they say, for outages that are anything but normal.
#[test]
fn the_confidence_of_the_bounds_is_that_of_experience() {
    let (mut chance, mut within, rounds) = (Chance::seeded(11), 0_u32, 4_000);
    let mut length = || {
        let draw = chance.below(1_000).max(1);
        Duration::from_secs(100_000 / draw)
    };
    let config = QUICK.recovery(Recovery::Trials(Trials::new(1).max_stay(secs(1_000_000))));
    for _ in 0..rounds {
        let mut machine = Machine::new(&config, Chance::seeded(1));
        let mut now = Tick::ZERO;
        let mut done = Transitions::new();
        for _ in 0..9 {
            machine.trip(&config, now, &mut done).unwrap();
            now = now.after(secs(300)).after(length());
            machine.record(&config, Outcome::Success, None, now, &mut done);
        }
        machine.trip(&config, now, &mut done).unwrap();
        let recovery = machine.snapshot(&config).recovery.unwrap();
        let (interval, next) = (recovery.interval.unwrap(), secs(300) + length());
        within += u32::from((interval.shortest..=interval.longest).contains(&next));
    }
    let share = f64::from(within) / f64::from(rounds);
    assert!((0.78..0.83).contains(&share), "{share} instead of 0.8");
}

/// S-WIN-12: in the sentence, beside the open period.
#[test]
fn the_estimate_is_told_in_the_sentence() {
    let (breaker, clock) = after_outages(QUICK.named("ledger"), [60, 90, 120]);
    breaker.trip().unwrap();
    clock.advance(secs(50));
    let text = "ledger is open since 50 s: an operator opened it; tries again in 10 s; past \
                outages lasted about 90 s; probably back in about 40 s";
    assert_eq!(breaker.explain(), text);
    clock.advance(secs(10));
    common::fail(&breaker, 1);
    clock.advance(secs(70));
    let text = breaker.explain();
    assert!(text.ends_with("lasted about 90 s; this one is longer than all of them"), "{text}");
}

/// S-WIN-12, S-CORE-09: refusals point to three quarters of what is probably left, not before the
/// open period is over, and not beyond the longest one.
#[test]
fn a_refusal_points_to_where_past_outages_let_expect_the_end() {
    let hint = |past: [u64; 3]| {
        let (breaker, clock) = after_outages(QUICK, past);
        breaker.trip().unwrap();
        clock.advance(secs(20));
        breaker.try_acquire().unwrap_err().retry_after()
    };
    assert_eq!(hint([60, 70, 60]), Some(secs(40)), "three quarters of it are over before");
    assert_eq!(hint([160, 200, 240]), Some(secs(130)));
    assert_eq!(hint([9_000, 9_000, 9_000]), Some(secs(280)), "at most five minutes in all");
}

/// S-WIN-12: where everybody obeys the hint, it does not keep the circuit open for ever: outages
/// that were long are forgotten though no call comes before the hint.
#[test]
fn a_hint_does_not_feed_itself() {
    let (breaker, clock) = after_outages(QUICK, [250, 250, 250]);
    let mut last = Duration::MAX;
    for _ in 0..40 {
        breaker.trip().unwrap();
        last = breaker.try_acquire().unwrap_err().retry_after().unwrap();
        clock.advance(last);
        succeed(&breaker, 1);
    }
    assert_eq!(last, secs(60), "back to the open period");
}

/// S-WIN-12: no refusal points beyond the longest open period of the configuration in force, also
/// where that has become shorter meanwhile.
#[test]
fn a_shorter_open_period_shortens_what_refusals_point_to() {
    let pace = |longest| QUICK.open_period(Pace::fixed(secs(10)).cap(secs(longest)));
    let (breaker, _) = after_outages(pace(600), [400, 400, 400]);
    breaker.trip().unwrap();
    let retry_after = || breaker.try_acquire().unwrap_err().retry_after();
    assert_eq!(retry_after(), Some(secs(300)), "three quarters of 400 s");
    breaker.reconfigure(pace(60));
    assert_eq!(retry_after(), Some(secs(60)));
    breaker.reconfigure(pace(600));
    assert_eq!(retry_after(), Some(secs(300)));
}
