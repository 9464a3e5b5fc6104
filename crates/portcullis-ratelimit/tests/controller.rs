//! A rate that follows the share of failures, in virtual time.

use std::time::Duration;

use breaker_core::{Percent, Tick};
use portcullis_ratelimit::{Adjust, Rate, RateChange, RateController};
use proptest::prelude::*;

const HUNDRED: Rate = Rate::per_second(100);

fn second(n: u64) -> Tick {
    Tick::from_millis(1_000 * n)
}

fn control() -> RateController {
    RateController::new(Adjust::new(), HUNDRED, Tick::ZERO)
}

/// So many successes and failures at one moment, none of which may move the rate.
fn record(control: &mut RateController, at: Tick, good: u32, bad: u32) {
    for call in 0..good + bad {
        assert_eq!(control.record(at, call >= good), None);
    }
}

// S-RATE-06
#[test]
fn two_failures_in_twelve_divide_the_rate_by_the_scale_after_the_cool_down() {
    let mut control = control();
    record(&mut control, second(1), 10, 2);
    assert_eq!(control.settle(Tick::from_nanos(59_999_999_999)), None);
    assert_eq!((control.rate(), control.samples(), control.last_error_rate()), (HUNDRED, 12, None));
    let to = Rate::new(1, Duration::from_millis(15));
    let change = control.settle(second(60)).expect("it is due");
    assert_eq!(change, RateChange { from: HUNDRED, to, failed: 2, samples: 12 });
    assert_eq!(control.rate(), to);
    assert!((change.error_rate() - 0.167).abs() < 0.001);
    assert_eq!(control.last_error_rate(), Some(change.error_rate()));
    assert_eq!(control.samples(), 0);
}

// S-RATE-06
#[test]
fn only_successes_make_it_faster_and_two_percent_of_failures_leave_it() {
    for (good, bad, rate) in [(100, 0, 150), (98, 2, 100)] {
        let mut control = control();
        record(&mut control, Tick::ZERO, good, bad);
        let moved = control.settle(second(60)).map(|change| change.to);
        assert_eq!(moved, (rate != 100).then(|| Rate::per_second(rate)));
        assert_eq!(control.rate(), Rate::per_second(rate));
        assert_eq!(control.last_error_rate(), Some(f64::from(bad) / 100.0));
    }
}

// S-RATE-06: strictly above, strictly below.
#[test]
fn a_share_that_equals_a_threshold_leaves_the_rate() {
    for (good, bad, rate) in [
        (900, 100, HUNDRED),
        (899, 101, Rate::new(1, Duration::from_millis(15))),
        (990, 10, HUNDRED),
        (991, 9, Rate::per_second(150)),
    ] {
        let mut control = control();
        record(&mut control, Tick::ZERO, good, bad);
        control.settle(second(60));
        assert_eq!(control.rate(), rate, "{bad} of 1,000");
    }
}

// S-RATE-06: within 10..=1,000 calls per second.
#[test]
fn errors_end_at_the_slowest_rate_and_successes_at_the_fastest() {
    for (failed, bound) in [(true, Rate::per_second(10)), (false, Rate::per_second(1_000))] {
        let mut control = control();
        let mut changes = 0;
        for minute in 1..=20 {
            for _ in 0..10 {
                changes += u32::from(control.record(second(60 * minute - 1), failed).is_some());
            }
            changes += u32::from(control.settle(second(60 * minute)).is_some());
            assert!(!control.rate().is_above(Rate::per_second(1_000)));
            assert!(!Rate::per_second(10).is_above(control.rate()));
        }
        assert_eq!(control.rate(), bound);
        // A rate that stands at its bound does not change.
        assert_eq!(changes, 6, "100 times or by 1.5 six times is beyond the bound");
        assert_eq!(control.last_error_rate(), Some(f64::from(u8::from(failed))));
    }
}

// S-RATE-06: minimum samples.
#[test]
fn nine_outcomes_move_nothing_however_bad_and_the_tenth_does() {
    let mut control = control();
    record(&mut control, Tick::ZERO, 0, 9);
    assert_eq!((control.settle(second(60)), control.settle(second(6_000))), (None, None));
    assert_eq!((control.rate(), control.last_error_rate()), (HUNDRED, None));
    let change = control.record(second(6_001), true).expect("they are enough");
    assert_eq!((change.failed, change.samples), (10, 10));
}

// S-RATE-06: a single sample never moves the rate.
#[test]
fn after_a_look_the_samples_start_anew() {
    let mut control = control();
    record(&mut control, Tick::ZERO, 0, 10);
    assert!(control.settle(second(60)).is_some());
    let rate = control.rate();
    for later in [120, 1_200, 12_000] {
        assert_eq!(control.record(second(later), true), None);
    }
    assert_eq!((control.rate(), control.samples()), (rate, 3));
}

// S-RATE-06: a look that finds nothing to do is a look as well.
#[test]
fn a_share_between_the_thresholds_begins_the_cool_down_anew() {
    let mut control = control();
    record(&mut control, Tick::ZERO, 95, 5);
    assert_eq!(control.settle(second(60)), None);
    record(&mut control, second(61), 0, 50);
    assert_eq!(control.settle(second(119)), None);
    assert!(control.settle(second(120)).is_some());
}

// S-RATE-07
#[test]
fn silence_does_not_freeze_an_adjustment_that_is_due() {
    let mut control = control();
    record(&mut control, Tick::ZERO, 0, 10);
    assert!(control.settle(second(86_400)).is_some());
    assert_eq!(control.rate(), Rate::new(1, Duration::from_millis(15)));
    // The cool-down begins at the look, not when it was due.
    record(&mut control, second(86_401), 0, 10);
    assert_eq!(control.settle(second(86_459)), None);
    assert!(control.settle(second(86_460)).is_some());
}

// S-RATE-07: a call that comes after the cool-down does not judge itself.
#[test]
fn the_call_that_finds_a_look_due_belongs_to_the_next_period() {
    let mut control = control();
    record(&mut control, Tick::ZERO, 10, 0);
    let change = control.record(second(60), true).expect("it is due");
    assert_eq!((change.failed, change.samples, control.samples()), (0, 10, 1));
}

#[test]
fn a_clock_that_steps_back_changes_nothing() {
    let mut control = RateController::new(Adjust::new(), HUNDRED, second(1_000));
    record(&mut control, second(1), 0, 10);
    assert_eq!(control.settle(Tick::ZERO), None);
    assert_eq!(control.settle(second(1_059)), None);
    control.restart(HUNDRED, second(5));
    record(&mut control, second(5), 0, 10);
    assert_eq!(control.settle(second(1_059)), None);
    assert!(control.settle(second(1_060)).is_some());
}

#[test]
fn the_end_of_time_is_no_panic() {
    let adjust = Adjust::new().cooldown(Duration::MAX);
    let mut control = RateController::new(adjust, HUNDRED, Tick::MAX);
    record(&mut control, Tick::MAX, 0, 100);
    assert_eq!(control.settle(Tick::MAX), None);
}

#[test]
fn an_operators_rate_begins_a_new_period_and_stays_within_the_bounds() {
    let mut control = control();
    record(&mut control, Tick::ZERO, 0, 10);
    control.settle(second(60));
    record(&mut control, second(61), 0, 10);
    control.restart(Rate::per_second(400), second(100));
    assert_eq!((control.rate(), control.samples()), (Rate::per_second(400), 0));
    assert_eq!(control.last_error_rate(), Some(1.0));
    record(&mut control, second(101), 10, 0);
    assert_eq!(control.settle(second(159)), None);
    assert_eq!(control.settle(second(160)).map(|change| change.to), Some(Rate::per_second(600)));
    control.restart(Rate::per_second(5_000), second(161));
    assert_eq!(control.rate(), Rate::per_second(1_000));
    control.restart(Rate::per_second(1), second(161));
    assert_eq!(control.rate(), Rate::per_second(10));
}

// S-RATE-06: the defaults.
#[test]
fn the_defaults_are_those_of_the_docs() {
    let written = Adjust::new()
        .scale(1.5)
        .cooldown(Duration::from_secs(60))
        .error_high(Percent::new(10))
        .error_low(Percent::new(1))
        .min_samples(10);
    assert_eq!(written, Adjust::default());
    // A tenth of the rate, and ten times as much: 10 and 1,000 where it is 100.
    let bounded = |adjust: Adjust| {
        let control = RateController::new(adjust, Rate::per_second(100), second(0));
        [1, 100_000].map(|rate| {
            let mut control = control.clone();
            control.restart(Rate::per_second(rate), second(0));
            control.rate()
        })
    };
    assert_eq!(bounded(written), [Rate::per_second(10), Rate::per_second(1_000)]);
    assert_eq!(
        bounded(written.min_rate(Rate::per_second(50)).max_rate(Rate::per_second(200))),
        [Rate::per_second(50), Rate::per_second(200)]
    );
}

#[test]
fn contradictions_are_named_with_their_fields() {
    let found = |adjust: Adjust, rate| {
        let errors = adjust.check(Rate::per_second(rate));
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let base = Adjust::new().min_rate(Rate::per_second(10)).max_rate(Rate::per_second(1_000));
    assert_eq!(found(base, 100), [""; 0]);
    assert_eq!((found(Adjust::new(), 1), found(Adjust::new(), 1_000_000)), (vec![], vec![]));
    assert_eq!((found(base, 10), found(base, 1_000)), (vec![], vec![]));
    assert_eq!(
        found(base, 9),
        ["rate = 9/s: must be at least min_rate, which is 10/s; raise rate, or lower min_rate"]
    );
    assert_eq!(
        found(base, 1_001),
        ["rate = 1001/s: must be at most max_rate, which is 1000/s; lower rate, or raise max_rate"]
    );
    let crossed = base.min_rate(Rate::per_second(2_000)).error_low(Percent::new(10));
    assert_eq!(
        found(crossed, 100),
        [
            "min_rate = 2000/s: must be at most max_rate, which is 1000/s; \
             lower min_rate, or raise max_rate",
            "error_low = 10 %: must be below error_high, which is 10 %; \
             lower error_low, or raise error_high",
        ]
    );
}

#[test]
fn a_scale_outside_its_range_is_refused() {
    for wrong in [1.0, 1.000_9, 10.001, f64::NAN, f64::INFINITY, -1.5] {
        let refused = std::panic::catch_unwind(|| Adjust::new().scale(wrong));
        assert!(refused.is_err(), "{wrong}");
    }
    assert_ne!(Adjust::new().scale(1.001), Adjust::new().scale(10.0));
}

#[derive(Clone, Debug)]
enum Op {
    Calls(u32, bool),
    Read,
    Wait(u64),
    Restart(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1..40_u32, any::<bool>()).prop_map(|(calls, failed)| Op::Calls(calls, failed)),
        2 => Just(Op::Read),
        4 => (0..90_000_u64).prop_map(Op::Wait),
        1 => (1..100_000_u32).prop_map(Op::Restart),
    ]
}

/// What holds whenever something happens.
#[derive(Debug)]
struct Watch {
    bounds: (Rate, Rate),
    /// The cool-down, in milliseconds.
    cooldown: u64,
    /// Before this moment nothing may change.
    quiet_until: u64,
    rate: Rate,
}

impl Watch {
    fn see(&mut self, control: &RateController, now: u64, change: Option<RateChange>) {
        if let Some(RateChange { from, to, failed, samples }) = change {
            assert!(now >= self.quiet_until, "a change within the cool-down");
            assert!(from == self.rate && to != from && failed <= samples && samples >= 10);
            self.quiet_until = now + self.cooldown;
            self.rate = to;
        }
        assert_eq!(control.rate(), self.rate, "a change that nobody was told of");
        assert!(!self.bounds.0.is_above(self.rate) && !self.rate.is_above(self.bounds.1));
    }
}

proptest! {
    // S-RATE-06: whatever the outcomes, and whoever reads in between.
    #[test]
    fn the_rate_stays_within_its_bounds_and_changes_once_per_cool_down(
        ops in prop::collection::vec(op(), 1..200),
        scale in 1_001_u32..=10_000, cooldown in 1_u64..120_000, bounds in (1_u32..500, 0_u32..5_000),
    ) {
        let (min, max) = (Rate::per_second(bounds.0), Rate::per_second(bounds.0 + bounds.1));
        let adjust = Adjust::new()
            .min_rate(min)
            .max_rate(max)
            .scale(f64::from(scale) / 1_000.0)
            .cooldown(Duration::from_millis(cooldown));
        let mut now = 0;
        let mut control = RateController::new(adjust, HUNDRED, Tick::ZERO);
        let rate = control.rate();
        let mut watch = Watch { bounds: (min, max), cooldown, quiet_until: cooldown, rate };
        for op in ops {
            match op {
                Op::Calls(calls, failed) => for _ in 0..calls {
                    let change = control.record(Tick::from_millis(now), failed);
                    watch.see(&control, now, change);
                },
                Op::Read => {
                    let change = control.settle(Tick::from_millis(now));
                    watch.see(&control, now, change);
                    assert_eq!(control.settle(Tick::from_millis(now)), None);
                }
                Op::Wait(millis) => now += millis,
                Op::Restart(rate) => {
                    control.restart(Rate::per_second(rate), Tick::from_millis(now));
                    watch.rate = control.rate();
                    watch.quiet_until = now + cooldown;
                    watch.see(&control, now, None);
                }
            }
        }
    }
}
