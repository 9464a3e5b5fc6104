//! The queue as a list that is searched from end to end, to hold [`Queue`] against.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::{Class, Discipline, Displace, Duration, Entry, Left, Priority, Queue, Reason, Tick};
use crate::codel::Codel;
use crate::config::QueueConfig;

#[derive(Clone, Copy)]
struct One {
    id: u32,
    number: u64,
    entry: Entry,
    base: Priority,
    entered: Tick,
    wait: Duration,
    /// Up to when it was looked whether it had waited for half.
    looked: bool,
    aged: bool,
}

/// Among whom cohorts take turns: class it came with, level, class whose slots it takes.
type Group = (Class, u8, Class);

impl One {
    fn level(&self) -> u8 {
        match (self.base.level(), self.aged) {
            (base @ 0..=74, true) => u8::min(base + 25, 75),
            (base, _) => base,
        }
    }

    fn came(&self) -> Class {
        self.entry.priority.class()
    }

    fn group(&self) -> Group {
        (self.came(), self.level(), self.base.class())
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
struct Naive {
    all: Vec<One>,
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
    fn join(
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
        let lowest = self.all.iter().map(One::came).min()?;
        let held = |class: Class, cohort: u8| {
            self.all.iter().filter(|one| one.came() == class && one.entry.cohort == cohort).count()
        };
        if lowest >= class {
            let largest = (0..=255).map(|cohort| held(class, cohort)).max()?;
            let small = held(class, arrival.cohort) * 2 < largest;
            let renewed = config.displace == Displace::Oldest && self.stands(config);
            if !small && !renewed {
                return None;
            }
        }
        let class = lowest.min(class);
        let mates = self.all.iter().filter(|one| one.came() == class);
        let size = |one: &One| held(class, one.entry.cohort);
        match config.displace {
            Displace::Oldest => mates.max_by_key(|one| (size(one), Reverse(one.number))),
            Displace::Newest => mates.max_by_key(|one| (size(one), one.number)),
        }
        .map(|one| one.id)
    }

    fn leave(&mut self, id: u32) -> bool {
        let before = self.all.len();
        self.all.retain(|one| one.id != id);
        self.tidy();
        self.all.len() < before
    }

    fn raise(&mut self, now: Tick, id: u32, to: Priority) {
        self.now = self.now.max(now);
        for one in self.all.iter_mut().filter(|one| one.id == id) {
            one.base = one.base.max(to);
        }
        self.tidy();
    }

    fn settle(&mut self, config: &QueueConfig, now: Tick, out: &mut Vec<Left>) {
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

    fn next(
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
                able.retain(|one| one.came() == class);
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
            if able.iter().any(|one| one.came() == round[at]) {
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

    fn shed_below(&mut self, least: Priority, out: &mut Vec<Left>) {
        let mut ids: Vec<u32> =
            self.all.iter().filter(|one| one.base < least).map(|one| one.id).collect();
        ids.sort_unstable();
        for id in ids {
            self.leave(id);
            out.push(Left { id, reason: Reason::BelowMinimum });
        }
    }

    fn outranks(&self, priority: Priority) -> bool {
        self.all.iter().any(|one| one.level() >= priority.level())
    }

    fn depth(&self, class: Class) -> u32 {
        self.all.iter().filter(|one| one.came() == class).count() as u32
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

#[derive(Clone, Copy, Debug)]
enum Step {
    Join {
        level: u8,
        cohort: u8,
        left: Option<u64>,
    },
    Leave(prop::sample::Index),
    Raise(prop::sample::Index, u8),
    Settle,
    /// With a bit for each class that fits.
    Next(u8),
    Shed(u8),
    Pass(u64),
    StepBack(u64),
    /// All goes on under the other configuration.
    Reconfigure,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let level = || prop::sample::select(vec![0, 0, 10, 25, 25, 49, 50, 50, 60, 75, 80, 100]);
    let index = any::<prop::sample::Index>;
    let join = (level(), 0..4_u8, prop::option::weighted(0.3, 0..60_u64))
        .prop_map(|(level, cohort, left)| Step::Join { level, cohort, left });
    let fits = prop_oneof![
        3 => Just(0b11111),
        2 => prop::sample::select(vec![0b11110, 0b11100, 0b11000, 0b10000]),
        1 => 0..32_u8,
    ];
    let step = prop_oneof![
        12 => join,
        2 => index().prop_map(Step::Leave),
        2 => (index(), level()).prop_map(|(index, level)| Step::Raise(index, level)),
        2 => Just(Step::Settle),
        8 => fits.prop_map(Step::Next),
        1 => level().prop_map(Step::Shed),
        6 => (0..30_u64).prop_map(Step::Pass),
        1 => (0..100_u64).prop_map(Step::StepBack),
        1 => Just(Step::Reconfigure),
    ];
    prop::collection::vec(step, 1..150)
}

fn configs() -> impl Strategy<Value = QueueConfig> {
    let wait = prop_oneof![1 => 0..2_u64, 6 => 2..120_u64, 1 => Just(600_000)];
    let rules = (any::<[bool; 3]>(), prop::option::of(0..40_u64), prop::option::of(1..30_u64));
    (0..10_u32, prop::array::uniform6(wait), rules).prop_map(|(capacity, waits, rules)| {
        let ([newest, weighted, ageing], standing, codel) = rules;
        let mut config = QueueConfig::new().capacity(capacity).ageing(ageing);
        for (class, wait) in Class::ALL.into_iter().zip(waits) {
            config = config.max_wait(class, Duration::from_millis(wait));
        }
        config = config.custom_wait(Duration::from_millis(waits[5]));
        config.displace = if newest { Displace::Newest } else { Displace::Oldest };
        config.discipline = if weighted { Discipline::Weighted } else { Discipline::Strict };
        config.newest_first_after = standing.map(Duration::from_millis);
        let millis = Duration::from_millis;
        config.codel = codel.map(|codel| Codel::new().target(millis(codel)).interval(millis(20)));
        config
    })
}

proptest! {
    #[test]
    fn it_does_what_a_list_that_is_searched_does(
        configs in (configs(), configs()),
        steps in steps(),
        begin in prop_oneof![4 => Just(0), 1 => Just(u64::MAX - 400_000_000)],
    ) {
        let (mut config, mut other) = configs;
        let (mut queue, mut naive) = (Queue::new(), Naive::default());
        let mut now = Tick::from_nanos(begin);
        for step in steps {
            let (mut left, mut expected) = (Vec::new(), Vec::new());
            let ids: Vec<u32> = naive.all.iter().map(|one| one.id).collect();
            // One in twenty is not there, or not any more.
            let pick = |index: prop::sample::Index| match index.index(20) {
                0 => 90,
                _ if ids.is_empty() => 0,
                _ => ids[index.index(ids.len())],
            };
            match step {
                Step::Join { level, cohort, left: rest } => {
                    let id = (0..).find(|id| !ids.contains(id)).unwrap();
                    let latest = rest.map_or(Tick::MAX, |ms| now.after(Duration::from_millis(ms)));
                    let entry = Entry { priority: Priority::new(level), cohort, latest };
                    let said = queue.join(&config, now, id, entry, &mut left);
                    prop_assert_eq!(said, naive.join(&config, now, id, entry, &mut expected));
                }
                Step::Leave(index) => {
                    prop_assert_eq!(queue.leave(pick(index)), naive.leave(pick(index)));
                }
                Step::Raise(index, level) => {
                    queue.raise(&config, now, pick(index), Priority::new(level));
                    naive.raise(now, pick(index), Priority::new(level));
                }
                Step::Settle => {
                    queue.settle(&config, now, &mut left);
                    naive.settle(&config, now, &mut expected);
                }
                Step::Next(bits) => {
                    let fits = |class: Class| bits >> class.index() & 1 == 1;
                    let said = queue.next(&config, now, fits, &mut left);
                    prop_assert_eq!(said, naive.next(&config, now, fits, &mut expected));
                }
                Step::Shed(level) => {
                    queue.shed_below(Priority::new(level), &mut left);
                    naive.shed_below(Priority::new(level), &mut expected);
                }
                Step::Pass(ms) => now = now.after(Duration::from_millis(ms)),
                Step::StepBack(ms) => {
                    now = Tick::from_nanos(now.as_nanos().saturating_sub(ms * 1_000_000));
                }
                Step::Reconfigure => std::mem::swap(&mut config, &mut other),
            }
            prop_assert_eq!(left, expected);
            prop_assert_eq!(queue.len(), naive.all.len());
            for class in Class::ALL {
                prop_assert_eq!(queue.depth(class), naive.depth(class));
            }
            for level in [0, 25, 35, 50, 74, 75, 76, 100].map(Priority::new) {
                prop_assert_eq!(queue.outranks(level), naive.outranks(level));
            }
            queue.audit();
        }
    }
}
