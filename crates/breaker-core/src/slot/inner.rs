//! What the lock of a slot guards: [`Inner`], with the [`Core`] of the circuit that lives there.

use std::sync::Arc;

use super::around::Surroundings;
use super::claims::Claims;
use super::license::{License, Pending, next_epoch};
use super::local::Table;
use crate::config::{CircuitBreakerConfig, Ramp};
use crate::explain::{RampPhase, Snapshot};
use crate::machine::{Machine, Ticket};
use crate::observe::EventKind;
use crate::percent::Percent;
use crate::planted::planted;
use crate::state::Transitions;
use crate::strategy::{DependencyGate, Strategy};
use crate::sync::Ordering;

/// What the lock of a slot guards.
#[derive(Default)]
pub(crate) struct Inner {
    /// The circuit that lives here, if one does.
    pub(super) core: Option<Core>,
    pub(super) era: Era,
    /// Where threads note what is still to be taken in. It belongs to the slot: threads do not
    /// know when a circuit ends.
    claims: Claims,
    /// Handles that were cloned less those that were dropped, as far as no thread has noted it.
    handles: i64,
}

/// One circuit.
pub(crate) struct Core {
    pub(crate) machine: Machine,
    pub(crate) config: Arc<CircuitBreakerConfig>,
    pub(crate) around: Arc<Surroundings>,
    pub(crate) partition: Option<Box<str>>,
    own: Option<Box<Own>>,
}

/// What only circuits have that were given something of their own.
struct Own {
    /// The configuration as it was given, before a strategy was swapped in.
    given: Arc<CircuitBreakerConfig>,
    version: u64,
    strategy: Option<Arc<dyn Strategy>>,
    /// Asked for outside of the lock: it is the user's code.
    strategy_name: Option<&'static str>,
    gate: Option<Arc<dyn DependencyGate>>,
}

/// Which epochs mean what.
#[derive(Default)]
pub(super) struct Era {
    /// The first epoch of the circuit: older ones are a stranger's.
    pub(super) first: u64,
    /// The first epoch of the present generation: older ones of the circuit are late.
    pub(super) start: u64,
    /// The generation of the machine when that was found out.
    pub(super) generation: u64,
}

impl Inner {
    /// Takes in what threads have noted.
    ///
    /// In whatever order they are taken in: successes of one epoch are all alike, and none of
    /// them can change the state, or it would not have been noted but taken in at once.
    pub(super) fn fold(&mut self, place: usize, done: &mut Transitions) {
        let Self { core, era, claims, .. } = self;
        claims.take(place, |kind, count| {
            if let Some(core) = core {
                core.take_in(era, kind, count, done);
            }
        });
    }

    /// Gives a thread a place to note in.
    pub(super) fn enter(&mut self, table: &'static Table) {
        self.claims.enter(table);
    }

    /// Has a thread begin anew with what it notes.
    pub(super) fn restart(&mut self, place: usize, table: &'static Table, license: License) {
        self.claims.restart(place, table, license);
    }

    /// Takes its place from a thread, with all that it has noted.
    pub(super) fn leave(&mut self, place: usize, table: &'static Table) {
        self.claims.leave(place, table);
        self.collect_handles(place, table);
    }

    /// Counts a handle that was made or dropped where no thread could note it.
    pub(super) const fn count_handle(&mut self, by: i64) {
        self.handles += by;
    }

    /// Takes over the handles that a thread has counted.
    pub(super) fn collect_handles(&mut self, place: usize, table: &'static Table) {
        let noted = table.place(place).handles.swap(0, Ordering::AcqRel);
        self.handles += cloned(noted) - dropped(noted);
    }

    /// How many handles there are; never less than that.
    ///
    /// Drops are read before clones. A drop that is seen has its clone seen as well, so if as
    /// many are seen of both, no handle was left at the moment in between, and who has no handle
    /// cannot clone one.
    pub(super) fn handles(&self, place: usize) -> i64 {
        let sum = |half: fn(u64) -> i64| -> i64 {
            let places = self.claims.tables().map(|table| table.place(place));
            places.map(|place| half(place.handles.load(Ordering::Acquire))).sum()
        };
        if planted("clones-first") {
            return self.handles + sum(cloned) - sum(dropped);
        }
        let gone = sum(dropped);
        self.handles + sum(cloned) - gone
    }

    /// The circuit that lives here, if one does.
    pub(crate) const fn core(&mut self) -> Option<&mut Core> {
        self.core.as_mut()
    }

    /// What a permit says to the machine; `None` where it is a stranger's.
    pub(crate) const fn ticket(&self, permit: u64) -> Option<Ticket> {
        let epoch = License(permit).epoch();
        if epoch < self.era.first {
            return None;
        }
        let late = epoch < self.era.start;
        let generation = self.era.generation.wrapping_sub(late as u64);
        Some(Ticket::of(generation, permit))
    }

    /// What the machine would be if it had taken in what is noted.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn folded(&self, place: usize) -> Option<(Machine, CircuitBreakerConfig)> {
        let core = self.core.as_ref()?;
        let (machine, config) = (core.machine.clone(), core.config.clone());
        let Era { first, start, generation } = self.era;
        let mut copy = Self {
            core: Some(Core::new(machine, config, core.around.clone(), None)),
            era: Era { first, start, generation },
            claims: self.claims.clone(),
            ..Self::default()
        };
        copy.fold(place, &mut Transitions::new());
        copy.core.map(|core| (core.machine, *core.config))
    }
}

const fn cloned(noted: u64) -> i64 {
    (noted >> 32) as i64
}

const fn dropped(noted: u64) -> i64 {
    (noted & 0xFFFF_FFFF) as i64
}

// ===== impl Era =====

impl Era {
    /// Another circuit lives here, whose license is still to be issued.
    pub(super) fn begin(&mut self, machine: &Machine) {
        // Before any epoch that it will have, and after all that were given out.
        let epoch = next_epoch();
        let first = if planted("stranger-known") { 0 } else { epoch };
        *self = Self { first, start: epoch, generation: machine.generation() };
    }

    /// Whether the generation is another one by now.
    pub(super) fn has_changed(&self, machine: &Machine) -> bool {
        self.generation != machine.generation()
    }

    /// From this epoch on it is another generation; what is out is late.
    pub(super) fn follow(&mut self, machine: &Machine, epoch: u64) {
        self.start = epoch;
        self.generation = machine.generation();
    }
}

// ===== impl Core =====

impl Core {
    pub(crate) fn new(
        machine: Machine,
        config: Arc<CircuitBreakerConfig>,
        around: Arc<Surroundings>,
        partition: Option<Box<str>>,
    ) -> Self {
        Self { machine, config, around, partition, own: None }
    }

    fn take_in(&mut self, era: &Era, kind: Pending, count: u32, done: &mut Transitions) {
        if kind.epoch() < era.first {
            return;
        }
        let late = kind.epoch() < era.start || self.machine.generation() != era.generation;
        match (kind.is_refusals(), late) {
            (true, true) => self.machine.refused_before(u64::from(count)),
            (true, false) => self.machine.refuse_many(u64::from(count)),
            (false, true) => self.machine.late_successes(count),
            (false, false) => self.machine.settle_successes(&self.config, count, done),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.machine.snapshot(&self.config);
        if let Some(own) = &self.own {
            snapshot.config_version = own.version;
            snapshot.strategy = own.strategy_name;
            snapshot.gated = own.gate.is_some();
        }
        snapshot.successes_counted |= self.around.is_observed();
        snapshot.partition = self.partition.as_deref().map(crate::name::Name::cut);
        snapshot
    }

    /// The configuration as it was given, before a strategy was swapped in.
    pub(crate) fn given(&self) -> &Arc<CircuitBreakerConfig> {
        self.own.as_ref().map_or(&self.config, |own| &own.given)
    }

    pub(crate) fn strategy(&self) -> Option<&Arc<dyn Strategy>> {
        self.own.as_ref()?.strategy.as_ref()
    }

    pub(crate) fn gate(&self) -> Option<&Arc<dyn DependencyGate>> {
        self.own.as_ref()?.gate.as_ref()
    }

    /// Has another gate asked, or none. Hands out the old one, to be dropped after the lock.
    #[must_use = "dropped at once it runs the user's code under the lock"]
    pub(crate) fn set_gate(
        &mut self,
        gate: Option<Arc<dyn DependencyGate>>,
    ) -> Option<Arc<dyn DependencyGate>> {
        std::mem::replace(&mut self.own().gate, gate)
    }

    /// Puts another configuration in force; hands out its number.
    pub(crate) fn reconfigured(&mut self, config: Arc<CircuitBreakerConfig>) -> u64 {
        self.config = config.clone();
        let own = self.own();
        own.given = config;
        own.version += 1;
        own.version
    }

    /// Puts another configuration or strategy in force. Hands out the old strategy, to be dropped
    /// after the lock: its drop is the user's code.
    #[must_use = "dropped at once it runs the user's code under the lock"]
    pub(crate) fn swap(
        &mut self,
        config: Arc<CircuitBreakerConfig>,
        strategy: Option<(Arc<dyn Strategy>, &'static str)>,
        now: crate::clock::Tick,
        done: &mut Transitions,
    ) -> Option<Arc<dyn Strategy>> {
        let (strategy, name) = strategy.unzip();
        let custom = strategy.is_some();
        self.machine.swap_strategy(&self.config, &config, custom, now, done);
        // What was given stays: it is what the circuit falls back to.
        let own = self.own();
        own.strategy_name = name;
        let old = std::mem::replace(&mut own.strategy, strategy);
        self.config = config;
        old
    }

    /// Notes that the admitted share changed, as it did in a step just now.
    pub(crate) fn note_share(&self, share: Option<(Percent, Percent)>, news: &mut super::News) {
        let Some((from, to)) = share else { return };
        news.push(self.share_moved(from, to));
    }

    pub(super) fn share_moved(&self, from: Percent, to: Percent) -> EventKind {
        let base = self.config.recovery.ramp().map_or(Percent::ZERO, Ramp::base_percent);
        if to < from {
            EventKind::RampRelapsed { from, to }
        } else {
            EventKind::RampStep { from, to, phase: RampPhase::of(to, base) }
        }
    }

    fn own(&mut self) -> &mut Own {
        let config = &self.config;
        self.own.get_or_insert_with(|| {
            Box::new(Own {
                given: config.clone(),
                version: 0,
                strategy: None,
                strategy_name: None,
                gate: None,
            })
        })
    }
}
