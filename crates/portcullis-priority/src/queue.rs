//! Who waits for a slot, and who is next: [`Queue`]. Pure: time is handed in, and nobody is woken.

mod crowd;
mod lane;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;
mod turns;
#[cfg(test)]
mod walk;

use std::collections::BTreeSet;
use std::time::Duration;

use breaker_core::{Class, Priority, Reason, Tick};

use crate::codel::CodelState;
use crate::config::{Discipline, Displace, QueueConfig};

use crowd::Crowd;
use lane::{Lanes, Place, Spot};
use turns::Turns;

/// What the queue is told of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) priority: Priority,
    /// Calls of one user have one cohort, where cohorts take turns; else it is 0.
    pub(crate) cohort: u8,
    /// It is of no use to start it later.
    pub(crate) latest: Tick,
}

/// A call that waits no more, and was not served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Left {
    pub(crate) id: u32,
    pub(crate) reason: Reason,
}

/// Those who wait. The shell gives each a small number, which it uses for somebody else only after
/// the first has left.
///
/// Each stands in three orders: by when it is served, by when it came, and by when something is due
/// for it. All are trees, so that whatever happens costs the logarithm of how many wait, and nothing
/// is kept of who has left but the room for its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// By number.
    waiting: Vec<Option<Waiting>>,
    len: usize,
    /// By the class that they came with, or were raised to.
    lanes: [Lanes; 5],
    crowds: [Crowd; 5],
    due: BTreeSet<Spot>,
    arrivals: u64,
    /// The latest moment that was seen: a clock that steps back changes nothing.
    now: Tick,
    /// Since when there has always been somebody.
    since: Option<Tick>,
    turns: Turns,
    codel: CodelState,
}

/// A call that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// What it competes as, ageing apart: what it came with, or was raised to.
    base: Priority,
    cohort: u8,
    arrival: u64,
    entered: Tick,
    /// When it has waited long enough.
    deadline: Tick,
    /// Why it leaves then.
    reason: Reason,
    /// When it has waited for half of what it may, if that is to come.
    half: Option<Tick>,
    aged: bool,
}

impl Queue {
    /// An empty queue.
    pub(crate) const fn new() -> Self {
        Self {
            waiting: Vec::new(),
            len: 0,
            lanes: [const { Lanes::new() }; 5],
            crowds: [const { Crowd::new() }; 5],
            due: BTreeSet::new(),
            arrivals: 0,
            now: Tick::ZERO,
            since: None,
            turns: Turns::new(),
            codel: CodelState::new(),
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many of this class wait: that with which they came, or to which they were raised.
    pub(crate) fn depth(&self, class: Class) -> u32 {
        self.crowds[class.index()].len()
    }

    /// Lets a call wait, or says why it may not. Who gives way to it goes to `out`; so does, where
    /// the queue is full, whoever has waited long enough, and that also if the call is refused.
    pub(crate) fn join(
        &mut self,
        config: &QueueConfig,
        now: Tick,
        id: u32,
        entry: Entry,
        out: &mut Vec<Left>,
    ) -> Result<(), Reason> {
        self.now = self.now.max(now);
        if config.wait_of(entry.priority).is_zero() {
            return Err(Reason::AtLimit);
        }
        if entry.latest <= self.now {
            return Err(Reason::TooLate);
        }
        if self.is_full(config) {
            self.settle(config, now, out);
        }
        // It was not empty if the last one gives way.
        let since = self.since;
        if self.is_full(config) {
            let victim = self.victim(config, entry).ok_or(Reason::QueueFull)?;
            self.remove(victim);
            out.push(Left { id: victim, reason: Reason::Displaced });
        }
        if since.is_none() {
            self.codel = CodelState::rested(self.now);
        }
        self.insert(id, Waiting::new(config, self.now, self.arrivals, entry));
        self.since = since.or(Some(self.now));
        self.arrivals += 1;
        Ok(())
    }

    /// Takes out a call that has given up; whether it still waited.
    pub(crate) fn leave(&mut self, id: u32) -> bool {
        self.remove(id).is_some()
    }

    /// Lets a call that waits compete as one of this priority, if that is higher: somebody more
    /// important waits for it. It takes the slots of that one, too.
    pub(crate) fn raise(&mut self, _: &QueueConfig, now: Tick, id: u32, to: Priority) {
        self.now = self.now.max(now);
        self.shift(id, |waiting| waiting.base = waiting.base.max(to));
    }

    /// What is due by now: who has waited long enough goes to `out`, and who has waited for half of
    /// it competes higher.
    pub(crate) fn settle(&mut self, config: &QueueConfig, now: Tick, out: &mut Vec<Left>) {
        self.now = self.now.max(now);
        while let Some(&Spot { id, .. }) = self.due.first().filter(|spot| spot.at <= self.now) {
            // Whoever is due waits: both go together.
            let Some(waiting) = self.get(id) else { return };
            if waiting.half.is_some() {
                self.due.remove(&waiting.due(id));
                self.shift(id, |waiting| {
                    waiting.half = None;
                    waiting.aged = config.ageing;
                });
                self.due.insert(Waiting { half: None, ..waiting }.due(id));
            } else {
                self.remove(id);
                out.push(Left { id, reason: waiting.reason });
            }
        }
    }

    /// Takes out the one that is served next, among those whose class `fits` a free slot; those that
    /// are dropped on the way go to `out`.
    pub(crate) fn next(
        &mut self,
        config: &QueueConfig,
        now: Tick,
        fits: impl Fn(Class) -> bool,
        out: &mut Vec<Left>,
    ) -> Option<u32> {
        self.settle(config, now, out);
        let fits = Class::ALL.map(fits);
        let newest = self.stands(config);
        // Each turn of the loop takes somebody out.
        loop {
            let id = self.choose(config, &fits, newest)?;
            let gone = self.get(id)?;
            self.lanes[gone.class().index()].turn(gone.place());
            self.remove(id);
            let waited = self.now.since(gone.entered);
            let dequeue = |codel| self.codel.dequeue(codel, self.now, waited);
            if !config.codel.is_some_and(dequeue) {
                return Some(id);
            }
            out.push(Left { id, reason: Reason::QueueStands });
        }
    }

    /// Whether somebody waits who goes before a call of this priority that comes now.
    #[cfg(test)]
    pub(crate) fn outranks(&self, priority: Priority) -> bool {
        self.lanes.iter().filter_map(Lanes::highest).any(|level| level >= priority.level())
    }

    /// Sends away all who came with less than this priority, and were not raised to it.
    pub(crate) fn shed_below(&mut self, least: Priority, out: &mut Vec<Left>) {
        for id in 0..self.waiting.len() as u32 {
            if self.get(id).is_some_and(|waiting| waiting.base < least) {
                self.remove(id);
                out.push(Left { id, reason: Reason::BelowMinimum });
            }
        }
    }

    /// Sends away all, for this reason.
    pub(crate) fn shed_all(&mut self, reason: Reason, out: &mut Vec<Left>) {
        for id in 0..self.waiting.len() as u32 {
            if self.remove(id).is_some() {
                out.push(Left { id, reason });
            }
        }
    }

    /// Fails where the orders do not hold the same calls, or something is left of those who are gone.
    #[cfg(test)]
    fn audit(&self) {
        let kept = self.waiting.iter().flatten().count();
        let lanes = self.lanes.iter().map(Lanes::audit).sum();
        let crowds = self.crowds.iter().map(Crowd::audit).sum();
        assert_eq!([kept, lanes, crowds, self.due.len()], [self.len; 4]);
        assert_eq!(self.since.is_none(), self.len == 0);
    }

    fn is_full(&self, config: &QueueConfig) -> bool {
        self.len >= config.capacity as usize
    }

    /// Whether the queue has not been empty for so long that the newest goes first.
    fn stands(&self, config: &QueueConfig) -> bool {
        let stood = self.since.map(|since| self.now.since(since));
        stood.zip(config.newest_first_after).is_some_and(|(stood, longest)| stood > longest)
    }

    /// Who gives way to this arrival, if somebody does.
    fn victim(&self, config: &QueueConfig, arrival: Entry) -> Option<u32> {
        let own = arrival.priority.class().index();
        let lower = self.crowds[..own].iter().find(|crowd| crowd.len() > 0);
        let renewed = config.displace == Displace::Oldest && self.stands(config);
        let equal = &self.crowds[own];
        let equal = (renewed || equal.is_outnumbered(arrival.cohort)).then_some(equal);
        lower.or(equal)?.victim(config.displace)
    }

    /// Who is next.
    fn choose(&mut self, config: &QueueConfig, fits: &[bool; 5], newest: bool) -> Option<u32> {
        let firsts = self.lanes.each_ref().map(|lanes| lanes.first(fits, newest));
        let choice = match config.discipline {
            Discipline::Strict => {
                firsts.into_iter().flatten().max_by(|one, other| one.compare(other, newest))
            }
            Discipline::Weighted => {
                let waits = firsts.map(|first| first.is_some());
                self.turns.take(fits, &waits).and_then(|class| firsts[class.index()])
            }
        };
        choice.map(|choice| choice.spot.id)
    }

    fn get(&self, id: u32) -> Option<Waiting> {
        self.waiting.get(id as usize).copied().flatten()
    }

    fn insert(&mut self, id: u32, waiting: Waiting) {
        // The shell does not give a number twice; if it did, the orders would still hold.
        self.remove(id);
        let place = id as usize;
        if place >= self.waiting.len() {
            self.waiting.resize(place + 1, None);
        }
        self.waiting[place] = Some(waiting);
        self.len += 1;
        let class = waiting.class().index();
        self.lanes[class].insert(waiting.place(), waiting.cohort, waiting.spot(id));
        self.crowds[class].insert(waiting.cohort, waiting.arrival, id);
        self.due.insert(waiting.due(id));
    }

    fn remove(&mut self, id: u32) -> Option<Waiting> {
        let gone = self.waiting.get_mut(id as usize)?.take()?;
        self.len -= 1;
        let class = gone.class().index();
        self.lanes[class].remove(gone.place(), gone.cohort, gone.spot(id));
        self.crowds[class].remove(gone.cohort, gone.arrival, id);
        self.due.remove(&gone.due(id));
        if self.len == 0 {
            self.since = None;
            // The shell begins with the first number again: a burst leaves no more than this.
            self.waiting.clear();
            self.waiting.shrink_to(64);
        }
        Some(gone)
    }

    /// Changes what a call competes as, and lets it stand where it belongs then.
    fn shift(&mut self, id: u32, change: impl FnOnce(&mut Waiting)) {
        let Some(Some(waiting)) = self.waiting.get_mut(id as usize) else { return };
        let before = *waiting;
        change(waiting);
        let after = *waiting;
        if after.place() != before.place() {
            let (from, to) = (before.class().index(), after.class().index());
            self.lanes[from].remove(before.place(), before.cohort, before.spot(id));
            self.lanes[to].insert(after.place(), after.cohort, after.spot(id));
            self.crowds[from].remove(before.cohort, before.arrival, id);
            self.crowds[to].insert(after.cohort, after.arrival, id);
        }
    }
}

impl Waiting {
    fn new(config: &QueueConfig, now: Tick, arrival: u64, entry: Entry) -> Self {
        let Entry { priority, cohort, latest } = entry;
        let wait = config.wait_of(priority);
        let enough = now.after(wait);
        let deadline = enough.min(latest);
        let half = now.after(wait.saturating_add(Duration::from_nanos(1)) / 2);
        Self {
            base: priority,
            cohort,
            arrival,
            entered: now,
            deadline,
            reason: if latest < enough { Reason::TooLate } else { Reason::QueueTimeout },
            half: Some(half).filter(|&half| half < deadline && priority < Priority::HIGH),
            aged: false,
        }
    }

    /// The class that it came with, or was raised to.
    const fn class(&self) -> Class {
        self.base.class()
    }

    /// Ageing moves it up by a class, and not above high; it takes no other slots by that.
    fn place(&self) -> Place {
        let base = self.base.level();
        let high = Priority::HIGH.level();
        let level = if self.aged && base < high { high.min(base + 25) } else { base };
        Place { level, class: self.class() }
    }

    /// Its place by deadline.
    const fn spot(&self, id: u32) -> Spot {
        Spot { at: self.deadline, arrival: self.arrival, id }
    }

    /// Its place by what is due next.
    fn due(&self, id: u32) -> Spot {
        Spot { at: self.half.unwrap_or(self.deadline), ..self.spot(id) }
    }
}
