//! Where slots are taken, given back and handed over: [`Desk`]. The one file that knows threads.
//!
//! While nobody waits, a call takes a slot and gives it back with one write each, to the word of its
//! kind of slots. Before a call waits, it marks all words, under the lock; from then on slots are
//! taken under the lock only, and whoever gives one back finds the mark and hands it over. Both are
//! one access to one word, so no slot is given back unseen. The mark goes with the last who waits.

#[cfg(test)]
mod probe;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::task::Waker;
use std::time::Duration;

use breaker_core::{
    Chance, Class, EventKind, Priority, Reason, Rejected, State as CircuitState, Tick,
};

use crate::config::QueueConfig;
use crate::home::Home;
use crate::limit::{LimitAlgorithm, Sample};
use crate::planted::planted;
use crate::queue::{Entry, Left, Queue};
use crate::slots::{Kind, Word, order, split};
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::throttle::Throttling;

/// The slots of one queue, and those who wait for them.
///
/// It is never freed, but used again for the next queue: so a slot needs no reference count.
pub(crate) struct Desk {
    words: [AtomicU64; Kind::COUNT],
    gate: AtomicU32,
    state: Mutex<State>,
}

/// Who gets a slot without a look at anything else, in one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Gate(u32);

impl Gate {
    /// Above every level: everybody looks.
    const LOOK: u32 = 255;
    const TIMED: u32 = 256;

    const fn new(least: Priority, look: bool, timed: bool) -> Self {
        let least = if look { Self::LOOK } else { least.level() as u32 };
        Self(least + if timed { Self::TIMED } else { 0 })
    }

    #[inline]
    const fn lets(self, priority: Priority) -> bool {
        priority.level() as u32 >= self.0 & 255
    }

    #[inline]
    pub(crate) const fn is_timed(self) -> bool {
        self.0 & Self::TIMED != 0
    }
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

/// What became of calls, since the beginning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    pub(crate) waited: u64,
    pub(crate) left: u64,
    pub(crate) timed_out: u64,
    pub(crate) displaced: u64,
    pub(crate) shed: u64,
    pub(crate) full: u64,
    pub(crate) throttled: u64,
    pub(crate) dropped: u64,
}

/// Whether the desk has an owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Life {
    Lives,
    /// It has none any more, but a call holds a slot still.
    Retired,
    Pooled,
}

/// A call that waits.
#[derive(Debug)]
struct Seat {
    verdict: Verdict,
    waker: Option<Waker>,
    priority: Priority,
    /// Which slots it may take.
    class: Class,
    since: Tick,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Nobody,
    Waits,
    Granted(Taken, Tick),
    Refused(Reason),
}

/// How quickly the queue gets shorter.
#[derive(Clone, Copy, Debug, Default)]
struct Drain {
    since: Tick,
    served: u32,
}

/// What circuits let through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pass {
    pub(crate) least: Class,
    pub(crate) reason: Reason,
    /// Only some critical calls at a time.
    pub(crate) bounded: bool,
}

impl Pass {
    pub(crate) const ALL: Self = Self { least: Class::Bulk, reason: Reason::Open, bounded: false };

    pub(crate) const fn of(circuit: CircuitState) -> Self {
        match circuit {
            CircuitState::Open | CircuitState::ForcedOpen => {
                Self { least: Class::Critical, reason: Reason::Open, bounded: true }
            }
            CircuitState::HalfOpen => {
                Self { least: Class::High, reason: Reason::BelowShare, bounded: false }
            }
            _ => Self::ALL,
        }
    }
}

/// What is to be done once the lock is let go: wakers and observers are code of others.
#[derive(Debug, Default)]
pub(crate) struct Out {
    wakers: Vec<Waker>,
    /// A waker that is used no more: to drop one may drop a task.
    old: Option<Waker>,
    left: Vec<Left>,
    pub(crate) refused: Option<Rejected>,
    /// Whether somebody wants to hear what happens.
    pub(crate) told: bool,
    pub(crate) events: Vec<EventKind>,
}

impl Out {
    pub(crate) fn new(told: bool) -> Self {
        Self { told, ..Self::default() }
    }

    pub(crate) fn tell(&mut self, event: impl FnOnce() -> EventKind) {
        if self.told {
            self.events.push(event());
        }
    }

    pub(crate) fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            // One that panics must not leave the others asleep.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

/// What a call is told that asks for a slot.
pub(crate) enum Entered {
    Takes(Taken),
    /// It waits on this seat, until then at the latest.
    Waits(u32, Tick),
    Refused(Rejected),
}

/// What a call is told that waits.
pub(crate) enum Turn {
    Takes(Taken, Tick),
    Refused(Rejected),
    /// Until then at the latest.
    Waits(Tick),
}

/// A call that asks for a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    pub(crate) priority: Priority,
    pub(crate) cohort: u8,
    pub(crate) remaining: Option<Duration>,
    pub(crate) may_wait: bool,
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

    /// Lets a call take a slot, or wait for one, or refuses it.
    pub(crate) fn enter(
        &mut self,
        desk: &Desk,
        (now, pass): (Tick, Pass),
        asking: &Asking,
        out: &mut Out,
    ) -> Entered {
        if let Err(reason) = self.lets(now, pass, asking.priority) {
            return Entered::Refused(self.refuse(reason, now, asking.priority, out));
        }
        // Where a slot is free, whoever has any time is let through: by him it is seen how long calls
        // take. If the average refused him, nobody would ever lower it.
        self.time(desk, asking.remaining);
        if asking.remaining.is_some_and(|left| left.is_zero()) {
            return Entered::Refused(self.refuse(Reason::TooLate, now, asking.priority, out));
        }
        self.serve(desk, now, pass, out);
        let class = asking.priority.class();
        // Whoever waits on fits none of the slots that are free now: they were offered.
        let taken = self.take(desk, pass, class);
        if let Some(taken) = taken {
            return self.started(desk, asking.priority, taken, out);
        }
        match self.join(desk, now, pass, asking, out) {
            Ok(joined) => joined,
            Err(reason) => Entered::Refused(self.refuse(reason, now, asking.priority, out)),
        }
    }

    /// Whether calls of this priority are admitted at all.
    fn lets(&mut self, now: Tick, pass: Pass, priority: Priority) -> Result<(), Reason> {
        if priority < self.config.min_priority {
            return Err(Reason::BelowMinimum);
        }
        if priority.class() < pass.least || pass.bounded && self.is_bound() {
            return Err(pass.reason);
        }
        if let (Some(throttling), Some(throttle)) = (&mut self.throttling, &self.config.throttle) {
            if !throttling.admit(throttle, now, priority.class(), &mut self.chance) {
                return Err(Reason::Throttled);
            }
        }
        Ok(())
    }

    /// Has calls timed from the first one on whose caller is in a hurry.
    fn time(&mut self, desk: &Desk, remaining: Option<Duration>) {
        if remaining.is_some() && !self.hurries {
            self.hurries = true;
            self.set_gate(desk);
        }
    }

    /// Until when a call that has to wait is of any use to its caller, unless it is of none.
    fn has_time(&self, now: Tick, remaining: Option<Duration>) -> Result<Tick, Reason> {
        let Some(left) = remaining else { return Ok(Tick::MAX) };
        let typical = Duration::from_nanos(self.typical as u64);
        let spare = left.checked_sub(typical).filter(|spare| !spare.is_zero());
        Ok(now.after(spare.ok_or(Reason::TooLate)?))
    }

    fn is_bound(&self) -> bool {
        self.critical_out >= self.config.critical_open_limit
    }

    fn take(&mut self, desk: &Desk, pass: Pass, class: Class) -> Option<Taken> {
        if pass.bounded && self.is_bound() {
            return None;
        }
        let kind = desk.take_locked(class)?;
        if pass.bounded {
            self.critical_out += 1;
        }
        Some(Taken { kind, bounded: pass.bounded })
    }

    /// Says that a call has a slot that need not wait.
    fn started(&self, desk: &Desk, priority: Priority, taken: Taken, out: &mut Out) -> Entered {
        let (running, depth) = (desk.running(), self.queue.len() as u32);
        out.tell(|| EventKind::Started { priority, waited: Duration::ZERO, running, depth });
        Entered::Takes(taken)
    }

    /// Lets a call wait, unless a slot is given back meanwhile.
    fn join(
        &mut self,
        desk: &Desk,
        now: Tick,
        pass: Pass,
        asking: &Asking,
        out: &mut Out,
    ) -> Result<Entered, Reason> {
        let priority = asking.priority;
        let wait = self.config.wait_of(priority);
        if !asking.may_wait || wait.is_zero() || self.config.capacity == 0 {
            return Err(Reason::AtLimit);
        }
        if pass.bounded && self.is_bound() {
            // Nobody would wake it when the circuit closes.
            return Err(pass.reason);
        }
        let latest = self.has_time(now, asking.remaining)?;
        // From here on nobody gives a slot back unseen; one may have been a moment ago.
        if !planted("guards-late") {
            desk.guard(self);
        }
        if let Some(taken) = self.take(desk, pass, priority.class()) {
            return Ok(self.started(desk, priority, taken, out));
        }
        if self.queue.len() == 0 {
            self.drain = Drain { since: now, served: 0 };
        }
        let id = self.seat(priority, now);
        let entry = Entry { priority, cohort: asking.cohort, latest };
        let joined = self.queue.join(&self.config, now, id, entry, &mut out.left);
        self.settle_left(out);
        if let Err(reason) = joined {
            self.vacate(id);
            return Err(reason);
        }
        if planted("guards-late") {
            desk.guard(self);
        }
        let depth = self.queue.len() as u32;
        out.tell(|| EventKind::Queued { priority, depth });
        Ok(Entered::Waits(id, now.after(wait).min(latest)))
    }

    /// Hands free slots over to those who wait, the first of them first.
    pub(crate) fn serve(&mut self, desk: &Desk, now: Tick, pass: Pass, out: &mut Out) {
        if self.queue.len() == 0 {
            return;
        }
        if pass.least > Class::Bulk {
            self.queue.shed_below(pass.least.priority(), &mut out.left);
            for left in &mut out.left {
                left.reason = pass.reason;
            }
            self.settle_left(out);
        }
        while self.queue.len() > 0 {
            if pass.bounded && self.is_bound() {
                // As for those who come: nobody would wake them when the circuit closes.
                self.queue.shed_all(pass.reason, &mut out.left);
                return self.settle_left(out);
            }
            let fits = |class| desk.has_room(class);
            let next = self.queue.next(&self.config, now, fits, &mut out.left);
            self.settle_left(out);
            let Some(id) = next else { break };
            let class = self.seats[id as usize].class;
            let verdict = match self.take(desk, pass, class) {
                Some(taken) => Verdict::Granted(taken, now),
                // It was free a moment ago, and slots are taken under the lock only.
                None => Verdict::Refused(Reason::AtLimit),
            };
            self.drain.served = self.drain.served.saturating_add(1);
            let seat = &mut self.seats[id as usize];
            seat.verdict = verdict;
            if !planted("wakes-nobody") {
                out.wakers.extend(seat.waker.take());
            }
            let (priority, waited) = (seat.priority, now.since(seat.since));
            let (running, depth) = (desk.running(), self.queue.len() as u32);
            self.counts.waited += 1;
            out.tell(|| EventKind::Started { priority, waited, running, depth });
        }
    }

    /// Tells those who left the queue why.
    fn settle_left(&mut self, out: &mut Out) {
        for Left { id, reason } in out.left.drain(..) {
            self.counts.count(reason);
            let seat = &mut self.seats[id as usize];
            seat.verdict = Verdict::Refused(reason);
            out.wakers.extend(seat.waker.take());
        }
    }

    fn seat(&mut self, priority: Priority, since: Tick) -> u32 {
        let class = priority.class();
        let seat = Seat { verdict: Verdict::Waits, waker: None, priority, class, since };
        match self.free.pop() {
            Some(id) => {
                self.seats[id as usize] = seat;
                id
            }
            None => {
                self.seats.push(seat);
                self.seats.len() as u32 - 1
            }
        }
    }

    /// Frees a seat, and hands out the waker that was left there.
    fn vacate(&mut self, id: u32) -> Option<Waker> {
        let seat = &mut self.seats[id as usize];
        seat.verdict = Verdict::Nobody;
        let waker = seat.waker.take();
        self.free.push(id);
        if self.free.len() == self.seats.len() {
            // Nobody sits: what a burst needed is kept up to a bound.
            self.free.clear();
            self.seats.clear();
            self.seats.shrink_to(64);
            self.free.shrink_to(64);
        }
        waker
    }

    /// What the call on this seat is told; where it does not go on waiting, the seat is free.
    pub(crate) fn turn(
        &mut self,
        desk: &Desk,
        (now, pass): (Tick, Pass),
        (id, deadline): (u32, Tick),
        waker: Waker,
        out: &mut Out,
    ) -> Turn {
        if self.seats[id as usize].verdict == Verdict::Waits && now >= deadline {
            self.queue.settle(&self.config, now, &mut out.left);
            self.settle_left(out);
            self.serve(desk, now, pass, out);
            // Its time is over, whatever the queue says: it must not ask for ever.
            if self.seats[id as usize].verdict == Verdict::Waits {
                self.queue.leave(id);
                self.counts.count(Reason::QueueTimeout);
                self.seats[id as usize].verdict = Verdict::Refused(Reason::QueueTimeout);
            }
        }
        let seat = &mut self.seats[id as usize];
        let priority = seat.priority;
        match seat.verdict {
            Verdict::Granted(taken, at) => {
                out.wakers.extend(self.vacate(id));
                Turn::Takes(taken, at)
            }
            Verdict::Refused(reason) => {
                out.wakers.extend(self.vacate(id));
                Turn::Refused(self.refusal(reason, now, priority, out))
            }
            Verdict::Waits | Verdict::Nobody => {
                out.old = seat.waker.replace(waker);
                Turn::Waits(deadline)
            }
        }
    }

    /// Takes a call off its seat that has given up; the slot that it had been given, if any.
    pub(crate) fn leave(&mut self, id: u32, out: &mut Out) -> Option<Taken> {
        let verdict = self.seats[id as usize].verdict;
        let taken = match verdict {
            Verdict::Granted(taken, _) => Some(taken),
            Verdict::Waits => {
                self.queue.leave(id);
                self.counts.left += 1;
                None
            }
            Verdict::Refused(_) | Verdict::Nobody => None,
        };
        out.old = self.vacate(id);
        taken.filter(|_| !planted("leaves-with-a-slot"))
    }

    /// Lets a call that waits compete as one of this priority.
    pub(crate) fn raise(&mut self, now: Tick, id: u32, to: Priority) {
        let seat = &mut self.seats[id as usize];
        if seat.verdict == Verdict::Waits && seat.class <= to.class() {
            seat.class = to.class();
            self.queue.raise(&self.config, now, id, to);
        }
    }

    /// Takes in how a call ended, and moves the limit.
    pub(crate) fn sample(&mut self, desk: &Desk, sample: &Sample, out: &mut Out) {
        let took = sample.ended.since(sample.started).as_nanos() as f64;
        self.typical += (took - self.typical) * if self.typical == 0.0 { 1.0 } else { 0.1 };
        let Some(limit) = &mut self.limit else { return };
        limit.sample(sample);
        if limit.limit().max(1) != self.limited_to {
            self.share_out(desk, out);
        }
    }

    /// Has this algorithm move the limit.
    pub(crate) fn limit_by(
        &mut self,
        desk: &Desk,
        limit: Box<dyn LimitAlgorithm>,
        out: &mut Out,
    ) -> Option<Box<dyn LimitAlgorithm>> {
        let old = self.limit.replace(limit);
        self.own_limit = true;
        self.set_gate(desk);
        self.share_out(desk, out);
        old
    }

    /// Takes in whether the callee took a call of this class.
    pub(crate) fn ended(&mut self, now: Tick, class: Class, accepted: bool) {
        if let (Some(throttling), Some(throttle)) = (&mut self.throttling, &self.config.throttle) {
            throttling.ended(throttle, now, class, accepted);
        }
    }

    /// What is due by now.
    pub(crate) fn settle(&mut self, now: Tick, out: &mut Out) {
        self.queue.settle(&self.config, now, &mut out.left);
        self.settle_left(out);
    }

    fn share_out(&mut self, desk: &Desk, out: &mut Out) {
        let from = desk.slots();
        desk.share_out(self);
        let to = desk.slots();
        if from != to {
            out.tell(|| EventKind::LimitChanged { from, to });
        }
    }

    /// Puts another configuration in force. An algorithm of the user's own stays, unless it is
    /// `replaced` as all the rest.
    pub(crate) fn reconfigure(
        &mut self,
        desk: &Desk,
        config: &QueueConfig,
        replaced: bool,
        out: &mut Out,
    ) -> Option<Box<dyn LimitAlgorithm>> {
        let least = self.config.min_priority;
        let mut old = None;
        let same = match (&self.config.limit, &config.limit) {
            (Some(old), Some(new)) => old.goes_by(new),
            (None, None) => true,
            _ => false,
        };
        if self.own_limit && replaced || !self.own_limit && !same {
            let so_far = self.limit.as_ref().map(|limit| limit.limit());
            let so_far = so_far.filter(|_| !self.own_limit);
            old = std::mem::replace(&mut self.limit, begin(config, so_far));
            self.own_limit = false;
        } else if let (false, Some(limit), Some(new)) =
            (self.own_limit, &mut self.limit, &config.limit)
        {
            // What it knows of the callee is as true as before.
            let (min, max) = new.bounds_within(slots_of(config));
            limit.bound(min, max);
        }
        if self.config.throttle != config.throttle {
            self.throttling = config.throttle.as_ref().map(Throttling::new);
        }
        self.config = *config;
        if !planted("gate-stays") {
            self.set_gate(desk);
        }
        self.share_out(desk, out);
        if least != config.min_priority {
            self.queue.shed_below(config.min_priority, &mut out.left);
            self.settle_left(out);
            out.tell(|| EventKind::MinimumChanged { from: least, to: config.min_priority });
        }
        old
    }

    fn refuse(&mut self, reason: Reason, now: Tick, priority: Priority, out: &mut Out) -> Rejected {
        self.counts.count(reason);
        self.refusal(reason, now, priority, out)
    }

    /// What somebody is told who was counted already.
    fn refusal(&self, reason: Reason, now: Tick, priority: Priority, out: &mut Out) -> Rejected {
        let rejected = Rejected::new(self.config.name, reason)
            .with_retry_after(self.drain.hint(now, self.queue.len()))
            .with_priority(priority);
        out.refused = Some(rejected);
        rejected
    }
}

impl Counts {
    fn count(&mut self, reason: Reason) {
        *match reason {
            Reason::QueueTimeout | Reason::TooLate => &mut self.timed_out,
            Reason::Displaced => &mut self.displaced,
            Reason::QueueFull | Reason::AtLimit => &mut self.full,
            Reason::Throttled => &mut self.throttled,
            Reason::QueueStands => &mut self.dropped,
            _ => &mut self.shed,
        } += 1;
    }
}

/// The algorithm of the configuration, which never lets more calls run than there are slots. It
/// begins where the one before it was.
fn begin(config: &QueueConfig, now: Option<u32>) -> Option<Box<dyn LimitAlgorithm>> {
    Some(config.limit.as_ref()?.within(slots_of(config), now).begin())
}

fn slots_of(config: &QueueConfig) -> u32 {
    u32::try_from(config.total()).unwrap_or(u32::MAX).max(1)
}

impl Drain {
    /// When one who comes then will probably find the queue empty.
    fn hint(self, now: Tick, waiting: usize) -> Duration {
        const SHORTEST: Duration = Duration::from_secs(1);
        const LONGEST: Duration = Duration::from_secs(30);
        if waiting == 0 || self.served == 0 {
            return SHORTEST;
        }
        let per_call = now.since(self.since).as_secs_f64() / f64::from(self.served);
        let hint = per_call * (waiting as f64 + 1.0);
        Duration::from_secs_f64(hint.min(LONGEST.as_secs_f64())).max(SHORTEST)
    }
}
