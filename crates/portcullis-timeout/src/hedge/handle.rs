//! The state of hedges: [`Hedge`].

use std::fmt;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use breaker_core::{
    Anchor, Anchored, Budget, Clock, ConfigErrors, Event, EventKind, MonotonicClock, Observe,
    Observers, RetryBudget, Tick,
};

use super::config::HedgeConfig;
use super::rule::Rule;
use super::snapshot::HedgeSnapshot;

/// What is known of the calls to a callee, shared by clones: after how long they are sent again, and
/// how many were.
///
/// ```
/// use portcullis_timeout::{HedgeConfig, HedgeLayer};
///
/// let layer = HedgeLayer::new(HedgeConfig::new().named("search"));
/// let hedge = layer.handle();
/// assert_eq!(hedge.snapshot().hedged, 0);
/// println!("{}", hedge.explain());
/// ```
#[derive(Clone)]
pub struct Hedge(Anchored<Home>);

/// What the calls of a [`Hedge`] share.
pub(crate) struct Home {
    clock: Arc<dyn Clock>,
    rule: Mutex<Rule>,
    purse: Mutex<Purse>,
    /// Whether there are observers: a look at it needs no lock.
    observed: AtomicBool,
    observers: Mutex<Observers>,
}

/// Who pays.
#[derive(Clone)]
pub(crate) struct Purse {
    pub(crate) budget: RetryBudget,
    /// Whether nobody else tells the budget of the calls.
    pub(crate) own: bool,
}

impl Hedge {
    /// On the machine's monotonic clock.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`HedgeConfig::check`].
    #[must_use]
    pub fn new(config: HedgeConfig) -> Self {
        Self::with_clock(config, MonotonicClock::new())
    }

    /// On this clock.
    ///
    /// # Panics
    /// When the values of `config` do not fit together: see [`HedgeConfig::check`].
    #[must_use]
    pub fn with_clock(config: HedgeConfig, clock: impl Clock + 'static) -> Self {
        if let Err(errors) = config.check() {
            panic!("{errors}");
        }
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let budget = RetryBudget::with_clock(Budget::adaptive(), clock.clone());
        Self(Anchored::new(Home {
            clock,
            rule: Mutex::new(Rule::new(&config)),
            purse: Mutex::new(Purse { budget, own: true }),
            observed: AtomicBool::new(false),
            observers: Mutex::new(Observers::default()),
        }))
    }

    /// Has second attempts paid from this budget, which others pay from, too.
    ///
    /// It is they who tell it of the calls and how they end; all that it hears from here is how an
    /// attempt failed whose answer nobody outside sees.
    pub fn budget(&self, budget: &RetryBudget) {
        let purse = Purse { budget: budget.clone(), own: false };
        let old = std::mem::replace(&mut *lock(&self.0.purse), purse);
        drop(old);
    }

    /// Has `observer` told what happens from now on.
    pub fn observe(&self, observer: impl Observe + 'static) {
        let mut observers = lock(&self.0.observers);
        let all = observers.and(Arc::new(observer));
        let old = std::mem::replace(&mut *observers, all);
        drop(observers);
        drop(old);
        self.0.observed.store(true, Ordering::Release);
    }

    /// Puts another configuration in force, as a whole; what was measured stays, and calls that wait
    /// keep their delay.
    ///
    /// # Errors
    /// What [`HedgeConfig::check`] finds; then nothing is changed.
    pub fn reconfigure(&self, config: HedgeConfig) -> Result<(), ConfigErrors> {
        config.check()?;
        lock(&self.0.rule).reconfigure(&config);
        Ok(())
    }

    /// The configuration in force.
    pub fn config(&self) -> HedgeConfig {
        lock(&self.0.rule).config
    }

    /// All figures, at this moment.
    #[must_use]
    pub fn snapshot(&self) -> HedgeSnapshot {
        let now = self.0.now();
        HedgeSnapshot::of(&lock(&self.0.rule), now)
    }

    /// Why it is as it is, in a sentence.
    #[must_use]
    pub fn explain(&self) -> String {
        self.snapshot().explain()
    }

    pub(crate) fn anchor(&self) -> Anchor<Home> {
        self.0.anchor()
    }
}

impl Home {
    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    pub(crate) fn rule(&self) -> MutexGuard<'_, Rule> {
        lock(&self.rule)
    }

    pub(crate) fn purse(&self) -> Purse {
        lock(&self.purse).clone()
    }

    /// Tells observers that a call was sent again; the first panic of one goes on in the call.
    pub(crate) fn tell_hedged(&self, at: Tick, after: Duration) {
        if !self.observed.load(Ordering::Acquire) {
            return;
        }
        let (observers, name) = (lock(&self.observers).clone(), self.rule().config.name);
        let kind = EventKind::Hedged { after };
        let event = Event { circuit: &name, partition: None, at, kind: &kind };
        if let Err(panic) = observers.tell(&event) {
            resume_unwind(panic);
        }
    }
}

/// Takes the lock, also after a panic elsewhere: what these guard is arithmetic, and lists that are
/// replaced as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: who writes it down may ask for more.
        let config = self.rule().config;
        f.debug_struct("Hedge").field("config", &config).finish_non_exhaustive()
    }
}
