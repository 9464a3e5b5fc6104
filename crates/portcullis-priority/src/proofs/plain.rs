//! Slots and those who wait for them, with no thought of threads: [`Plain`].

use std::collections::BTreeMap;
use std::time::Duration;

use breaker_core::{Class, Priority, Reason, Tick};

use crate::config::QueueConfig;
use crate::queue::{Entry, Left, Queue};

/// What became of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Now {
    /// It holds a slot of this kind: 0 to 4 for those of a class, 5 for those for all.
    Runs(usize),
    Waits,
    Refused(Reason),
}

struct One {
    now: Now,
    /// Which slots it may take.
    class: Class,
    deadline: Tick,
}

/// A queue whose every step looks at everything.
pub(super) struct Plain {
    pub(super) config: QueueConfig,
    queue: Queue,
    taken: [u32; 6],
    calls: BTreeMap<u32, One>,
}

impl Plain {
    pub(super) fn new(config: &QueueConfig) -> Self {
        Self { config: *config, queue: Queue::new(), taken: [0; 6], calls: BTreeMap::new() }
    }

    pub(super) fn taken(&self) -> [u32; 6] {
        self.taken
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn of(&self, id: u32) -> Now {
        self.calls[&id].now
    }

    /// A slot that the class may take: its own, one for all, one of the lowest class below.
    fn room(config: &QueueConfig, taken: &[u32; 6], class: Class) -> Option<usize> {
        let own = class.index();
        let mut kinds = vec![own, 5];
        kinds.extend(0..own);
        let slots = |kind: usize| if kind == 5 { config.shared } else { config.reserved[kind] };
        kinds.into_iter().find(|&kind| taken[kind] < slots(kind))
    }

    /// A call comes; its number, which is kept until it [goes](Self::goes).
    pub(super) fn enter(
        &mut self,
        now: Tick,
        (priority, cohort): (Priority, u8),
        remaining: Option<Duration>,
        may_wait: bool,
    ) -> u32 {
        let id = (0..).find(|id| !self.calls.contains_key(id)).unwrap_or_default();
        let latest = remaining.map_or(Tick::MAX, |remaining| now.after(remaining));
        let wait = self.config.wait_of(priority);
        let deadline = now.after(wait).min(latest);
        let one = One { now: Now::Waits, class: priority.class(), deadline };
        self.calls.insert(id, one);
        let refused = if priority < self.config.min_priority {
            Err(Reason::BelowMinimum)
        } else {
            self.serve(now);
            match Self::room(&self.config, &self.taken, priority.class()) {
                Some(kind) => {
                    self.runs(id, kind);
                    Ok(())
                }
                None if !may_wait || wait.is_zero() || self.config.capacity == 0 => {
                    Err(Reason::AtLimit)
                }
                None if remaining.is_some_and(|remaining| remaining.is_zero()) => {
                    Err(Reason::TooLate)
                }
                None => {
                    let mut left = Vec::new();
                    let entry = Entry { priority, cohort, latest };
                    let joined = self.queue.join(&self.config, now, id, entry, &mut left);
                    self.left(left);
                    joined
                }
            }
        };
        if let Err(reason) = refused {
            self.set(id, Now::Refused(reason));
        }
        id
    }

    fn set(&mut self, id: u32, now: Now) {
        self.calls.get_mut(&id).expect("it is here").now = now;
    }

    fn runs(&mut self, id: u32, kind: usize) {
        self.taken[kind] += 1;
        self.set(id, Now::Runs(kind));
    }

    fn left(&mut self, left: Vec<Left>) {
        for Left { id, reason } in left {
            self.set(id, Now::Refused(reason));
        }
    }

    pub(super) fn serve(&mut self, now: Tick) {
        while self.queue.len() > 0 {
            let mut left = Vec::new();
            let room = |class| Self::room(&self.config, &self.taken, class).is_some();
            let next = self.queue.next(&self.config, now, room, &mut left);
            self.left(left);
            let Some(id) = next else { break };
            let class = self.calls[&id].class;
            let kind = Self::room(&self.config, &self.taken, class).expect("there was room");
            self.runs(id, kind);
        }
    }

    /// The call asks, whether it has been decided or its time is over.
    pub(super) fn asks(&mut self, now: Tick, id: u32) -> Now {
        if self.of(id) == Now::Waits && now >= self.calls[&id].deadline {
            self.settle(now);
            self.serve(now);
            if self.of(id) == Now::Waits {
                self.queue.leave(id);
                self.set(id, Now::Refused(Reason::QueueTimeout));
            }
        }
        self.of(id)
    }

    pub(super) fn settle(&mut self, now: Tick) {
        let mut left = Vec::new();
        self.queue.settle(&self.config, now, &mut left);
        self.left(left);
    }

    /// The call ends, or gives up.
    pub(super) fn goes(&mut self, now: Tick, id: u32) {
        match self.of(id) {
            Now::Runs(kind) => {
                self.taken[kind] -= 1;
                self.serve(now);
            }
            Now::Waits => {
                self.queue.leave(id);
            }
            Now::Refused(_) => {}
        }
        self.calls.remove(&id);
    }

    pub(super) fn raise(&mut self, now: Tick, id: u32, to: Priority) {
        let one = self.calls.get_mut(&id).expect("it is here");
        if one.now == Now::Waits && one.class <= to.class() {
            one.class = to.class();
            self.queue.raise(&self.config, now, id, to);
        }
        self.serve(now);
    }

    pub(super) fn reconfigure(&mut self, now: Tick, config: &QueueConfig) {
        let before = self.config.min_priority;
        self.config = *config;
        if before != config.min_priority {
            let mut left = Vec::new();
            self.queue.shed_below(config.min_priority, &mut left);
            self.left(left);
        }
        self.serve(now);
    }
}
