//! Successes in bulk are the same as successes one by one.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{Cusum, Trip, Tuner, Window};
use crate::machine::Override;
use crate::outcome::FailureKind;
use crate::pace::Chance;
use crate::percent::Percent;

const SLOW: Duration = Duration::from_secs(10);

/// One thing that happens before.
#[derive(Clone, Debug)]
enum Op {
    Call { failed: bool, slow: bool },
    Successes(u32),
    Wait(u64),
    Force(State),
    Release,
    Custom(bool),
    Reconfigure(Trip),
}

fn window() -> impl Strategy<Value = Window> {
    let calls = prop_oneof![1..=12_u32, 60..=70_u32, 120..=200_u32];
    prop_oneof![
        (calls, any::<u32>()).prop_map(|(n, min)| Window::last(n).min_calls(1 + min % n)),
        (1..=5_u16, 1..=30_u32).prop_map(|(buckets, min)| {
            let length = Duration::from_millis(500) * u32::from(buckets);
            Window::in_buckets(length, buckets).min_calls(min)
        }),
    ]
}

fn condition() -> impl Strategy<Value = Trip> {
    let rate = (1..=100_u8).prop_map(Percent::new);
    prop_oneof![
        (1..=6_u32).prop_map(Trip::consecutive),
        (rate.clone(), window()).prop_map(|(rate, window)| Trip::failure_rate(rate, window)),
        (rate.clone(), window()).prop_map(|(rate, window)| Trip::slow_rate(rate, window)),
        (1..=4_u32, window()).prop_map(|(count, window)| match window.span {
            crate::config::Span::Calls(size) => Trip::failure_count(count.min(size), window),
            crate::config::Span::Time { .. } => Trip::failure_count(count, window),
        }),
        (rate, 1..=30_u32).prop_map(|(rate, calls)| Trip::success_average(rate, calls)),
        (1..9_999_u16, any::<u16>(), 1..=120_u32).prop_map(|(low, high, h)| {
            let high = low + 1 + high % (9_999 - low);
            let rates = [low, high].map(Percent::basis_points);
            Trip::cusum(Cusum::between(rates[0], rates[1]).threshold(f64::from(h) / 10.0))
        }),
    ]
}

fn tuner() -> impl Strategy<Value = Tuner> {
    prop::sample::select(&[Tuner::Off, Tuner::Suggest, Tuner::Apply][..])
}

fn trip() -> impl Strategy<Value = Trip> {
    prop::collection::vec(condition(), 1..=3).prop_map(|trips| Trip::any(&trips))
}

fn op() -> impl Strategy<Value = Op> {
    let call = |(failed, slow)| Op::Call { failed, slow };
    prop_oneof![
        8 => (prop::bool::weighted(0.3), prop::bool::weighted(0.2)).prop_map(call),
        3 => (1..=250_u32).prop_map(Op::Successes),
        3 => prop_oneof![3 => 0..=3_000_u64, 1 => 30_000..=90_000_u64].prop_map(Op::Wait),
        1 => prop::sample::select(&State::ALL[..]).prop_map(Op::Force),
        1 => Just(Op::Release),
        1 => any::<bool>().prop_map(Op::Custom),
        1 => trip().prop_map(Op::Reconfigure),
    ]
}

struct World {
    machine: Machine,
    config: CircuitBreakerConfig,
}

impl World {
    /// A machine to which all this has happened.
    fn after(trip: Trip, totals: bool, ops: &[Op]) -> Self {
        Self::tuned_after(trip, Tuner::Off, totals, ops)
    }

    fn tuned_after(trip: Trip, tuner: Tuner, totals: bool, ops: &[Op]) -> Self {
        let config = CircuitBreakerConfig::new()
            .trip(trip)
            .tuner(tuner)
            .totals(totals)
            .slow_call_duration(SLOW)
            .open_for(Duration::from_secs(1));
        let mut world = Self { machine: Machine::new(&config, Chance::seeded(1)), config };
        for op in ops {
            world.apply(op);
        }
        world
    }

    fn apply(&mut self, op: &Op) {
        let Self { machine, config } = self;
        let (now, mut done) = (machine.now, Transitions::new());
        match *op {
            Op::Call { failed, slow } => {
                let internal = Outcome::Failure(FailureKind::Internal);
                let outcome = if failed { internal } else { Outcome::Success };
                let duration = slow.then_some(SLOW);
                machine.record(config, outcome, duration, now, &mut done);
            }
            Op::Successes(n) => one_by_one(machine, config, n, &mut done),
            Op::Wait(millis) => {
                machine.advance(config, now.after(Duration::from_millis(millis)), &mut done);
            }
            Op::Force(state) => drop(machine.force(config, state, "any".into(), now, &mut done)),
            Op::Release => machine.release(config, now, &mut done),
            Op::Custom(custom) => machine.swap_strategy(config, config, custom, now, &mut done),
            Op::Reconfigure(trip) => {
                let new = config.trip(trip);
                machine.reconfigure(config, &new, now, &mut done);
                *config = new;
            }
        }
    }
}

fn one_by_one(
    machine: &mut Machine,
    config: &CircuitBreakerConfig,
    n: u32,
    done: &mut Transitions,
) {
    let ticket = machine.ticket(Role::Evidence);
    for _ in 0..n {
        machine.settle(config, ticket, Outcome::Success, None, machine.now, done);
    }
}

fn steps(done: &Transitions) -> Vec<crate::state::Transition> {
    done.iter().copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1_000), ..ProptestConfig::default() })]

    #[test]
    fn successes_together_are_successes_one_by_one(
        trip in trip(),
        tuner in tuner(),
        totals in any::<bool>(),
        ops in prop::collection::vec(op(), 0..40),
        n in prop_oneof![0..=5_u32, 6..=70_u32, 71..=500_u32],
    ) {
        let World { machine, config } = World::tuned_after(trip, tuner, totals, &ops);
        let (mut together, mut single) = (machine.clone(), machine);
        let (mut fast, mut slow) = (Transitions::new(), Transitions::new());
        together.settle_successes(&config, n, &mut fast);
        one_by_one(&mut single, &config, n, &mut slow);
        prop_assert_eq!(&together, &single);
        prop_assert_eq!(steps(&fast), steps(&slow));
    }

    #[test]
    fn what_the_lull_says_is_what_happens(
        trip in trip(),
        tuner in tuner(),
        totals in any::<bool>(),
        ops in prop::collection::vec(op(), 0..40),
        calls in prop::collection::vec((0..=200_u32, 0..=600_u64), 1..10),
    ) {
        let World { machine, config } = World::tuned_after(trip, tuner, totals, &ops);
        let (lull, until) = machine.lull(&config);
        prop_assert!(until.is_none_or(|until| machine.now < until));
        let timed = lull != Lull::Matters && config.trip.judges_by_time();
        prop_assert!(until.is_some() == timed || until == machine.next_look() && !timed);
        let mut later = machine.clone();
        if lull == Lull::Matters {
            return Ok(());
        }
        let mut done = Transitions::new();
        for (n, wait) in calls {
            let then = later.now.after(Duration::from_millis(wait));
            if until.is_some_and(|until| then >= until) {
                break;
            }
            later.advance(&config, then, &mut done);
            one_by_one(&mut later, &config, n, &mut done);
        }
        prop_assert!(done.is_empty(), "{:?} said {lull:?}", machine.evidence);
        prop_assert_eq!(later.state(), State::Closed);
        if lull == Lull::Nothing {
            prop_assert!(!config.counts_successes());
            let seen = later.now;
            later.now = machine.now;
            later.successes = machine.successes;
            // A look that moves nothing may have passed.
            let mut machine = machine;
            machine.skip_looks(seen);
            prop_assert_eq!(later, machine);
        }
    }

    #[test]
    fn late_successes_only_add_to_the_totals(
        trip in trip(),
        ops in prop::collection::vec(op(), 0..20),
        n in 0..=10_u32,
    ) {
        let World { machine, config } = World::after(trip, false, &ops);
        let (mut together, mut single) = (machine.clone(), machine);
        together.late_successes(n);
        let ticket = super::super::Ticket { generation: u64::MAX, role: Role::Evidence };
        for _ in 0..n {
            let now = single.now;
            single.settle(&config, ticket, Outcome::Success, None, now, &mut Transitions::new());
        }
        prop_assert_eq!(together, single);
    }
}

fn lull_of(trip: Trip, calls: &str) -> Lull {
    let ops: Vec<Op> =
        calls.chars().map(|call| Op::Call { failed: call == 'F', slow: false }).collect();
    let World { machine, config } = World::after(trip, false, &ops);
    assert_eq!(machine.state(), State::Closed);
    machine.lull(&config).0
}

#[test]
fn each_kind_of_evidence_comes_to_rest_as_soon_as_it_can() {
    const HALF: Percent = Percent::new(50);
    let streak = Trip::consecutive(5);
    assert_eq!(lull_of(streak, ""), Lull::Nothing);
    assert_eq!(lull_of(streak, "FF"), Lull::Matters, "one success more, and it is at rest");
    assert_eq!(lull_of(streak, "FFS"), Lull::Nothing);
    let window = Trip::failure_rate(HALF, Window::last(4).min_calls(4));
    assert_eq!(lull_of(window, ""), Lull::Adds);
    assert_eq!(lull_of(window, "FF"), Lull::Matters, "two more, and half of four failed");
    assert_eq!(lull_of(window, "F"), Lull::Adds);
    assert_eq!(lull_of(window, "FSSS"), Lull::Adds);
    assert_eq!(lull_of(window, "FSSSS"), Lull::Nothing);
    assert_eq!(lull_of(streak.or(window), "F"), Lull::Adds);
    let average = Trip::success_average(HALF, 2);
    assert_eq!(lull_of(average, ""), Lull::Nothing);
    assert_eq!(lull_of(average, "F"), Lull::Adds);
    assert_eq!(lull_of(average, &format!("F{}", "S".repeat(60))), Lull::Nothing);
    let score = Trip::cusum(Cusum::classic());
    assert_eq!(lull_of(score, ""), Lull::Nothing);
    assert_eq!(lull_of(score, "F"), Lull::Matters, "a few successes more, and it is at rest");
    assert_eq!(lull_of(score, "FSSS"), Lull::Nothing);
    let patient = Trip::cusum(Cusum::early_warning());
    assert_eq!(lull_of(patient, "FF"), Lull::Adds, "22 successes are not a few");
    let over_time = Trip::failure_rate(HALF, Window::over(Duration::from_secs(10)));
    assert_eq!(lull_of(over_time, "SSSSS"), Lull::Adds);
}

#[test]
fn a_time_window_answers_until_its_newest_bucket_ends() {
    let window = Window::in_buckets(Duration::from_secs(2), 2).min_calls(2);
    let trip = Trip::failure_rate(Percent::new(50), window);
    let calls = [false, false, false, true].map(|failed| Op::Call { failed, slow: false });
    let mut ops = calls.to_vec();
    ops.insert(3, Op::Wait(1_300));
    let World { mut machine, config } = World::after(trip, false, &ops);
    let end = Tick::from_nanos(2_000_000_000);
    assert_eq!(machine.lull(&config), (Lull::Adds, Some(end)));
    // The good calls leave the window, and one of two has failed.
    machine.advance(&config, end, &mut Transitions::new());
    assert_eq!(machine.lull(&config), (Lull::Matters, None));
    let mut done = Transitions::new();
    machine.settle_successes(&config, 3, &mut done);
    assert_eq!((machine.state(), machine.past.totals.late), (State::Open, 2));
}

#[test]
fn evidence_that_meets_a_new_threshold_already_is_no_lull() {
    let average = |percent| Trip::success_average(Percent::new(percent), 10);
    let score = |h| Trip::cusum(Cusum::early_warning().threshold(h));
    for (before, after) in [(average(50), average(99)), (score(50.0), score(2.0))] {
        let failure = Op::Call { failed: true, slow: false };
        let ops = [failure.clone(), failure.clone(), failure, Op::Reconfigure(after)];
        let World { mut machine, config } = World::after(before, false, &ops);
        assert_eq!(machine.lull(&config), (Lull::Matters, None));
        machine.settle_successes(&config, 1, &mut Transitions::new());
        assert_eq!(machine.state(), State::Open);
    }
}

#[test]
fn orders_and_strategies_of_the_users_take_in_each_success() {
    let quiet = || World::after(Trip::consecutive(5), false, &[]);
    assert_eq!(quiet().machine.lull(&quiet().config).0, Lull::Nothing);
    let orders = [Op::Force(State::MetricsOnly), Op::Force(State::ForcedClosed), Op::Custom(true)];
    for op in orders {
        let mut world = quiet();
        world.apply(&op);
        assert_eq!(world.machine.lull(&world.config), (Lull::Matters, None), "{op:?}");
    }
    let order = Override::new("for a while").for_at_most(SLOW);
    let World { mut machine, config } = quiet();
    let now = machine.now;
    machine.force(&config, State::Disabled, order, now, &mut Transitions::new()).unwrap();
    assert_eq!(machine.lull(&config), (Lull::Matters, None));
}

#[test]
fn a_tuner_learns_from_successes_that_teach_the_evidence_nothing() {
    let trip = Trip::failure_rate(Percent::new(50), Window::last(4).min_calls(4));
    let World { mut machine, config } =
        World::tuned_after(trip, Tuner::Apply, false, &[Op::Successes(4)]);
    let look = Tick::from_millis(60_000);
    assert_eq!(machine.lull(&config), (Lull::Adds, Some(look)));
    machine.settle_successes(&config, 1_000, &mut Transitions::new());
    assert_eq!(machine.lull(&config), (Lull::Nothing, Some(look)), "but the threshold will move");
    let mut done = Transitions::new();
    machine.advance(&config, Tick::from_millis(600_000), &mut done);
    assert_eq!(done.adjustments().count(), 3);
    assert_eq!(machine.lull(&config), (Lull::Nothing, None));
}

#[test]
fn successes_that_meet_a_tuned_threshold_are_no_lull() {
    let trip = Trip::failure_rate(Percent::new(50), Window::last(20).min_calls(20));
    let ops = [Op::Successes(200), Op::Wait(200_000)];
    let World { mut machine, config } = World::tuned_after(trip, Tuner::Apply, false, &ops);
    // Empty evidence, as after an outage; the threshold stays.
    machine.evidence.clear();
    let mut done = Transitions::new();
    for _ in 0..5 {
        let failure = Outcome::Failure(FailureKind::Internal);
        machine.record(&config, failure, None, machine.now, &mut done);
    }
    assert_eq!(machine.lull(&config), (Lull::Matters, None), "5 of 20 are above 20 %");
    machine.settle_successes(&config, 15, &mut done);
    assert_eq!(machine.state(), State::Open);
}
