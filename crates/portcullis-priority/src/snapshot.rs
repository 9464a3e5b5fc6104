//! What a queue looks like at a moment: [`Snapshot`].

use breaker_core::{Class, Name, Priority, Tick};

use crate::desk::{Desk, Pass, State};

/// All figures of a queue, at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// What it is called.
    pub name: Name,
    /// How many calls may run at a time just now.
    pub slots: u32,
    /// How many run.
    pub running: u32,
    /// How many run in slots that are reserved for a class, from bulk to critical.
    pub reserved_running: [u32; 5],
    /// How many wait, by the class that they came with or were raised to, from bulk to critical.
    pub waiting: [u32; 5],
    /// The least priority that is admitted.
    pub min_priority: Priority,
    /// The least class that the circuit which is watched lets through; bulk where all pass.
    pub circuit_passes: Class,
    /// The share of calls that is refused because the callee refuses many, 0..=1.
    pub throttled_share: f64,
    /// How many calls waited and got a slot, since the beginning.
    pub waited: u64,
    /// How many gave up while they waited.
    pub left: u64,
    /// How many were refused because no slot became free in time.
    pub timed_out: u64,
    /// How many gave their place in the queue to another call.
    pub displaced: u64,
    /// How many were refused since the queue was full, or since they do not wait.
    pub full: u64,
    /// How many were refused because of their priority.
    pub shed: u64,
    /// How many were refused because the callee refuses many.
    pub throttled: u64,
    /// How many were dropped because the queue did not get shorter.
    pub dropped: u64,
}

impl Snapshot {
    pub(crate) fn of(desk: &Desk, state: &State, now: Tick, pass: Pass) -> Self {
        let taken = desk.taken();
        let share = match (&state.throttling, &state.config.throttle) {
            (Some(throttling), Some(throttle)) => throttling.share(throttle, now),
            _ => 0.0,
        };
        let counts = state.counts;
        Self {
            name: state.config.name,
            slots: desk.slots(),
            running: taken.iter().sum(),
            reserved_running: std::array::from_fn(|class| taken[class]),
            waiting: Class::ALL.map(|class| state.queue.depth(class)),
            min_priority: state.config.min_priority,
            circuit_passes: pass.least,
            throttled_share: share,
            waited: counts.waited,
            left: counts.left,
            timed_out: counts.timed_out,
            displaced: counts.displaced,
            full: counts.full,
            shed: counts.shed,
            throttled: counts.throttled,
            dropped: counts.dropped,
        }
    }

    /// How many wait, all classes together.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.waiting.iter().sum()
    }

    /// How many were refused, for all reasons.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        let Self { timed_out, displaced, full, shed, throttled, dropped, .. } = *self;
        timed_out + displaced + full + shed + throttled + dropped
    }

    /// Why it is as it is, in a sentence.
    #[must_use]
    pub fn explain(&self) -> String {
        let Self { name, slots, running, min_priority, .. } = self;
        let mut said = format!("{name}: {running} of {slots} slots are taken");
        match self.depth() {
            0 if running < slots => {}
            0 => said.push_str(", and nobody waits"),
            depth => {
                said.push_str(&format!(", and {depth} wait ("));
                let waiting = Class::ALL.into_iter().rev().filter_map(|class| {
                    let depth = self.waiting[class.index()];
                    (depth > 0).then(|| format!("{depth} {class}"))
                });
                said.push_str(&waiting.collect::<Vec<_>>().join(", "));
                said.push(')');
            }
        }
        match self.circuit_passes {
            Class::Bulk => {}
            Class::Critical => said.push_str("; the circuit is open, and only critical calls pass"),
            least => said
                .push_str(&format!("; the circuit recovers, and calls below {least} are refused")),
        }
        if *min_priority > Priority::BULK {
            said.push_str(&format!("; calls below {min_priority} are refused"));
        }
        if self.throttled_share > 0.0 {
            let percent = self.throttled_share * 100.0;
            said.push_str(&format!(
                "; {percent:.0} % of the calls are refused, as the callee would"
            ));
        }
        said
    }
}
