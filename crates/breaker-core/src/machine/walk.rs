//! Every world that a small machine can get into, one by one.
//!
//! A world is a machine and the calls that are out. From each world every operation is tried;
//! worlds that differ only in what nobody can see (totals, generation, absolute time) are one.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::{Forced, HalfOpen, Machine, Override, Phase, Probes, Role, Ticket};
use crate::config::CircuitBreakerConfig;
use crate::outcome::{FailureKind, Outcome};
use crate::pace::Chance;
use crate::percent::Spread;
use crate::state::{State, Totals, Transitions, Why};
use crate::window::Evidence;

pub(super) const SECOND: Duration = Duration::from_secs(1);
const FAILURE: Outcome = Outcome::Failure(FailureKind::Internal);
const ORDERS: [State; 4] =
    [State::ForcedOpen, State::ForcedClosed, State::Disabled, State::MetricsOnly];

#[derive(Clone)]
struct World {
    machine: Machine,
    out: Vec<Ticket>,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Admit,
    Settle(usize, Outcome),
    Cancel(usize, Duration),
    Record(Outcome),
    Unready,
    Wait(Duration),
    Force(State, Option<Duration>),
    Release,
    Reset,
    Trip,
    AttemptReset,
    /// Goes on under the other configuration of the walk.
    Other,
}

/// What tells one world from another, with all times as distances from now.
#[derive(Eq, Hash, PartialEq)]
struct Key {
    rest_of_open: Option<(Duration, Option<Probes>)>,
    half_open: Option<HalfOpen>,
    forced: Option<(State, Option<Duration>)>,
    evidence: Result<Evidence, u32>,
    openings: u32,
    shares: (Spread, Spread),
    /// The calls that are out: their role, or nothing if they are late.
    out: Vec<Option<u8>>,
    config: usize,
}

impl World {
    fn key(&self, config: usize, rules: &CircuitBreakerConfig) -> Key {
        let machine = &self.machine;
        let (mut rest_of_open, mut half_open) = (None, None);
        match &machine.past.phase {
            Phase::Closed => {}
            Phase::Open { until, probes, .. } => {
                let mut probes = probes.clone();
                probes.iter_mut().for_each(|probes| probes.age(machine.now));
                rest_of_open = Some((until.since(machine.now), probes));
            }
            Phase::HalfOpen(course) => half_open = Some(course.with_age(machine.now, rules)),
        }
        let forced = machine.past.forced.as_ref().map(|Forced { state, until, .. }| {
            (*state, until.map(|until| until.since(machine.now)))
        });
        // Under orders a streak grows without end; beyond the threshold all are alike.
        let evidence = match machine.evidence.lone_streak() {
            Some(streak) => Err(streak.min(2)),
            None => Ok(machine.evidence.without_figures()),
        };
        let mut out: Vec<_> = self.out.iter().map(|ticket| self.kind(*ticket)).collect();
        out.sort_unstable();
        // From the second opening on the period is as long as it gets.
        let openings = machine.past.openings.min(2);
        let shares = (machine.enforce, machine.past.leak);
        Key { rest_of_open, half_open, forced, evidence, openings, shares, out, config }
    }

    fn kind(&self, ticket: Ticket) -> Option<u8> {
        (ticket.generation == self.machine.generation).then_some(ticket.role as u8)
    }

    fn ops(&self, most_out: usize, configs: usize) -> Vec<Op> {
        let mut ops = vec![Op::Record(Outcome::Success), Op::Record(FAILURE), Op::Unready];
        ops.extend([1, 2, 5].map(|seconds| Op::Wait(seconds * SECOND)));
        ops.extend([Op::Release, Op::Reset, Op::Trip, Op::AttemptReset]);
        for order in ORDERS {
            ops.extend([Op::Force(order, None), Op::Force(order, Some(2 * SECOND))]);
        }
        if configs > 1 {
            ops.push(Op::Other);
        }
        if self.out.len() < most_out {
            ops.push(Op::Admit);
        }
        for (i, ticket) in self.out.iter().enumerate() {
            // One of several calls that are alike is enough.
            if self.out[..i].iter().all(|earlier| self.kind(*earlier) != self.kind(*ticket)) {
                ops.extend([Outcome::Success, FAILURE, Outcome::Ignored].map(|o| Op::Settle(i, o)));
                ops.extend([Duration::ZERO, SECOND].map(|elapsed| Op::Cancel(i, elapsed)));
            }
        }
        ops
    }

    /// Does one thing, and checks all that must hold before and after it.
    fn after(&self, op: Op, config: &CircuitBreakerConfig, other: &CircuitBreakerConfig) -> Self {
        let (mut next, mut done) = (self.clone(), Transitions::new());
        let Self { machine, out } = &mut next;
        let (before, now) = (machine.clone(), machine.now);
        let mut ended = 0;
        match op {
            Op::Admit => {
                let known = machine.known_refusal(config, now);
                let admitted = machine.admit(config, now, &mut done);
                match before.state() {
                    State::Closed | State::ForcedClosed | State::Disabled | State::MetricsOnly => {
                        assert!(admitted.is_ok(), "{} refuses", before.state());
                    }
                    State::Open if known.is_none() => {
                        assert!(config.recovery.trickle().is_some() && admitted.is_ok());
                    }
                    State::Open | State::ForcedOpen => {
                        assert!(admitted.is_err(), "{} admits", before.state());
                        assert_eq!(known, admitted.err());
                    }
                    State::HalfOpen => assert_eq!(known, None),
                }
                out.extend(admitted.ok());
            }
            Op::Settle(i, outcome) => {
                let ticket = out.swap_remove(i);
                let settled = machine.settle(config, ticket, outcome, None, now, &mut done);
                assert_eq!(settled.late, ticket.generation != before.generation);
                ended = u64::from(before.state() != State::Disabled);
            }
            Op::Cancel(i, elapsed) => {
                let ticket = out.swap_remove(i);
                let settled = machine.cancel(config, ticket, Some(elapsed), now, &mut done);
                assert_eq!(settled.is_some(), elapsed >= SECOND);
                ended = u64::from(before.state() != State::Disabled);
            }
            Op::Record(outcome) => {
                machine.record(config, outcome, None, now, &mut done);
                ended = u64::from(before.state() != State::Disabled);
            }
            Op::Unready => {
                machine.unready(config, FAILURE, now, &mut done);
                ended = u64::from(before.state() != State::Disabled);
            }
            Op::Wait(step) => {
                machine.advance(config, now.after(step), &mut done);
                assert_no_need_to_look(&before, machine, config, step);
            }
            Op::Force(state, ttl) => {
                let order = Override::new("walk");
                let order = ttl.map_or(order.clone(), |ttl| order.for_at_most(ttl));
                assert!(machine.force(config, state, order, now, &mut done).is_ok());
                assert_eq!(machine.state(), state);
            }
            Op::Release => machine.release(config, now, &mut done),
            Op::Reset => {
                machine.reset(config, now, &mut done);
                assert_eq!(machine.state(), State::Closed);
            }
            Op::Trip => {
                let legal = matches!(before.state(), State::Closed | State::HalfOpen);
                assert_eq!(machine.trip(config, now, &mut done).is_ok(), legal);
            }
            Op::AttemptReset => {
                let legal = before.state() == State::Open;
                assert_eq!(machine.attempt_reset(config, now, &mut done).is_ok(), legal);
            }
            Op::Other => machine.reconfigure(config, other, now, &mut done),
        }
        assert_eq!(all_ended(machine.totals()) - all_ended(before.totals()), ended);
        let ends = matches!(op, Op::Settle(..) | Op::Cancel(..) | Op::Record(_) | Op::Unready);
        let probes = |phase: &Phase| matches!(phase, Phase::Open { probes: Some(_), .. });
        if ends && before.state() == State::Open && !probes(&before.past.phase) {
            assert_eq!(before.past.phase, machine.past.phase, "what ended while open moved it");
        }
        assert_legal(&before, machine, &done);
        let config = if matches!(op, Op::Other) { other } else { config };
        next.assert_books(&before, config);
        next
    }

    /// Each call that is out is in the books once, and no more trials are than are permitted.
    fn assert_books(&self, before: &Machine, config: &CircuitBreakerConfig) {
        let trial = Some(Role::Trial as u8);
        let trials = self.out.iter().filter(|ticket| self.kind(**ticket) == trial).count();
        let in_flight = self.machine.trials_in_flight();
        assert_eq!(in_flight as usize, trials, "trials in flight, and tickets that are out");
        let Some(rules) = config.recovery.trials() else { return };
        let Phase::HalfOpen(half_open) = &self.machine.past.phase else { return };
        // Fewer may be permitted than are out already; but none is added then.
        let taken = in_flight + half_open.tally().calls;
        let anew = before.generation != self.machine.generation;
        let more = anew || in_flight > before.trials_in_flight();
        assert!(!more || taken <= rules.permitted, "{taken} of {} trials", rules.permitted);
    }

    /// With a callee that is well the circuit closes, even if nothing that is out ever ends.
    fn assert_heals(&self, config: &CircuitBreakerConfig) {
        let (mut machine, mut done) = (self.machine.clone(), Transitions::new());
        machine.release(config, machine.now, &mut done);
        // As long as the longest stay there is, and the recovery after it.
        for _ in 0..80 {
            if machine.state() == State::Closed {
                return;
            }
            let now = machine.now.after(SECOND);
            for _ in 0..4 {
                let mut done = Transitions::new();
                if let Ok(ticket) = machine.admit(config, now, &mut done) {
                    machine.settle(config, ticket, Outcome::Success, None, now, &mut done);
                }
            }
        }
        panic!("did not close in 80 s: {:?}", machine.past.phase);
    }
}

/// Asking after a while is the same as having looked in between.
fn assert_no_need_to_look(
    before: &Machine,
    after: &Machine,
    config: &CircuitBreakerConfig,
    step: Duration,
) {
    let (mut lazy, mut eager) = (before.clone(), after.clone());
    let now = before.now.after(step);
    let first = lazy.admit(config, now, &mut Transitions::new());
    let second = eager.admit(config, now, &mut Transitions::new());
    assert!(first == second && lazy == eager, "the state depends on who looked");
}

fn assert_legal(before: &Machine, after: &Machine, done: &Transitions) {
    use State::{Closed, HalfOpen, Open};
    let (mut state, mut shadow) = (before.state(), before.past.phase.state());
    let mut generation = before.generation;
    for step in done.iter() {
        let (from, to) = (step.from, step.to);
        let legal = match step.why {
            Why::Tripped(_) => matches!((from, to), (Closed | HalfOpen, Open)),
            Why::OpenPeriodElapsed | Why::AttemptReset | Why::ProbeSucceeded => {
                (from, to) == (Open, HalfOpen)
            }
            Why::TrialsSucceeded | Why::RampCompleted | Why::StayElapsed => {
                (from, to) == (HalfOpen, Closed)
            }
            Why::Forced => ORDERS.contains(&to) && from != to,
            Why::Released | Why::Expired => ORDERS.contains(&from) && to == Closed,
            Why::Reset => from != Closed && to == Closed,
            Why::Strategy => false,
        };
        assert!(legal, "{from} => {to} because of {}", step.why);
        assert_eq!(from, if step.shadow { shadow } else { state }, "the chain is broken");
        *(if step.shadow { &mut shadow } else { &mut state }) = to;
        generation += 1;
        assert_eq!(step.generation, generation);
    }
    assert_eq!(state, after.state());
    assert!(generation == after.generation || state == Closed && generation < after.generation);
}

const fn all_ended(totals: Totals) -> u64 {
    totals.successes + totals.failures + totals.ignored + totals.cancelled
}

/// Walks all worlds of these configurations (one, or two that replace each other), and says how
/// many there are. They open after two failures in a row, or by windows; the second period is
/// their longest, and calls are slow from 1 s on.
pub(super) fn walk(configs: &[CircuitBreakerConfig], most_out: usize) -> usize {
    let deep = std::env::var("PORTCULLIS_WALK").is_ok_and(|bounds| bounds == "deep");
    let most_out = most_out + usize::from(deep);
    let machine = Machine::new(&configs[0], Chance::seeded(1));
    let start = World { machine, out: Vec::new() };
    let mut seen = HashSet::from([start.key(0, &configs[0])]);
    let mut open = VecDeque::from([(start, 0)]);
    while let Some((world, index)) = open.pop_front() {
        let (config, other) = (&configs[index], &configs[(index + 1) % configs.len()]);
        world.assert_heals(config);
        for op in world.ops(most_out, configs.len()) {
            let next = world.after(op, config, other);
            let index = if matches!(op, Op::Other) { (index + 1) % configs.len() } else { index };
            if seen.insert(next.key(index, &configs[index])) {
                open.push_back((next, index));
            }
        }
    }
    seen.len()
}
