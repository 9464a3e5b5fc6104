//! What the handles of a queue share besides its slots: [`Home`].

use std::any::Any;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::Waker;

use breaker_core::{
    CircuitBreaker, Class, Clock, Event, EventKind, Interest, Name, Observe, Observers, Outcome,
    Priority, Reason, State as CircuitState, Tick,
};

use crate::config::QueueConfig;
use crate::desk::{Asking, Desk, Entered, Out, Pass, State, Taken, Turn};
use crate::limit::{LimitAlgorithm, Sample, Verdict};
use crate::planted::planted;
use crate::pool;
use crate::slot::{Slot, quietly};
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
    observers: Observers,
    circuit: Option<CircuitBreaker>,
    /// How often it has changed.
    changes: u64,
}

/// Whether all observers were told, or the first panic of one.
type Told = Result<(), Box<dyn Any + Send>>;

/// A circuit is watched.
const CIRCUIT: u32 = 1;
/// What observers want to hear.
const HEARD: [(u32, Interest); 3] =
    [(2, Interest::CHANGES), (4, Interest::REFUSALS), (8, Interest::CALLS)];

impl Home {
    pub(crate) fn open(config: &QueueConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        let desk = pool::desk(config);
        let company = Company { observers: Observers::default(), circuit: None, changes: 0 };
        let (flags, company) = (AtomicU32::new(0), Mutex::new(company));
        let home = Arc::new(Self { desk, clock, flags, company });
        desk.begin(config, Arc::downgrade(&home));
        home
    }

    /// Takes in who watches and what is watched. Whoever changes either does this afterwards: so the
    /// last of several has seen the changes of all.
    fn refresh(&self) {
        loop {
            let (observers, seen) = {
                let company = lock(&self.company);
                (company.observers.clone(), company.changes)
            };
            // An observer is somebody else's code.
            let interest = observers.interest();
            let company = lock(&self.company);
            if company.changes == seen {
                let watches = company.circuit.is_some();
                let heard = HEARD.iter().filter(|(_, kind)| interest.includes(*kind));
                let none = u32::from(watches) * CIRCUIT;
                let flags = heard.fold(none, |flags, (flag, _)| flags | flag);
                self.flags.store(flags, Ordering::Relaxed);
                let calls = interest.includes(Interest::CALLS);
                return self.desk.with(|state| state.company(self.desk, calls, watches));
            }
        }
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
        let (done, told) = self.done_at_desk(work);
        told.unwrap_or_else(|panic| resume_unwind(panic));
        done
    }

    /// The same, with the first panic of an observer, for those who have to undo something then.
    fn done_at_desk<T>(
        &self,
        work: impl FnOnce(&mut State, Tick, Pass, &mut Out) -> T,
    ) -> (T, Told) {
        let (now, pass) = (self.now(), self.pass());
        let told = self.hears(Interest::CALLS) || self.hears(Interest::CHANGES);
        let mut out = Out::new(told);
        let (done, name) =
            self.desk.with(|state| (work(state, now, pass, &mut out), state.config.name));
        out.wake();
        let refused = out.refused.take().map(EventKind::Refused);
        let events = std::mem::take(&mut out.events);
        let mut told = Ok(());
        // All are told, also after a panic.
        for event in events.iter().chain(&refused) {
            told = told.and(self.tell(&name, now, event));
        }
        (done, told)
    }

    fn hears(&self, kind: Interest) -> bool {
        let flags = self.flags.load(Ordering::Relaxed);
        HEARD.iter().any(|(flag, heard)| flags & flag != 0 && heard.includes(kind))
    }

    /// Tells observers; the panic of one harms nobody, and is to go on.
    fn tell(&self, name: &Name, at: Tick, kind: &EventKind) -> Told {
        if !self.hears(kind.interest()) {
            return Ok(());
        }
        let observers = lock(&self.company).observers.clone();
        let told = observers.tell(&Event { circuit: name, partition: None, at, kind });
        // One panic may be on its way already, through the drop of a call.
        if std::thread::panicking() { Ok(()) } else { told }
    }

    // ===== calls =====

    pub(crate) fn enter(&self, asking: &Asking) -> Entered {
        let (entered, told) = self
            .done_at_desk(|state, now, pass, out| state.enter(self.desk, (now, pass), asking, out));
        if let Err(panic) = told {
            // Nobody will ever know what it was given.
            match entered {
                Entered::Takes(taken) => self.undo(taken, asking.priority),
                Entered::Waits(seat, _) => self.quit(seat, asking.priority),
                Entered::Refused(_) => {}
            }
            resume_unwind(panic);
        }
        entered
    }

    /// What the call on a seat does next. It has left the seat where it does not go on waiting, and
    /// where this panics.
    pub(crate) fn turn(&self, seat: (u32, Tick), priority: Priority, waker: Waker) -> Turn {
        let (turn, told) = self.done_at_desk(|state, now, pass, out| {
            state.turn(self.desk, (now, pass), seat, waker, out)
        });
        if let Err(panic) = told {
            match turn {
                Turn::Takes(taken, _) => self.undo(taken, priority),
                Turn::Waits(_) => self.quit(seat.0, priority),
                Turn::Refused(_) => {}
            }
            resume_unwind(panic);
        }
        turn
    }

    fn undo(&self, taken: Taken, priority: Priority) {
        if !planted("told-too-early") {
            drop(Slot::new(self.desk, taken, priority));
        }
    }

    /// Takes a call off its seat; a slot that it was given and has not fetched goes to the next one.
    pub(crate) fn quit(&self, seat: u32, priority: Priority) {
        quietly(|| {
            let taken = self.leave(seat);
            drop(taken.map(|taken| Slot::new(self.desk, taken, priority)));
        });
    }

    fn leave(&self, seat: u32) -> Option<Taken> {
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
            let told = self.tell(&self.config().name, self.now(), &kind);
            told.unwrap_or_else(|panic| resume_unwind(panic));
        }
    }

    // ===== operators =====

    pub(crate) fn reconfigure(
        &self,
        change: impl FnOnce(QueueConfig) -> QueueConfig,
    ) -> Result<(), breaker_core::ConfigErrors> {
        let old = self.at_desk(|state, now, pass, out| {
            // Two at a time: the second one changes what the first one made of it.
            let config = change(state.config);
            config.check()?;
            let old = state.reconfigure(self.desk, &config, out);
            state.serve(self.desk, now, pass, out);
            Ok(old)
        })?;
        drop(old);
        Ok(())
    }

    pub(crate) fn limit_by(&self, limit: Box<dyn LimitAlgorithm>) {
        let old = self.at_desk(|state, now, pass, out| {
            let old = state.limit_by(self.desk, limit, out);
            state.serve(self.desk, now, pass, out);
            old
        });
        drop(old);
    }

    pub(crate) fn config(&self) -> QueueConfig {
        self.desk.with(|state| state.config)
    }

    pub(crate) fn observe(&self, observer: Arc<dyn Observe>) {
        let old = {
            let mut company = lock(&self.company);
            company.changes += 1;
            let all = company.observers.and(observer);
            std::mem::replace(&mut company.observers, all)
        };
        drop(old);
        self.refresh();
    }

    pub(crate) fn watch(&self, circuit: &CircuitBreaker) {
        let old = {
            let mut company = lock(&self.company);
            company.changes += 1;
            company.circuit.replace(circuit.clone())
        };
        drop(old);
        self.refresh();
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
