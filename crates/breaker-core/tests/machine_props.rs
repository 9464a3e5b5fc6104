//! Whatever happens to a machine, and in whatever order: its rules hold. Threats T10 and T15.

use std::time::Duration;

use breaker_core::machine::{Machine, Ticket};
use breaker_core::{
    Chance, CircuitBreakerConfig, Cusum, FailureKind, GateVerdict, OnDrop, OnStayElapsed, Outcome,
    Override, Pace, Percent, Ramp, RampSpeed, Recovery, Saved, State, StrategyKind, Tick, Totals,
    Transitions, Trials, Trickle, Trip, Why, Window,
};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const HOUR: Duration = Duration::from_secs(3_600);

/// One thing that happens. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Op {
    Admit,
    Settle(usize, Outcome, Option<Duration>),
    Cancel(usize, Option<Duration>),
    Record(Outcome),
    Unready(Outcome),
    Refuse,
    Gate,
    Move(i64),
    End,
    Force(State, Option<Duration>),
    Release,
    Reset,
    Trip,
    AttemptReset,
    Restore(State, u32, Duration),
    Reconfigure(usize),
    Swap(usize),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let wait = prop::option::of((0..10_000_u64).prop_map(Duration::from_secs));
    prop_oneof![
        4 => Just(Outcome::Success),
        4 => Just(Outcome::Failure(FailureKind::Internal)),
        1 => wait.prop_map(|retry_after| Outcome::Failure(FailureKind::Overload { retry_after })),
        1 => Just(Outcome::Failure(FailureKind::RateLimited)),
        1 => Just(Outcome::Ignored),
    ]
}

fn duration() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of(prop_oneof![
        Just(Duration::MAX),
        (0..20_000_u64).prop_map(Duration::from_millis)
    ])
}

fn state() -> impl Strategy<Value = State> {
    prop::sample::select(&State::ALL[..])
}

fn op() -> impl Strategy<Value = Op> {
    let n = any::<usize>;
    prop_oneof![
        12 => Just(Op::Admit),
        10 => (n(), outcome(), duration()).prop_map(|(i, o, d)| Op::Settle(i, o, d)),
        4 => (n(), duration()).prop_map(|(i, d)| Op::Cancel(i, d)),
        2 => outcome().prop_map(Op::Record),
        1 => outcome().prop_map(Op::Unready),
        1 => Just(Op::Refuse),
        1 => Just(Op::Gate),
        8 => (-100_000_000_000..400_000_000_000_i64).prop_map(Op::Move),
        1 => (0..2_000_i64).prop_map(Op::Move),
        1 => (state(), duration()).prop_map(|(s, d)| Op::Force(s, d)),
        1 => Just(Op::Release),
        1 => Just(Op::Reset),
        1 => Just(Op::Trip),
        2 => Just(Op::AttemptReset),
        1 => (state(), any::<u32>(), duration())
            .prop_map(|(s, n, d)| Op::Restore(s, n, d.unwrap_or_default())),
        1 => n().prop_map(Op::Reconfigure),
        1 => n().prop_map(Op::Swap),
    ]
}

const CONFIGS: usize = 15;

/// Configurations, and how many trials each permits.
fn configs() -> [(CircuitBreakerConfig, u32); CONFIGS] {
    let half = Percent::new(50);
    let base = CircuitBreakerConfig::new().open_period(Pace::exponential(Duration::from_secs(2)));
    let by = |trials: Trials| base.recovery(Recovery::Trials(trials));
    let ramp = Ramp::new().speed(RampSpeed::Adaptive).successes(1).recovery_error_rate(half);
    let climb = |ramp: Ramp| base.recovery(Recovery::Ramp(ramp));
    let steps = Ramp::steps(&[Percent::new(10), half, Percent::FULL]).successes(2);
    let average = Trip::success_average(half, 3);
    [
        (CircuitBreakerConfig::new(), 3),
        (CircuitBreakerConfig::http_client(), 5),
        (base.strategy(StrategyKind::Adaptive), u32::MAX),
        (base.trip(Trip::cusum(Cusum::classic())), 3),
        (base.trip(Trip::consecutive(1)).permitted_calls(1).on_drop(OnDrop::Failure), 1),
        (by(Trials::new(4).by_rate(half).slow_rate(half)), 4),
        (by(Trials::new(9).successes(2).on_stay_elapsed(OnStayElapsed::Close)), 9),
        (
            base.recovery(Recovery::Ramp(ramp))
                .trip(Trip::failure_count(1, Window::over(Duration::from_secs(1))))
                .enforce(half),
            u32::MAX,
        ),
        (
            base.open_refusal_share(half)
                .on_drop(OnDrop::Neutral)
                .trip(average.or(Trip::slow_rate(half, Window::last(3).min_calls(1)))),
            3,
        ),
        (
            climb(Ramp::aggressive(Duration::from_secs(20), 1.5).speed(RampSpeed::Adaptive)),
            u32::MAX,
        ),
        (climb(Ramp::slow_start(10)), 10),
        (climb(steps.speed(RampSpeed::Adaptive)), u32::MAX),
        (base.recovery(Recovery::Trickle(Trickle::new())), u32::MAX),
        (base.recovery(Recovery::Trickle(Trickle::new().then_ramp(ramp))), u32::MAX),
        (
            base.recovery(Recovery::Trickle(Trickle::new().probe_share(half).without_jitter()))
                .open_refusal_share(half),
            u32::MAX,
        ),
    ]
}

struct World {
    machine: Machine,
    config: CircuitBreakerConfig,
    permitted: u32,
    now: Tick,
    out: Vec<Ticket>,
}

impl World {
    fn new(start: usize) -> Self {
        let (config, permitted) = configs()[start];
        let machine = Machine::new(&config, Chance::seeded(3));
        Self { machine, config, permitted, now: Tick::ZERO, out: Vec::new() }
    }

    /// Does one thing; how many calls ended by it.
    fn apply(&mut self, op: &Op, done: &mut Transitions) -> u64 {
        let Self { machine, config, now, out, .. } = self;
        let (config, now) = (&*config, *now);
        match *op {
            Op::Admit => out.extend(machine.admit(config, now, done).ok()),
            Op::Settle(i, outcome, duration) if !out.is_empty() => {
                let ticket = out.swap_remove(i % out.len());
                machine.settle(config, ticket, outcome, duration, now, done);
                return 1;
            }
            Op::Cancel(i, elapsed) if !out.is_empty() => {
                let ticket = out.swap_remove(i % out.len());
                machine.cancel(config, ticket, elapsed, now, done);
                return 1;
            }
            Op::Settle(..) | Op::Cancel(..) => {}
            Op::Record(outcome) => {
                machine.record(config, outcome, None, now, done);
                return 1;
            }
            Op::Unready(outcome) => {
                machine.unready(config, outcome, now, done);
                return 1;
            }
            Op::Refuse => {
                if let Some(known) = machine.known_refusal(config, now) {
                    assert_eq!(machine.admit(config, now, done), Err(known));
                    let seen = machine.snapshot(config).at;
                    let hint = machine.retry_at().map(|at| at.since(seen));
                    assert_eq!(known.retry_after, hint);
                    machine.refused(known);
                }
            }
            Op::Gate => {
                let down = GateVerdict::Refuse { retry_after: None };
                out.extend(machine.admit_past(down, config, now, done).ok());
            }
            Op::Move(by) => {
                self.now = Tick::from_nanos(now.as_nanos().saturating_add_signed(by));
                machine.advance(config, self.now, done);
            }
            Op::End => self.now = Tick::MAX,
            Op::Force(state, ttl) => {
                let order = Override::new("any");
                let order = ttl.map_or(order.clone(), |ttl| order.for_at_most(ttl));
                let ordinary = matches!(state, State::Closed | State::Open | State::HalfOpen);
                assert_eq!(machine.force(config, state, order, now, done).is_err(), ordinary);
            }
            Op::Release => machine.release(config, now, done),
            Op::Reset => machine.reset(config, now, done),
            Op::Trip => drop(machine.trip(config, now, done)),
            Op::AttemptReset => drop(machine.attempt_reset(config, now, done)),
            Op::Restore(state, openings, remaining) => {
                let _ = machine.restore(config, Saved { state, openings, remaining }, now, done);
            }
            Op::Reconfigure(n) | Op::Swap(n) => {
                let (next, permitted) = configs()[n % configs().len()];
                match op {
                    Op::Swap(_) => machine.swap_strategy(config, &next, false, now, done),
                    _ => machine.reconfigure(config, &next, now, done),
                }
                (self.config, self.permitted) = (next, permitted);
            }
        }
        0
    }

    /// With a callee that is well, and orders taken back, it closes, whatever hangs.
    fn assert_heals(mut self) {
        let mut done = Transitions::new();
        self.machine.release(&self.config, self.now, &mut done);
        // Enough for the longest stay, the longest period and a whole recovery.
        for _ in 0..4_000 {
            if self.machine.state() == State::Closed {
                return;
            }
            self.now = Tick::from_nanos(self.now.as_nanos().saturating_add(SECOND));
            for _ in 0..10 {
                let mut done = Transitions::new();
                if let Ok(ticket) = self.machine.admit(&self.config, self.now, &mut done) {
                    let well = Outcome::Success;
                    self.machine.settle(&self.config, ticket, well, None, self.now, &mut done);
                }
            }
        }
        panic!("still {} after an hour", self.machine.state());
    }
}

const fn ended(totals: Totals) -> u64 {
    totals.successes + totals.failures + totals.ignored + totals.cancelled
}

fn is_legal(from: State, to: State, why: Why) -> bool {
    use State::{Closed, HalfOpen, Open};
    let order = |state| !matches!(state, Closed | Open | HalfOpen);
    match why {
        Why::Tripped(_) => matches!((from, to), (Closed | HalfOpen, Open)),
        Why::OpenPeriodElapsed | Why::AttemptReset | Why::ProbeSucceeded => {
            (from, to) == (Open, HalfOpen)
        }
        Why::TrialsSucceeded | Why::RampCompleted | Why::StayElapsed => {
            (from, to) == (HalfOpen, Closed)
        }
        Why::Forced => order(to) && from != to,
        Why::Released | Why::Expired => order(from) && to == Closed,
        Why::Reset => from != Closed && to == Closed,
        _ => false,
    }
}

proptest! {
    /// S-CORE-01, S-CORE-04, S-CORE-06, S-STRAT-08: no panic, only legal edges, a generation of
    /// its own for each, never more trials than permitted, books that add up, and no wedge.
    #[test]
    fn threat_t10_and_t15_the_rules_hold_whatever_happens(
        start in 0..CONFIGS,
        ops in prop::collection::vec(op(), 0..200),
        at_the_end in any::<bool>(),
    ) {
        let mut world = World::new(start);
        let last = if at_the_end { vec![Op::End, Op::Admit, Op::Trip, Op::Admit] } else { vec![] };
        let mut last_time = Tick::ZERO;
        for op in ops.iter().chain(&last) {
            let before = world.machine.snapshot(&world.config);
            let mut done = Transitions::new();
            let ends = world.apply(op, &mut done);
            let after = world.machine.snapshot(&world.config);
            // Edges, and their generations.
            let mut generation = before.generation;
            for step in done.iter() {
                prop_assert!(is_legal(step.from, step.to, step.why), "{step:?} by {op:?}");
                generation += 1;
                prop_assert_eq!(step.generation, generation);
                prop_assert!(step.at >= last_time, "{:?} before {:?}", step, last_time);
                last_time = step.at;
            }
            prop_assert!(after.generation >= generation && after.at >= before.at);
            // Trials.
            let more = after.trials_in_flight > before.trials_in_flight;
            prop_assert!(!more || after.trials_in_flight <= world.permitted);
            prop_assert!(after.trials_in_flight as usize <= world.out.len());
            // Books: what ended is counted once, or not at all where all is off.
            let off = after.state == State::Disabled;
            let counted = ended(after.totals) - ended(before.totals);
            prop_assert_eq!(counted, if off { 0 } else { ends }, "{:?}", op);
            // No wait is longer than the longest there is.
            prop_assert!(after.remaining.is_none_or(|rest| rest <= Duration::from_secs(300)));
            prop_assert!(!after.explain().is_empty());
        }
        if !at_the_end {
            world.now = world.now.max(last_time);
            world.assert_heals();
        }
    }

    /// S-CORE-10: the state does not depend on who looked in between.
    #[test]
    fn looking_changes_nothing(
        start in 0..CONFIGS,
        ops in prop::collection::vec(op(), 0..100),
        looks in prop::collection::vec(any::<bool>(), 100),
    ) {
        let (mut seen, mut unseen) = (World::new(start), World::new(start));
        for (op, look) in ops.iter().zip(looks) {
            let now = seen.now.as_nanos();
            match op {
                // A clock that steps back would be seen by one of them only.
                Op::Move(by) => seen.now = Tick::from_nanos(now + by.unsigned_abs()),
                // It does not look, and may know less then.
                Op::Refuse => {}
                op => {
                    seen.apply(op, &mut Transitions::new());
                    unseen.apply(op, &mut Transitions::new());
                }
            }
            unseen.now = seen.now;
            if look {
                seen.machine.advance(&seen.config, seen.now, &mut Transitions::new());
            }
        }
        unseen.machine.advance(&unseen.config, unseen.now, &mut Transitions::new());
        seen.machine.advance(&seen.config, seen.now, &mut Transitions::new());
        prop_assert!(seen.machine == unseen.machine);
    }

    /// S-CORE-09: what a shut circuit answers is known in advance, and answers that were given
    /// without asking are brought home as if each of them had asked.
    #[test]
    fn refusals_in_a_batch_are_the_same_as_one_by_one(
        start in 0..CONFIGS,
        ops in prop::collection::vec(op(), 0..60),
        opens in any::<bool>(),
        arrivals in prop::collection::vec(0..1_000_u64, 1..20),
        pause in 0..400_u64,
    ) {
        let mut world = World::new(start);
        for op in ops.iter().chain(opens.then_some(&Op::Trip)) {
            world.apply(op, &mut Transitions::new());
        }
        let World { machine: mut asked, config, now, .. } = world;
        asked.advance(&config, now, &mut Transitions::new());
        let Some(shut) = asked.open_until(&config) else { return Ok(()) };
        let now = asked.snapshot(&config).at;
        let end = if shut.until == Tick::MAX { now.after(HOUR) } else { shut.until };
        let mut told = asked.clone();
        let mut times: Vec<_> =
            arrivals.iter().map(|part| now.after(end.since(now) / 1_000 * *part as u32)).collect();
        times.retain(|time| *time < end);
        times.sort_unstable();
        for &time in &times {
            prop_assert_eq!(asked.known_refusal(&config, time), Some(shut.refusal(time)));
            let answer = asked.admit(&config, time, &mut Transitions::new());
            prop_assert_eq!(answer, Err(shut.refusal(time)));
        }
        told.refuse_many(times.len() as u64);
        let later = now.after(Duration::from_secs(pause)).max(asked.snapshot(&config).at);
        let asked_answer = asked.admit(&config, later, &mut Transitions::new());
        let told_answer = told.admit(&config, later, &mut Transitions::new());
        prop_assert_eq!(asked_answer, told_answer);
        prop_assert!(asked == told, "{asked:#?}\n{told:#?}");
    }
}
