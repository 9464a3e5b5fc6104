//! Who waits for a slot, and who is next: [`Queue`]. Pure: time is handed in, and nobody is woken.

use breaker_core::{Class, Priority, Reason, Tick};

use crate::config::QueueConfig;

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
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    waiting: Vec<(u32, Entry)>,
}

impl Queue {
    /// An empty queue.
    pub(crate) const fn new() -> Self {
        Self { waiting: Vec::new() }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many of this class wait, by the priority that they came with.
    pub(crate) fn depth(&self, class: Class) -> u32 {
        self.waiting.iter().filter(|(_, entry)| entry.priority.class() == class).count() as u32
    }

    /// Lets a call wait, or says why it may not. Who gives way to it goes to `out`.
    pub(crate) fn join(
        &mut self,
        config: &QueueConfig,
        now: Tick,
        id: u32,
        entry: Entry,
        out: &mut Vec<Left>,
    ) -> Result<(), Reason> {
        let _ = (config, now, out);
        self.waiting.push((id, entry));
        Ok(())
    }

    /// Takes out a call that has given up; whether it still waited.
    pub(crate) fn leave(&mut self, id: u32) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|&(other, _)| other != id);
        self.waiting.len() < before
    }

    /// Lets a call that waits compete as one of this priority, if that is higher: somebody more
    /// important waits for it.
    pub(crate) fn raise(&mut self, config: &QueueConfig, now: Tick, id: u32, to: Priority) {
        let _ = (config, now, id, to);
    }

    /// What is due by now: who has waited long enough goes to `out`, and who has waited for half of
    /// it competes higher.
    pub(crate) fn settle(&mut self, config: &QueueConfig, now: Tick, out: &mut Vec<Left>) {
        let _ = (config, now, out);
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
        let _ = (config, now, out);
        let place = self.waiting.iter().position(|(_, entry)| fits(entry.priority.class()))?;
        Some(self.waiting.remove(place).0)
    }

    /// Whether somebody waits who goes before a call of this priority that comes now.
    pub(crate) fn outranks(&self, priority: Priority) -> bool {
        self.waiting.iter().any(|(_, entry)| entry.priority >= priority)
    }

    /// Sends away all who came with less than this priority.
    pub(crate) fn shed_below(&mut self, least: Priority, out: &mut Vec<Left>) {
        let _ = (least, out);
    }
}
