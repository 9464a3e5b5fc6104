//! Some circuits, some threads, and all that can happen to them; each thing twice.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::dice::{Dice, SLOW};
use super::hooks;
use super::plain::{Gate, Plain, Rule};
use crate::breaker::{CircuitBreaker, Permit};
use crate::clock::{Clock, ManualClock, MonotonicClock, Tick};
use crate::config::StrategyKind;
use crate::machine::{Machine, Override, Refusal, Saved, Ticket};
use crate::observe::{Interest, Observe};
use crate::outcome::{FailureKind, Outcome};
use crate::percent::Percent;
use crate::rejected::Rejected;
use crate::slot::{License, Local, Surroundings, chosen};
use crate::state::State;

/// How often each way without a lock was taken.
pub(super) type Seen = std::collections::BTreeMap<&'static str, u64>;

/// The ways without a lock. A run that does not take each proves nothing about it.
pub(super) const WAYS: [&str; 8] = [
    "admitted at a look",
    "success: idle",
    "success: idle, not slow",
    "success: adds",
    "success: adds, not slow",
    "success: adds, in time",
    "refused at a look",
    "handle by thread",
];

pub(super) struct World {
    dice: Dice,
    now: u64,
    threads: Vec<&'static Local>,
    circuits: Vec<Circuit>,
    /// Calls that are out, also those whose circuit is gone.
    out: Vec<Out>,
    pub(super) seen: Seen,
    pub(super) steps: u64,
    last: VecDeque<String>,
}

struct Circuit {
    number: u64,
    handles: Vec<CircuitBreaker>,
    around: Weak<Surroundings>,
    clock: ClockOf,
    plain: Plain,
}

enum ClockOf {
    Own(MonotonicClock),
    Manual(ManualClock),
}

struct Out {
    circuit: u64,
    permit: Permit,
    ticket: Ticket,
    began: Option<Tick>,
}

/// Wants to be told of everything.
struct Ear;

impl Observe for Ear {
    fn interest(&self) -> Interest {
        Interest::CHANGES | Interest::REFUSALS | Interest::CALLS | Interest::STEPS
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        hooks::set_nanos(seed % 1_000_000_007);
        Self {
            dice: Dice::new(seed),
            now: hooks::nanos().unwrap_or(0),
            threads: (0..3).map(|_| chosen::thread()).collect(),
            circuits: Vec::new(),
            out: Vec::new(),
            seen: Seen::new(),
            steps: 0,
            last: VecDeque::new(),
        }
    }

    /// Does `steps` things, and compares after each.
    pub(super) fn run(&mut self, steps: u64) {
        while self.steps < steps {
            self.one();
        }
    }

    /// What happened last, for the report of a difference.
    pub(super) fn last(&self) -> String {
        self.last.iter().map(String::as_str).collect::<Vec<_>>().join("\n  ")
    }

    fn one(&mut self) {
        if self.dice.once_in(4) {
            let thread = self.dice.below(self.threads.len() as u64) as usize;
            chosen::be(self.threads[thread]);
        }
        if self.circuits.is_empty() || self.circuits.len() < 4 && self.dice.once_in(30) {
            self.begin_circuit();
        }
        let at = self.dice.below(self.circuits.len() as u64) as usize;
        match self.dice.below(100) {
            0..=19 => self.acquire(at),
            20..=39 => self.end(),
            40..=42 => self.cancel(),
            43 => self.panic(),
            44..=55 => self.successes(at),
            56..=60 => self.refusals(at),
            61..=64 => self.record(at),
            65..=78 => self.wait(),
            79..=84 => self.handles(at),
            85..=90 => self.operate(at),
            91..=92 => self.reshape(at),
            93..=97 => self.look(at),
            98 if self.dice.once_in(10) => self.end_thread(),
            _ => self.stamp(),
        }
        self.compare(Some(at));
    }

    fn note(&mut self, text: String) {
        self.steps += 1;
        self.last.push_back(text);
        if self.last.len() > 40 {
            self.last.pop_front();
        }
    }

    // ===== circuits, handles and threads =====

    fn begin_circuit(&mut self) {
        let (config, seed) = (self.dice.config(), self.dice.below(1_000));
        let (clock, first) = if self.dice.once_in(3) {
            let clock = ManualClock::new();
            (
                ClockOf::Manual(clock.clone()),
                CircuitBreaker::with_clock_and_seed(config, clock, seed),
            )
        } else {
            let clock = MonotonicClock::new();
            (ClockOf::Own(clock), CircuitBreaker::with_clock_and_seed(config, clock, seed))
        };
        self.note(format!("begin {config:?}"));
        self.circuits.push(Circuit {
            number: self.steps,
            around: Arc::downgrade(&first.around_of_it()),
            handles: vec![first],
            plain: Plain::new(config, seed, clock.now()),
            clock,
        });
    }

    fn handles(&mut self, at: usize) {
        let circuit = &mut self.circuits[at];
        let which = self.dice.below(circuit.handles.len() as u64) as usize;
        let (before, what) = (hooks::locks(), self.dice.below(5));
        match what {
            0..=1 => circuit.handles.push(circuit.handles[which].clone()),
            2 => circuit.handles.push(circuit.handles[which].keep()),
            _ => drop(circuit.handles.swap_remove(which)),
        }
        if hooks::locks() == before {
            *self.seen.entry("handle by thread").or_default() += 1;
        }
        let (gone, left) = (circuit.handles.is_empty(), circuit.handles.len());
        if gone {
            let circuit = self.circuits.swap_remove(at);
            assert_eq!(circuit.around.strong_count(), 0, "the circuit outlives its handles");
        } else {
            let only = circuit.handles[0].is_only_handle();
            assert_eq!(only, left == 1, "handles are miscounted");
        }
        self.note(format!("{at}: handles {what}, {left} left"));
    }

    /// A thread ends, and another begins.
    fn end_thread(&mut self) {
        let at = self.dice.below(self.threads.len() as u64) as usize;
        chosen::end(self.threads[at]);
        self.threads[at] = chosen::thread();
        chosen::be(self.threads[at]);
        self.note("a thread ends".to_owned());
    }

    fn wait(&mut self) {
        let wait = self.dice.wait();
        self.now += wait.as_nanos() as u64;
        hooks::set_nanos(self.now);
        for circuit in &self.circuits {
            if let ClockOf::Manual(clock) = &circuit.clock {
                clock.advance(wait);
            }
        }
        self.note(format!("wait {wait:?}"));
    }

    // ===== calls =====

    fn acquire(&mut self, at: usize) {
        let stamped = self.dice.once_in(2);
        let circuit = &mut self.circuits[at];
        let now = circuit.clock.now();
        let (license, before) = (circuit.license(), hooks::locks());
        let handle = &circuit.handles[0];
        let real = if stamped { handle.try_acquire() } else { handle.try_acquire_unstamped() };
        let locks = hooks::locks() - before;
        let plain = circuit.plain.admit(now);
        let name = *circuit.plain.config.name();
        let text = format!("{at}: acquire {stamped}: {plain:?} by {locks} locks");
        if license.has(License::ADMITS) && (locks == 0 || stamped && !license.has(License::CLOCK)) {
            *self.seen.entry("admitted at a look").or_default() += 1;
        }
        if license.has(License::REFUSES) && locks == 0 {
            *self.seen.entry("refused at a look").or_default() += 1;
        }
        let number = circuit.number;
        self.note(text);
        match (real, plain) {
            (Ok(permit), Ok(ticket)) => {
                let began = stamped.then_some(now);
                self.out.push(Out { circuit: number, permit, ticket, began });
            }
            (real, plain) => {
                let plain = plain.map_err(|refusal| in_full(name, refusal));
                assert_eq!(real.err(), plain.err(), "another refusal");
            }
        }
    }

    fn pick_out(&mut self) -> Option<Out> {
        let many = self.out.len() as u64;
        (many > 0).then(|| self.out.swap_remove(self.dice.below(many) as usize))
    }

    fn stamp(&mut self) {
        let many = self.out.len() as u64;
        if many == 0 {
            return;
        }
        let out = &mut self.out[self.dice.below(many) as usize];
        out.permit.stamp();
        if let Some(circuit) = self.circuits.iter().find(|circuit| circuit.number == out.circuit) {
            out.began.get_or_insert(circuit.clock.now());
        }
        self.note("stamp".to_owned());
    }

    fn end(&mut self) {
        let Some(out) = self.pick_out() else { return };
        let outcome = self.dice.outcome();
        let known = self.dice.once_in(8).then(|| self.dice.pick(&[SLOW / 2, SLOW, 20 * SLOW]));
        self.end_by(out, outcome, known);
    }

    fn end_by(&mut self, out: Out, outcome: Outcome, known: Option<Duration>) {
        let Out { circuit, permit, ticket, began } = out;
        let at = self.circuits.iter().position(|one| one.number == circuit);
        let license = at.map(|at| self.circuits[at].license());
        let before = hooks::locks();
        match known {
            Some(known) => permit.record_timed(outcome, known),
            None => permit.record(outcome),
        }
        let locks = hooks::locks() - before;
        // A stranger's says nothing, wherever it goes.
        if let Some(at) = at {
            let circuit = &mut self.circuits[at];
            let now = circuit.clock.now();
            circuit.plain.settle(ticket, outcome, began, known, now);
        }
        if let (Some(license), 0) = (license, locks) {
            let slow = license.has(License::SLOW) && began.is_some();
            let way = match (license.has(License::ADDS), license.has(License::UNTIL)) {
                (false, _) if slow => "success: idle, not slow",
                (false, _) => "success: idle",
                (true, true) => "success: adds, in time",
                (true, false) if slow => "success: adds, not slow",
                (true, false) => "success: adds",
            };
            *self.seen.entry(way).or_default() += 1;
        }
        self.note(format!("{at:?}: {ticket:?} ends, {outcome:?} {known:?} by {locks} locks"));
    }

    fn cancel(&mut self) {
        let Some(Out { circuit, permit, ticket, began }) = self.pick_out() else { return };
        drop(permit);
        let at = self.circuits.iter().position(|one| one.number == circuit);
        if let Some(at) = at {
            let circuit = &mut self.circuits[at];
            let now = circuit.clock.now();
            circuit.plain.cancel(ticket, began, now);
        }
        self.note(format!("{at:?}: {ticket:?} is dropped"));
    }

    /// The call panics, or its classifier does.
    fn panic(&mut self) {
        let Some(Out { circuit, mut permit, ticket, began }) = self.pick_out() else { return };
        let panic = Outcome::Failure(FailureKind::Panic);
        let outcome = self.dice.pick(&[panic, Outcome::Ignored]);
        // As a panic does, but without a word on the screen.
        let planned = || -> () { resume_unwind(Box::new("planned")) };
        let caught = catch_unwind(AssertUnwindSafe(|| permit.watch_as(outcome, planned)));
        assert!(caught.is_err(), "it panics");
        drop(permit);
        let at = self.circuits.iter().position(|one| one.number == circuit);
        if let Some(at) = at {
            let circuit = &mut self.circuits[at];
            let now = circuit.clock.now();
            circuit.plain.settle(ticket, outcome, began, None, now);
        }
        self.note(format!("{at:?}: {ticket:?} panics, {outcome:?}"));
    }

    /// A run of good calls, now and then a long one.
    fn successes(&mut self, at: usize) {
        let many = if self.dice.once_in(150) { 1_200 } else { self.dice.upto(12) };
        for _ in 0..many {
            let before = self.out.len();
            self.acquire(at);
            let admitted = if self.out.len() > before { self.out.pop() } else { None };
            if let Some(out) = admitted {
                self.end_by(out, Outcome::Success, None);
            }
        }
    }

    fn refusals(&mut self, at: usize) {
        for _ in 0..self.dice.upto(6) {
            let circuit = &mut self.circuits[at];
            let now = circuit.clock.now();
            let (license, before) = (circuit.license(), hooks::locks());
            let real = circuit.handles[0].known_refusal();
            let plain = circuit.plain.machine.known_refusal(&circuit.plain.config, now);
            let name = *circuit.plain.config.name();
            assert_eq!(real, plain.map(|refusal| in_full(name, refusal)), "known refusal");
            if let (Some(real), Some(plain)) = (real, plain) {
                let _ = circuit.handles[0].refuse_known(real);
                circuit.plain.machine.refused(plain);
            }
            let locks = hooks::locks() - before;
            if license.has(License::REFUSES) && locks == 0 {
                *self.seen.entry("refused at a look").or_default() += 1;
            }
            self.note(format!("{at}: known {plain:?} by {locks} locks"));
        }
    }

    fn record(&mut self, at: usize) {
        let (outcome, unready) = (self.dice.outcome(), self.dice.once_in(4));
        let duration = self.dice.pick(&[Duration::ZERO, SLOW]);
        let circuit = &mut self.circuits[at];
        let now = circuit.clock.now();
        if unready {
            circuit.handles[0].record_unready(outcome);
            circuit.plain.unready(outcome, now);
        } else {
            circuit.handles[0].record_timed(outcome, duration);
            circuit.plain.record(outcome, duration, now);
        }
        self.note(format!("{at}: recorded {outcome:?} {duration:?} {unready}"));
    }

    // ===== operators =====

    fn operate(&mut self, at: usize) {
        let ttl = self.dice.once_in(2).then(|| self.dice.wait());
        let saved = Saved {
            state: self.dice.pick(&State::ALL),
            openings: self.dice.upto(3),
            remaining: self.dice.wait(),
        };
        let what = self.dice.below(12);
        let circuit = &mut self.circuits[at];
        let (now, plain, real) = (circuit.clock.now(), &mut circuit.plain, &circuit.handles[0]);
        let order = ttl.map_or("any".into(), |ttl| Override::new("any").for_at_most(ttl));
        let forced = match what {
            0 => Some(State::ForcedOpen),
            1 => Some(State::ForcedClosed),
            2 => Some(State::Disabled),
            3 => Some(State::MetricsOnly),
            _ => None,
        };
        match forced {
            Some(State::ForcedOpen) => real.force_open(order.clone()),
            Some(State::ForcedClosed) => real.force_closed(order.clone()),
            Some(State::Disabled) => real.disable(order.clone()),
            Some(_) => real.metrics_only(order.clone()),
            None if what < 6 => real.release(),
            None if what == 6 => real.reset(),
            None => {}
        }
        let told = match what {
            7..=8 => real.trip(),
            9..=10 => real.attempt_reset(),
            11 => real.restore(saved),
            _ => Ok(()),
        };
        let expected = plain.step(now, |Plain { machine, config, .. }, done| match what {
            0..=3 => machine.force(config, forced.unwrap_or(State::Disabled), order, now, done),
            4..=5 => {
                machine.release(config, now, done);
                Ok(())
            }
            6 => {
                machine.reset(config, now, done);
                Ok(())
            }
            7..=8 => machine.trip(config, now, done),
            9..=10 => machine.attempt_reset(config, now, done),
            _ => machine.restore(config, saved, now, done),
        });
        assert_eq!(told, expected, "another answer to an operator");
        self.note(format!("{at}: operator {what} {ttl:?} {saved:?}"));
    }

    /// Another configuration, strategy, gate or observer.
    fn reshape(&mut self, at: usize) {
        let (config, kind) = (self.dice.config(), self.dice.pick(&StrategyKind::ALL));
        let rule = Rule {
            open_at: self.dice.upto(3),
            close_at: self.dice.upto(3),
            share: self.dice.pick(&[Percent::ZERO, Percent::new(50), Percent::FULL]),
            panics_at: self.dice.pick(&[4, 50, 50]),
        };
        let what = self.dice.below(14);
        let circuit = &mut self.circuits[at];
        let (now, plain, real) = (circuit.clock.now(), &mut circuit.plain, &circuit.handles[0]);
        match what {
            0..=5 => {
                real.reconfigure(config);
                plain.reconfigure(config, now);
            }
            6..=8 => {
                real.set_strategy(kind);
                plain.follow(kind, now);
            }
            9 => {
                real.set_custom_strategy(rule);
                plain.obey(rule, now);
            }
            10 => {
                let gate = Gate::default();
                real.set_dependency_gate(gate.clone());
                plain.gate = Some(gate);
            }
            11 => {
                if let Some(gate) = &plain.gate {
                    gate.0.fetch_xor(true, Ordering::Relaxed);
                }
            }
            12 => {
                real.clear_dependency_gate();
                plain.gate = None;
            }
            _ => {
                real.observe(Ear);
                plain.observed = true;
            }
        }
        self.note(format!("{at}: reshape {what} {kind:?} {rule:?} {config:?}"));
    }

    // ===== looking =====

    fn look(&mut self, at: usize) {
        let whole = self.dice.once_in(2);
        let circuit = &mut self.circuits[at];
        let now = circuit.clock.now();
        let plain = circuit.plain.look(now);
        if whole {
            let mut real = circuit.handles[0].snapshot();
            if !circuit.plain.counted {
                assert!(real.totals.successes <= plain.totals.successes);
                real.totals.successes = plain.totals.successes;
            }
            assert_eq!(real, plain, "another snapshot");
        } else {
            let state = circuit.handles[0].state();
            assert_eq!(state, plain.state, "another state");
        }
        self.note(format!("{at}: look {whole}"));
    }

    /// Compares all that is known of each circuit, without a step of its own.
    fn compare(&self, touched: Option<usize>) {
        // One by one; what differs does not vanish by waiting.
        let turn = self.steps as usize % self.circuits.len().max(1);
        for (at, circuit) in
            self.circuits.iter().enumerate().filter(|(at, _)| *at == turn || touched == Some(*at))
        {
            let now = circuit.clock.now();
            let (machine, config) = circuit.handles[0].folded();
            assert_eq!(config, circuit.plain.config, "{at}: another configuration");
            let mut real = seen_at(&machine, circuit, now);
            let mut plain = seen_at(&circuit.plain.machine, circuit, now);
            if !circuit.plain.counted {
                let fewer = *real.successes_mut() <= *plain.successes_mut();
                assert!(fewer, "{at}: another machine, of more successes");
                *real.successes_mut() = *plain.successes_mut();
            }
            assert!(real == plain, "{at}: another machine{}", differences(&real, &plain));
        }
    }
}

fn seen_at(machine: &Machine, circuit: &Circuit, now: Tick) -> Machine {
    let mut machine = machine.clone();
    machine.advance(&circuit.plain.config, now, &mut crate::state::Transitions::new());
    machine
}

/// The lines in which the two differ.
fn differences(real: &Machine, plain: &Machine) -> String {
    let (real, plain) = (format!("{real:#?}"), format!("{plain:#?}"));
    let lines = real.lines().zip(plain.lines()).filter(|(real, plain)| real != plain);
    lines.map(|(real, plain)| format!("\n{real} and not {plain}")).collect()
}

fn in_full(name: crate::name::Name, refusal: Refusal) -> Rejected {
    let Refusal { reason, retry_after, cause } = refusal;
    let rejected = Rejected::new(name, reason);
    let rejected = match retry_after {
        Some(wait) => rejected.with_retry_after(wait),
        None => rejected,
    };
    match cause {
        Some(cause) => rejected.with_cause(cause),
        None => rejected,
    }
}

impl Circuit {
    fn license(&self) -> License {
        self.handles[0].license()
    }
}

impl ClockOf {
    fn now(&self) -> Tick {
        match self {
            Self::Own(clock) => clock.now(),
            Self::Manual(clock) => clock.now(),
        }
    }
}
