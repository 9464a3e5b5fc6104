//! Where the state of a circuit lives: [`Slot`].
//!
//! A slot is stable memory, used by one circuit after the other. A call on a healthy circuit only
//! reads it: the [`License`] says that the arrival is admitted, and at the end that a success says
//! nothing, or that it may be noted by thread and taken in later. Whatever else happens takes the
//! lock and goes through the machine, which then issues the license anew.
//!
//! ```text
//!  license ── ADMITS ──> permit with its epoch          REFUSES ──> until, cause, name: no lock
//!     |                        |                            |
//!     |                 success, same epoch            noted by thread
//!     |                  IDLE: nothing                      |
//!     |                  ADDS: noted by thread ─────────────┤
//!     |                        | anything else              |
//!     └──── issued by ──── lock: fold what is noted, step the machine, write history, publish
//! ```

mod arena;
mod around;
mod claims;
mod inner;
mod license;
mod local;
#[cfg(all(test, loom))]
mod models;
mod names;
#[cfg(all(test, shuttle))]
mod schedules;
mod words;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::clock::Tick;
use crate::events::Change;
use crate::machine::Advice;
use crate::name::Name;
use crate::observe::{Event, EventKind, Interest, Observers};
use crate::percent::Percent;
use crate::planted::planted;
use crate::rejected::Rejected;
use crate::state::{Done, State, Transitions};
use crate::strategy::GateVerdict;
use crate::sync::{AtomicU32, Mutex, Ordering, lock};

use arena::ARENA;
pub(crate) use around::Surroundings;
pub(crate) use inner::Core;
use inner::Inner;
pub(crate) use license::License;
pub(crate) use local::Local;
#[cfg(test)]
pub(crate) use local::chosen;
use local::{PLACES, Table, with_local};
use words::Words;

/// What an observer panicked with, if one did.
pub(crate) type Told = Result<(), Box<dyn Any + Send>>;

/// The place of one circuit.
pub(crate) struct Slot {
    words: Words,
    /// Handles that are meant to stay.
    keepers: AtomicU32,
    inner: Mutex<Inner>,
    /// Its place in the tables of threads.
    place: u32,
}

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

// ===== who lives here =====

impl Slot {
    /// A slot in which no circuit lives.
    fn vacant(place: u32) -> Self {
        Self {
            words: Words::default(),
            keepers: AtomicU32::new(0),
            inner: Mutex::new(Inner::default()),
            place,
        }
    }

    /// Looks for slots whose circuits ended unnoticed, where it is time to; before
    /// [`with`](Self::with), and outside of all locks, since what ends there is the user's.
    pub(crate) fn make_room() {
        ARENA.make_room();
    }

    /// A slot in which this circuit lives, with one handle that is meant to stay.
    pub(crate) fn with(core: Core) -> &'static Self {
        let slot = ARENA.take();
        slot.begin(core);
        slot
    }

    fn begin(&self, core: Core) {
        let mut inner = lock(&self.inner);
        // What threads have noted of an earlier circuit goes with it.
        inner.fold(self.place(), &mut Transitions::new());
        inner.era.begin(&core.machine);
        inner.core = Some(core);
        inner.count_handle(1);
        self.keepers.store(1, Ordering::Relaxed);
        // No license of an earlier circuit is gone on with.
        self.words.withdraw();
        self.publish(&mut inner);
    }

    /// One handle more; one that is meant to stay, if `keeps`.
    #[inline]
    pub(crate) fn cloned(&'static self, keeps: bool) {
        if keeps && self.keepers.fetch_add(1, Ordering::AcqRel) == 0 {
            self.orphan();
        }
        if with_local(|local| local.cloned(self)) != Some(true) {
            self.count_slowly(1);
        }
    }

    /// One handle less.
    #[inline]
    pub(crate) fn dropped(&'static self, kept: bool) {
        // First, as long as this handle counts: then the slot may be another circuit's.
        if kept && !planted("keeper-goes-last") {
            self.keeps_no_more();
        }
        if with_local(|local| local.dropped(self)) != Some(true) {
            self.count_slowly(-1);
        }
        if kept && planted("keeper-goes-last") {
            self.keeps_no_more();
        }
        // Without one that is meant to stay, each that goes may be the last.
        if self.words.license().has(License::ORPHANED) {
            self.end_if_unused();
        }
    }

    fn keeps_no_more(&self) {
        if self.keepers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.orphan();
        }
    }

    #[cold]
    fn count_slowly(&'static self, by: i64) {
        let seated = with_local(|local| local.seat(self).then(|| local.table())).flatten();
        let mut inner = lock(&self.inner);
        inner.count_handle(by);
        if let Some(table) = seated {
            // It may have been full.
            inner.collect_handles(self.place(), table);
        }
    }

    /// Notes whether there is a handle that is meant to stay.
    #[cold]
    fn orphan(&self) {
        self.publish(&mut lock(&self.inner));
    }

    /// Issues the license that follows from the machine's state, and from the handles there are.
    fn publish(&self, inner: &mut Inner) {
        let orphaned = self.keepers.load(Ordering::Acquire) == 0;
        self.words.publish(inner, orphaned);
    }

    /// Ends the circuit if it has no handle left.
    #[cold]
    fn end_if_unused(&'static self) {
        if let Some(ended) = self.end() {
            ARENA.give_back(self);
            // The clock, observers and strategies in it are the user's code: not under the lock.
            drop(ended);
        }
    }

    fn end(&self) -> Option<Core> {
        let mut inner = lock(&self.inner);
        if inner.core.is_none() || inner.handles(self.place()) > 0 {
            return None;
        }
        self.words.withdraw();
        inner.core.take()
    }

    /// For the proofs: one handle less, and nobody notices.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn lose_handle(&self) {
        lock(&self.inner).count_handle(-1);
    }

    /// Whether there is one handle only.
    pub(crate) fn has_one_handle(&self) -> bool {
        lock(&self.inner).handles(self.place()) == 1
    }

    /// Its place in the tables of threads.
    const fn place(&self) -> usize {
        self.place as usize % PLACES
    }

    fn enter(&self, table: &'static Table) {
        lock(&self.inner).enter(table);
    }

    fn leave(&self, table: &'static Table) {
        lock(&self.inner).leave(self.place(), table);
    }
}

// ===== without the lock =====

impl Slot {
    #[inline]
    pub(crate) fn license(&self) -> License {
        self.words.license()
    }

    /// Admits an arrival, where that takes nothing but a look.
    #[inline]
    pub(crate) fn admit_at_once(&self) -> Option<u64> {
        let license = self.words.license();
        license.has(License::ADMITS).then(|| license.evidence())
    }

    /// Admits an arrival for the key with this hash, where the thread remembers its circuit.
    #[inline]
    pub(crate) fn admit_seen(hash: u64) -> Option<(&'static Self, u64)> {
        with_local(|local| local.seen(hash))?
    }

    /// Has the thread remember that this is the circuit of the key with this hash.
    pub(crate) fn remember(&'static self, hash: u64, permit: u64) {
        with_local(|local| local.remember(hash, self, permit));
    }

    /// Takes in a success of a call that began at `began`, where that takes no lock.
    #[inline]
    pub(crate) fn success_at_once(&self, permit: u64, began: Option<Tick>) -> bool {
        let license = self.words.license();
        license.evidence() == permit
            && (license.is_idle_at_any_time() || self.note_success(license, began))
    }

    /// Notes a success, if the license says that it may be noted, at this time.
    #[inline(never)]
    fn note_success(&self, license: License, began: Option<Tick>) -> bool {
        if !license.has(License::IDLE | License::ADDS) {
            return false;
        }
        if let (true, Some(began)) = (license.has(License::SLOW), began) {
            // The clock of somebody else is asked outside, in the step that follows.
            let Some(now) = Words::own_clock(license) else { return false };
            let slow = now.since(began) >= self.words.slow_after() && !planted("slow-unseen");
            // What was read must be what the license refers to.
            if slow || !self.words.still(license) && !planted("read-torn") {
                return false;
            }
        }
        let says_nothing = license.has(License::IDLE) && !license.has(License::UNTIL);
        says_nothing || with_local(|local| local.success(self, license)) == Some(true)
    }

    /// Has this thread note successes or refusals from now on, where the license allows it.
    #[cold]
    pub(crate) fn begin_to_note(&'static self) {
        with_local(|local| self.begin_to_note_in(local));
    }

    fn begin_to_note_in(&'static self, local: &Local) {
        if !local.seat(self) {
            return;
        }
        let (license, until) = {
            let mut inner = lock(&self.inner);
            let license = self.words.license();
            if license.has(License::REFUSES) {
                // No call is evidence now, so that nothing follows from what is noted.
                let mut done = Transitions::new();
                inner.fold(self.place(), &mut done);
                debug_assert!(done.is_empty(), "what is late or refused changes no state");
            }
            inner.restart(self.place(), local.table(), license);
            (license, self.words.until())
        };
        let timed = license.has(License::UNTIL).then(|| Words::moment(license, until));
        local.set_until(self, timed.flatten());
    }

    /// The refusal that every arrival gets just now; `Err` where only the lock tells.
    pub(crate) fn known_refusal(&self) -> Result<Option<Rejected>, ()> {
        self.words.known_refusal()
    }

    /// Notes a refusal that was given; `false` where that takes the lock.
    pub(crate) fn refused_at_once(&'static self) -> bool {
        let license = self.words.license();
        if !license.has(License::REFUSES) {
            return false;
        }
        let noted = || with_local(|local| local.refusal(self, license)) == Some(true);
        noted() || {
            self.begin_to_note();
            noted()
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Tick {
        match Words::own_clock(self.license()) {
            Some(now) => now,
            // Not under the lock: it is the user's code.
            None => self.around().map_or(Tick::ZERO, |around| around.clock.now()),
        }
    }

    /// The present moment, or the beginning of time where nobody will look at it.
    pub(crate) fn now_unless_at_rest(&self) -> Tick {
        // An observer is told when things happen.
        let license = self.license();
        let idle = license.has(License::AT_REST) && !license.has(License::OBSERVED);
        if idle { Tick::ZERO } else { self.now() }
    }

    /// The present moment, or the beginning of time where nobody is told of it.
    pub(crate) fn now_if_observed(&self) -> Tick {
        if self.license().has(License::OBSERVED) { self.now() } else { Tick::ZERO }
    }

    /// Whether the circuit is closed, and no order will change that by itself.
    #[inline]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.license().has(License::AT_REST)
    }

    pub(crate) fn is_gated(&self) -> bool {
        self.license().has(License::GATED)
    }
}

// ===== under the lock =====

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
    fn fold_and_see<T>(&self, read: impl FnOnce(&Core) -> T) -> T {
        self.step_quietly(|inner, _, _, _| read(inner.living())).answer
    }

    /// What the family of the circuit shares.
    pub(crate) fn around(&self) -> Option<Arc<Surroundings>> {
        self.look(|core| core.around.clone())
    }

    /// Issues the license anew, if the circuit belongs to this family.
    fn refresh(&self, family: &Arc<Surroundings>) {
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

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Copied out first: who writes may ask the circuit.
        let seen = self.look(|core| {
            let partition = core.partition.as_deref().map(Name::cut);
            (core.config.name, core.machine.state(), partition)
        });
        let mut text = f.debug_struct("CircuitBreaker");
        if let Some((name, state, partition)) = seen {
            text.field("name", &name).field("state", &state).field("partition", &partition);
        }
        text.finish_non_exhaustive()
    }
}
