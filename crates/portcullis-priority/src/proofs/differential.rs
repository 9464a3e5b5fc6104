//! The same random histories go to the shell and to a plain model of it: after each step, each call
//! has been told the same by both, and the same slots are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use breaker_core::{Class, Clock, ManualClock, Priority};

use super::plain::{Now, Plain};
use crate::codel::Codel;
use crate::config::{Discipline, Displace, QueueConfig};
use crate::handle::{Call, PriorityQueue};
use crate::slot::Slot;
use crate::wait::Waiter;

const STEPS: u32 = 200;

/// Histories, every day and in the deep run.
const HISTORIES: [u64; 2] = [400, 50_000];

/// A small generator of numbers (splitmix64, Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    fn lot(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.lot(all.len() as u64) as usize]
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How a call stands with the shell; the model knows it by a number.
enum Shell {
    Runs(Slot),
    Waits(Waiter, Arc<Flag>),
}

struct World {
    dice: Dice,
    clock: ManualClock,
    queue: PriorityQueue,
    plain: Plain,
    calls: Vec<(u32, Priority, Shell)>,
    ways: [u64; 2],
}

// S-PRIO-02, S-PRIO-03, S-PRIO-05
#[test]
fn the_shell_decides_as_a_plain_queue_does() {
    let deep = std::env::var_os("PORTCULLIS_DEEP").is_some();
    let histories = HISTORIES[usize::from(deep)];
    let mut ways = [0; 2];
    for seed in 0..histories {
        let [fast, locked] = World::new(seed).run();
        ways = [ways[0] + fast, ways[1] + locked];
    }
    println!("{histories} histories: {} slots at once, {} calls under the lock", ways[0], ways[1]);
    assert!(ways.iter().all(|way| *way > histories), "a way was not taken: {ways:?}");
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let config = config(&mut dice);
        let clock = ManualClock::new();
        let queue = PriorityQueue::with_clock(config, clock.clone());
        Self { dice, clock, queue, plain: Plain::new(&config), calls: Vec::new(), ways: [0; 2] }
    }

    fn run(mut self) -> [u64; 2] {
        for _ in 0..STEPS {
            self.step();
            self.compare();
        }
        while let Some(call) = self.calls.pop() {
            self.goes(call);
        }
        self.compare();
        self.queue.home.desk.assert_at_rest();
        self.ways
    }

    fn step(&mut self) {
        let now = self.clock.now();
        match self.dice.lot(20) {
            0..=7 => self.enter(),
            8..=11 if !self.calls.is_empty() => {
                let place = self.dice.lot(self.calls.len() as u64) as usize;
                let call = self.calls.swap_remove(place);
                self.goes(call);
            }
            12..=13 if !self.calls.is_empty() => {
                let place = self.dice.lot(self.calls.len() as u64) as usize;
                self.asks(place);
            }
            14 => self.raise(),
            15..=16 => self.clock.advance(Duration::from_millis(self.dice.lot(400))),
            17 => {
                let least = self.dice.of(&[Priority::BULK, Priority::LOW, Priority::HIGH]);
                self.queue.min_priority(least).unwrap();
                let config = self.plain.config.min_priority(least);
                self.plain.reconfigure(now, &config);
            }
            18 if self.dice.lot(4) == 0 => {
                let config = config(&mut self.dice);
                self.queue.reconfigure(config).unwrap();
                self.plain.reconfigure(now, &config);
            }
            _ => {
                let _ = self.queue.snapshot();
                self.plain.settle(now);
                self.plain.serve(now);
            }
        }
    }

    fn enter(&mut self) {
        let priority = Priority::new(self.dice.of(&[0, 10, 25, 50, 60, 75, 100]));
        let cohort = self.dice.lot(3) as u8;
        let remaining = (self.dice.lot(5) == 0).then(|| Duration::from_millis(self.dice.lot(400)));
        let may_wait = self.dice.lot(5) > 0;
        let id = self.plain.enter(self.clock.now(), (priority, cohort), remaining, may_wait);
        let decided = match self.queue.acquire_at_once(priority) {
            Some(slot) => {
                self.ways[0] += 1;
                Ok(Ok(slot))
            }
            None => {
                self.ways[1] += 1;
                let call = Call { priority, cohort, remaining };
                self.queue.ask(&call, may_wait).by_hand()
            }
        };
        let expected = self.plain.of(id);
        let shell = match decided {
            Ok(Ok(slot)) => {
                assert!(matches!(expected, Now::Runs(_)), "another queue: {expected:?}, it runs");
                Shell::Runs(slot)
            }
            Ok(Err(rejected)) => {
                let refused = Now::Refused(rejected.reason());
                assert_eq!(expected, refused, "another queue: it is refused");
                self.plain.goes(self.clock.now(), id);
                return;
            }
            Err(waiter) => {
                assert_eq!(expected, Now::Waits, "another queue: it waits");
                Shell::Waits(waiter, Arc::default())
            }
        };
        self.calls.push((id, priority, shell));
        if expected == Now::Waits {
            self.asks(self.calls.len() - 1);
        }
    }

    fn asks(&mut self, place: usize) {
        let (id, priority, shell) = self.calls.swap_remove(place);
        let Shell::Waits(mut waiter, woken) = shell else {
            return self.calls.push((id, priority, shell));
        };
        let expected = self.plain.asks(self.clock.now(), id);
        woken.0.store(false, Ordering::Relaxed);
        match waiter.ask(&Waker::from(woken.clone())) {
            Ok(Ok(slot)) => {
                assert!(matches!(expected, Now::Runs(_)), "another queue: {expected:?}, it runs");
                self.calls.push((id, priority, Shell::Runs(slot)));
            }
            Ok(Err(rejected)) => {
                let refused = Now::Refused(rejected.reason());
                assert_eq!(expected, refused, "another queue: it is refused");
                self.plain.goes(self.clock.now(), id);
            }
            Err(_) => {
                assert_eq!(expected, Now::Waits, "another queue: it waits");
                self.calls.push((id, priority, Shell::Waits(waiter, woken)));
            }
        }
    }

    fn raise(&mut self) {
        let to = Priority::new(self.dice.of(&[25, 50, 75, 100]));
        let now = self.clock.now();
        let waiting = self.calls.iter_mut().find_map(|(id, priority, shell)| match shell {
            Shell::Waits(waiter, _) if *priority < to => Some((*id, priority, waiter)),
            _ => None,
        });
        if let Some((id, priority, waiter)) = waiting {
            *priority = to;
            waiter.raise(to);
            self.plain.raise(now, id, to);
        }
    }

    fn goes(&mut self, (id, _, shell): (u32, Priority, Shell)) {
        drop(shell);
        self.plain.goes(self.clock.now(), id);
    }

    /// Whether both say the same of everybody.
    fn compare(&self) {
        let desk = self.queue.home.desk;
        assert_eq!(desk.taken(), self.plain.taken(), "another queue: other slots are taken");
        let waiting = self.queue.home.desk.with(|state| state.queue.len());
        assert_eq!(waiting, self.plain.waiting(), "another queue: so many wait");
        assert_eq!(desk.is_marked(), waiting > 0, "another queue: a mark stays");
        for (id, _, shell) in &self.calls {
            if let Shell::Waits(_, woken) = shell {
                let decided = self.plain.of(*id) != Now::Waits;
                let woken = woken.0.load(Ordering::Relaxed);
                assert_eq!(woken, decided, "another queue: woken where it has been decided");
            }
        }
    }
}

fn config(dice: &mut Dice) -> QueueConfig {
    let config = QueueConfig::slots(1 + dice.lot(3) as u32)
        .reserved(Class::Bulk, dice.lot(2) as u32)
        .reserved(Class::Normal, dice.lot(2) as u32)
        .reserved(Class::Critical, dice.lot(2) as u32)
        .capacity(dice.of(&[0, 1, 3, 1_000]))
        .displace(dice.of(&[Displace::Oldest, Displace::Newest]))
        .discipline(dice.of(&[Discipline::Strict, Discipline::Weighted]))
        .ageing(dice.lot(2) == 0)
        .max_wait(Class::Low, Duration::from_millis(dice.lot(3) * 100));
    let config = if dice.lot(4) == 0 { config.codel(Codel::new()) } else { config };
    let newest = dice.lot(4) == 0;
    if newest { config.newest_first_after(Duration::from_millis(50)) } else { config }
}
