//! A queue without Tower: [`PriorityQueue`].

use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hash, RandomState};
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use breaker_core::{
    CallError, CircuitBreaker, Clock, ConfigErrors, ErrorsAreFailures, MonotonicClock, Observe,
    Priority, Rejected,
};

use crate::config::QueueConfig;
use crate::desk::{Asking, Entered};
use crate::home::Home;
use crate::limit::LimitAlgorithm;
use crate::slot::Slot;
use crate::snapshot::Snapshot;
use crate::wait::Wait;

/// The slots of one callee or one server, shared by its clones, and those who wait for them.
///
/// ```
/// use portcullis_priority::{Priority, PriorityQueue, QueueConfig};
///
/// let queue = PriorityQueue::new(QueueConfig::slots(1));
/// let slot = queue.try_acquire(Priority::NORMAL).expect("it is free");
/// let refused = queue.try_acquire(Priority::HIGH).unwrap_err();
/// println!("{refused}");      // call refused by priority-queue: all slots are taken; try again in 1.0s
/// drop(slot);
/// assert!(queue.try_acquire(Priority::BULK).is_ok());
/// ```
#[derive(Clone)]
pub struct PriorityQueue {
    pub(crate) home: Arc<Home>,
}

/// A call that asks for a slot, and what is known of it.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Call {
    pub(crate) priority: Priority,
    pub(crate) cohort: u8,
    pub(crate) remaining: Option<Duration>,
}

impl Call {
    /// How many cohorts there are.
    pub(crate) const COHORTS: u64 = 128;

    /// A call of this priority.
    pub const fn new(priority: Priority) -> Self {
        Self { priority, cohort: 0, remaining: None }
    }

    /// Whose call it is: users take turns within a class. They are told apart by one of 128 cohorts,
    /// into which a hash with a random seed puts them.
    pub fn user(mut self, user: impl Hash) -> Self {
        static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        self.cohort = (SEED.hash_one(user) % Self::COHORTS) as u8;
        self
    }

    /// How long its caller waits for an answer. It is refused at once where that is nothing, or where
    /// no slot is free and it is less than calls take on average; otherwise it waits no longer than
    /// leaves it so much. How long calls take is measured from the first call on that says this.
    pub const fn remaining(mut self, remaining: Duration) -> Self {
        self.remaining = Some(remaining);
        self
    }

    const fn asking(&self, may_wait: bool) -> Asking {
        let Self { priority, cohort, remaining } = *self;
        Asking { priority, cohort, remaining, may_wait }
    }
}

impl From<Priority> for Call {
    fn from(priority: Priority) -> Self {
        Self::new(priority)
    }
}

impl PriorityQueue {
    /// A queue on the machine's monotonic clock.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`QueueConfig::check`].
    #[must_use]
    pub fn new(config: impl Into<QueueConfig>) -> Self {
        Self::with_clock(config, MonotonicClock::new())
    }

    /// A queue on this clock.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`QueueConfig::check`].
    #[must_use]
    pub fn with_clock(config: impl Into<QueueConfig>, clock: impl Clock + 'static) -> Self {
        let config = config.into();
        if let Err(errors) = config.check() {
            panic!("{errors}");
        }
        Self { home: Home::open(&config, Arc::new(clock)) }
    }

    /// Takes a slot, or refuses the call: it does not wait.
    ///
    /// # Errors
    /// A [`Rejected`] that says why, and when to come back.
    #[inline]
    pub fn try_acquire(&self, call: impl Into<Call>) -> Result<Slot, Rejected> {
        let call = call.into();
        if let Some(slot) = self.acquire_at_once(&call) {
            return Ok(slot);
        }
        self.ask(&call, false).try_now().unwrap_or_else(|_| unreachable!("it may not wait"))
    }

    /// Takes a slot, or waits for one for as long as the class of the call may.
    #[inline]
    pub fn acquire(&self, call: impl Into<Call>) -> Wait {
        let call = call.into();
        match self.acquire_at_once(&call) {
            Some(slot) => Wait::decided(Ok(slot)),
            None => self.ask(&call, true),
        }
    }

    /// Takes a slot where one is free and nothing else is to be looked at.
    #[inline(always)]
    pub(crate) fn acquire_at_once(&self, call: &Call) -> Option<Slot> {
        let Call { priority, remaining: None, .. } = *call else { return None };
        let desk = self.home.desk;
        let gate = desk.gate();
        let slot = Slot::new(desk, desk.take_at_once(gate, priority)?, priority);
        Some(if gate.is_timed() { slot.timed(&self.home, None) } else { slot })
    }

    #[cold]
    pub(crate) fn ask(&self, call: &Call, may_wait: bool) -> Wait {
        let entered: Entered = self.home.enter(&call.asking(may_wait));
        Wait::new(&self.home, call, &entered)
    }

    /// Runs a future when it gets a slot; an `Err` is a failure. While it is polled,
    /// [`Priority::current`] is that of the call.
    ///
    /// # Errors
    /// [`CallError::Refused`] where it gets none, [`CallError::Failed`] with the future's own error.
    pub async fn run<T, E>(
        &self,
        call: impl Into<Call>,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let mut slot = self.acquire(call).await.map_err(CallError::Refused)?;
        let priority = slot.priority();
        let mut future = pin!(future);
        let result = poll_fn(|cx| slot.watch(|| priority.scope(|| future.as_mut().poll(cx)))).await;
        if slot.wants_outcome() {
            slot.answered(ErrorsAreFailures::of(result.as_ref()));
        }
        result.map_err(CallError::Failed)
    }

    /// Refuses calls below this level from now on, those that wait among them.
    ///
    /// # Errors
    /// What [`QueueConfig::check`] finds: a class that would be admitted has no slot to take. Then
    /// nothing is changed.
    pub fn min_priority(&self, least: Priority) -> Result<(), ConfigErrors> {
        self.home.reconfigure(false, |config| config.min_priority(least))
    }

    /// Puts another configuration in force, as a whole. Calls that run keep their slots, and those
    /// that wait go on waiting for as long as they were to. Where the limit is another one, or the
    /// slots in all, the limit begins anew, but with as many slots as there were.
    ///
    /// # Errors
    /// What [`QueueConfig::check`] finds; then nothing is changed.
    pub fn reconfigure(&self, config: impl Into<QueueConfig>) -> Result<(), ConfigErrors> {
        let config = config.into();
        self.home.reconfigure(true, |_| config)
    }

    /// The configuration in force.
    pub fn config(&self) -> QueueConfig {
        self.home.config()
    }

    /// Has an algorithm of your own move the number of slots, within those of the configuration, until
    /// the next [`reconfigure`](Self::reconfigure).
    ///
    /// # Errors
    /// Where no slot is shared: a limit could take all slots of a class, and never hear of it again.
    pub fn limit_by(&self, limit: impl LimitAlgorithm + 'static) -> Result<(), ConfigErrors> {
        self.home.limit_by(Box::new(limit))
    }

    /// Watches a circuit: while it is open, only critical calls are admitted, at most
    /// [`critical_open_limit`](QueueConfig::critical_open_limit) at a time; while it is half-open,
    /// only high and critical ones. The circuit still decides for itself.
    pub fn watch(&self, circuit: &CircuitBreaker) {
        self.home.watch(circuit);
    }

    /// Has `observer` told what happens from now on.
    pub fn observe(&self, observer: impl Observe + 'static) {
        self.home.observe(Arc::new(observer));
    }

    /// All figures, at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.home.look(|state, now, pass| Snapshot::of(self.home.desk, state, now, pass))
    }

    /// Why it is as it is, in a sentence.
    #[must_use]
    pub fn explain(&self) -> String {
        self.snapshot().explain()
    }
}

impl fmt::Debug for PriorityQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriorityQueue").field("home", &self.home).finish()
    }
}
