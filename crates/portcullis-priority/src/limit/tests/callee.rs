//! A callee with some workers and a queue, and clients who want more than it can do.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use breaker_core::{Chance, Tick};

use crate::limit::{Limit, LimitAlgorithm, Sample, Verdict};

pub(super) struct Callee {
    /// Calls that are worked on at a time.
    pub(super) workers: usize,
    /// Seconds of work per call, in the mean, and how far it spreads (lognormal).
    pub(super) work: f64,
    pub(super) sigma: f64,
    /// Seconds that every call takes beside that, whatever the load.
    pub(super) far: f64,
    /// Calls per second that clients want.
    pub(super) offered: f64,
    /// After so many seconds a caller gives up.
    pub(super) timeout: f64,
    /// The limit of each client; a call comes from any of them.
    pub(super) limits: Vec<Box<dyn LimitAlgorithm>>,
    /// The limit after each answer, and how long the call took.
    pub(super) trace: Vec<Mark>,
    pub(super) now: f64,
    chance: Chance,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    number: u64,
    queue: VecDeque<usize>,
    busy: usize,
    calls: Vec<Call>,
    in_flight: Vec<u32>,
}

#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) at: f64,
    pub(super) limit: u32,
    pub(super) took: f64,
    pub(super) good: bool,
}

#[derive(Clone, Copy)]
struct Call {
    client: usize,
    began: f64,
    ended: bool,
}

#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Event {
    Arrival,
    Worked(usize),
    Answered(usize),
    GivenUp(usize),
}

impl Callee {
    /// Ten workers of 50 ms, and clients who want three times as much as they can do.
    pub(super) fn new(limit: &Limit, seed: u64) -> Self {
        let mut this = Self {
            workers: 10,
            work: 0.05,
            sigma: 0.5,
            far: 0.0,
            offered: 1_200.0,
            timeout: 1.0,
            limits: vec![limit.begin()],
            trace: Vec::new(),
            now: 0.0,
            chance: Chance::seeded(seed),
            events: BinaryHeap::new(),
            number: 0,
            queue: VecDeque::new(),
            busy: 0,
            calls: Vec::new(),
            in_flight: vec![0],
        };
        this.plan(0.0, Event::Arrival);
        this
    }

    pub(super) fn run(&mut self, seconds: f64) {
        let end = self.now + seconds;
        while let Some(&Reverse((at, _, event))) = self.events.peek() {
            let at = at as f64 / 1e9;
            if at > end {
                break;
            }
            self.events.pop();
            self.now = at;
            self.handle(event);
        }
        self.now = end;
    }

    /// So many clients, each with a limit of its own.
    pub(super) fn clients(mut self, clients: usize, limit: &Limit) -> Self {
        self.limits = (0..clients).map(|_| limit.begin()).collect();
        self.in_flight = vec![0; clients];
        self
    }

    /// What is true of the part of the run since `from`.
    pub(super) fn since(&self, from: f64) -> impl Iterator<Item = &Mark> {
        self.trace.iter().filter(move |mark| mark.at >= from)
    }

    /// Good answers per second since `from`.
    pub(super) fn goodput(&self, from: f64) -> f64 {
        self.since(from).filter(|mark| mark.good).count() as f64 / (self.now - from)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival => {
                let wait = -(1.0 - self.uniform()).ln() / self.offered;
                self.plan(wait, Event::Arrival);
                let client = self.chance.below(self.limits.len() as u64) as usize;
                if self.in_flight[client] < self.limits[client].limit() {
                    self.in_flight[client] += 1;
                    self.calls.push(Call { client, began: self.now, ended: false });
                    let id = self.calls.len() - 1;
                    self.plan(self.timeout, Event::GivenUp(id));
                    self.queue.push_back(id);
                    self.work();
                }
            }
            Event::Worked(id) => {
                self.busy -= 1;
                self.plan(self.far, Event::Answered(id));
                self.work();
            }
            Event::Answered(id) => self.end(id, Verdict::Answered),
            Event::GivenUp(id) => self.end(id, Verdict::TimedOut),
        }
    }

    fn work(&mut self) {
        while self.busy < self.workers {
            let Some(id) = self.queue.pop_front() else { return };
            self.busy += 1;
            let (u, v) = (1.0 - self.uniform(), self.uniform());
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            let seconds =
                self.work * self.sigma.mul_add(normal, -self.sigma * self.sigma / 2.0).exp();
            self.plan(seconds, Event::Worked(id));
        }
    }

    fn end(&mut self, id: usize, verdict: Verdict) {
        let Call { client, began, ended } = self.calls[id];
        if ended {
            return;
        }
        self.calls[id].ended = true;
        let took = self.now - began;
        let [started, ended] = [began, self.now].map(|at| Tick::from_nanos((at * 1e9) as u64));
        let limit = &mut self.limits[client];
        limit.sample(&Sample { started, ended, in_flight: self.in_flight[client], verdict });
        self.in_flight[client] -= 1;
        let good = verdict == Verdict::Answered;
        self.trace.push(Mark { at: self.now, limit: limit.limit(), took, good });
    }

    fn plan(&mut self, wait: f64, event: Event) {
        self.number += 1;
        let at = ((self.now + wait) * 1e9) as u64;
        self.events.push(Reverse((at, self.number, event)));
    }

    fn uniform(&mut self) -> f64 {
        self.chance.below(1 << 53) as f64 / (1_u64 << 53) as f64
    }
}
