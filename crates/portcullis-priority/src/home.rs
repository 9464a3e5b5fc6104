//! What the handles of a queue share besides its slots: [`Home`].

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Waker;

use breaker_core::{
    CircuitBreaker, Class, Clock, ConfigErrors, Event, EventKind, Interest, Name, Observe,
    Observers, Outcome, Priority, State as CircuitState, Tick,
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
    observed: bool,
    circuit: Option<CircuitBreaker>,
}

/// Whether all observers were told, or the first panic of one.
pub(crate) type Told = Result<(), Box<dyn Any + Send>>;

/// A circuit is watched.
const CIRCUIT: u32 = 1;
/// Somebody observes.
const OBSERVED: u32 = 2;

impl Home {
    pub(crate) fn open(config: &QueueConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        let desk = pool::desk(config);
        let company = Company { observers: Observers::default(), observed: false, circuit: None };
        let (flags, company) = (AtomicU32::new(0), Mutex::new(company));
        let home = Arc::new(Self { desk, clock, flags, company });
        desk.begin(config, Arc::downgrade(&home));
        home
    }

    /// Takes in who watches and what is watched. Observers may change at any time what they want to
    /// hear: so where there is one, all calls look.
    fn refresh(&self, company: &Company) {
        let watches = company.circuit.is_some();
        let observed = company.observed;
        let flags = u32::from(watches) * CIRCUIT + u32::from(observed) * OBSERVED;
        self.flags.store(flags, Ordering::Relaxed);
        self.desk.with(|state| state.company(self.desk, observed, watches));
    }

    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// What the circuit that is watched lets through. Its observers may panic where it changes its
    /// state now; by then it has changed it.
    fn pass(&self) -> (Pass, Told) {
        if self.flags.load(Ordering::Relaxed) & CIRCUIT == 0 {
            return (Pass::ALL, Ok(()));
        }
        let circuit = lock(&self.company).circuit.clone();
        let Some(circuit) = circuit else { return (Pass::ALL, Ok(())) };
        let state = || catch_unwind(AssertUnwindSafe(|| circuit.state()));
        let (state, told) = match state() {
            Ok(state) => (state, Ok(())),
            Err(panic) => (state().unwrap_or(CircuitState::Open), Err(panic)),
        };
        (Pass::of(state), told)
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
        let now = self.now();
        let (pass, mut told) = self.pass();
        let observers = self.observers();
        let interest = observers.as_ref().map_or(Interest::NOTHING, Observers::interest);
        let mut out = Out::new(interest.includes(Interest::CALLS | Interest::CHANGES));
        let (done, name) =
            self.desk.with(|state| (work(state, now, pass, &mut out), state.config.name));
        out.wake();
        if let Some(observers) = observers {
            let refused = out.refused.take().map(EventKind::Refused);
            let events = std::mem::take(&mut out.events);
            // All are told, also after a panic.
            for event in events.iter().chain(&refused) {
                told = told.and(tell(&observers, &name, now, event));
            }
        }
        // One panic may be on its way already, through the drop of a call.
        (done, if std::thread::panicking() { Ok(()) } else { told })
    }

    fn observers(&self) -> Option<Observers> {
        let observed = self.flags.load(Ordering::Relaxed) & OBSERVED != 0;
        observed.then(|| lock(&self.company).observers.clone())
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

    /// What the call on a seat does next, and the panic of an observer, which is to go on when that
    /// is in good hands. It has left the seat where it does not go on waiting.
    pub(crate) fn turn(&self, seat: (u32, Tick), waker: Waker) -> (Turn, Told) {
        self.done_at_desk(|state, now, pass, out| {
            state.turn(self.desk, (now, pass), seat, waker, out)
        })
    }

    pub(crate) fn undo(&self, taken: Taken, priority: Priority) {
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
        self.at_desk(|state, _, _, out| state.leave(seat, out))
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

    /// Takes in how a call of this class ended, which began at `started`.
    pub(crate) fn record(&self, started: Tick, class: Class, end: End) {
        self.at_desk(|state, now, pass, out| {
            match end {
                End::NotMade | End::Says(Verdict::Cancelled) => {}
                End::OwnFault | End::Says(Verdict::Answered) => state.ended(now, class, true),
                End::NotTaken | End::Says(_) => state.ended(now, class, false),
            }
            if let End::Says(verdict) = end {
                let in_flight = self.desk.running() + self.desk.out_of_reach(class);
                let sample = Sample { started, ended: now, in_flight, verdict };
                state.sample(self.desk, &sample, out);
                state.serve(self.desk, now, pass, out);
            }
        });
    }

    pub(crate) fn finished(&self, priority: Priority) {
        if let Some(observers) = self.observers() {
            let kind = EventKind::Finished { priority, running: self.desk.running() };
            let told = tell(&observers, &self.config().name, self.now(), &kind);
            told.unwrap_or_else(|panic| resume_unwind(panic));
        }
    }

    // ===== operators =====

    /// Changes the configuration; a limit of the user's own stays unless it is `replaced`.
    pub(crate) fn reconfigure(
        &self,
        replaced: bool,
        change: impl FnOnce(QueueConfig) -> QueueConfig,
    ) -> Result<(), ConfigErrors> {
        let old = self.at_desk(|state, now, pass, out| {
            // Two at a time: the second one changes what the first one made of it.
            let config = change(state.config);
            config.check()?;
            let old = state.reconfigure(self.desk, &config, replaced, out);
            state.serve(self.desk, now, pass, out);
            Ok(old)
        })?;
        drop(old);
        Ok(())
    }

    pub(crate) fn limit_by(&self, limit: Box<dyn LimitAlgorithm>) -> Result<(), ConfigErrors> {
        let old = self.at_desk(|state, now, pass, out| {
            state.config.check_shared()?;
            let old = state.limit_by(self.desk, limit, out);
            state.serve(self.desk, now, pass, out);
            Ok(old)
        })?;
        drop(old);
        Ok(())
    }

    pub(crate) fn config(&self) -> QueueConfig {
        self.desk.with(|state| state.config)
    }

    pub(crate) fn observe(&self, observer: Arc<dyn Observe>) {
        let old = {
            let mut company = lock(&self.company);
            company.observed = true;
            let all = company.observers.and(observer);
            let old = std::mem::replace(&mut company.observers, all);
            self.refresh(&company);
            old
        };
        drop(old);
    }

    pub(crate) fn watch(&self, circuit: &CircuitBreaker) {
        let old = {
            let mut company = lock(&self.company);
            let old = company.circuit.replace(circuit.clone());
            self.refresh(&company);
            old
        };
        drop(old);
        self.stir();
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&State, Tick, Pass) -> T) -> T {
        self.at_desk(|state, now, pass, out| {
            state.settle(now, out);
            state.serve(self.desk, now, pass, out);
            look(state, now, pass)
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
    /// The callee did not take it, and that says nothing of its load.
    NotTaken,
    /// It was not made.
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
            Outcome::Failure(FailureKind::Connection | FailureKind::RateLimited) => Self::NotTaken,
            Outcome::Failure(_) | Outcome::Ignored => Self::OwnFault,
        }
    }
}

/// Tells observers; the panic of one harms nobody, and is to go on.
fn tell(observers: &Observers, name: &Name, at: Tick, kind: &EventKind) -> Told {
    observers.tell(&Event { circuit: name, partition: None, at, kind })
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
