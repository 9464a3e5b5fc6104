//! The circuit that users hold: [`CircuitBreaker`].
//!
//! With its parts and `slot.rs` it makes the machine concurrent. The rules are in `machine.rs`.

mod control;
mod kept;
mod permit;
mod tell;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, MonotonicClock, Tick};
use crate::config::CircuitBreakerConfig;
use crate::events::{Change, Events};
use crate::explain::Snapshot;
use crate::machine::{Machine, Refusal};
use crate::name::Name;
use crate::observe::{EventKind, Interest, Observe};
use crate::outcome::Outcome;
use crate::pace::Chance;
use crate::rejected::Rejected;
use crate::slot::{Core, License, Slot, Surroundings};
use crate::state::State;
use crate::strategy::GateVerdict;

pub(crate) use kept::Kept;
pub use permit::Permit;
use tell::{Before, checked, refuse, rejected, tell_settled};

/// A circuit: cheap to clone, and all clones are the same circuit.
///
/// ```
/// use breaker_core::{CircuitBreaker, CircuitBreakerConfig, FailureKind, State};
///
/// let breaker = CircuitBreaker::new(CircuitBreakerConfig::new().named("ledger"));
/// for _ in 0..5 {
///     let permit = breaker.try_acquire().expect("closed admits");
///     permit.failure(FailureKind::Timeout);
/// }
/// assert_eq!(breaker.state(), State::Open);
/// let refusal = breaker.try_acquire().unwrap_err();
/// assert!(refusal.retry_after().is_some());
/// ```
///
/// A handle costs no reference count: clones are counted by thread, and so is their end. The
/// circuit lives as long as a handle of it does; a [`Permit`] that outlives the last one says
/// nothing any more.
pub struct CircuitBreaker {
    slot: &'static Slot,
    /// Whether this handle is meant to stay: see [`CircuitBreaker::keep`].
    keeps: bool,
}

impl CircuitBreaker {
    /// A closed circuit on the machine's monotonic clock.
    #[must_use]
    pub fn new(config: CircuitBreakerConfig) -> Self {
        Self::with_clock(config, MonotonicClock::new())
    }

    /// A closed circuit on another clock: a [`ManualClock`](crate::ManualClock) in tests.
    #[must_use]
    pub fn with_clock(config: CircuitBreakerConfig, clock: impl Clock + 'static) -> Self {
        // A hasher with random keys is the standard library's own source of chance.
        Self::with_clock_and_seed(config, clock, RandomState::new().hash_one(0_u8))
    }

    /// A closed circuit whose jitter is the same in every run.
    #[must_use]
    pub fn with_clock_and_seed(
        config: CircuitBreakerConfig,
        clock: impl Clock + 'static,
        seed: u64,
    ) -> Self {
        let now = clock.now();
        let around = Arc::new(Surroundings::new(clock));
        Slot::make_room();
        Self::in_surroundings(Arc::new(config), Chance::seeded(seed), around, None, now)
    }

    /// Runs none of the user's code: it may be called under a lock.
    pub(crate) fn in_surroundings(
        config: Arc<CircuitBreakerConfig>,
        chance: Chance,
        around: Arc<Surroundings>,
        partition: Option<Box<str>>,
        now: Tick,
    ) -> Self {
        let machine = Machine::new(&config, chance).begun_at(now);
        let slot = Slot::with(Core::new(machine, config, around, partition));
        Self { slot, keeps: true }
    }

    /// The place in a map that keeps the circuit.
    pub(crate) fn kept(&self) -> Kept {
        Kept::new(self.slot)
    }

    /// A clone that is meant to stay, as the handle is that [`new`](Self::new) makes.
    ///
    /// While one of these lives, clones come and go without anybody looking whether they are the
    /// last. What is cloned for each call, such as a service, should hold one where it is made.
    #[must_use]
    pub fn keep(&self) -> Self {
        self.slot.cloned(true);
        Self { slot: self.slot, keeps: true }
    }

    /// Asks for admission, and notes the time: for calls that begin now.
    ///
    /// # Errors
    /// A [`Rejected`], which says why and when to come back.
    pub fn try_acquire(&self) -> Result<Permit, Rejected> {
        let mut permit = self.try_acquire_unstamped()?;
        permit.stamp();
        Ok(permit)
    }

    /// Asks for admission without noting the time: [`Permit::stamp`] does, once it is known that
    /// the call is not ready at once. A call that never is stamped took no time.
    ///
    /// # Errors
    /// A [`Rejected`], which says why and when to come back.
    #[inline]
    pub fn try_acquire_unstamped(&self) -> Result<Permit, Rejected> {
        match self.acquire_at_once() {
            Some(permit) => Ok(permit),
            None => self.acquire_slowly(),
        }
    }

    /// A permit as [`try_acquire_unstamped`](Self::try_acquire_unstamped) gives it, where that takes
    /// nothing but a look: the first half of it, for callers to whom each instruction counts.
    #[inline]
    #[must_use]
    pub fn acquire_at_once(&self) -> Option<Permit> {
        self.slot.admit_at_once().map(|epoch| Permit::new(self.slot, epoch))
    }

    #[cold]
    fn acquire_slowly(&self) -> Result<Permit, Rejected> {
        if let Ok(Some(rejected)) = self.slot.known_refusal() {
            return Err(self.refuse_known(rejected));
        }
        let gated = self.slot.is_gated();
        let gate = if gated { self.slot.ask_gate() } else { GateVerdict::Admit };
        let now = self.slot.now_unless_at_rest();
        let stepped = self.slot.step_quietly(|inner, done, news, wanted| {
            let core = inner.living();
            let admitted = core.machine.admit_past(gate, &core.config, now, done);
            news.add(wanted, || checked(core, admitted.is_ok()), Interest::STEPS);
            admitted.map_err(|refusal| refuse(core, refusal, news, wanted))
        });
        let mut permit = stepped.answer.map(|ticket| {
            Permit::new(self.slot, License::permit(stepped.epoch, ticket.role_bits()))
        });
        if let Err(panic) = stepped.told {
            // An observer's: the permit that was just made goes back, and says nothing.
            if let Ok(permit) = &mut permit {
                permit.give_up();
            }
            std::panic::resume_unwind(panic);
        }
        permit
    }

    /// Whether the circuit is closed and under no order, as far as a look can tell: then there is
    /// no [`known_refusal`](Self::known_refusal).
    #[must_use]
    #[inline]
    pub fn is_at_rest(&self) -> bool {
        self.slot.is_at_rest()
    }

    /// The refusal that a call would surely get just now: while open, or forced open. It is
    /// counted only when it is given: see [`CircuitBreaker::refuse_known`].
    ///
    /// `None` also where it depends on the call: half-open, or where not all calls are refused.
    #[must_use]
    #[inline]
    pub fn known_refusal(&self) -> Option<Rejected> {
        if self.slot.is_at_rest() { None } else { self.find_refusal() }
    }

    #[cold]
    fn find_refusal(&self) -> Option<Rejected> {
        if let Ok(known) = self.slot.known_refusal() {
            return known;
        }
        let now = self.slot.now();
        self.slot.see(|core| {
            let refusal = core.machine.known_refusal(&core.config, now)?;
            Some(rejected(core, refusal))
        })
    }

    /// Gives a refusal that [`known_refusal`](Self::known_refusal) announced, and counts it.
    pub fn refuse_known(&self, rejected: Rejected) -> Rejected {
        if self.slot.refused_at_once() {
            return rejected;
        }
        // Only those who are told care when it was.
        let now = self.slot.now_if_observed();
        self.slot.step(|core, _, news, wanted| {
            news.at = now;
            let refusal = Refusal {
                reason: rejected.reason(),
                retry_after: rejected.retry_after(),
                cause: rejected.cause(),
            };
            core.machine.refused(refusal);
            news.add(wanted, || EventKind::Refused(rejected), Interest::REFUSALS);
        });
        rejected
    }

    /// Takes in an outcome for which nobody asked admission. While closed it is evidence. In
    /// half-open it counts as a trial if one is free, and while open as a probe if one is due
    /// ([`Trickle`](crate::Trickle)); otherwise it is in the totals only.
    pub fn record(&self, outcome: Outcome) {
        self.record_timed(outcome, Duration::ZERO);
    }

    /// Takes in the outcome of a call that took `duration`, for which nobody asked admission; see
    /// [`record`](Self::record).
    pub fn record_timed(&self, outcome: Outcome, duration: Duration) {
        let now = self.slot.now();
        self.slot.take_in(|core, done, news, wanted| {
            let before = Before::of(core);
            let settled = core.machine.record(&core.config, outcome, Some(duration), now, done);
            tell_settled(core, outcome, settled, duration, before, news, wanted);
        });
    }

    /// Takes in that the callee could not even be made ready: evidence while closed, but never a
    /// trial or a probe.
    pub fn record_unready(&self, outcome: Outcome) {
        let now = self.slot.now();
        self.slot.take_in(|core, done, news, wanted| {
            let before = Before::of(core);
            let settled = core.machine.unready(&core.config, outcome, now, done);
            tell_settled(core, outcome, settled, Duration::ZERO, before, news, wanted);
        });
    }

    /// The state, right for the present time even if there was no call for hours.
    #[must_use]
    pub fn state(&self) -> State {
        if self.slot.is_at_rest() {
            return State::Closed;
        }
        let now = self.slot.now();
        self.slot.step(|core, done, _, _| {
            core.machine.advance(&core.config, now, done);
            core.machine.state()
        })
    }

    /// The state, right for the present time, and its generation.
    pub(crate) fn state_and_generation(&self) -> (State, u64) {
        let now = self.slot.now();
        self.slot.step(|core, done, _, _| {
            core.machine.advance(&core.config, now, done);
            (core.machine.state(), core.machine.generation())
        })
    }

    /// All figures, right for the present time.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = self.slot.now();
        self.slot.step(|core, done, _, _| {
            core.machine.advance(&core.config, now, done);
            core.snapshot()
        })
    }

    /// One sentence: why the circuit is as it is, and when that changes.
    #[must_use]
    pub fn explain(&self) -> String {
        self.snapshot().explain()
    }

    /// The name of the circuit.
    #[must_use]
    pub fn name(&self) -> Name {
        self.slot.see(|core| core.config.name)
    }

    /// Has `observer` told what happens from now on, for all clones of the handle. Every call takes
    /// the circuit's lock then.
    pub fn observe(&self, observer: impl Observe + 'static) {
        self.around().observe(Arc::new(observer));
    }

    /// The changes from now on, as a stream.
    #[must_use]
    pub fn subscribe(&self) -> Events {
        self.around().history.subscribe()
    }

    /// The last changes, oldest first, up to 256.
    #[must_use]
    pub fn recent_changes(&self) -> Vec<Change> {
        self.around().history.recent()
    }

    /// Whether this and `other` are the same circuit.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self.slot, other.slot)
    }

    /// Whether this circuit gave the permit.
    #[must_use]
    pub fn gave(&self, permit: &Permit) -> bool {
        let admission = permit.admission();
        std::ptr::eq(self.slot, admission.slot) && self.slot.knows(admission.word)
    }

    /// What others of its kind are made of.
    pub(crate) fn make(&self) -> (Arc<CircuitBreakerConfig>, Arc<Surroundings>) {
        self.slot.see(|core| (core.config.clone(), core.around.clone()))
    }

    fn around(&self) -> Arc<Surroundings> {
        self.make().1
    }
}

/// For the models, which bring slots of their own.
#[cfg(all(test, any(loom, shuttle)))]
impl CircuitBreaker {
    pub(crate) const fn living_in(slot: &'static Slot) -> Self {
        Self { slot, keeps: true }
    }
}

/// For the proofs, which look without a step.
#[cfg(all(test, not(any(loom, shuttle))))]
impl CircuitBreaker {
    pub(crate) fn license(&self) -> License {
        self.slot.license()
    }

    pub(crate) fn is_only_handle(&self) -> bool {
        self.slot.has_one_handle()
    }

    pub(crate) fn around_of_it(&self) -> Arc<Surroundings> {
        self.around()
    }

    /// Ends the circuit, but has nobody notice it.
    pub(crate) fn end_unnoticed(self) {
        std::mem::ManuallyDrop::new(self).slot.lose_handle();
    }

    pub(crate) fn folded(&self) -> (Machine, CircuitBreakerConfig) {
        self.slot.folded().expect("a handle keeps its circuit")
    }
}

impl Clone for CircuitBreaker {
    #[inline]
    fn clone(&self) -> Self {
        self.slot.cloned(false);
        Self { slot: self.slot, keeps: false }
    }
}

impl Drop for CircuitBreaker {
    #[inline]
    fn drop(&mut self) {
        self.slot.dropped(self.keeps);
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slot.fmt(f)
    }
}
