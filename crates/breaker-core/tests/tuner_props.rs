//! The tuner, whatever happens: within bounds, never too fast, and the same whoever looks.

use std::time::Duration;

use breaker_core::machine::Machine;
use breaker_core::{
    Chance, CircuitBreakerConfig, FailureKind, Outcome, Override, Percent, State, Tick,
    Transitions, Trip, Tuner, Window,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    /// So many calls, of which every so manieth fails.
    Calls(u32, u32),
    Wait(u64),
    MetricsOnly(u64),
    Trip,
    Release,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..300_u32, 1..60_u32).prop_map(|(calls, one_in)| Op::Calls(calls, one_in)),
        6 => (0..400_000_u64).prop_map(Op::Wait),
        1 => (1..200_000_u64).prop_map(Op::MetricsOnly),
        1 => Just(Op::Trip),
        1 => Just(Op::Release),
    ]
}

fn config(percent: u8, timed: bool) -> CircuitBreakerConfig {
    let window = if timed {
        Window::over(Duration::from_secs(300)).min_calls(10)
    } else {
        Window::last(40).min_calls(20)
    };
    CircuitBreakerConfig::new()
        .trip(Trip::failure_rate(Percent::new(percent), window))
        .tuner(Tuner::Apply)
        .permitted_calls(1)
}

fn apply(
    machine: &mut Machine,
    config: &CircuitBreakerConfig,
    op: &Op,
    now: &mut Tick,
    done: &mut Transitions,
) {
    match *op {
        Op::Calls(calls, one_in) => {
            for call in 1..=calls {
                let failure = Outcome::Failure(FailureKind::Internal);
                let outcome = if call % one_in == 0 { failure } else { Outcome::Success };
                machine.record(config, outcome, None, *now, done);
            }
        }
        Op::Wait(millis) => *now = now.after(Duration::from_millis(millis)),
        Op::MetricsOnly(millis) => {
            let order = Override::new("watch").for_at_most(Duration::from_millis(millis));
            machine.force(config, State::MetricsOnly, order, *now, done).unwrap();
        }
        Op::Trip => drop(machine.trip(config, *now, done)),
        Op::Release => machine.release(config, *now, done),
    }
}

proptest! {
    /// S-WIN-11: between the bounds, or between them and what was configured; a tenth a minute.
    #[test]
    fn the_threshold_keeps_to_its_bounds_and_its_pace(
        percent in 1..=100_u8,
        timed in any::<bool>(),
        ops in prop::collection::vec(op(), 0..60),
    ) {
        let config = config(percent, timed);
        let (mut machine, mut now) = (Machine::new(&config, Chance::seeded(1)), Tick::ZERO);
        let configured = u16::from(percent) * 100;
        let (mut last, mut threshold) = (None, configured);
        for op in &ops {
            let mut done = Transitions::new();
            apply(&mut machine, &config, op, &mut now, &mut done);
            for step in done.adjustments() {
                let (from, to) = (step.from.as_basis_points(), step.to.as_basis_points());
                prop_assert_eq!(from, threshold, "the chain is broken");
                prop_assert!(from != to && from.abs_diff(to) <= 1_000, "{:?}", step);
                prop_assert!((2_000.min(configured)..=8_000.max(configured)).contains(&to));
                prop_assert!(step.at <= now);
                if let Some(last) = last {
                    prop_assert!(step.at.since(last) >= Duration::from_secs(60), "{:?}", step);
                }
                (last, threshold) = (Some(step.at), to);
            }
            let tuning = machine.snapshot(&config).tuning.unwrap();
            prop_assert_eq!(tuning.in_force.as_basis_points(), threshold);
            prop_assert!(tuning.baseline.is_none_or(|usual| (0.0..=1.0).contains(&usual)));
        }
        // Also the end of time ends.
        machine.advance(&config, Tick::MAX, &mut Transitions::new());
        machine.record(&config, Outcome::Success, None, Tick::MAX, &mut Transitions::new());
    }

    /// S-WIN-11, S-CORE-10: who looks in between changes nothing, and no step is lost by it.
    #[test]
    fn looking_does_not_tune(
        percent in 1..=100_u8,
        timed in any::<bool>(),
        ops in prop::collection::vec((op(), 0..5_u8), 0..40),
    ) {
        let config = config(percent, timed);
        let mut seen = Machine::new(&config, Chance::seeded(1));
        let mut unseen = seen.clone();
        let (mut now, mut then) = (Tick::ZERO, Tick::ZERO);
        let (mut all_seen, mut all_unseen) = (Transitions::new(), Transitions::new());
        for (op, looks) in &ops {
            if let Op::Wait(millis) = op {
                for _ in 0..*looks {
                    now = now.after(Duration::from_millis(millis / u64::from(*looks) / 2));
                    seen.advance(&config, now, &mut all_seen);
                }
                now = then;
            }
            apply(&mut seen, &config, op, &mut now, &mut all_seen);
            apply(&mut unseen, &config, op, &mut then, &mut all_unseen);
        }
        seen.advance(&config, now, &mut all_seen);
        unseen.advance(&config, then, &mut all_unseen);
        prop_assert!(all_seen.adjustments().eq(all_unseen.adjustments()));
        prop_assert!(seen == unseen);
    }
}
