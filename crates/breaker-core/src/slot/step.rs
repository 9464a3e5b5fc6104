//! What takes the lock: one [step](Slot::step) of the machine at a time, told of afterwards.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::inner::{Core, Inner};
use super::{License, Slot, Surroundings};
use crate::clock::Tick;
use crate::events::Change;
use crate::machine::Advice;
use crate::name::Name;
use crate::observe::{Event, EventKind, Interest, Observers};
use crate::percent::Percent;
use crate::state::{Done, State, Transitions};
use crate::strategy::GateVerdict;
use crate::sync::lock;

/// What an observer panicked with, if one did.
pub(crate) type Told = Result<(), Box<dyn Any + Send>>;

/// What came of a step.
pub(crate) struct Stepped<T> {
    pub(crate) answer: T,
    /// The epoch in force after it.
    pub(crate) epoch: u64,
    pub(crate) told: Told,
}

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
    /// Does one step under the lock, and tells about it afterwards.
    ///
    /// `step` may read, change the machine, and add news; it runs no code of the user's.
    pub(crate) fn step_quietly<T>(
        &self,
        step: impl FnOnce(&mut Inner, &mut Transitions, &mut News, Interest) -> T,
    ) -> Stepped<T> {
        let observers = self.observers();
        let wanted = observers.as_ref().map_or(Interest::NOTHING, Observers::interest);
        let (mut done, mut news) = (Transitions::new(), News::default());
        let (answer, changed, circuit, epoch) = {
            let mut inner = lock(&self.inner);
            inner.fold(self.place(), &mut done);
            let answer = step(&mut inner, &mut done, &mut news, wanted);
            let changed = take_down(&inner, &done, &mut news);
            self.publish(&mut inner);
            let circuit = observers.as_ref().and_then(|_| Circuit::of(&inner));
            (answer, changed, circuit, self.license().epoch())
        };
        if let Some(around) = changed {
            around.history.wake();
        }
        let told = match observers.zip(circuit) {
            Some((observers, circuit)) => circuit.tell(&observers, &news),
            None => Ok(()),
        };
        if done.iter().any(|transition| transition.to == State::HalfOpen) {
            // A strategy of the user's names its first share.
            self.consult();
        }
        Stepped { answer, epoch, told }
    }

    /// The same with the circuit that lives here, for those who hold a handle of it.
    pub(crate) fn step<T>(
        &self,
        step: impl FnOnce(&mut Core, &mut Transitions, &mut News, Interest) -> T,
    ) -> T {
        let stepped =
            self.step_quietly(|inner, done, news, wanted| step(inner.living(), done, news, wanted));
        go_on(stepped.told);
        stepped.answer
    }

    /// Takes an outcome in by one step, and asks the user's strategy what follows; only then does
    /// the panic of an observer go on.
    pub(crate) fn take_in(
        &self,
        step: impl FnOnce(&mut Core, &mut Transitions, &mut News, Interest),
    ) {
        let stepped = self.step_quietly(|inner, done, news, wanted| {
            step(inner.living(), done, news, wanted);
        });
        self.consult();
        go_on(stepped.told);
    }

    /// Looks at the circuit that lives here, if one does.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&Core) -> T) -> Option<T> {
        lock(&self.inner).core.as_ref().map(read)
    }

    /// The same for those who hold a handle of it.
    pub(crate) fn see<T>(&self, read: impl FnOnce(&Core) -> T) -> T {
        read(lock(&self.inner).living())
    }

    /// Whether the permit is one of the circuit that lives here.
    pub(crate) fn knows(&self, permit: u64) -> bool {
        lock(&self.inner).ticket(permit).is_some()
    }

    /// What the machine would be if it had taken in what is noted, and its configuration.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn folded(&self) -> Option<(crate::machine::Machine, crate::CircuitBreakerConfig)> {
        lock(&self.inner).folded(self.place())
    }

    /// Takes in what is noted, and looks at the circuit that lives here.
    #[cfg(all(test, loom))]
    pub(super) fn fold_and_see<T>(&self, read: impl FnOnce(&Core) -> T) -> T {
        self.step_quietly(|inner, _, _, _| read(inner.living())).answer
    }

    /// What the family of the circuit shares.
    pub(crate) fn around(&self) -> Option<Arc<Surroundings>> {
        self.look(|core| core.around.clone())
    }

    /// Issues the license anew, if the circuit belongs to this family.
    pub(super) fn refresh(&self, family: &Arc<Surroundings>) {
        let mut inner = lock(&self.inner);
        if inner.core.as_ref().is_some_and(|core| Arc::ptr_eq(&core.around, family)) {
            self.publish(&mut inner);
        }
    }

    fn observers(&self) -> Option<Observers> {
        if self.license().has(License::OBSERVED) { self.around()?.observers() } else { None }
    }

    /// Asks the gate, outside of the lock; without one, and where it panics, calls are admitted.
    pub(crate) fn ask_gate(&self) -> GateVerdict {
        let gate = self.look(|core| core.gate().cloned()).flatten();
        gate.and_then(|gate| catch_unwind(AssertUnwindSafe(|| gate.verdict())).ok())
            .unwrap_or(GateVerdict::Admit)
    }

    /// Asks the user's strategy, if one is in force, what follows from the present facts.
    pub(crate) fn consult(&self) {
        if !self.license().has(License::CUSTOM) {
            return;
        }
        let asked = self.look(|core| Some((core.strategy()?.clone(), core.snapshot()))).flatten();
        let Some((strategy, facts)) = asked else { return };
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
        let now = self.now();
        let quiet = self.step_quietly(|inner, done, news, _| {
            let core = inner.core.as_mut()?;
            match advice {
                Some(advice) => {
                    let generation = facts.generation;
                    let share = core.machine.advise(&core.config, generation, advice, now, done);
                    core.note_share(share, news);
                    None
                }
                // Another one may have been put in force meanwhile.
                None if core.strategy().is_some_and(|now| Arc::ptr_eq(now, &strategy)) => {
                    news.kinds.push(EventKind::StrategyPanicked);
                    core.swap(core.given().clone(), None, now, done)
                }
                None => None,
            }
        });
        // The call that caused this has been answered: an observer's panic ends here.
        drop(quiet);
    }
}

/// Writes the changes down, in their order: still under the lock. Hands out whose they are.
fn take_down(inner: &Inner, done: &Transitions, news: &mut News) -> Option<Arc<Surroundings>> {
    let core = inner.core.as_ref()?;
    news.at = news.at.max(core.machine.last_seen());
    if !done.is_empty() {
        let mut changes = Vec::new();
        for change in done.all() {
            let transition = match *change {
                Done::Changed(transition) => transition,
                Done::Share { from, to } => {
                    changes.push(core.share_moved(from, to));
                    continue;
                }
                Done::Adjusted(adjustment) => {
                    changes.push(EventKind::of_adjustment(&adjustment));
                    continue;
                }
            };
            let order = core.machine.order_reason();
            changes.push(EventKind::StateChanged { transition, order });
            if let (State::HalfOpen, Some(share)) = (transition.to, core.machine.share()) {
                changes.push(EventKind::RampStarted { share });
            }
        }
        news.kinds.splice(0..0, changes);
    }
    let mut changed = None;
    for kind in &news.kinds {
        if kind.interest() == Interest::CHANGES {
            let partition = core.partition.as_deref().map(Name::cut);
            let around = changed.get_or_insert_with(|| core.around.clone());
            around.history.push(Change { partition, at: news.at, kind: kind.clone() });
        }
    }
    changed
}

/// Lets the panic of an observer go on, once all the rest is done.
pub(crate) fn go_on(told: Told) {
    if let Err(panic) = told {
        resume_unwind(panic);
    }
}

/// Who an event is about.
struct Circuit {
    name: Name,
    partition: Option<Name>,
}

impl Circuit {
    fn of(inner: &Inner) -> Option<Self> {
        let core = inner.core.as_ref()?;
        let partition = core.partition.as_deref().map(Name::cut);
        Some(Self { name: core.config.name, partition })
    }

    fn tell(&self, observers: &Observers, news: &News) -> Told {
        let partition = self.partition.as_ref();
        let mut told = Ok(());
        for kind in &news.kinds {
            let event = Event { circuit: &self.name, partition, at: news.at, kind };
            told = told.and(observers.tell(&event));
        }
        told
    }
}

impl Inner {
    /// The circuit that lives here; for those who hold a handle, which keeps it.
    pub(crate) fn living(&mut self) -> &mut Core {
        match &mut self.core {
            Some(core) => core,
            None => unreachable!("a circuit lives as long as a handle of it does"),
        }
    }
}
