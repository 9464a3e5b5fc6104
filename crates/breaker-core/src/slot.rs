//! Where the state of a circuit lives, and the one door to it.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::clock::{Clock, Tick};
use crate::config::{CircuitBreakerConfig, Recovery};
use crate::events::{Change, History};
use crate::explain::{RampPhase, Snapshot};
use crate::machine::{Advice, Machine};
use crate::name::Name;
use crate::observe::{Event, EventKind, Interest, Observe, Observers};
use crate::pace::Chance;
use crate::percent::Percent;
use crate::state::{State, Transitions};
use crate::strategy::{DependencyGate, GateVerdict, Strategy};
use crate::sync::{AtomicU8, Mutex, Ordering, lock};

/// What all circuits of one family share: clock, observers, history.
pub(crate) struct Surroundings {
    pub(crate) clock: Arc<dyn Clock>,
    observers: Mutex<Observers>,
    pub(crate) history: Arc<History>,
    /// Whether there are observers at all, so that nobody takes a lock to find none.
    observed: AtomicU8,
}

impl Surroundings {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            observers: Mutex::new(Observers::default()),
            history: Arc::new(History::new()),
            observed: AtomicU8::new(0),
        }
    }

    pub(crate) fn observe(&self, observer: Arc<dyn Observe>) {
        let mut observers = lock(&self.observers);
        *observers = observers.and(observer);
        self.observed.store(1, Ordering::Release);
    }

    /// The observers, if there are any.
    fn observers(&self) -> Option<Observers> {
        (self.observed.load(Ordering::Acquire) != 0).then(|| lock(&self.observers).clone())
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.observed.load(Ordering::Acquire) != 0
    }
}

/// One circuit.
pub(crate) struct Slot {
    core: Mutex<Core>,
    pub(crate) around: Arc<Surroundings>,
    partition: Option<Name>,
    /// What can be known without the lock.
    hints: AtomicU8,
}

/// What the lock guards.
pub(crate) struct Core {
    pub(crate) machine: Machine,
    pub(crate) config: Arc<CircuitBreakerConfig>,
    /// The configuration as it was given, before a strategy was swapped in.
    pub(crate) given: Arc<CircuitBreakerConfig>,
    pub(crate) version: u64,
    pub(crate) strategy: Option<Arc<dyn Strategy>>,
    /// Asked for outside of the lock: it is the user's code.
    pub(crate) strategy_name: Option<&'static str>,
    pub(crate) gate: Option<Arc<dyn DependencyGate>>,
}

/// The answers do not depend on the time just now.
const AT_REST: u8 = 1;
/// The evidence needs to know when a call ends.
const BY_TIME: u8 = 2;
/// The evidence needs to know how long a call took.
const BY_DURATION: u8 = 4;
/// A strategy of the user's decides.
const CUSTOM: u8 = 8;
/// A gate is asked before each admission.
const GATED: u8 = 16;

/// What happened in one step, to be told once the lock has been let go.
#[derive(Default)]
pub(crate) struct News {
    kinds: Vec<EventKind>,
    pub(crate) at: Tick,
}

impl News {
    /// Adds a change: the history wants them all.
    pub(crate) fn push(&mut self, change: EventKind) {
        self.kinds.push(change);
    }

    /// Adds an event if somebody wants it.
    pub(crate) fn add(&mut self, wanted: Interest, kind: impl FnOnce() -> EventKind, of: Interest) {
        if wanted.includes(of) {
            self.kinds.push(kind());
        }
    }
}

impl Slot {
    pub(crate) fn new(
        config: Arc<CircuitBreakerConfig>,
        chance: Chance,
        around: Arc<Surroundings>,
        partition: Option<Name>,
        now: Tick,
    ) -> Self {
        let core = Core {
            machine: Machine::new(&config, chance).begun_at(now),
            given: config.clone(),
            config,
            version: 0,
            strategy: None,
            strategy_name: None,
            gate: None,
        };
        let hints = AtomicU8::new(core.hints());
        Self { core: Mutex::new(core), around, partition, hints }
    }

    /// The present moment, or the beginning of time where nobody will look at it.
    pub(crate) fn now_unless_at_rest(&self) -> Tick {
        // An observer is told when things happen.
        let idle = self.is_at_rest() && !self.around.is_observed();
        if idle { Tick::ZERO } else { self.around.clock.now() }
    }

    /// The present moment, or the beginning of time where nobody is told of it.
    pub(crate) fn now_if_observed(&self) -> Tick {
        if self.around.is_observed() { self.around.clock.now() } else { Tick::ZERO }
    }

    /// Whether the circuit is closed, and no order will change that by itself.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.has(AT_REST)
    }

    /// Whether the end of a call that went well must be timed; one that went wrong always is.
    pub(crate) fn times_successes(&self, stamped: bool) -> bool {
        let durations = self.has(BY_DURATION) || self.has(CUSTOM);
        let observed = self.around.is_observed();
        !self.has(AT_REST) || self.has(BY_TIME) || observed || stamped && durations
    }

    pub(crate) const fn partition(&self) -> Option<Name> {
        self.partition
    }

    pub(crate) fn is_gated(&self) -> bool {
        self.has(GATED)
    }

    /// Takes an outcome in by one step, and asks the user's strategy what follows; only then does
    /// the panic of an observer go on.
    pub(crate) fn take_in(
        &self,
        step: impl FnOnce(&mut Core, &mut Transitions, &mut News, Interest),
    ) {
        let ((), told) = self.step_quietly(step);
        self.consult();
        if let Err(panic) = told {
            resume_unwind(panic);
        }
    }

    /// Does one step under the lock, and tells about it afterwards.
    ///
    /// `step` may read, change the machine, and add news; it runs no code of the user's.
    pub(crate) fn step<T>(
        &self,
        step: impl FnOnce(&mut Core, &mut Transitions, &mut News, Interest) -> T,
    ) -> T {
        let (answer, told) = self.step_quietly(step);
        if let Err(panic) = told {
            resume_unwind(panic);
        }
        answer
    }

    /// The same, for where a panic of an observer must not go on.
    pub(crate) fn step_quietly<T>(
        &self,
        step: impl FnOnce(&mut Core, &mut Transitions, &mut News, Interest) -> T,
    ) -> (T, Result<(), Box<dyn Any + Send>>) {
        let observers = self.around.observers();
        let wanted = observers.as_ref().map_or(Interest::NOTHING, Observers::interest);
        let (mut done, mut news) = (Transitions::new(), News::default());
        let (answer, changed, circuit) = {
            let mut core = lock(&self.core);
            let answer = step(&mut core, &mut done, &mut news, wanted);
            let changed = self.take_down(&core, &done, &mut news);
            (answer, changed, observers.as_ref().map(|_| core.config.name))
        };
        if changed {
            self.around.history.wake();
        }
        let told = match observers.zip(circuit) {
            Some((observers, circuit)) => self.tell(&observers, &circuit, &news),
            None => Ok(()),
        };
        if done.iter().any(|transition| transition.to == State::HalfOpen) {
            // A strategy of the user's names its first share.
            self.consult();
        }
        (answer, told)
    }

    /// Writes the changes down, in their order: still under the lock.
    fn take_down(&self, core: &Core, done: &Transitions, news: &mut News) -> bool {
        self.hints.store(core.hints(), Ordering::Release);
        news.at = news.at.max(core.machine.last_seen());
        if !done.is_empty() {
            let mut changes = Vec::new();
            let mut adjustments = done.adjustments().iter().peekable();
            for &transition in done.iter() {
                while let Some(step) = adjustments.next_if(|step| step.at <= transition.at) {
                    changes.push(EventKind::of_adjustment(step));
                }
                let order = core.machine.order_reason();
                changes.push(EventKind::StateChanged { transition, order });
                if let (State::HalfOpen, Some(share)) = (transition.to, core.machine.share()) {
                    changes.push(EventKind::RampStarted { share });
                }
            }
            changes.extend(adjustments.map(EventKind::of_adjustment));
            news.kinds.splice(0..0, changes);
        }
        let mut changed = false;
        for kind in &news.kinds {
            if kind.interest() == Interest::CHANGES {
                changed = true;
                self.around.history.push(Change {
                    partition: self.partition,
                    at: news.at,
                    kind: kind.clone(),
                });
            }
        }
        changed
    }

    fn tell(
        &self,
        observers: &Observers,
        circuit: &Name,
        news: &News,
    ) -> Result<(), Box<dyn Any + Send>> {
        let partition = self.partition.as_ref();
        let mut told = Ok(());
        for kind in &news.kinds {
            told = told.and(observers.tell(&Event { circuit, partition, at: news.at, kind }));
        }
        told
    }

    /// Asks the gate, outside of the lock; without one, and where it panics, calls are admitted.
    pub(crate) fn ask_gate(&self) -> GateVerdict {
        let gate = lock(&self.core).gate.clone();
        gate.and_then(|gate| catch_unwind(AssertUnwindSafe(|| gate.verdict())).ok())
            .unwrap_or(GateVerdict::Admit)
    }

    /// Asks the user's strategy, if one is in force, what follows from the present facts.
    pub(crate) fn consult(&self) {
        if !self.has(CUSTOM) {
            return;
        }
        let (strategy, facts) = {
            let core = lock(&self.core);
            let Some(strategy) = core.strategy.clone() else { return };
            (strategy, core.snapshot())
        };
        let live = facts.shadow.unwrap_or(facts.state);
        let advice = catch_unwind(AssertUnwindSafe(|| match live {
            State::Closed => {
                Advice { open: strategy.open(&facts), close: false, share: Percent::FULL }
            }
            State::HalfOpen => Advice {
                open: strategy.open(&facts),
                close: strategy.close(&facts),
                share: strategy.share(&facts),
            },
            _ => Advice { open: false, close: false, share: Percent::FULL },
        }))
        .ok();
        let now = self.around.clock.now();
        let quiet = self.step_quietly(|core, done, news, _| match advice {
            Some(advice) => {
                let share = core.machine.advise(&core.config, facts.generation, advice, now, done);
                core.note_share(share, news);
                None
            }
            // Another one may have been put in force meanwhile.
            None if core.strategy.as_ref().is_some_and(|now| Arc::ptr_eq(now, &strategy)) => {
                news.kinds.push(EventKind::StrategyPanicked);
                core.swap(core.given.clone(), None, now, done)
            }
            None => None,
        });
        // The call that caused this has been answered: an observer's panic ends here.
        drop(quiet);
    }

    pub(crate) fn with_core<T>(&self, read: impl FnOnce(&Core) -> T) -> T {
        read(&lock(&self.core))
    }

    fn has(&self, hint: u8) -> bool {
        self.hints.load(Ordering::Acquire) & hint != 0
    }
}

impl Core {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.machine.snapshot(&self.config);
        snapshot.config_version = self.version;
        snapshot.strategy = self.strategy_name;
        snapshot.gated = self.gate.is_some();
        snapshot
    }

    /// Puts another configuration or strategy in force. Hands out the old strategy, to be dropped
    /// after the lock: its drop is the user's code.
    #[must_use = "dropped at once it runs the user's code under the lock"]
    pub(crate) fn swap(
        &mut self,
        config: Arc<CircuitBreakerConfig>,
        strategy: Option<(Arc<dyn Strategy>, &'static str)>,
        now: Tick,
        done: &mut Transitions,
    ) -> Option<Arc<dyn Strategy>> {
        let (strategy, name) = strategy.unzip();
        let custom = strategy.is_some();
        self.machine.swap_strategy(&self.config, &config, custom, now, done);
        self.config = config;
        self.strategy_name = name;
        std::mem::replace(&mut self.strategy, strategy)
    }

    /// Notes that the admitted share changed, as it did in a step just now.
    pub(crate) fn note_share(&self, share: Option<(Percent, Percent)>, news: &mut News) {
        let Some((from, to)) = share else { return };
        let base = match self.config.recovery {
            Recovery::Ramp(ramp) => ramp.base_percent(),
            Recovery::Trials(_) => Percent::ZERO,
        };
        news.push(if to < from {
            EventKind::RampRelapsed { from, to }
        } else {
            EventKind::RampStep { from, to, phase: RampPhase::of(to, base) }
        });
    }

    fn hints(&self) -> u8 {
        let hint = |on: bool, hint: u8| if on { hint } else { 0 };
        hint(self.machine.is_at_rest(), AT_REST)
            | hint(self.config.judges_by_time(), BY_TIME)
            | hint(self.config.judges_slow_calls(), BY_DURATION)
            | hint(self.strategy.is_some(), CUSTOM)
            | hint(self.gate.is_some(), GATED)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Copied out first: who writes may ask the circuit.
        let (name, state) = self.with_core(|core| (core.config.name, core.machine.state()));
        f.debug_struct("CircuitBreaker")
            .field("name", &name)
            .field("state", &state)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}
