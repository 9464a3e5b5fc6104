//! What operators do: sync, without await, from any thread.

use std::sync::Arc;

use super::CircuitBreaker;
use crate::config::{CircuitBreakerConfig, StrategyKind};
use crate::machine::{IllegalTransition, Override, Saved};
use crate::observe::EventKind;
use crate::state::State;
use crate::strategy::{DependencyGate, Strategy};

impl CircuitBreaker {
    /// Refuses all calls, until it is released or the order has run its time.
    pub fn force_open(&self, order: impl Into<Override>) {
        self.force(State::ForcedOpen, order.into());
    }

    /// Admits all calls; they are recorded, but nothing trips.
    pub fn force_closed(&self, order: impl Into<Override>) {
        self.force(State::ForcedClosed, order.into());
    }

    /// Switches the circuit off: all calls pass, nothing is recorded.
    pub fn disable(&self, order: impl Into<Override>) {
        self.force(State::Disabled, order.into());
    }

    /// Admits all calls and counts what would have been refused: the safe way into production.
    pub fn metrics_only(&self, order: impl Into<Override>) {
        self.force(State::MetricsOnly, order.into());
    }

    /// Ends an operator's order, if there is one: back to closed, with empty evidence.
    pub fn release(&self) {
        let now = self.slot.now();
        self.slot.step(|core, done, _, _| {
            core.machine.release(&core.config, now, done);
        });
    }

    /// Begins anew: closed, with empty evidence, and with the thresholds of the configuration.
    /// Calls that are out no longer count.
    pub fn reset(&self) {
        let now = self.slot.now();
        self.slot.step(|core, done, _, _| core.machine.reset(&core.config, now, done));
    }

    /// Opens the circuit as failures would; it recovers by itself.
    ///
    /// # Errors
    /// When the circuit is neither closed nor half-open. Nothing is changed then.
    pub fn trip(&self) -> Result<(), IllegalTransition> {
        let now = self.slot.now();
        self.slot.step(|core, done, _, _| core.machine.trip(&core.config, now, done))
    }

    /// Ends the open period at once, and begins with the trials, or with the ramp. Where single
    /// probes decide ([`Trickle`](crate::Trickle)) and no ramp follows them, one trial does.
    ///
    /// # Errors
    /// When the circuit is not open. Nothing is changed then.
    pub fn attempt_reset(&self) -> Result<(), IllegalTransition> {
        let now = self.slot.now();
        self.slot.step(|core, done, _, _| core.machine.attempt_reset(&core.config, now, done))
    }

    /// Takes up what an earlier process knew: see [`Snapshot::to_saved`](crate::Snapshot::to_saved).
    ///
    /// # Errors
    /// When the circuit is not closed, or the saved state is an operator's. Nothing is changed
    /// then.
    pub fn restore(&self, saved: Saved) -> Result<(), IllegalTransition> {
        let now = self.slot.now();
        self.slot.step(|core, done, _, _| core.machine.restore(&core.config, saved, now, done))
    }

    /// Goes on under another configuration, in one step: the state stays, evidence is carried
    /// over where its shape allows, running timers are computed anew, permits stay valid.
    pub fn reconfigure(&self, config: CircuitBreakerConfig) {
        self.share_config(Arc::new(config));
    }

    pub(crate) fn share_config(&self, config: Arc<CircuitBreakerConfig>) {
        let now = self.slot.now();
        self.slot.step(|core, done, news, _| {
            core.machine.reconfigure(&core.config, &config, now, done);
            let version = core.reconfigured(config);
            news.push(EventKind::Reconfigured { version });
        });
    }

    /// Lets another strategy of the family decide from the next admission on. State, evidence
    /// and permits carry over; half-open begins its trials anew.
    pub fn set_strategy(&self, kind: StrategyKind) {
        let now = self.slot.now();
        let _old = self.slot.step(|core, done, news, _| {
            let given = core.given();
            let config = if given.strategy_kind() == kind {
                given.clone()
            } else {
                Arc::new(given.strategy(kind))
            };
            news.push(EventKind::StrategySwapped { to: kind.as_str() });
            core.swap(config, None, now, done)
        });
    }

    /// Lets a strategy of your own decide from the next admission on. State, evidence and
    /// permits carry over; half-open begins its trials anew.
    pub fn set_custom_strategy(&self, strategy: impl Strategy + 'static) {
        let strategy: Arc<dyn Strategy> = Arc::new(strategy);
        let now = self.slot.now();
        // Asked here, outside of the lock: it is the user's code.
        let to = strategy.name();
        let _old = self.slot.step(|core, done, news, _| {
            news.push(EventKind::StrategySwapped { to });
            core.swap(core.config.clone(), Some((strategy, to)), now, done)
        });
    }

    /// Has `gate` asked before each admission whether what the callee depends on is there. It
    /// replaces an earlier gate.
    pub fn set_dependency_gate(&self, gate: impl DependencyGate + 'static) {
        let gate: Arc<dyn DependencyGate> = Arc::new(gate);
        // The old gate is dropped outside of the lock: its drop is the user's code.
        let _old = self.slot.step(|core, _, _, _| core.set_gate(Some(gate)));
    }

    /// Has no gate asked any more.
    pub fn clear_dependency_gate(&self) {
        let _old = self.slot.step(|core, _, _, _| core.set_gate(None));
    }

    /// Keeps the tuner from moving the threshold of the failure rate; it goes on learning. Nothing
    /// happens where there is no [`Tuner`](crate::Tuner).
    pub fn freeze_tuner(&self) {
        self.freeze(true);
    }

    /// Lets the tuner move the threshold again.
    pub fn thaw_tuner(&self) {
        self.freeze(false);
    }

    fn freeze(&self, frozen: bool) {
        let now = self.slot.now();
        self.slot.step(|core, done, _, _| {
            core.machine.freeze_tuner(&core.config, frozen, now, done);
        });
    }

    fn force(&self, state: State, order: Override) {
        let now = self.slot.now();
        self.slot.step(|core, done, _, _| {
            let forced = core.machine.force(&core.config, state, order, now, done);
            debug_assert!(forced.is_ok(), "only the operator's states are forced here");
        });
    }
}
