//! Where the timeout of a callee lives: [`Home`], and who watches it: [`Company`].

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use breaker_core::{
    Clock, ConfigErrors, Counted, Event, EventKind, Interest, Name, Observe, Observers, Outcome,
    Reason, Rejected, RetryBudget, Tick,
};

use crate::config::TimeoutConfig;
use crate::estimator::{Adjustment, Estimator, Sample};

/// What the timeouts of a layer share: the clock, and those who watch.
pub(crate) struct Company {
    pub(crate) clock: Arc<dyn Clock>,
    others: Mutex<Others>,
}

#[derive(Clone, Default)]
struct Others {
    observers: Option<Observers>,
    budget: Option<RetryBudget>,
}

/// The timeout of one callee.
pub(crate) struct Home {
    company: Arc<Company>,
    /// In nanoseconds, so that a call finds it by one load.
    timeout: AtomicU64,
    estimator: Mutex<Estimator>,
}

/// Whether all observers were told, or the first panic of one.
pub(crate) type Told = Result<(), Box<dyn Any + Send>>;

/// Takes the lock, also after a panic elsewhere: no code of the user's runs under these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Company {
    pub(crate) fn new(clock: impl Clock + 'static) -> Arc<Self> {
        Arc::new(Self { clock: Arc::new(clock), others: Mutex::default() })
    }

    pub(crate) fn observe(&self, observer: Arc<dyn Observe>) {
        let mut others = lock(&self.others);
        let all = others.observers.take().unwrap_or_default();
        let more = all.and(observer);
        others.observers = Some(more);
        drop(others);
        drop(all);
    }

    pub(crate) fn budget(&self, budget: &RetryBudget) {
        let old = lock(&self.others).budget.replace(budget.clone());
        drop(old);
    }

    fn tell(others: &Others, name: &Name, at: Tick, kind: &EventKind) -> Told {
        let Some(observers) = &others.observers else { return Ok(()) };
        observers.tell(&Event { circuit: name, partition: None, at, kind })
    }

    /// Refuses a call whose deadline has passed.
    pub(crate) fn too_late(&self, name: Name, now: Tick) -> Rejected {
        let rejected = Rejected::new(name, Reason::DeadlinePassed);
        let others = lock(&self.others).clone();
        let told = Self::tell(&others, &name, now, &EventKind::Refused(rejected));
        go_on(told);
        rejected
    }
}

impl Home {
    pub(crate) fn new(company: Arc<Company>, config: TimeoutConfig) -> Self {
        let estimator = Estimator::new(config);
        let timeout = AtomicU64::new(nanos(estimator.timeout()));
        Self { company, timeout, estimator: Mutex::new(estimator) }
    }

    pub(crate) const fn company(&self) -> &Arc<Company> {
        &self.company
    }

    pub(crate) fn now(&self) -> Tick {
        self.company.clock.now()
    }

    /// In nanoseconds.
    #[inline]
    pub(crate) fn timeout(&self) -> u64 {
        self.timeout.load(Ordering::Relaxed)
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Estimator) -> T) -> T {
        look(&lock(&self.estimator))
    }

    pub(crate) fn name(&self) -> Name {
        self.look(|estimator| estimator.config().name)
    }

    /// Takes in how a call ended that took so long, and tells those who watch.
    pub(crate) fn ended(&self, now: Tick, sample: Sample, outcome: Outcome, duration: Duration) {
        let counted = match outcome {
            Outcome::Success => Counted::Success,
            Outcome::Failure(_) => Counted::Failure,
            Outcome::Ignored => Counted::Ignored,
        };
        let end = EventKind::Settled { outcome, counted, duration, slow: false, late: false };
        go_on(self.take_in(now, sample, &end));
    }

    /// Takes in a call that its caller has given up. It may happen in a drop: nothing panics.
    pub(crate) fn cancelled(&self, since: Tick) {
        let quiet = AssertUnwindSafe(|| {
            let now = self.now();
            let elapsed = now.since(since);
            let end = EventKind::Cancelled { elapsed };
            let _ = self.take_in(now, Sample::Cancelled(elapsed), &end);
        });
        let _ = catch_unwind(quiet);
    }

    /// Gives up a call after its timeout, or at its deadline where that came first.
    pub(crate) fn gave_up(&self, since: Tick, limit: Duration, at_deadline: bool) -> Rejected {
        let now = self.now();
        let (name, overdue) = self.look(|it| (it.config().name, it.is_overdue(limit)));
        let reason = if at_deadline && !overdue { Reason::CutShort } else { Reason::TimedOut };
        let sample = if at_deadline { Sample::Cancelled(limit) } else { Sample::TimedOut(limit) };
        let rejected = Rejected::new(name, reason);
        self.ended(now, sample, rejected.outcome(), now.since(since).max(limit));
        rejected
    }

    fn take_in(&self, now: Tick, sample: Sample, end: &EventKind) -> Told {
        let others = lock(&self.company.others).clone();
        let congested = others.budget.as_ref().is_some_and(RetryBudget::is_congested);
        let (moved, name) = {
            let mut estimator = lock(&self.estimator);
            let moved = estimator.record(now, sample, congested);
            self.timeout.store(nanos(estimator.timeout()), Ordering::Relaxed);
            (moved, estimator.config().name)
        };
        let interest = others.observers.as_ref().map_or(Interest::NOTHING, Observers::interest);
        if !interest.includes(Interest::CALLS | Interest::CHANGES) {
            return Ok(());
        }
        // All are told, also after a panic.
        let ended = Company::tell(&others, &name, now, end);
        ended.and(changed(&others, &name, moved))
    }

    /// Puts another configuration in force, or begins anew.
    fn change(&self, change: impl FnOnce(&mut Estimator, Tick) -> Option<Adjustment>) -> Told {
        let now = self.now();
        let (moved, name) = {
            let mut estimator = lock(&self.estimator);
            let moved = change(&mut estimator, now);
            self.timeout.store(nanos(estimator.timeout()), Ordering::Relaxed);
            (moved, estimator.config().name)
        };
        let others = lock(&self.company.others).clone();
        changed(&others, &name, moved)
    }

    pub(crate) fn reset(&self) {
        go_on(self.change(|estimator, now| estimator.reset(now)));
    }

    pub(crate) fn reconfigure(&self, config: TimeoutConfig) -> Result<(), ConfigErrors> {
        config.check()?;
        go_on(self.reconfigured(config));
        Ok(())
    }

    /// The same with a configuration that was checked; the panic of an observer can wait.
    pub(crate) fn reconfigured(&self, config: TimeoutConfig) -> Told {
        self.change(|estimator, now| estimator.reconfigure(now, config))
    }
}

fn changed(others: &Others, name: &Name, moved: Option<Adjustment>) -> Told {
    let Some(Adjustment { at, from, to }) = moved else { return Ok(()) };
    Company::tell(others, name, at, &EventKind::TimeoutChanged { from, to })
}

/// The panic of an observer goes on in the call that it was told of, unless one is on its way.
pub(crate) fn go_on(told: Told) {
    if let Err(panic) = told {
        if !std::thread::panicking() {
            resume_unwind(panic);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeout = Duration::from_nanos(self.timeout());
        f.debug_struct("Home").field("timeout", &timeout).finish_non_exhaustive()
    }
}
