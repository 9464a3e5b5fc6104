//! What the handles of a queue share besides its slots: [`Home`].

use std::fmt;
use std::sync::Arc;

use breaker_core::{
    CircuitBreaker, Class, Clock, Event, EventKind, Interest, Name, Observe, Observers, Outcome,
    Priority, Reason, State as CircuitState, Tick,
};

use crate::config::QueueConfig;
use crate::desk::{Asking, Desk, Entered, Gate, Out, Pass, State, Taken, Turn};
use crate::limit::{LimitAlgorithm, Sample, Verdict};
use crate::pool;
use crate::sync::{AtomicU32, Mutex, Ordering, lock};

/// The owner of a desk: its clock, and who is told of what happens there.
pub(crate) struct Home {
    pub(crate) desk: &'static Desk,
    clock: Arc<dyn Clock>,
    /// Which of the company there is: a look at it needs no lock.
    flags: AtomicU32,
    company: Mutex<Company>,
}

/// Those who watch, and the circuit that is watched.
struct Company {
    name: Name,
    observers: Observers,
    circuit: Option<CircuitBreaker>,
}

/// A circuit is watched.
const CIRCUIT: u32 = 1;
/// What observers want to hear.
const HEARD: [(u32, Interest); 3] =
    [(2, Interest::CHANGES), (4, Interest::REFUSALS), (8, Interest::CALLS)];

impl Home {
    pub(crate) fn open(config: &QueueConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        let desk = pool::desk(config);
        let company = Company { name: config.name, observers: Observers::default(), circuit: None };
        let (flags, company) = (AtomicU32::new(0), Mutex::new(company));
        let home = Arc::new(Self { desk, clock, flags, company });
        desk.begin(config, Arc::downgrade(&home));
        home.refresh(config);
        home
    }

    /// Says anew who gets a slot without a look.
    fn refresh(&self, config: &QueueConfig) {
        let (interest, watches) = {
            let mut company = lock(&self.company);
            company.name = config.name;
            (company.observers.clone(), company.circuit.is_some())
        };
        // An observer is somebody else's code.
        let interest = interest.interest();
        let heard = HEARD.iter().filter(|(_, kind)| interest.includes(*kind));
        let flags = heard.fold(u32::from(watches) * CIRCUIT, |flags, (flag, _)| flags | flag);
        self.flags.store(flags, Ordering::Relaxed);
        let calls = interest.includes(Interest::CALLS);
        let look = calls || watches || config.throttle.is_some();
        let timed = calls || config.throttle.is_some() || self.is_limited();
        self.desk.set_gate(Gate::new(config.min_priority, look, timed));
    }

    fn is_limited(&self) -> bool {
        self.desk.with(|state| state.limit.is_some())
    }

    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// What the circuit that is watched lets through.
    fn pass(&self) -> Pass {
        if self.flags.load(Ordering::Relaxed) & CIRCUIT == 0 {
            return Pass::ALL;
        }
        let circuit = lock(&self.company).circuit.clone();
        let Some(circuit) = circuit else { return Pass::ALL };
        match circuit.state() {
            CircuitState::Open | CircuitState::ForcedOpen => {
                Pass { least: Class::Critical, reason: Reason::Open, bounded: true }
            }
            CircuitState::HalfOpen => {
                Pass { least: Class::High, reason: Reason::BelowShare, bounded: false }
            }
            _ => Pass::ALL,
        }
    }

    /// Does something at the desk, and then tells everybody whom it concerns.
    fn at_desk<T>(&self, work: impl FnOnce(&mut State, Tick, Pass, &mut Out) -> T) -> T {
        let (now, pass) = (self.now(), self.pass());
        let told = self.hears(Interest::CALLS) || self.hears(Interest::CHANGES);
        let mut out = Out::new(told);
        let done = self.desk.with(|state| work(state, now, pass, &mut out));
        out.wake();
        for event in std::mem::take(&mut out.events) {
            self.tell(now, &event);
        }
        if let Some(rejected) = out.refused {
            self.tell(now, &EventKind::Refused(rejected));
        }
        done
    }

    fn hears(&self, kind: Interest) -> bool {
        let flags = self.flags.load(Ordering::Relaxed);
        HEARD.iter().any(|(flag, heard)| flags & flag != 0 && heard.includes(kind))
    }

    /// Tells observers; one that panics harms nobody, and the panic goes on.
    fn tell(&self, at: Tick, kind: &EventKind) {
        if !self.hears(kind.interest()) {
            return;
        }
        let (name, observers) = {
            let company = lock(&self.company);
            (company.name, company.observers.clone())
        };
        let told = observers.tell(&Event { circuit: &name, partition: None, at, kind });
        if let Err(panic) = told {
            // One panic may be on its way already, through the drop of a call.
            if !std::thread::panicking() {
                std::panic::resume_unwind(panic);
            }
        }
    }

    // ===== calls =====

    pub(crate) fn enter(&self, asking: &Asking) -> Entered {
        self.at_desk(|state, now, pass, out| state.enter(self.desk, (now, pass), asking, out))
    }

    pub(crate) fn turn(&self, seat: (u32, Tick), waker: std::task::Waker) -> Turn {
        self.at_desk(|state, now, pass, out| state.turn(self.desk, (now, pass), seat, waker, out))
    }

    pub(crate) fn leave(&self, seat: u32) -> Option<Taken> {
        self.at_desk(|state, now, _, out| state.leave(now, seat, out))
    }

    pub(crate) fn raise(&self, seat: u32, to: Priority) {
        self.at_desk(|state, now, pass, out| {
            state.raise(now, seat, to);
            state.serve(self.desk, now, pass, out);
        });
    }

    /// Hands free slots over, after one was given back.
    pub(crate) fn stir(&self) {
        self.at_desk(|state, now, pass, out| state.serve(self.desk, now, pass, out));
    }

    /// Takes in how a call ended that began at `started`.
    pub(crate) fn record(&self, started: Tick, priority: Priority, end: End) {
        self.at_desk(|state, now, pass, out| match end {
            End::NotMade => state.withdraw(now, priority.class()),
            End::OwnFault => state.accept(now),
            End::Says(verdict) => {
                if matches!(verdict, Verdict::Answered | Verdict::Cancelled) {
                    state.accept(now);
                }
                let in_flight = self.desk.running();
                let sample = Sample { started, ended: now, in_flight, verdict };
                state.sample(self.desk, &sample, out);
                state.serve(self.desk, now, pass, out);
            }
        });
    }

    pub(crate) fn finished(&self, priority: Priority) {
        let kind = EventKind::Finished { priority, running: self.desk.running() };
        if self.hears(Interest::CALLS) {
            self.tell(self.now(), &kind);
        }
    }

    // ===== operators =====

    pub(crate) fn reconfigure(
        &self,
        change: impl FnOnce(QueueConfig) -> QueueConfig,
    ) -> Result<(), breaker_core::ConfigErrors> {
        let config = change(self.config());
        config.check()?;
        let old = self.at_desk(|state, now, pass, out| {
            let old = state.reconfigure(self.desk, &config, out);
            state.serve(self.desk, now, pass, out);
            old
        });
        drop(old);
        self.refresh(&config);
        Ok(())
    }

    pub(crate) fn limit_by(&self, limit: Box<dyn LimitAlgorithm>) {
        let old = self.at_desk(|state, now, pass, out| {
            let old = state.limit_by(self.desk, limit, out);
            state.serve(self.desk, now, pass, out);
            old
        });
        drop(old);
        self.refresh(&self.config());
    }

    pub(crate) fn config(&self) -> QueueConfig {
        self.desk.with(|state| state.config)
    }

    pub(crate) fn observe(&self, observer: Arc<dyn Observe>) {
        {
            let mut company = lock(&self.company);
            company.observers = company.observers.and(observer);
        }
        self.refresh(&self.config());
    }

    pub(crate) fn watch(&self, circuit: &CircuitBreaker) {
        let old = lock(&self.company).circuit.replace(circuit.clone());
        drop(old);
        self.refresh(&self.config());
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&State, Tick) -> T) -> T {
        let now = self.now();
        self.at_desk(|state, _, pass, out| {
            state.settle(now, out);
            state.serve(self.desk, now, pass, out);
            look(state, now)
        })
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// It says this of the load of the callee.
    Says(Verdict),
    /// The callee took it, and it failed for a reason of its own.
    OwnFault,
    /// The callee never saw it.
    NotMade,
}

impl End {
    pub(crate) const fn of(outcome: Outcome) -> Self {
        use breaker_core::FailureKind;
        match outcome {
            Outcome::Success | Outcome::Failure(FailureKind::InvalidRequest) => {
                Self::Says(Verdict::Answered)
            }
            Outcome::Failure(FailureKind::Timeout) => Self::Says(Verdict::TimedOut),
            Outcome::Failure(FailureKind::Overload { .. } | FailureKind::ResourceExhausted) => {
                Self::Says(Verdict::Overloaded)
            }
            Outcome::Failure(_) | Outcome::Ignored => Self::OwnFault,
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.desk.retire() {
            pool::put(self.desk);
        }
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("running", &self.desk.running()).finish_non_exhaustive()
    }
}
