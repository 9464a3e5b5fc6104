//! The queue as a list that is searched from end to end, to hold [`Queue`](super::Queue) against.

use std::cmp::Reverse;

use super::{Class, Discipline, Displace, Duration, Entry, Left, Priority, Reason, Tick};
use crate::codel::Codel;
use crate::config::QueueConfig;

#[derive(Clone, Copy)]
pub(super) struct One {
    pub(super) id: u32,
    number: u64,
    entry: Entry,
    base: Priority,
    entered: Tick,
    wait: Duration,
    /// Whether it was looked at when it had waited for half.
    looked: bool,
    aged: bool,
}

/// Among whom cohorts take turns: those of one level and class.
type Group = (u8, Class);

impl One {
    fn level(&self) -> u8 {
        match (self.base.level(), self.aged) {
            (base @ 0..=74, true) => u8::min(base + 25, 75),
            (base, _) => base,
        }
    }

    fn class(&self) -> Class {
        self.base.class()
    }

    fn group(&self) -> Group {
        (self.level(), self.class())
    }

    fn deadline(&self) -> Tick {
        self.entry.latest.min(self.entered.after(self.wait))
    }

    /// The next thing that happens to it by itself.
    fn due(&self) -> (Tick, u64) {
        let half = Duration::from_nanos((self.wait.as_nanos() as u64).div_ceil(2));
        let half = self.entered.after(half);
        let ages = !self.looked && self.entry.priority.level() < 75 && half < self.deadline();
        (if ages { half } else { self.deadline() }, self.number)
    }

    fn order(&self, newest: bool) -> (u8, i128, i128) {
        let sign = if newest { 1 } else { -1 };
        let deadline = i128::from(self.deadline().as_nanos());
        (self.level(), sign * deadline, sign * i128::from(self.number))
    }
}

#[derive(Default)]
pub(super) struct Naive {
    pub(super) all: Vec<One>,
    /// Who has somebody in which group, those first whose turn is sooner.
    turns: Vec<(Group, u8)>,
    /// For each lowest class that fits, how far its round has got.
    rounds: [usize; 5],
    numbers: u64,
    now: Tick,
    since: Option<Tick>,
    /// Least wait of the present interval, its end, whether the one before was too slow.
    codel: (Duration, Tick, bool),
}

impl Naive {
    pub(super) fn join(
        &mut self,
        config: &QueueConfig,
        now: Tick,
        id: u32,
        entry: Entry,
        out: &mut Vec<Left>,
    ) -> Result<(), Reason> {
        self.now = self.now.max(now);
        let wait = config.wait_of(entry.priority);
        if wait == Duration::ZERO {
            return Err(Reason::AtLimit);
        }
        if entry.latest <= self.now {
            return Err(Reason::TooLate);
        }
        if self.all.len() >= config.capacity as usize {
            self.settle(config, now, out);
        }
        let since = self.since;
        if self.all.len() >= config.capacity as usize {
            let Some(victim) = self.victim(config, entry) else { return Err(Reason::QueueFull) };
            self.leave(victim);
            out.push(Left { id: victim, reason: Reason::Displaced });
        }
        if since.is_none() {
            self.codel = (Duration::ZERO, self.now, false);
        }
        let (number, entered) = (self.numbers, self.now);
        self.numbers += 1;
        let base = entry.priority;
        let one = One { id, number, entry, base, entered, wait, looked: false, aged: false };
        self.all.push(one);
        self.tidy();
        self.since = since.or(Some(self.now));
        Ok(())
    }

    fn victim(&self, config: &QueueConfig, arrival: Entry) -> Option<u32> {
        let class = arrival.priority.class();
        let lowest = self.all.iter().map(One::class).min()?;
        let held = |class: Class, cohort: u8| {
            self.all.iter().filter(|one| one.class() == class && one.entry.cohort == cohort).count()
        };
        if lowest >= class {
            let largest = (0..=255).map(|cohort| held(class, cohort)).max()?;
            let small = largest > 1 && held(class, arrival.cohort) * 2 < largest;
            let renewed = config.displace == Displace::Oldest && self.stands(config);
            if !small && !renewed {
                return None;
            }
        }
        let class = lowest.min(class);
        let mates = self.all.iter().filter(|one| one.class() == class);
        let size = |one: &One| held(class, one.entry.cohort);
        match config.displace {
            Displace::Oldest => mates.max_by_key(|one| (size(one), Reverse(one.number))),
            Displace::Newest => mates.max_by_key(|one| (size(one), one.number)),
        }
        .map(|one| one.id)
    }

    pub(super) fn leave(&mut self, id: u32) -> bool {
        let before = self.all.len();
        self.all.retain(|one| one.id != id);
        self.tidy();
        self.all.len() < before
    }

    pub(super) fn raise(&mut self, now: Tick, id: u32, to: Priority) {
        self.now = self.now.max(now);
        for one in self.all.iter_mut().filter(|one| one.id == id) {
            one.base = one.base.max(to);
        }
        self.tidy();
    }

    pub(super) fn settle(&mut self, config: &QueueConfig, now: Tick, out: &mut Vec<Left>) {
        self.now = self.now.max(now);
        let now = self.now;
        while let Some(first) = self.all.iter().map(One::due).min().filter(|due| due.0 <= now) {
            let place = self.all.iter().position(|one| one.due() == first).unwrap();
            let one = self.all[place];
            if one.due().0 < one.deadline() {
                self.all[place].looked = true;
                self.all[place].aged = config.ageing;
                self.tidy();
                continue;
            }
            let late = one.entry.latest < one.entered.after(one.wait);
            let reason = if late { Reason::TooLate } else { Reason::QueueTimeout };
            out.push(Left { id: one.id, reason });
            self.leave(one.id);
        }
    }

    pub(super) fn next(
        &mut self,
        config: &QueueConfig,
        now: Tick,
        fits: impl Fn(Class) -> bool,
        out: &mut Vec<Left>,
    ) -> Option<u32> {
        self.settle(config, now, out);
        let newest = self.stands(config);
        loop {
            let mut able: Vec<One> =
                self.all.iter().filter(|one| fits(one.base.class())).copied().collect();
            if config.discipline == Discipline::Weighted {
                let class = self.round(&able, &fits)?;
                able.retain(|one| one.class() == class);
            }
            // In each group it is the turn of one cohort.
            able.retain(|one| {
                let turn = self.turns.iter().find(|turn| turn.0 == one.group());
                turn.unwrap().1 == one.entry.cohort
            });
            let one = able.into_iter().max_by_key(|one| one.order(newest))?;
            let had = (one.group(), one.entry.cohort);
            self.turns.retain(|turn| *turn != had);
            self.turns.push(had);
            self.leave(one.id);
            if !config.codel.is_some_and(|codel| self.drops(codel, one)) {
                return Some(one.id);
            }
            out.push(Left { id: one.id, reason: Reason::QueueStands });
        }
    }

    /// A round is a list of 31 turns; those that nobody wants are passed over.
    fn round(&mut self, able: &[One], fits: &impl Fn(Class) -> bool) -> Option<Class> {
        let lowest = Class::ALL.iter().position(|&class| fits(class))?;
        let times = [(Class::Critical, 16), (Class::High, 8), (Class::Normal, 4), (Class::Low, 2)];
        let mut round: Vec<Class> =
            times.iter().flat_map(|&(class, times)| vec![class; times]).collect();
        round.push(Class::Bulk);
        for step in 0..31 {
            let at = (self.rounds[lowest] + step) % 31;
            if able.iter().any(|one| one.class() == round[at]) {
                self.rounds[lowest] = at + 1;
                return Some(round[at]);
            }
        }
        None
    }

    fn drops(&mut self, config: Codel, one: One) -> bool {
        let delay = self.now.since(one.entered);
        let (least, until, slow) = &mut self.codel;
        if self.now > *until {
            *slow = *least > config.target;
            *until = self.now.after(config.interval);
            *least = delay;
            return false;
        }
        *least = delay.min(*least);
        *slow && delay > config.target + config.target
    }

    pub(super) fn shed_below(&mut self, least: Priority, out: &mut Vec<Left>) {
        let mut ids: Vec<u32> =
            self.all.iter().filter(|one| one.base < least).map(|one| one.id).collect();
        ids.sort_unstable();
        for id in ids {
            self.leave(id);
            out.push(Left { id, reason: Reason::BelowMinimum });
        }
    }

    pub(super) fn outranks(&self, priority: Priority) -> bool {
        self.all.iter().any(|one| one.level() >= priority.level())
    }

    pub(super) fn depth(&self, class: Class) -> u32 {
        self.all.iter().filter(|one| one.class() == class).count() as u32
    }

    fn stands(&self, config: &QueueConfig) -> bool {
        match (config.newest_first_after, self.since) {
            (Some(longest), Some(since)) => self.now.since(since) > longest,
            _ => false,
        }
    }

    /// Takes out the turns that nobody is there for, and adds those that are missing.
    fn tidy(&mut self) {
        let all = &self.all;
        self.turns.retain(|turn| all.iter().any(|one| (one.group(), one.entry.cohort) == *turn));
        for one in all {
            let turn = (one.group(), one.entry.cohort);
            if !self.turns.contains(&turn) {
                self.turns.push(turn);
            }
        }
        if all.is_empty() {
            self.since = None;
        }
    }
}
