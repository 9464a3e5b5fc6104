//! Where slots are taken, given back and handed over: [`Desk`]. The one file that knows threads.
//!
//! While nobody waits, a call takes a slot and gives it back with one write each, to the word of its
//! kind of slots. Before a call waits, it marks all words, under the lock; from then on slots are
//! taken under the lock only, and whoever gives one back finds the mark and hands it over. Both are
//! one access to one word, so no slot is given back unseen. The mark goes with the last who waits.

mod change;
mod enter;
mod figures;
mod gate;
mod out;
mod pass;
#[cfg(test)]
mod probe;
mod seats;

use std::sync::Weak;

use breaker_core::{Chance, Class, Priority};

use crate::config::QueueConfig;
use crate::home::Home;
use crate::limit::LimitAlgorithm;
use crate::planted::planted;
use crate::queue::Queue;
use crate::slots::{Kind, Word, order, split};
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::throttle::Throttling;

use change::begin;
use figures::{Counts, Drain};
use seats::Seat;

pub(crate) use gate::Gate;
pub(crate) use out::{Asking, Entered, Out, Turn};
pub(crate) use pass::Pass;

/// The slots of one queue, and those who wait for them.
///
/// It is never freed, but used again for the next queue: so a slot needs no reference count.
pub(crate) struct Desk {
    words: [AtomicU64; Kind::COUNT],
    gate: AtomicU32,
    state: Mutex<State>,
}

/// A slot that was taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Taken {
    pub(crate) kind: Kind,
    /// It counts among the critical calls that run while the circuit is open.
    pub(crate) bounded: bool,
}

/// What lies under the lock.
pub(crate) struct State {
    pub(crate) config: QueueConfig,
    pub(crate) queue: Queue,
    pub(crate) limit: Option<Box<dyn LimitAlgorithm>>,
    pub(crate) throttling: Option<Throttling>,
    pub(crate) counts: Counts,
    chance: Chance,
    seats: Vec<Seat>,
    free: Vec<u32>,
    guarded: bool,
    critical_out: u32,
    /// How long calls take, on average, in nanoseconds.
    typical: f64,
    drain: Drain,
    home: Weak<Home>,
    life: Life,
    /// What the limit said when slots were shared out by it.
    limited_to: u32,
    /// The limit is one of the user's own, and in no configuration.
    own_limit: bool,
    /// Somebody says how long its caller waits, so it matters how long calls take.
    hurries: bool,
    /// Somebody wants to hear of each call.
    heard: bool,
    /// A circuit is watched.
    watches: bool,
}

/// Whether the desk has an owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Life {
    Lives,
    /// It has none any more, but a call holds a slot still.
    Retired,
    Pooled,
}

impl Desk {
    pub(crate) fn new(config: &QueueConfig) -> Self {
        let desk = Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            gate: AtomicU32::new(Gate::LOOK),
            state: Mutex::new(State::new(config)),
        };
        desk.share_out(&mut lock(&desk.state));
        desk
    }

    /// Takes this desk over for a new queue.
    pub(crate) fn begin(&self, config: &QueueConfig, home: Weak<Home>) {
        let old = {
            let mut state = lock(&self.state);
            let old = std::mem::replace(&mut *state, State::new(config));
            state.home = home;
            state.set_gate(self);
            self.share_out(&mut state);
            self.unguard(&mut state);
            old
        };
        drop(old);
    }

    pub(crate) fn gate(&self) -> Gate {
        Gate(self.gate.load(Ordering::Relaxed))
    }

    /// Takes a slot where that needs no look at anything else.
    #[inline(always)]
    pub(crate) fn take_at_once(&self, gate: Gate, priority: Priority) -> Option<Taken> {
        if !gate.lets(priority) {
            return None;
        }
        let class = priority.class();
        // Where these two have no room, a call that takes a slot of another class is not in a hurry.
        for kind in [Kind::reserved(class), Kind::Shared] {
            if self.try_take(kind, false)? {
                return Some(Taken { kind, bounded: false });
            }
        }
        self.take_lower(class)
    }

    /// Takes a slot that is reserved for a lower class.
    #[cold]
    fn take_lower(&self, class: Class) -> Option<Taken> {
        for &kind in &order(class)[2..] {
            if self.try_take(kind, false)? {
                return Some(Taken { kind, bounded: false });
            }
        }
        None
    }

    /// Takes a slot of this kind if there is one; `None` where a mark says that this is done under
    /// the lock.
    #[inline]
    fn try_take(&self, kind: Kind, locked: bool) -> Option<bool> {
        let word = &self.words[kind.index()];
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            if Word(seen).is_guarded() && !locked {
                return None;
            }
            if !Word(seen).has_room() {
                return Some(false);
            }
            let next = seen + 1;
            if planted("takes-unseen") {
                word.fetch_add(1, Ordering::Acquire);
                return Some(true);
            }
            match word.compare_exchange_weak(seen, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(true),
                Err(now) => seen = now,
            }
        }
    }

    fn take_locked(&self, class: Class) -> Option<Kind> {
        order(class).iter().copied().find(|kind| self.try_take(*kind, true) == Some(true))
    }

    /// How many slots are free that a class may not take; none while less than half of those that it
    /// may take are taken, for then they are not what it lacks.
    pub(crate) fn out_of_reach(&self, class: Class) -> u32 {
        let within = order(class);
        let (mut taken, mut slots, mut out) = (0, 0, 0);
        for (kind, word) in self.words.iter().enumerate() {
            let word = Word(word.load(Ordering::Relaxed));
            if within.iter().any(|own| own.index() == kind) {
                (taken, slots) = (taken + word.taken(), slots + word.slots());
            } else {
                out += word.slots().saturating_sub(word.taken());
            }
        }
        if 2 * taken >= slots { out } else { 0 }
    }

    fn has_room(&self, class: Class) -> bool {
        let room = |kind: &Kind| Word(self.words[kind.index()].load(Ordering::Relaxed)).has_room();
        order(class).iter().any(room)
    }

    /// Gives a slot back; whether somebody has to look at the queue.
    #[inline]
    #[must_use]
    pub(crate) fn give_back(&self, taken: Taken) -> bool {
        let before = self.words[taken.kind.index()].fetch_sub(1, Ordering::AcqRel);
        Word(before).is_guarded() && !planted("hands-nothing-over")
    }

    /// How many slots are taken.
    pub(crate) fn running(&self) -> u32 {
        self.words.iter().map(|word| Word(word.load(Ordering::Relaxed)).taken()).sum()
    }

    /// How many of the slots reserved for each class are taken, and of those for all.
    pub(crate) fn taken(&self) -> [u32; Kind::COUNT] {
        std::array::from_fn(|kind| Word(self.words[kind].load(Ordering::Relaxed)).taken())
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> u32 {
        self.words.iter().map(|word| Word(word.load(Ordering::Relaxed)).slots()).sum()
    }

    /// Sets the slots of each kind by the configuration and the limit in force.
    fn share_out(&self, state: &mut State) {
        let limit = state.limit.as_ref().map_or(u32::MAX, |limit| limit.limit().max(1));
        state.limited_to = limit;
        for (word, slots) in self.words.iter().zip(split(&state.config, limit)) {
            let mut seen = word.load(Ordering::Relaxed);
            loop {
                let next = Word(seen).with_slots(slots).0;
                match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) => break,
                    Err(now) => seen = now,
                }
            }
        }
    }

    fn guard(&self, state: &mut State) {
        if !state.guarded {
            state.guarded = true;
            for word in &self.words {
                word.fetch_or(Word::GUARD, Ordering::AcqRel);
            }
        }
    }

    fn unguard(&self, state: &mut State) {
        state.guarded = false;
        for word in &self.words {
            word.fetch_and(!Word::GUARD, Ordering::AcqRel);
        }
    }

    /// Does something under the lock, and has no mark left where nobody waits.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        let done = work(&mut state);
        let waits = state.queue.len() > 0 || planted("mark-stays");
        if state.guarded && !waits && state.life == Life::Lives {
            self.unguard(&mut state);
        }
        done
    }

    /// Counts a critical call no more that ran while the circuit was open. It comes before its slot
    /// is given back: afterwards the desk may be another queue's.
    pub(crate) fn unbind(&self) {
        let mut state = lock(&self.state);
        state.critical_out = state.critical_out.saturating_sub(1);
    }

    /// The owner, while there is one.
    pub(crate) fn home(&self) -> Weak<Home> {
        lock(&self.state).home.clone()
    }

    /// Says that the owner is gone; whether the desk is free for another.
    pub(crate) fn retire(&self) -> bool {
        let (free, old) = {
            let mut state = lock(&self.state);
            let config = state.config;
            let old =
                std::mem::replace(&mut *state, State::new(&QueueConfig { limit: None, ..config }));
            state.life = Life::Retired;
            self.guard(&mut state);
            (self.is_free(&mut state), old)
        };
        // What the algorithm of a user does when it is dropped is the user's business.
        drop(old);
        free
    }

    /// Whether the last slot of an owner that is gone was given back; once only.
    pub(crate) fn falls_free(&self) -> bool {
        self.is_free(&mut lock(&self.state))
    }

    fn is_free(&self, state: &mut State) -> bool {
        let unused = self.running() == 0 || planted("free-in-use");
        let free = state.life == Life::Retired && unused;
        if free {
            state.life = Life::Pooled;
        }
        free
    }
}

impl State {
    fn new(config: &QueueConfig) -> Self {
        Self {
            config: *config,
            queue: Queue::new(),
            limit: begin(config, None),
            throttling: config.throttle.as_ref().map(Throttling::new),
            counts: Counts::default(),
            chance: Chance::seeded(0x5eed),
            seats: Vec::new(),
            free: Vec::new(),
            guarded: false,
            critical_out: 0,
            typical: 0.0,
            drain: Drain::default(),
            home: Weak::new(),
            life: Life::Lives,
            limited_to: 0,
            own_limit: false,
            hurries: false,
            heard: false,
            watches: false,
        }
    }

    /// Says anew who gets a slot without a look, by what is in force now.
    fn set_gate(&self, desk: &Desk) {
        let throttles = self.config.throttle.is_some();
        let look = self.heard || self.watches || throttles;
        let timed = self.heard || self.limit.is_some() || throttles || self.hurries;
        let gate = Gate::new(self.config.min_priority, look, timed);
        desk.gate.store(gate.0, Ordering::Relaxed);
    }

    /// Takes in whether somebody hears of each call, and whether a circuit is watched.
    pub(crate) fn company(&mut self, desk: &Desk, heard: bool, watches: bool) {
        self.heard = heard;
        self.watches = watches;
        self.set_gate(desk);
    }
}
